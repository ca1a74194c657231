//! Who: a value in a namespace, as `email:a@example.com`.

use crate::IdentifierId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One name that a customer goes by. The value is already normalised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identifier {
    /// `user_id`, `anonymous_id`, `email`, or another that the definitions name.
    pub namespace: String,
    /// The value, normalised as the namespace says.
    pub value: String,
}

impl Identifier {
    /// An identifier from its two parts.
    pub fn new(namespace: impl Into<String>, value: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), value: value.into() }
    }

    /// The short name that the graphs and the store use.
    pub fn id(&self) -> IdentifierId {
        IdentifierId::of(&self.namespace, &self.value)
    }

    /// Reads `namespace:value`; the value may hold further colons.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, value) = text.split_once(':')?;
        (!namespace.is_empty() && !value.is_empty()).then(|| Self::new(namespace, value))
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.value)
    }
}
