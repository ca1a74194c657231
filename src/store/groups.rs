//! Table `groups`: group → what is computed of it; `group_members`: (group, identifier) → nothing; and `group_traits`:
//! (group, hash of a trait's name, latest first) → each identifier's latest word on the trait.

use super::keys::{Key, Parts, after_prefix};
use super::{Batch, Store, StoreError, View};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use tributary_dataflows::profile::GroupTrait;
use tributary_dataflows::segments::GroupEvaluation;
use tributary_model::{GroupId, IdentifierId, MessageId};

/// Group → what is computed of it, where definitions read groups.
pub const TABLE: &str = "groups";
/// (Group, identifier) → nothing.
pub const MEMBERS: &str = "group_members";
/// (Group, hash of a trait's name, latest first) → what was said.
pub const TRAITS: &str = "group_traits";

/// A word on a trait of a group.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    name: String,
    /// JSON text; `None` where the trait was removed by a null.
    json: Option<String>,
}

fn member_key(group: GroupId, identifier: IdentifierId) -> Vec<u8> {
    Key::new().id(group.to_bytes()).id(identifier.to_bytes()).done()
}

/// All words on one trait; the latest comes first.
fn trait_key(group: GroupId, name: &str) -> Key {
    // Names are the senders' and may hold anything, a hash of one cannot be taken for the begin of another.
    Key::new().id(group.to_bytes()).id(MessageId::of(name).to_bytes())
}

fn said_key(said: &GroupTrait) -> Vec<u8> {
    // With every bit turned over, later ones sort first.
    let (at, tie) = (!said.fact.at, MessageId(!said.fact.tie.0));
    trait_key(said.group, &said.name).millis(at).id(tie.to_bytes()).done()
}

impl View<'_> {
    /// What is computed of a group.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn evaluation(&self, group: GroupId) -> Result<Option<GroupEvaluation>, StoreError> {
        self.get(TABLE, &group.to_bytes())
    }

    /// At most `limit` identifiers that belong to a group, in the order of their ids, after `after`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn group_members(
        &self,
        group: GroupId,
        after: Option<IdentifierId>,
        limit: usize,
    ) -> Result<Vec<IdentifierId>, StoreError> {
        let prefix = group.to_bytes();
        let start = after.map_or_else(|| prefix.to_vec(), |after| [member_key(group, after), vec![0]].concat());
        let entries = self.prefix::<()>(MEMBERS, &prefix, &start)?;
        let member = |entry: Result<(Box<[u8]>, ()), StoreError>| {
            let (key, ()) = entry?;
            let mut parts = Parts(&key);
            let id = parts.id().and_then(|_| parts.id()).ok_or(StoreError::Damaged(MEMBERS))?;
            Ok(IdentifierId::from_bytes(id))
        };
        entries.take(limit).map(member).collect()
    }

    /// Whether an identifier belongs to a group.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_group_member(&self, group: GroupId, identifier: IdentifierId) -> Result<bool, StoreError> {
        Ok(self.get::<()>(MEMBERS, &member_key(group, identifier))?.is_some())
    }

    /// The latest traits of a group.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn group_traits(&self, group: GroupId) -> Result<Map<String, Json>, StoreError> {
        let prefix = group.to_bytes().to_vec();
        let mut traits = Map::new();
        let mut start = Some(prefix.clone());
        // A trait may have a word of every member; only the first, which is the latest, is looked at.
        while let Some(from) = start {
            let Some((_, said)) = self.prefix::<Said>(TRAITS, &prefix, &from)?.next().transpose()? else { break };
            let json = said.json.and_then(|text| serde_json::from_str(&text).ok());
            start = after_prefix(&trait_key(group, &said.name).done());
            traits.extend(json.map(|json| (said.name, json)));
        }
        Ok(traits)
    }
}

impl Store {
    /// What is computed of every group.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_evaluation(
        &self,
        mut each: impl FnMut(GroupId, GroupEvaluation) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(TABLE, |key, evaluation| {
            let bytes = key.try_into().map_err(|_| StoreError::Damaged(TABLE))?;
            each(GroupId::from_bytes(bytes), evaluation)
        })
    }
}

impl Batch<'_> {
    /// Stores what is computed of a group; `None` where there is nothing.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_evaluation(&mut self, group: GroupId, computed: Option<&GroupEvaluation>) -> Result<(), StoreError> {
        match computed {
            Some(computed) => self.put(TABLE, &group.to_bytes(), computed),
            None => self.delete(TABLE, &group.to_bytes()),
        }
    }

    /// Puts an identifier into a group, or takes it out.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_group_member(&mut self, group: GroupId, id: IdentifierId, belongs: bool) -> Result<(), StoreError> {
        let key = member_key(group, id);
        if belongs { self.put(MEMBERS, &key, &()) } else { self.delete(MEMBERS, &key) }
    }

    /// Stores a word on a group's trait, or forgets it.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_group_trait(&mut self, said: &GroupTrait, stands: bool) -> Result<(), StoreError> {
        let key = said_key(said);
        if stands {
            self.put(TRAITS, &key, &Said { name: said.name.clone(), json: said.fact.json.clone() })
        } else {
            self.delete(TRAITS, &key)
        }
    }
}
