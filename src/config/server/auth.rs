//! Who may write, read and administer. Of keys and tokens only hashes are kept.

use crate::config::decode::{Field, Table};
use crate::config::node::Kind;
use crate::config::secret::{Variables, resolve};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;

/// How a key or token is written whose hash alone is known.
const HASHED: &str = "sha256:";
const EXAMPLE: &str = "sha256: and the 64 digits that `tributary token` prints";
/// The names under which `read_token` and `admin_token` are known.
const READ: &str = "read";
const ADMIN: &str = "admin";
/// Events, or requests, in a second at most.
const FASTEST: u32 = 10_000_000;

/// The SHA-256 hash of a key or token. That is enough to know it again: they are long and random, so that nobody can try all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Of a key as it is sent.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The bytes, for comparing in constant time.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn parse(digits: &str) -> Option<Self> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let bytes = digits.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
            _ => None,
        });
        bytes.collect::<Option<Vec<u8>>>()?.try_into().ok().map(Self)
    }
}

/// As settings have it.
impl std::fmt::Display for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HASHED)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// The keys that may send events.
    pub write_keys: Vec<WriteKey>,
    /// Who may read, or read and administer.
    pub tokens: Vec<Token>,
    /// Whether the server listens on a loopback address only, where what has no key is open.
    pub open: bool,
}

/// A key that may send events.
#[derive(Clone, Debug)]
pub struct WriteKey {
    /// Of what the client sends.
    pub hash: KeyHash,
    /// What its events are told apart by: in metrics and among rejected events.
    pub source: String,
    /// Events a second; as many as come if there is none.
    pub rate: Option<u32>,
}

/// A token of somebody who reads.
#[derive(Clone, Debug)]
pub struct Token {
    /// Of what the client sends.
    pub hash: KeyHash,
    /// Whose it is: in the audit log and in metrics.
    pub name: String,
    /// Whether it also administers.
    pub administers: bool,
    /// Requests a second; as many as come if there is none.
    pub rate: Option<u32>,
}

impl Auth {
    /// Whether events are taken without a write key: on loopback, while no key is configured.
    pub fn writes_are_open(&self) -> bool {
        self.open && self.write_keys.is_empty()
    }

    /// Whether reading and administering need no token: on loopback, while no token is configured.
    pub fn reads_are_open(&self) -> bool {
        self.open && self.tokens.is_empty()
    }

    /// What an operator should know, a line each.
    pub(super) fn warnings(&self, addr: SocketAddr) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.write_keys.is_empty() {
            warnings.push(match self.open {
                true => {
                    format!("no write key is set: whoever reaches {addr} may send events (set TRIBUTARY_WRITE_KEYS)")
                }
                false => "no write key is set: every event is refused with 401 (set TRIBUTARY_WRITE_KEYS)".to_owned(),
            });
        }
        if self.tokens.is_empty() {
            warnings.push(match self.open {
                true => {
                    format!("no read token is set: whoever reaches {addr} may read profiles (set TRIBUTARY_READ_TOKEN)")
                }
                false => "no read token is set: every read is refused with 401 (set TRIBUTARY_READ_TOKEN)".to_owned(),
            });
        }
        warnings
    }
}

pub(super) fn decode(table: &Table<'_>, variables: &Variables) -> Option<Auth> {
    let keys = table.require("write_keys", "write_keys = []").map(|field| field.list()).unwrap_or_default();
    let alone = keys.len() == 1;
    let write_keys: Vec<WriteKey> = keys.iter().filter_map(|field| decode_key(field, alone, variables)).collect();
    let mut tokens: Vec<Token> = Vec::new();
    let mut add = |field: &Field<'_>, token: Token| {
        // A write key stands in every web page; a token that equals one is no token.
        if write_keys.iter().any(|write| write.hash == token.hash) {
            field.wrong("this token is also a write key, which everybody can see; choose another");
        }
        // Whoever administers by the command line has their own token in the environment.
        if field.node.location.is_environment()
            && tokens.iter().any(|other| other.hash == token.hash && other.administers == token.administers)
        {
            return;
        }
        if let Some(other) = tokens.iter().find(|other| other.hash == token.hash || other.name == token.name) {
            let same = if other.name == token.name { "name" } else { "token" };
            field.wrong(format!("`{}` has the same {same}; choose another", other.name));
        }
        tokens.push(token);
    };
    for field in table.get("tokens").map(|field| field.list()).unwrap_or_default() {
        if let Some(token) = decode_token(&field, variables) {
            add(&field, token);
        }
    }
    for (name, administers) in [("read_token", false), ("admin_token", true)] {
        let Some(field) = table.get(name) else { continue };
        let Some((hash, _)) = secret(&field, variables, false) else { continue };
        let name = if administers { ADMIN } else { READ };
        add(&field, Token { hash, name: name.to_owned(), administers, rate: None });
    }
    Some(Auth { write_keys, tokens, open: false })
}

fn decode_key(field: &Field<'_>, alone: bool, variables: &Variables) -> Option<WriteKey> {
    if !matches!(field.node.kind, Kind::Map(_)) {
        let (hash, masked) = secret(field, variables, true)?;
        return Some(WriteKey { hash, source: if alone { "default".to_owned() } else { masked }, rate: None });
    }
    let table = field.table()?;
    let key = table.require("key", "key = \"env:WEB_KEY\"").and_then(|field| secret(&field, variables, true));
    let source = table.require("source", "source = \"web\"").and_then(|field| field.text());
    if let Some(field) = table.get("source")
        && source.is_some_and(|source| source.starts_with("tributary/"))
    {
        field.wrong("sources that begin with `tributary/` are the server's own; choose another name");
    }
    let rate = table.get("rate").and_then(|field| field.integer(1..=FASTEST));
    table.finish();
    Some(WriteKey { hash: key?.0, source: source?.to_owned(), rate })
}

fn decode_token(field: &Field<'_>, variables: &Variables) -> Option<Token> {
    let table = field.table()?;
    let token = table.require("token", "token = \"env:REPORTING_TOKEN\"");
    let token = token.and_then(|field| secret(&field, variables, false));
    let name = table.require("name", "name = \"reporting\"").and_then(|field| field.text());
    let role = table.require("role", "role = \"read\"");
    let administers = role.and_then(|field| field.one_of(&[("read", false), ("admin", true)]));
    let rate = table.get("rate").and_then(|field| field.integer(1..=FASTEST));
    table.finish();
    Some(Token { hash: token?.0, name: name?.to_owned(), administers: administers?, rate })
}

/// The hash of a key or token, and enough of it to tell several apart. Only a write key may stand in a file as it is sent.
fn secret(field: &Field<'_>, variables: &Variables, is_write_key: bool) -> Option<(KeyHash, String)> {
    // A hash is no secret, and may stand in the file.
    let hashed = matches!(&field.node.kind, Kind::Text(text) if text.starts_with(HASHED));
    let value = resolve(field, variables, is_write_key || hashed)?;
    if let Some(digits) = value.strip_prefix(HASHED) {
        let hash = KeyHash::parse(digits);
        if hash.is_none() {
            field.wrong(format!("this is no hash; write {EXAMPLE}"));
        }
        return Some((hash?, format!("{HASHED}{}…", digits.get(..8)?)));
    }
    if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        field.wrong("white space cannot be sent in a header; choose a value without it");
        return None;
    }
    if is_write_key && value.contains(':') {
        field.wrong("a write key holds no colon: clients send it as the user name of Basic authentication");
        return None;
    }
    let shown = (value.chars().count() / 4).min(8);
    let masked = format!("{}…", value.chars().take(shown).collect::<String>());
    Some((KeyHash::of(value.as_bytes()), masked))
}
