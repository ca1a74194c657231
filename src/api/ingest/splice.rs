//! Puts members into a JSON text without reading and writing the rest of it anew.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Range;

/// Changes of one JSON object's text. The parts it speaks of are borrowed from that text.
#[derive(Debug)]
pub(super) struct Edits<'a> {
    text: &'a str,
    first: Vec<String>,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, first: Vec::new(), edits: Vec::new() }
    }

    /// Puts `"name":value` into the object, which must not have it; in the place of `held` where that is its `null`.
    pub(super) fn put(&mut self, name: &str, held: Option<&'a RawValue>, value: &str) {
        match held {
            None => self.first.push(format!("\"{name}\":{value}")),
            Some(null) => self.edits.extend(self.range(null).map(|range| (range, value.to_owned()))),
        }
    }

    /// Puts members into an object within this one.
    fn put_into(&mut self, object: &'a RawValue, members: &[&str]) {
        let inside = self.range(object).map(|range| range.start + 1);
        let comma = if is_empty(object.get()) { "" } else { "," };
        self.edits.extend(inside.map(|at| (at..at, format!("{}{comma}", members.join(",")))));
    }

    /// Where in the text a part of it stands.
    fn range(&self, part: &RawValue) -> Option<Range<usize>> {
        let start = part.get().as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let range = start..start.checked_add(part.get().len())?;
        self.text.get(range.clone()).map(|_| range)
    }

    /// The changed text; `None` where nothing changes.
    pub(super) fn finish(mut self) -> Option<String> {
        if !self.first.is_empty() {
            let inside = self.text.find('{')? + 1;
            let comma = if is_empty(self.text) { "" } else { "," };
            self.edits.push((inside..inside, format!("{}{comma}", self.first.join(","))));
        }
        if self.edits.is_empty() {
            return None;
        }
        self.edits.sort_by_key(|(range, _)| range.start);
        let more: usize = self.edits.iter().map(|(_, put)| put.len()).sum();
        let mut changed = String::with_capacity(self.text.len() + more);
        let mut copied = 0;
        for (range, put) in &self.edits {
            changed.push_str(self.text.get(copied..range.start)?);
            changed.push_str(put);
            copied = range.end;
        }
        changed.push_str(self.text.get(copied..)?);
        Some(changed)
    }
}

/// Whether an object's text has no member.
fn is_empty(object: &str) -> bool {
    object.trim_start().strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with('}'))
}

/// An object that holds for every event of a batch.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    name: &'static str,
    whole: &'a str,
    /// Each member's name, and the whole of it as text.
    members: Vec<(String, String)>,
}

impl<'a> Shared<'a> {
    /// `None` where it is no object.
    pub(super) fn new(name: &'static str, whole: &'a RawValue) -> Option<Self> {
        let whole = whole.get();
        // Serde does not take an array for a map, as it does for a struct.
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(whole).ok()?;
        let text = |(name, value): (String, &RawValue)| {
            let quoted = serde_json::to_string(&name).ok()?;
            Some((name, format!("{quoted}:{}", value.get())))
        };
        Some(Self { name, whole, members: members.into_iter().filter_map(text).collect() })
    }

    /// How many bytes it adds to an event at most.
    pub(super) fn bytes(&self) -> usize {
        self.whole.len() + self.name.len() + 4
    }

    /// Adds to an event what it does not say itself: its own members win.
    pub(super) fn put_into<'e>(&self, event: &mut Edits<'e>, held: Option<&'e RawValue>) {
        let Some(own) = held.filter(|held| held.get() != "null") else {
            return event.put(self.name, held, self.whole);
        };
        // What is no object is left to be rejected as what it is.
        let Ok(own_members) = serde_json::from_str::<BTreeMap<String, IgnoredAny>>(own.get()) else { return };
        let missing = self.members.iter().filter(|(name, _)| !own_members.contains_key(name));
        let missing: Vec<&str> = missing.map(|(_, member)| member.as_str()).collect();
        if !missing.is_empty() {
            event.put_into(own, &missing);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow, default, deserialize_with = "super::super::envelope::even_null")]
        context: Option<&'a RawValue>,
    }

    #[track_caller]
    fn check(shared: &str, item: &str, expected: &str) {
        let shared = RawValue::from_string(shared.to_owned()).unwrap();
        let shared = Shared::new("context", &shared).unwrap();
        let mut edits = Edits::of(item);
        let held = serde_json::from_str::<Item<'_>>(item).unwrap().context;
        shared.put_into(&mut edits, held);
        let changed = edits.finish().unwrap_or_else(|| item.to_owned());
        assert_eq!(changed, expected);
        serde_json::from_str::<serde_json::Value>(&changed).unwrap();
        assert!(changed.len() <= item.len() + shared.bytes());
    }

    #[test]
    fn an_event_gets_what_the_batch_says_and_it_does_not() {
        let shared = r#"{ "a": 1, "b\"": {"c": [2]} }"#;
        check(shared, r#"{"x":7}"#, r#"{"context":{ "a": 1, "b\"": {"c": [2]} },"x":7}"#);
        check(shared, r#"{ }"#, r#"{"context":{ "a": 1, "b\"": {"c": [2]} } }"#);
        check(shared, r#"{"context" : null, "x":7}"#, r#"{"context" : { "a": 1, "b\"": {"c": [2]} }, "x":7}"#);
        check(shared, r#"{"x":7,"context": {"d":3}}"#, r#"{"x":7,"context": {"a":1,"b\"":{"c": [2]},"d":3}}"#);
        check(shared, r#"{"context":{}}"#, r#"{"context":{"a":1,"b\"":{"c": [2]}}}"#);
        check(shared, r#"{"context":{"a":null}}"#, r#"{"context":{"b\"":{"c": [2]},"a":null}}"#);
        check(shared, r#"{"context":{"a":2,"b\"":3}}"#, r#"{"context":{"a":2,"b\"":3}}"#);
        check(shared, r#"{"context":[1]}"#, r#"{"context":[1]}"#);
        check("{}", r#"{"context":{"a":1}}"#, r#"{"context":{"a":1}}"#);
    }

    #[test]
    fn several_changes_find_their_places() {
        let item = r#" {"context":null,"x":"{ü}","y":null}"#;
        let parts: BTreeMap<&str, &RawValue> = serde_json::from_str(item).unwrap();
        let mut edits = Edits::of(item);
        edits.put("y", parts.get("y").copied(), "2");
        edits.put("type", None, "\"track\"");
        edits.put("context", parts.get("context").copied(), "{}");
        edits.put("z", None, "3");
        assert_eq!(edits.finish().unwrap(), r#" {"type":"track","z":3,"context":{},"x":"{ü}","y":2}"#);
        assert_eq!(Edits::of(item).finish(), None);
    }

    #[test]
    fn what_is_no_object_is_not_shared() {
        for text in ["[]", "7", "\"x\"", "null"] {
            assert!(Shared::new("context", &RawValue::from_string(text.to_owned()).unwrap()).is_none(), "{text}");
        }
    }
}
