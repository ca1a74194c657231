//! Table `members`: (segment, profile) → since when; `memberships`: (profile, segment), the other way; and
//! `former_memberships`: (profile, segment) → since when a profile was in that has merged with others, or was parted.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View};
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{Millis, ProfileId};

/// (Segment, profile) → since when.
pub const TABLE: &str = "members";
/// (Profile, segment) → since when.
pub const BY_PROFILE: &str = "memberships";

/// (Profile, segment) → since when, of memberships that ended because identifiers moved.
pub const FORMER: &str = "former_memberships";

fn key(segment: &str, profile: ProfileId) -> Vec<u8> {
    Key::new().text(segment).id(profile.to_bytes()).done()
}

fn key_by_profile(profile: ProfileId, segment: &str) -> Vec<u8> {
    Key::new().id(profile.to_bytes()).text(segment).done()
}

impl View<'_> {
    /// Since when a profile has been in a segment.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn since(&self, profile: ProfileId, segment: &str) -> Result<Option<Millis>, StoreError> {
        self.get(TABLE, &key(segment, profile))
    }

    /// Since when a profile was in a segment, when its identifiers last moved.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn former_since(&self, profile: ProfileId, segment: &str) -> Result<Option<Millis>, StoreError> {
        self.get(FORMER, &key_by_profile(profile, segment))
    }

    /// The segments that a profile is in, with since when, by id.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn memberships(&self, profile: ProfileId) -> Result<Vec<(String, Millis)>, StoreError> {
        self.segments_of(BY_PROFILE, profile)
    }

    /// The segments that a profile was in when its identifiers last moved.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn former_memberships(&self, profile: ProfileId) -> Result<Vec<(String, Millis)>, StoreError> {
        self.segments_of(FORMER, profile)
    }

    fn segments_of(&self, table: &'static str, profile: ProfileId) -> Result<Vec<(String, Millis)>, StoreError> {
        let prefix = profile.to_bytes();
        let entries = self.prefix::<Millis>(table, &prefix, &prefix)?;
        let membership = move |entry: Result<(Box<[u8]>, Millis), StoreError>| {
            let (key, since) = entry?;
            let mut parts = Parts(&key);
            let segment = parts.id().and_then(|_| parts.text()).ok_or(StoreError::Damaged(table))?;
            Ok((segment.to_owned(), since))
        };
        entries.map(membership).collect()
    }

    /// At most `limit` members of a segment, in the order of their ids, after `after`.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn members(
        &self,
        segment: &str,
        after: Option<ProfileId>,
        limit: usize,
    ) -> Result<Vec<(ProfileId, Millis)>, StoreError> {
        let prefix = Key::new().text(segment).done();
        let start = after.map_or_else(|| prefix.clone(), |after| [key(segment, after), vec![0]].concat());
        let entries = self.prefix::<Millis>(TABLE, &prefix, &start)?;
        let member = |entry: Result<(Box<[u8]>, Millis), StoreError>| {
            let (key, since) = entry?;
            let mut parts = Parts(&key);
            let id = parts.text().and_then(|_| parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            Ok((ProfileId::from_bytes(id), since))
        };
        entries.take(limit).map(member).collect()
    }
}

impl View<'_> {
    /// Profiles by the set of these segments that they are in (a bit for each, in their order), of those in any.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn overlap(&self, segments: &[String]) -> Result<BTreeMap<u64, u64>, StoreError> {
        let mut members = Vec::new();
        for segment in segments {
            let prefix = Key::new().text(segment).done();
            let skip = prefix.len();
            let entries = self.prefix::<Millis>(TABLE, &prefix, &prefix)?;
            let ids = entries.map(move |entry| {
                let id = entry?.0.get(skip..).and_then(|id| id.try_into().ok());
                id.map(ProfileId::from_bytes).ok_or(StoreError::Damaged(TABLE))
            });
            members.push(ids.peekable());
        }
        let mut sets = BTreeMap::new();
        loop {
            // Members stand in the order of their ids: the smallest that is next in any segment is next of all.
            let mut first: Option<ProfileId> = None;
            for ids in &mut members {
                match ids.peek() {
                    Some(Ok(id)) => first = first.into_iter().chain([*id]).min(),
                    Some(Err(_)) => drop(ids.next().transpose()?),
                    None => {}
                }
            }
            let Some(first) = first else { return Ok(sets) };
            let mut set = 0u64;
            for (bit, ids) in members.iter_mut().enumerate() {
                if ids.next_if(|id| id.as_ref().is_ok_and(|id| *id == first)).is_some() {
                    set |= 1 << bit;
                }
            }
            *sets.entry(set).or_default() += 1;
        }
    }
}

impl Store {
    /// Every membership.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_member(
        &self,
        mut each: impl FnMut(&str, ProfileId, Millis) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(TABLE, |key, since| {
            let mut parts = Parts(key);
            let (segment, id) = parts.text().zip(parts.id()).ok_or(StoreError::Damaged(TABLE))?;
            each(segment, ProfileId::from_bytes(id), since)
        })
    }
}

impl Store {
    /// Every membership again, by profile.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_membership(
        &self,
        mut each: impl FnMut(ProfileId, &str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(BY_PROFILE, |key, _since: Millis| {
            let mut parts = Parts(key);
            let profile = parts.id().map(ProfileId::from_bytes);
            let (profile, segment) = profile.zip(parts.text()).ok_or(StoreError::Damaged(BY_PROFILE))?;
            each(profile, segment)
        })
    }
}

impl Batch<'_> {
    /// Puts profiles into segments, with since when, or takes them out: in the order of the keys, which RocksDB takes in faster.
    ///
    /// # Errors
    /// If one cannot be encoded.
    pub fn put_members(&mut self, rows: &mut [(&str, ProfileId, Option<Millis>)]) -> Result<(), StoreError> {
        rows.sort_unstable();
        for (segment, profile, since) in rows.iter() {
            self.put_or_delete(TABLE, &key(segment, *profile), *since)?;
        }
        rows.sort_unstable_by_key(|(segment, profile, _)| (*profile, *segment));
        for (segment, profile, since) in rows.iter() {
            self.put_or_delete(BY_PROFILE, &key_by_profile(*profile, segment), *since)?;
        }
        Ok(())
    }

    fn put_or_delete(&mut self, table: &'static str, key: &[u8], since: Option<Millis>) -> Result<(), StoreError> {
        match since {
            Some(since) => self.put(table, key, &since),
            None => self.delete(table, key),
        }
    }

    /// Remembers that a profile was in a segment when its identifiers moved.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn put_former_member(&mut self, segment: &str, profile: ProfileId, since: Millis) -> Result<(), StoreError> {
        self.put(FORMER, &key_by_profile(profile, segment), &since)
    }

    /// Forgets a former membership.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_former_member(&mut self, segment: &str, profile: ProfileId) -> Result<(), StoreError> {
        self.delete(FORMER, &key_by_profile(profile, segment))
    }

    /// Forgets all former memberships of some segments.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn delete_former_members_of(&mut self, view: &View<'_>, segments: &BTreeSet<String>) -> Result<(), StoreError> {
        for entry in view.prefix::<Millis>(FORMER, &[], &[])? {
            let (key, _) = entry?;
            let mut parts = Parts(&key);
            let segment = parts.id().and_then(|_| parts.text()).ok_or(StoreError::Damaged(FORMER))?;
            if segments.contains(segment) {
                self.delete(FORMER, &key)?;
            }
        }
        Ok(())
    }

    /// Takes a profile out of a segment.
    ///
    /// # Errors
    /// If the table is missing.
    pub fn delete_member(&mut self, segment: &str, profile: ProfileId) -> Result<(), StoreError> {
        self.delete(TABLE, &key(segment, profile))?;
        self.delete(BY_PROFILE, &key_by_profile(profile, segment))
    }
}
