//! How customers who may be one person are found: what is compared of them, and what counts as alike.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which customers are suggested to be one person. A suggestion merges nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matching {
    /// What is compared, by name.
    pub compare: BTreeMap<String, Comparison>,
    /// A pair is suggested from this probability on, in percent.
    pub min_percent: u8,
    /// How often suggestions are made anew, in milliseconds.
    pub every_ms: u64,
}

/// One thing that is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Paths below a customer's traits, as `name` or `address.postcode`; the first that has a value counts.
    pub from: Vec<String>,
    /// What makes two values equal or alike.
    pub likeness: Likeness,
}

/// What makes two values equal or alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Likeness {
    /// Letters and digits, whatever stands between them: postcodes, numbers of customers or insurances. Alike are those
    /// that a slip or two of the finger makes equal.
    Code,
    /// Words in their order: a street, a town.
    Text,
    /// Words in any order: `Lovelace, Ada` is `Ada Lovelace`.
    Name,
    /// A day, as ISO 8601 or day, month, year. Alike are those with two digits that differ, or day and month exchanged.
    Date,
}

impl Likeness {
    /// All of them, by the words that definitions use.
    pub const NAMES: [(&'static str, Self); 4] =
        [("code", Self::Code), ("text", Self::Text), ("name", Self::Name), ("date", Self::Date)];
}
