//! All that leaves the dataflow, as one kind of record: so an epoch's outputs can be committed as one.

use crate::identity::Conflict;
use crate::segments::GroupEvaluation;
use serde::{Deserialize, Serialize};
use tributary_model::{GroupId, IdentifierId, Millis, ProfileId};

/// A segment's number, the same in all programs since the start (see [`Slots`](crate::profile::Slots)).
pub type SegmentIndex = u32;

/// Something that is true as of an epoch; a change of it comes as one −1 and one +1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Output {
    /// This identifier belongs to this profile.
    Owner(IdentifierId, ProfileId),
    /// This profile is in this segment.
    Member(ProfileId, SegmentIndex),
    /// What is said of this profile changes at that time, if nothing happens before.
    Wake(ProfileId, Millis),
    /// In this epoch the profile has come to this segment, or left it, because definitions have changed: no customer's doing.
    Redefined(ProfileId, SegmentIndex),
    /// A worker's profiles are all told of by the definitions of this version.
    Current(u64),
    /// This segment has so many members; a segment without members has no count.
    Count(SegmentIndex, i64),
    /// Something about identities for an operator to look at.
    Conflict(Conflict),
    /// What is computed of a group that has members.
    Group(GroupId, GroupEvaluation),
}
