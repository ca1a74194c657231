//! Who an event is about: its identifiers, made equal, without those that identify nobody.

use super::decode::Parts;
use super::validate::longer_than;
use super::{ProcessorError, Reason};
use regex::RegexSet;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::BTreeSet;
use tributary_model::{EventKind, Identifier, IdentityRules, Normalise, Object, limits};

/// What clients send when they know nobody, in any letter case; besides what the definitions block.
const NOBODY: [&str; 34] = [
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "null",
    "(null)",
    "<null>",
    "nil",
    "<nil>",
    "none",
    "(none)",
    "undefined",
    "nan",
    "n/a",
    "#n/a",
    "unknown",
    "(unknown)",
    "anonymous",
    "guest",
    "not set",
    "(not set)",
    "not_set",
    "true",
    "false",
    "0",
    "-1",
    "-",
    "\"\"",
    "''",
    "{}",
    "[]",
    "[object object]",
    "undefined undefined",
    "test@test.com",
    "none@none.com",
];

/// A text that names no identifier: says what is wrong and what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentifier(String);

/// An event's objects, in which identifiers may stand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Objects<'a> {
    pub(super) properties: &'a Object,
    pub(super) traits: &'a Object,
    pub(super) context: &'a Object,
}

#[derive(Clone, Copy, Debug)]
enum Root {
    Properties,
    Traits,
    Context,
}

#[derive(Debug)]
struct Path {
    root: Root,
    steps: Vec<String>,
}

#[derive(Debug)]
struct Namespace {
    name: String,
    normalise: Normalise,
    blocked: BTreeSet<String>,
    paths: Vec<Path>,
}

/// The rules, made ready for events.
#[derive(Debug)]
pub(super) struct Identifiers {
    /// Best first.
    namespaces: Vec<Namespace>,
    /// The namespace of an alias call's `previousId`.
    previous_id: String,
    patterns: RegexSet,
}

impl Identifiers {
    pub(super) fn new(rules: &IdentityRules) -> Result<Self, ProcessorError> {
        let patterns = rules.block.iter().filter_map(|text| text.strip_prefix("re:"));
        let patterns = RegexSet::new(patterns)?;
        let mut order: Vec<_> = rules.namespaces.iter().collect();
        order.sort_by_key(|(name, namespace)| (namespace.priority, *name));
        let compile = |(name, namespace): (&String, &tributary_model::Namespace)| {
            let blocked = rules.block.iter().filter(|text| !text.starts_with("re:"));
            // As it is written, and as the namespace would write it.
            let blocked = blocked.flat_map(|text| [Some(text.clone()), namespace.normalise.apply(text)]).flatten();
            Ok(Namespace {
                name: name.clone(),
                normalise: namespace.normalise,
                blocked: blocked.collect(),
                paths: namespace.from.iter().map(|path| Path::new(path)).collect::<Result<_, _>>()?,
            })
        };
        let namespaces = order.into_iter().map(compile).collect::<Result<_, ProcessorError>>()?;
        Ok(Self { namespaces, previous_id: rules.previous_id.clone(), patterns })
    }

    /// The event's identifiers: best first, each once.
    pub(super) fn of(
        &self,
        kind: EventKind,
        parts: &Parts<'_>,
        objects: Objects<'_>,
    ) -> Result<Vec<Identifier>, Reason> {
        let user_id = parts.user_id.checked_id("userId")?;
        let anonymous_id = parts.anonymous_id.checked_id("anonymousId")?;
        let previous_id = match kind {
            EventKind::Alias => parts.previous_id.checked_id("previousId")?,
            _ => None,
        };
        let external_ids = objects.context.field("externalIds").and_then(Json::as_array);
        let mut found = Found { identifiers: Vec::with_capacity(4), any_blocked: false };
        for namespace in &self.namespaces {
            let before = found.identifiers.len();
            match namespace.name.as_str() {
                "user_id" => self.take(&mut found, namespace, user_id.as_deref())?,
                "anonymous_id" => self.take(&mut found, namespace, anonymous_id.as_deref())?,
                _ => {}
            }
            if namespace.name == self.previous_id {
                self.take(&mut found, namespace, previous_id.as_deref())?;
            }
            for path in &namespace.paths {
                self.take(&mut found, namespace, path.find(kind, objects).as_deref())?;
            }
            for external in external_ids.into_iter().flatten() {
                if external.get("type").and_then(Json::as_str) == Some(&namespace.name) {
                    self.take(&mut found, namespace, external.get("id").and_then(text_of).as_deref())?;
                }
            }
            if let Some(added) = found.identifiers.get_mut(before..) {
                added.sort_unstable();
            }
        }
        found.identifiers.dedup();
        match (found.identifiers.is_empty(), found.any_blocked) {
            (false, _) => Ok(found.identifiers),
            (true, true) => Err(Reason::AllIdentifiersBlocked),
            (true, false) => Err(Reason::MissingIdentifier),
        }
    }

    /// The identifier that `namespace:value` is.
    pub(super) fn parse(&self, text: &str) -> Result<Identifier, NoIdentifier> {
        let shape = || NoIdentifier(format!("`{text}` is no identifier; write for example email:ada@example.com"));
        let (name, value) = text.split_once(':').ok_or_else(shape)?;
        let namespace = self.namespaces.iter().find(|namespace| namespace.name == name).ok_or_else(|| {
            let names: Vec<_> = self.namespaces.iter().map(|namespace| namespace.name.as_str()).collect();
            NoIdentifier(format!("there is no namespace `{name}`; there are {}", names.join(", ")))
        })?;
        let normal =
            namespace.normalise.apply(value).filter(|_| longer_than(value, limits::IDENTIFIER_CHARS).is_none());
        let normal = normal.ok_or_else(|| NoIdentifier(format!("`{value}` is no value of `{name}`")))?;
        if self.is_blocked(namespace, value, &normal) {
            return Err(NoIdentifier(format!("`{text}` identifies nobody: the value is blocked")));
        }
        Ok(Identifier { namespace: namespace.name.clone(), value: normal })
    }

    /// Whether an identifier that was taken in by other rules identifies nobody by these.
    pub(super) fn blocks(&self, identifier: &Identifier) -> bool {
        let namespace = self.namespaces.iter().find(|namespace| namespace.name == identifier.namespace);
        namespace.is_some_and(|namespace| self.is_blocked(namespace, &identifier.value, &identifier.value))
    }

    fn take(&self, found: &mut Found, namespace: &Namespace, text: Option<&str>) -> Result<(), Reason> {
        let Some(text) = text else { return Ok(()) };
        if let Some(chars) = longer_than(text, limits::IDENTIFIER_CHARS) {
            return Err(Reason::IdentifierTooLong { namespace: namespace.name.clone(), chars });
        }
        let Some(value) = namespace.normalise.apply(text) else { return Ok(()) };
        if self.is_blocked(namespace, text, &value) {
            found.any_blocked = true;
        } else {
            found.identifiers.push(Identifier { namespace: namespace.name.clone(), value });
        }
        Ok(())
    }

    fn is_blocked(&self, namespace: &Namespace, text: &str, value: &str) -> bool {
        is_nobody(value)
            || namespace.blocked.contains(value)
            || namespace.blocked.contains(text)
            || self.patterns.is_match(value)
    }
}

/// Whether a value is what clients send when they know no value.
pub(super) fn is_nobody(value: &str) -> bool {
    NOBODY.iter().any(|nobody| nobody.eq_ignore_ascii_case(value))
}

struct Found {
    identifiers: Vec<Identifier>,
    any_blocked: bool,
}

impl Path {
    fn new(text: &str) -> Result<Self, ProcessorError> {
        let wrong = || ProcessorError::Path(text.to_owned());
        let (root, steps) = text.split_once('.').ok_or_else(wrong)?;
        let root = match root {
            "properties" => Root::Properties,
            "traits" => Root::Traits,
            "context" => Root::Context,
            _ => return Err(wrong()),
        };
        Ok(Self { root, steps: steps.split('.').map(str::to_owned).collect() })
    }

    fn find<'a>(&self, kind: EventKind, objects: Objects<'a>) -> Option<Cow<'a, str>> {
        let object = match self.root {
            Root::Properties => objects.properties,
            // What a group call says is about the group: `email` is the company's.
            Root::Traits if kind == EventKind::Group => return None,
            Root::Traits => objects.traits,
            Root::Context => objects.context,
        };
        text_of(object.at(&self.steps)?)
    }
}

/// The text of an identifier somewhere in an event; anything but texts and whole numbers is none.
fn text_of(json: &Json) -> Option<Cow<'_, str>> {
    match json {
        Json::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(Cow::Borrowed),
        Json::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}
