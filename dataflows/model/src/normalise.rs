//! How values of a namespace are made equal before they are compared.

use phonenumber::Mode;
use phonenumber::country::Id;
use serde::{Deserialize, Serialize};

/// A country, by whose rules a phone number without an international prefix is read: two capital letters of ISO 3166.
///
/// ```
/// # use tributary_model::Region;
/// assert!(Region::new("DE").is_some());
/// assert!(Region::new("Germany").is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region([u8; 2]);

impl Region {
    /// The country of that code, if there is one.
    pub fn new(code: &str) -> Option<Self> {
        code.parse::<Id>().ok()?;
        Some(Self(code.as_bytes().try_into().ok()?))
    }

    fn id(self) -> Option<Id> {
        std::str::from_utf8(&self.0).ok()?.parse().ok()
    }
}

/// How values of a namespace are made equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// White space at both ends goes; nothing else.
    #[default]
    Trim,
    /// Trimmed and lower-cased.
    Lowercase,
    /// Trimmed and lower-cased; a value that has no `@` between two other characters is no e-mail address.
    Email {
        /// `ada+shop@example.com` is `ada@example.com`.
        drop_plus_tag: bool,
        /// `a.da@gmail.com` and `ada@googlemail.com` are `ada@gmail.com`, as the provider has it.
        drop_gmail_dots: bool,
    },
    /// E.164, as `+4930901820`; what can be no phone number is no value.
    Phone {
        /// Where a number without an international prefix belongs; without a region it is no value.
        region: Option<Region>,
    },
}

impl Normalise {
    /// E-mail addresses as they are written.
    pub const EMAIL: Self = Self::Email { drop_plus_tag: false, drop_gmail_dots: false };

    /// Every name a definition may use.
    pub const NAMES: [&'static str; 4] = ["trim", "lowercase", "email", "phone"];

    /// The plain normalisation of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "trim" => Some(Self::Trim),
            "lowercase" => Some(Self::Lowercase),
            "email" => Some(Self::EMAIL),
            "phone" => Some(Self::Phone { region: None }),
            _ => None,
        }
    }

    /// The normalised value; `None` where the text can be no value of this kind.
    ///
    /// ```
    /// # use tributary_model::{Normalise, Region};
    /// assert_eq!(Normalise::EMAIL.apply(" Ada@Example.com "), Some("ada@example.com".to_owned()));
    /// assert_eq!(Normalise::EMAIL.apply("n/a"), None);
    ///
    /// let same = Normalise::Email { drop_plus_tag: true, drop_gmail_dots: true };
    /// assert_eq!(same.apply("A.da+news@googlemail.com"), Some("ada@gmail.com".to_owned()));
    ///
    /// let phone = Normalise::Phone { region: Region::new("DE") };
    /// assert_eq!(phone.apply("030 / 901820"), Some("+4930901820".to_owned()));
    /// assert_eq!(phone.apply("+1 650-253-0000"), Some("+16502530000".to_owned()));
    /// assert_eq!(phone.apply("call me"), None);
    /// ```
    pub fn apply(self, text: &str) -> Option<String> {
        let text = text.trim();
        let value = match self {
            Self::Trim => text.to_owned(),
            Self::Lowercase => text.to_lowercase(),
            Self::Email { drop_plus_tag, drop_gmail_dots } => email(text, drop_plus_tag, drop_gmail_dots)?,
            Self::Phone { region } => {
                let number = phonenumber::parse(region.and_then(Region::id), text).ok()?;
                phonenumber::is_valid(&number).then(|| number.format().mode(Mode::E164).to_string())?
            }
        };
        (!value.is_empty()).then_some(value)
    }
}

fn email(text: &str, drop_plus_tag: bool, drop_gmail_dots: bool) -> Option<String> {
    if text.contains(char::is_whitespace) {
        return None;
    }
    let text = text.to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let plain = local.split_once('+').map(|(plain, _)| plain).filter(|_| drop_plus_tag).unwrap_or(local);
    if plain.is_empty() || domain.is_empty() {
        return None;
    }
    if drop_gmail_dots && matches!(domain, "gmail.com" | "googlemail.com") {
        let plain = plain.replace('.', "");
        return (!plain.is_empty()).then(|| format!("{plain}@gmail.com"));
    }
    Some(format!("{plain}@{domain}"))
}
