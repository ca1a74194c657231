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

/// How values of a namespace are made equal before they are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// White space at both ends goes; nothing else.
    #[default]
    Trim,
    /// Trimmed and lower-cased.
    Lowercase,
    /// Trimmed and lower-cased; a value that has no `@` between two other characters is no e-mail address.
    Email,
}

impl Normalise {
    /// Every name a definition may use.
    pub const NAMES: [&'static str; 3] = ["trim", "lowercase", "email"];

    /// The normalisation of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "trim" => Some(Self::Trim),
            "lowercase" => Some(Self::Lowercase),
            "email" => Some(Self::Email),
            _ => None,
        }
    }

    /// The normalised value; `None` where the text can be no value of this kind.
    ///
    /// ```
    /// # use tributary_model::Normalise;
    /// assert_eq!(Normalise::Email.apply(" Ada@Example.com "), Some("ada@example.com".to_owned()));
    /// assert_eq!(Normalise::Email.apply("n/a"), None);
    /// ```
    pub fn apply(self, text: &str) -> Option<String> {
        let text = text.trim();
        let value = match self {
            Self::Trim => text.to_owned(),
            Self::Lowercase => text.to_lowercase(),
            Self::Email => {
                let (local, domain) = text.rsplit_once('@')?;
                if local.is_empty() || domain.is_empty() || text.contains(char::is_whitespace) {
                    return None;
                }
                text.to_lowercase()
            }
        };
        (!value.is_empty()).then_some(value)
    }
}
