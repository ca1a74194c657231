//! Table `definitions`: (kind, id) → a computed trait or a segment as it was last defined; and `definition_changes`: number →
//! each change that was ever made to them.

use super::keys::{Key, Parts};
use super::{Batch, StoreError, View};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tributary_model::{ComputedTrait, Millis, Segment};

/// What is defined.
pub const TABLE: &str = "definitions";
/// All changes, in order.
pub const CHANGES: &str = "definition_changes";

/// What can be defined while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A computed trait.
    Trait,
    /// A segment.
    Segment,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Trait, Self::Segment];

    /// As people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trait => "trait",
            Self::Segment => "segment",
        }
    }
}

/// A definition's kind and its id, which for a computed trait is its name.
pub type Named = (Kind, String);

/// What a definition says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Definition {
    /// A computed trait.
    Trait(ComputedTrait),
    /// A segment.
    Segment(Segment),
}

/// A definition as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What it says; `None` where it was deleted while the folder still has it.
    pub says: Option<Definition>,
    /// Grows with each change of it.
    pub version: u64,
    /// The number of the change that it is as of.
    pub change: u64,
    /// When that was.
    pub at: Millis,
    /// What the folder said of it when it was last read.
    pub folder: Option<Definition>,
}

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The definitions folder, at a start.
    Folder,
    /// The admin token, over HTTP.
    Admin,
}

/// One definition before and after a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Which.
    pub name: Named,
    /// What it said; `None` for a new one.
    pub before: Option<Definition>,
    /// What it says now; `None` for one that is deleted.
    pub after: Option<Definition>,
}

/// Definitions that were changed together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionChange {
    /// When.
    pub at: Millis,
    /// By whom.
    pub by: By,
    /// Which.
    pub changed: Vec<Changed>,
}

fn key(name: &Named) -> Vec<u8> {
    Key::new().number(name.0 as u64).text(&name.1).done()
}

impl View<'_> {
    /// Everything that is defined.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn definitions(&self) -> Result<BTreeMap<Named, Kept>, StoreError> {
        let mut all = BTreeMap::new();
        for entry in self.prefix::<Kept>(TABLE, &[], &[])? {
            let (key, kept) = entry?;
            let mut parts = Parts(&key);
            let kind = parts.number().and_then(|kind| Kind::ALL.get(usize::try_from(kind).ok()?).copied());
            let name = kind.zip(parts.text()).ok_or(StoreError::Damaged(TABLE))?;
            all.insert((name.0, name.1.to_owned()), kept);
        }
        Ok(all)
    }

    /// At most `limit` changes, latest first, with numbers below `before`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn definition_changes(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, DefinitionChange)>, StoreError> {
        let before = before.map(|number| Key::new().number(number).done());
        let entries = self.prefix_backwards::<DefinitionChange>(CHANGES, &[], before.as_deref())?;
        let change = |entry: Result<(Box<[u8]>, DefinitionChange), StoreError>| {
            let (key, change) = entry?;
            Ok((Parts(&key).number().ok_or(StoreError::Damaged(CHANGES))?, change))
        };
        entries.take(limit).map(change).collect()
    }
}

impl Batch<'_> {
    /// Keeps a definition; `None` forgets it.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_definition(&mut self, name: &Named, kept: Option<&Kept>) -> Result<(), StoreError> {
        match kept {
            Some(kept) => self.put(TABLE, &key(name), kept),
            None => self.delete(TABLE, &key(name)),
        }
    }

    /// Notes a change.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_definition_change(&mut self, number: u64, change: &DefinitionChange) -> Result<(), StoreError> {
        self.put(CHANGES, &Key::new().number(number).done(), change)
    }
}
