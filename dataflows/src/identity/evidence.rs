//! What identity is resolved from: identifiers, who was seen with whom, and what people have stated.

use super::rules::NamespaceIndex;
use serde::{Deserialize, Serialize};
use tributary_model::{IdentifierId, Millis};

/// Two identifiers, the smaller first.
pub type Ends = (IdentifierId, IdentifierId);

/// Two identifiers in the order that a link has them.
///
/// ```
/// # use tributary_dataflows::identity::ends;
/// # use tributary_model::IdentifierId;
/// let (one, two) = (IdentifierId(1), IdentifierId(2));
/// assert_eq!(ends(two, one), ends(one, two));
/// ```
pub fn ends(a: IdentifierId, b: IdentifierId) -> Ends {
    (a.min(b), a.max(b))
}

/// One identifier. The order of the fields decides which names its profile: SEMANTICS rule 6, smaller is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    /// The namespace's priority.
    pub priority: u8,
    /// The earliest event that carried the identifier.
    pub first_seen: Millis,
    /// The identifier.
    pub id: IdentifierId,
    /// Its namespace; decides nothing here.
    pub namespace: NamespaceIndex,
}

/// Two identifiers that events carried together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Link {
    /// Which two.
    pub ends: Ends,
    /// The latest event that carried both.
    pub last_seen: Millis,
    /// How many events have.
    pub count: u64,
}

/// What a person has said of two identifiers, over whatever events say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stated {
    /// They are one customer, even where a rule would keep them apart.
    Same,
    /// They are two, even where evidence connects them; this holds against [`Same`](Self::Same) of other pairs.
    Different,
}

/// One fact about identity: at any time at most one of each kind about the same identifier or the same two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Evidence {
    /// An identifier exists. Links and statements are of identifiers that do.
    Node(Node),
    /// Two were seen together.
    Link(Link),
    /// What was stated of two.
    Statement(Ends, Stated),
}

/// Something for an operator to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Conflict {
    /// An identifier that is linked to too many to join on.
    Shared(IdentifierId),
    /// An identifier among more links than one customer has: it is joined to nobody.
    Tangled(IdentifierId),
    /// Identifiers that are connected, but are more than one customer by `max_per_profile` or a statement.
    Split {
        /// The best of them all.
        component: IdentifierId,
        /// How many customers they are.
        parts: u32,
    },
    /// A customer with many identifiers, at least [`MANY`].
    Large {
        /// The identifier that names the customer.
        profile: IdentifierId,
        /// How many it has.
        identifiers: u32,
    },
}

/// From so many identifiers on a profile is shown to operators.
pub const MANY: u32 = 25;

/// What follows from the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Resolved {
    /// The first identifier belongs to the customer that the second names.
    Owner(IdentifierId, IdentifierId),
    /// What an operator should know.
    Conflict(Conflict),
}
