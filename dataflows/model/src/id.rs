//! Names of things, as small numbers that sort and hash fast.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A batch of input that is applied, committed and shown as a whole. Grows by one; never reused, not even by
/// another run on the same state.
pub type Epoch = u64;

/// Milliseconds since 1970-01-01T00:00:00Z; negative before.
pub type Millis = i64;

/// The first 128 bits of BLAKE3 over the parts, each followed by a zero byte.
fn digest(parts: &[&str]) -> u128 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    let mut out = [0u8; 16];
    hasher.finalize_xof().fill(&mut out);
    u128::from_be_bytes(out)
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl $name {
            /// Sixteen big-endian bytes, which sort as the id does.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// The id whose [`to_bytes`](Self::to_bytes) these are.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(u128::from_be_bytes(bytes))
            }
        }

        /// Thirty-two lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                u128::from_str_radix(text, 16).map(Self)
            }
        }
    };
}

id_type! {
    /// An identifier's name: a hash of its namespace and value, so that no dictionary stands in the way of an
    /// event, and a state built from the same log anywhere has the same names.
    IdentifierId
}
id_type! {
    /// A customer's name: that of the best identifier the customer has.
    ProfileId
}
id_type! {
    /// A group's name: a hash of the `groupId` that group calls give it.
    GroupId
}
id_type! {
    /// A hash of a `messageId`: what de-duplication remembers, and the last tie-break between two events.
    MessageId
}

impl IdentifierId {
    /// The id of a *normalised* value in a namespace.
    pub fn of(namespace: &str, value: &str) -> Self {
        Self(digest(&[namespace, value]))
    }
}

impl GroupId {
    /// The id of a `groupId` as it is sent, without white space around it.
    pub fn of(group_id: &str) -> Self {
        Self(digest(&[group_id]))
    }
}

impl MessageId {
    /// The id of a client's `messageId`.
    pub fn of(message_id: &str) -> Self {
        Self(digest(&[message_id]))
    }
}

impl From<IdentifierId> for ProfileId {
    fn from(best: IdentifierId) -> Self {
        Self(best.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_written() {
        let id = IdentifierId::of("email", "a@example.com");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(IdentifierId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn the_border_between_namespace_and_value_counts() {
        assert_ne!(IdentifierId::of("ab", "c"), IdentifierId::of("a", "bc"));
    }
}
