//! Links in messages, by which a customer says what they want without a password. They are signed: nobody can make one
//! for somebody else. They hold as long as the state, since people unsubscribe by old mails too.

use super::gate::normalised;
use crate::store::meta::LinkKey;
use crate::store::{Store, StoreError};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minijinja::{Value, context};
use subtle::ConstantTimeEq;
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::{Channel, Identifier, Millis, format_millis};

/// How a token is made; one of another version is none.
const VERSION: u8 = 1;
/// Bytes of a signature.
const TAG: usize = 16;
/// Longer than the token of the longest identifier.
const TOKEN_CHARS: usize = 4_096;
/// No longer than the token of the shortest: version, `sms`, a zero, `a:b` and the signature.
const SHORTEST_TOKEN_CHARS: usize = 32;

/// Whom a link is for, and which channel's messages it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The channel.
    pub channel: Channel,
    /// An identifier of the customer.
    pub identifier: Identifier,
}

/// Makes links, and reads them.
pub struct Links {
    /// This server's address as customers see it.
    base: String,
    key: LinkKey,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Links to {}", self.base)
    }
}

impl Links {
    /// Links to this server, signed by the state's key, which is made now if it has none.
    ///
    /// # Errors
    /// If it cannot be read or kept.
    pub fn open(store: &Store, base: &str) -> Result<Self, StoreError> {
        let key = match store.view().link_key()? {
            Some(key) => key,
            None => {
                let key = rand::random();
                store.write_link_key(&key)?;
                key
            }
        };
        Ok(Self { base: base.to_owned(), key })
    }

    /// What stands in an address for a customer.
    fn token(&self, link: &Link) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(link.channel.name().as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(link.identifier.to_string().as_bytes());
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whom a token is for; `None` if it is none that this state has made.
    pub fn read(&self, token: &str) -> Option<Link> {
        if token.len() > TOKEN_CHARS {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, tag) = bytes.split_last_chunk::<TAG>()?;
        if !bool::from(self.tag(signed).as_slice().ct_eq(tag.as_slice())) {
            return None;
        }
        let (_, link) = signed.split_first().filter(|(version, _)| **version == VERSION)?;
        let (channel, identifier) = std::str::from_utf8(link).ok()?.split_once('\0')?;
        Some(Link { channel: Channel::from_name(channel)?, identifier: Identifier::parse(identifier)? })
    }

    /// A text without the links in it: who may read what is sent does not decide for the customer by them.
    pub fn hidden(&self, text: &str) -> String {
        let is_outside = |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_');
        let shown = |part: &str| {
            let run = part.trim_end_matches(is_outside);
            let is_token = run.len() >= SHORTEST_TOKEN_CHARS && self.read(run).is_some();
            if is_token { part.replacen(run, "…", 1) } else { part.to_owned() }
        };
        text.split_inclusive(is_outside).map(shown).collect()
    }

    fn tag(&self, bytes: &[u8]) -> [u8; TAG] {
        let mut tag = [0; TAG];
        blake3::Hasher::new_keyed(&self.key).update(bytes).finalize_xof().fill(&mut tag);
        tag
    }

    /// The addresses for a message by a channel to an address of a customer, who has these identifiers, best first.
    pub(super) fn urls(
        &self,
        channel: Channel,
        address: Option<&str>,
        identifiers: &[IdentifierFacts],
    ) -> Option<Urls> {
        let identifier = recipient(channel, address, identifiers)?.clone();
        let token = self.token(&Link { channel, identifier });
        let base = &self.base;
        let unsubscribe = channel.reaches_people().then(|| format!("{base}/unsubscribe/{token}"));
        Some(Urls { unsubscribe, preferences: format!("{base}/preferences/{token}") })
    }
}

/// The identifier that an address is, else the customer's best one: customers who are parted later keep what they said
/// of their own address.
fn recipient<'a>(
    channel: Channel,
    address: Option<&str>,
    identifiers: &'a [IdentifierFacts],
) -> Option<&'a Identifier> {
    let address = address.map(|address| normalised(channel, address));
    let is_it = |identifier: &&Identifier| {
        Some(identifier.namespace.as_str()) == namespace(channel) && Some(&identifier.value) == address.as_ref()
    };
    let mut all = identifiers.iter().map(|facts| &facts.identifier);
    all.clone().find(is_it).or_else(|| all.next())
}

/// The namespace that a channel's addresses are in, where definitions have it.
pub const fn namespace(channel: Channel) -> Option<&'static str> {
    match channel {
        Channel::Email => Some("email"),
        Channel::Sms => Some("phone"),
        _ => None,
    }
}

/// Where the customer of a message says what they want.
#[derive(Clone, Debug)]
pub(super) struct Urls {
    /// No more by this channel; none of a channel that does not reach people.
    pub(super) unsubscribe: Option<String>,
    /// Everything.
    preferences: String,
}

impl Urls {
    /// What templates may speak of, and these.
    pub(super) fn beside(&self, values: Value, message: &str, created_at: Millis) -> Value {
        let message = context! {
            id => message,
            created_at => format_millis(created_at),
            unsubscribe_url => self.unsubscribe.clone().map_or(Value::UNDEFINED, Value::from),
            preferences_url => self.preferences.clone(),
        };
        context! { message, ..values }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use minijinja::Environment;

    fn links() -> Links {
        Links { base: "https://shop.example".to_owned(), key: [7; 32] }
    }

    fn ada() -> Link {
        Link { channel: Channel::Email, identifier: Identifier::new("user_id", "ada: the first") }
    }

    fn facts(identifiers: &[&str]) -> Vec<IdentifierFacts> {
        identifiers.iter().map(|text| IdentifierFacts::new(Identifier::parse(text).unwrap(), 0)).collect()
    }

    #[test]
    fn a_link_is_for_whom_it_was_made() {
        let token = links().token(&ada());
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
        assert_eq!(links().read(&token), Some(ada()));
    }

    #[test]
    fn nobody_else_makes_one() {
        let token = links().token(&ada());
        let other = Links { key: [8; 32], ..links() };
        assert_eq!(other.read(&token), None, "of another state");
        for place in 0..token.len() {
            for by in ["A", "B"] {
                let mut forged = token.clone();
                forged.replace_range(place..=place, by);
                assert!(forged == token || links().read(&forged).is_none(), "{forged}");
            }
        }
        let signed = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode([bytes, &links().tag(bytes)].concat());
        assert!(links().read(&signed(b"\x01email\0user_id:ada")).is_some());
        for bytes in [&b"\x02email\0user_id:ada"[..], b"\x01pigeon\0user_id:ada", b"\x01email\0ada", b"\x01", b""] {
            assert_eq!(links().read(&signed(bytes)), None, "{bytes:?}");
        }
        for text in ["", "A", "?", "ä", &"A".repeat(10_000)] {
            assert_eq!(links().read(text), None, "{text:.9}");
        }
    }

    #[test]
    fn who_reads_a_message_does_not_get_its_links() {
        let short = Link { channel: Channel::Sms, identifier: Identifier::new("a", "b") };
        let (token, other) = (links().token(&ada()), links().token(&short));
        let text = format!("<https://shop.example/unsubscribe/{token}> &#x2f;{other}&quot; {token}");
        assert_eq!(links().hidden(&text), "<https://shop.example/unsubscribe/…> &#x2f;…&quot; …");
        for text in ["", "no links, but ä-_", &"x".repeat(5_000), "https://shop.example/unsubscribe/AAAA"] {
            assert_eq!(links().hidden(text), text);
        }
    }

    #[test]
    fn a_link_is_for_the_address_if_that_is_one_of_the_customers_and_else_for_the_customer() {
        let ada = facts(&["user_id:ada", "email:ada@example.com", "phone:+16502530000"]);
        let of = |channel, address| recipient(channel, address, &ada).unwrap().to_string();
        assert_eq!(of(Channel::Email, Some(" Ada@Example.com")), "email:ada@example.com");
        assert_eq!(of(Channel::Email, Some("other@example.com")), "user_id:ada");
        assert_eq!(of(Channel::Sms, Some("+1 650-253-0000")), "phone:+16502530000");
        assert_eq!(of(Channel::Push, Some("ada@example.com")), "user_id:ada");
        assert_eq!(of(Channel::Webhook, None), "user_id:ada");
        assert_eq!(recipient(Channel::Email, Some("ada@example.com"), &[]), None);
    }

    #[test]
    fn templates_have_the_addresses_beside_all_else() {
        let urls = links().urls(Channel::Email, None, &facts(&["user_id:ada"])).unwrap();
        let values =
            urls.beside(context! { message => context! { id => "old" }, traits => context! { a => 1 } }, "m", 0);
        let render = |text| Environment::new().render_str(text, values.clone()).unwrap();
        assert_eq!(render("{{ message.id }} {{ traits.a }}"), "m 1");
        let read = |url: &str, path: &str| links().read(url.strip_prefix(path).unwrap());
        let ada = Some(Link { channel: Channel::Email, identifier: Identifier::new("user_id", "ada") });
        assert_eq!(read(&render("{{ message.unsubscribe_url }}"), "https://shop.example/unsubscribe/"), ada);
        assert_eq!(read(&render("{{ message.preferences_url }}"), "https://shop.example/preferences/"), ada);
        let hook = links().urls(Channel::Webhook, None, &facts(&["user_id:ada"])).unwrap();
        let values = hook.beside(context! {}, "m", 0);
        let text = "{{ message.unsubscribe_url }}|{{ message.preferences_url is defined }}";
        let rendered = Environment::new().render_str(text, values).unwrap();
        assert_eq!(rendered, "|True", "programs do not unsubscribe");
    }
}
