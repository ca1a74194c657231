//! Who may write, read and administer.

use crate::config::decode::{Field, Table};
use crate::config::node::Kind;
use crate::config::secret::{Variables, resolve};
use std::net::SocketAddr;
use tributary_model::Secret;

/// `[auth]`
#[derive(Clone, Debug)]
pub struct Auth {
    /// The keys that may send events.
    pub write_keys: Vec<WriteKey>,
    /// May read.
    pub read_token: Option<Secret>,
    /// May read and administer.
    pub admin_token: Option<Secret>,
    /// Whether the server listens on a loopback address only, where what has no key is open.
    pub open: bool,
}

/// A key that may send events.
#[derive(Clone, Debug)]
pub struct WriteKey {
    /// What the client sends.
    pub key: Secret,
    /// What its events are told apart by: in metrics and among rejected events.
    pub source: String,
}

impl Auth {
    /// Whether events are taken without a write key: on loopback, while no key is configured.
    pub fn writes_are_open(&self) -> bool {
        self.open && self.write_keys.is_empty()
    }

    /// Whether reading and administering need no token: on loopback, while neither token is configured.
    pub fn reads_are_open(&self) -> bool {
        self.open && self.read_token.is_none() && self.admin_token.is_none()
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
        if self.read_token.is_none() && self.admin_token.is_none() {
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
    let token = |name| {
        let field = table.get(name)?;
        let token = Secret::new(no_spaces(&field, resolve(&field, variables, false)?)?);
        // A write key stands in every web page; a token that equals one is no token.
        if write_keys.iter().any(|write| write.key == token) {
            field.wrong("this token is also a write key, which everybody can see; choose another");
        }
        Some(token)
    };
    let (read_token, admin_token) = (token("read_token"), token("admin_token"));
    Some(Auth { write_keys, read_token, admin_token, open: false })
}

fn decode_key(field: &Field<'_>, alone: bool, variables: &Variables) -> Option<WriteKey> {
    if !matches!(field.node.kind, Kind::Map(_)) {
        let key = valid_key(field, variables)?;
        let source = if alone { "default".to_owned() } else { masked(&key) };
        return Some(WriteKey { key: Secret::new(key), source });
    }
    let table = field.table()?;
    let key = table.require("key", "key = \"env:WEB_KEY\"").and_then(|field| valid_key(&field, variables));
    let source = table.require("source", "source = \"web\"").and_then(|field| field.text());
    if let Some(field) = table.get("source")
        && source.is_some_and(|source| source.starts_with("tributary/"))
    {
        field.wrong("sources that begin with `tributary/` are the server's own; choose another name");
    }
    table.finish();
    Some(WriteKey { key: Secret::new(key?), source: source?.to_owned() })
}

fn valid_key(field: &Field<'_>, variables: &Variables) -> Option<String> {
    let key = no_spaces(field, resolve(field, variables, true)?)?;
    if key.contains(':') {
        field.wrong("a write key holds no colon: clients send it as the user name of Basic authentication");
        return None;
    }
    Some(key)
}

fn no_spaces(field: &Field<'_>, value: String) -> Option<String> {
    if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        field.wrong("white space cannot be sent in a header; choose a value without it");
        return None;
    }
    Some(value)
}

/// The beginning of a key, for telling several apart without showing them.
fn masked(key: &str) -> String {
    let shown = (key.chars().count() / 4).min(8);
    format!("{}…", key.chars().take(shown).collect::<String>())
}
