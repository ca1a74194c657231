//! A JSON object that is read when somebody looks into it: of most events nobody looks into most.

use bytes::Bytes;
use memchr::memmem;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value as Json};
use std::fmt;
use std::ops::Deref;
use std::sync::OnceLock;

/// A JSON object: its fields, or the text that has them.
///
/// ```
/// # use tributary_model::Object;
/// let object = Object::unread(r#"{"total": 12.5}"#.into());
/// assert_eq!(object.field("total").and_then(|total| total.as_f64()), Some(12.5));
/// assert_eq!(object.field("currency"), None);
/// assert_eq!(object.len(), 1);
/// ```
#[derive(Clone, Default)]
pub struct Object {
    text: Bytes,
    fields: OnceLock<Map<String, Json>>,
}

impl Object {
    /// An object by its text, which must be JSON, and without a backslash: so a name stands in it as it is. What is no object
    /// has no fields.
    pub const fn unread(text: Bytes) -> Self {
        Self { text, fields: OnceLock::new() }
    }

    /// A field; where the text does not have its name, it is not read for it.
    pub fn field(&self, name: &str) -> Option<&Json> {
        let is_read = self.fields.get().is_some();
        if !is_read && memmem::find(&self.text, name.as_bytes()).is_none() {
            return None;
        }
        self.get(name)
    }

    /// What stands at the end of a path; none where it leads nowhere.
    pub fn at(&self, path: &[String]) -> Option<&Json> {
        let (first, below) = path.split_first()?;
        below.iter().try_fold(self.field(first)?, |json, step| json.as_object()?.get(step))
    }
}

impl Deref for Object {
    type Target = Map<String, Json>;

    fn deref(&self) -> &Map<String, Json> {
        let read =
            || if self.text.is_empty() { Map::new() } else { serde_json::from_slice(&self.text).unwrap_or_default() };
        self.fields.get_or_init(read)
    }
}

impl From<Map<String, Json>> for Object {
    fn from(fields: Map<String, Json>) -> Self {
        Self { text: Bytes::new(), fields: fields.into() }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(to)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
