//! What a user defines: identity rules, computed traits, segments, destinations, triggers.
//!
//! These are the *checked* forms. How they are written in YAML, and what is said of a mistake, is the
//! configuration's business.

use crate::{ContactPolicy, Destination, Locales, Matching, Normalise, TriggerPolicy, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All definitions together. Ids are the keys; each is unique across the folder.
#[derive(Clone, Debug, Default)]
pub struct Definitions {
    /// How identifiers become customers.
    pub identity: IdentityRules,
    /// Computed traits by name.
    pub traits: BTreeMap<String, ComputedTrait>,
    /// Segments by id.
    pub segments: BTreeMap<String, Segment>,
    /// Destinations by id.
    pub destinations: BTreeMap<String, Destination>,
    /// When customers may be contacted.
    pub contact: ContactPolicy,
    /// In which languages they are written to.
    pub locales: Locales,
    /// Triggers by id.
    pub triggers: BTreeMap<String, Trigger>,
}

/// How identifiers become customers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityRules {
    /// Namespaces by name; `user_id` and `anonymous_id` are always there.
    pub namespaces: BTreeMap<String, Namespace>,
    /// The namespace of an alias call's `previousId`, which may be of either kind by the Segment spec.
    pub previous_id: String,
    /// Values that identify nobody: exact texts, or patterns that begin with `re:`.
    pub block: Vec<String>,
    /// Links that one customer may have; more are a tangle that joins nobody.
    pub max_links: u32,
    /// Which customers are suggested to be one person; `None` where nobody asks.
    pub suggestions: Option<Matching>,
}

impl Default for IdentityRules {
    /// `user_id` first, `anonymous_id` last, nothing blocked.
    fn default() -> Self {
        let namespace = |priority| Namespace { priority, ..Namespace::default() };
        Self {
            namespaces: BTreeMap::from([
                ("user_id".to_owned(), namespace(1)),
                ("anonymous_id".to_owned(), namespace(9)),
            ]),
            previous_id: "anonymous_id".to_owned(),
            block: Vec::new(),
            max_links: limits::LINKS_PER_PROFILE,
            suggestions: None,
        }
    }
}

/// One kind of identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Smaller is better: an event belongs to the best identifier it carries, a profile is named by its best.
    pub priority: u8,
    /// How many of this namespace one profile may hold; more split it.
    pub max_per_profile: Option<u32>,
    /// For each better namespace: linked to more than so many of its identifiers, this one is shared.
    pub shared_after: BTreeMap<String, u32>,
    /// How values are made equal.
    pub normalise: Normalise,
    /// Where else in an event its values stand, as `traits.email` or `context.traits.email`.
    pub from: Vec<String>,
}

/// A named expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputedTrait {
    /// SQL, as `sum(properties.total) FILTER (WHERE event = 'Order Completed')`.
    pub expression: String,
}

/// A named condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// For people; the id where none is given.
    pub name: String,
    /// SQL that is true for members.
    #[serde(rename = "where")]
    pub condition: String,
}

/// When to say what to whom.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// What sets it off.
    pub on: On,
    /// What is sent where.
    pub send: Send,
    /// Whether it also fires for customers who come or go because a definition changes while the server runs.
    pub fire_on_backfill: bool,
    /// Whether a message is taken back by another one when it turns out that the customer had not qualified.
    pub retracts: bool,
    /// Who gets its messages, and how often.
    pub policy: TriggerPolicy,
}

/// What sets a trigger off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    /// A customer comes into a segment.
    Enter {
        /// The segment's id.
        segment: String,
    },
    /// A customer leaves a segment.
    Exit {
        /// The segment's id.
        segment: String,
    },
    /// A customer does something.
    Event {
        /// The name of a track event.
        event: String,
        /// A SQL condition on the event, where not every such event counts.
        condition: Option<String>,
    },
}

/// What is sent where.
#[derive(Clone, Debug)]
pub struct Send {
    /// The destination's id.
    pub to: String,
    /// Jinja templates over `profile`, `group`, `traits`, `computed`, `segment`, `event`, `trigger`, `message`, by the
    /// field that each makes: `body` for a webhook; `address`, `subject`, `text`, `html` for e-mail.
    pub content: BTreeMap<String, String>,
}
