//! The environment variables that override the file.

use crate::config::node::{Key, Kind, Node};
use crate::config::secret::Variables;
use crate::config::source::{Location, Source};

/// Each variable, and the field that it sets.
const OVERRIDES: [(&str, &[&str]); 9] = [
    ("TRIBUTARY_HTTP_ADDR", &["http", "addr"]),
    ("TRIBUTARY_DATA_DIR", &["data", "dir"]),
    ("TRIBUTARY_WORKERS", &["engine", "workers"]),
    ("TRIBUTARY_LOG", &["log", "kind"]),
    ("TRIBUTARY_KAFKA_BOOTSTRAP_SERVERS", &["log", "kafka", "bootstrap_servers"]),
    ("TRIBUTARY_KAFKA_TOPIC", &["log", "kafka", "topic"]),
    ("TRIBUTARY_WRITE_KEYS", &["auth", "write_keys"]),
    ("TRIBUTARY_READ_TOKEN", &["auth", "read_token"]),
    ("TRIBUTARY_ADMIN_TOKEN", &["auth", "admin_token"]),
];

/// One tree for each variable that is set, to be laid over the file's.
pub(super) fn trees(variables: &Variables) -> Vec<Node> {
    let tree = |(name, path): (&str, &[&str])| {
        let location = Location::new(&Source::environment(name), 0);
        let leaf = Node { kind: value(name, variables.get(name)?, &location), location: location.clone() };
        Some(path.iter().rev().fold(leaf, |inner, field| {
            let key = Key { name: (*field).to_owned(), location: location.clone() };
            Node { location: location.clone(), kind: Kind::Map(vec![(key, inner)]) }
        }))
    };
    OVERRIDES.into_iter().filter_map(tree).collect()
}

fn value(name: &str, text: &str, location: &Location) -> Kind {
    match name {
        "TRIBUTARY_WRITE_KEYS" => {
            let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty());
            Kind::List(keys.map(|key| Node { location: location.clone(), kind: Kind::Text(key.to_owned()) }).collect())
        }
        "TRIBUTARY_WORKERS" => text.trim().parse().map_or_else(|_| Kind::Text(text.to_owned()), Kind::Integer),
        _ => Kind::Text(text.to_owned()),
    }
}
