//! What happened: one decoded, validated event.

use crate::{Identifier, MessageId, Millis, Object};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::fmt;

/// The six calls of the Segment spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Something a customer did; has a name.
    Track,
    /// Who a customer is: traits.
    Identify,
    /// A page of a web site was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// The customer belongs to a group.
    Group,
    /// Two ids are one customer.
    Alias,
}

impl EventKind {
    /// Every kind, in the order of the spec.
    pub const ALL: [Self; 6] = [Self::Track, Self::Identify, Self::Page, Self::Screen, Self::Group, Self::Alias];

    /// The name in the `type` field.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Track => "track",
            Self::Identify => "identify",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One event as the engine sees it: valid, its time corrected, its identifiers normalised.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which of the six calls it was.
    pub kind: EventKind,
    /// `event` of a track call; `None` for the others.
    pub event: Option<String>,
    /// `name` of a page or screen call; `None` for the others.
    pub name: Option<String>,
    /// `groupId` of a group call that names a group; `None` for the others.
    pub group: Option<String>,
    /// The client's `messageId`, hashed; made from the log position where the client sent none.
    pub message_id: MessageId,
    /// When it happened, corrected by `sentAt` as the Segment spec says.
    pub timestamp: Millis,
    /// The identifiers it carries, best first, without blocked ones and repeats; never empty.
    pub identifiers: Vec<Identifier>,
    /// `properties` of track, page and screen.
    pub properties: Object,
    /// `traits` of identify and group.
    pub traits: Object,
    /// `context`.
    pub context: Object,
    /// Traits of consent that `context` sets, whatever call it is; of nearly every event none.
    pub consent: Map<String, Json>,
    /// The original JSON, for the history.
    pub body: Bytes,
}
