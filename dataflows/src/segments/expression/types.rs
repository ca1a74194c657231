//! Types as far as they are known before anything runs.

use super::tree::Tree;
use std::fmt;

/// What a value can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// NULL, which goes with everything; also what stands in for a mistake, so that it is told once.
    Unknown,
    /// From JSON: known only when it is there.
    Dynamic,
    Bool,
    Number,
    Timestamp,
    /// A length of time: within expressions only.
    Interval,
    /// `now()`, or so long before or after it: beside an instant in a comparison only.
    Now,
    /// The time between now and an instant: beside a length of time in a comparison only.
    SinceNow,
    Text,
}

impl Type {
    /// The type of a value that is one or the other; `None` where nothing is both.
    pub(crate) fn common(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Now | Self::SinceNow, _) | (_, Self::Now | Self::SinceNow) => None,
            (one, same) if one == same => Some(one),
            (Self::Unknown, known) | (known, Self::Unknown) => Some(known),
            (Self::Dynamic, Self::Interval) | (Self::Interval, Self::Dynamic) => None,
            (Self::Dynamic, _) | (_, Self::Dynamic) => Some(Self::Dynamic),
            _ => None,
        }
    }

    /// Whether values of two types can be compared: as those that have a type in common, and now with instants.
    pub(crate) fn compares(self, other: Self) -> bool {
        match (self, other) {
            (Self::Now, other) | (other, Self::Now) => {
                matches!(other, Self::Now | Self::Timestamp | Self::Dynamic | Self::Unknown)
            }
            (Self::SinceNow, other) | (other, Self::SinceNow) => {
                matches!(other, Self::SinceNow | Self::Interval | Self::Unknown)
            }
            _ => self.common(other).is_some(),
        }
    }

    /// Whether it is a means to compare, and no value that anything can hold.
    pub(crate) const fn is_fleeting(self) -> bool {
        matches!(self, Self::Interval | Self::Now | Self::SinceNow)
    }

    /// Whether a value of this type can be of that one.
    pub(crate) fn may_be(self, wanted: Self) -> bool {
        self.common(wanted).is_some()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "NULL",
            Self::Dynamic => "of any type",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Timestamp => "an instant",
            Self::Interval => "a length of time",
            Self::Now => "the time that passes",
            Self::SinceNow => "a length of time that grows",
            Self::Text => "text",
        })
    }
}

/// A tree with its type.
#[derive(Clone, Debug)]
pub(crate) struct Typed<L> {
    pub(crate) tree: Tree<L>,
    pub(crate) is: Type,
}

impl<L> Typed<L> {
    pub(crate) fn new(tree: Tree<L>, is: Type) -> Self {
        Self { tree, is }
    }

    /// Stands in for a mistake that was told.
    pub(crate) fn mistaken() -> Self {
        Self { tree: Tree::NULL, is: Type::Unknown }
    }
}
