//! Table `owners`: identifier → the profile that has it; and `identifiers`: (profile, identifier), the other way.

use super::keys::{Key, Parts};
use super::{Batch, Store, StoreError, View, facts};
use tributary_dataflows::profile::IdentifierFacts;
use tributary_model::{IdentifierId, ProfileId};

/// Identifier → profile.
pub const TABLE: &str = "owners";
/// (Profile, identifier) → nothing.
pub const IDENTIFIERS: &str = "identifiers";

fn identifiers_key(profile: ProfileId, identifier: IdentifierId) -> Vec<u8> {
    Key::new().id(profile.to_bytes()).id(identifier.to_bytes()).done()
}

impl View<'_> {
    /// The profile that has this identifier.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn owner(&self, identifier: IdentifierId) -> Result<Option<ProfileId>, StoreError> {
        self.get(TABLE, &identifier.to_bytes())
    }

    /// The identifiers of a profile, in the order of their ids.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn identifiers(&self, profile: ProfileId) -> Result<Vec<IdentifierId>, StoreError> {
        let prefix = profile.to_bytes();
        let entries = self.prefix::<()>(IDENTIFIERS, &prefix, &prefix)?;
        let identifier = |entry: Result<(Box<[u8]>, ()), StoreError>| {
            let (key, ()) = entry?;
            let mut parts = Parts(&key);
            let ids = parts.id().zip(parts.id()).ok_or(StoreError::Damaged(IDENTIFIERS))?;
            Ok(IdentifierId::from_bytes(ids.1))
        };
        entries.map(identifier).collect()
    }
}

impl View<'_> {
    /// Every identifier with its profile, profile by profile, until `each` gives false.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_identifier(
        &self,
        mut each: impl FnMut(ProfileId, IdentifierId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for entry in self.prefix::<()>(IDENTIFIERS, &[], &[])? {
            let (key, ()) = entry?;
            let mut parts = Parts(&key);
            let ids = parts.id().zip(parts.id()).ok_or(StoreError::Damaged(IDENTIFIERS))?;
            if !each(ProfileId::from_bytes(ids.0), IdentifierId::from_bytes(ids.1))? {
                break;
            }
        }
        Ok(())
    }
}

impl View<'_> {
    /// Facts and owner of the identifiers from one on, before another if one is named, in order, until `each` gives false.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_owned(
        &self,
        from: IdentifierId,
        before: Option<IdentifierId>,
        mut each: impl FnMut(IdentifierId, &IdentifierFacts, ProfileId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let end = before.map(|before| before.to_bytes());
        let mut owners = self.range::<ProfileId>(TABLE, &from.to_bytes(), end.as_ref().map(<[u8; 16]>::as_slice))?;
        let mut owner = owners.next().transpose()?;
        for entry in
            self.range::<IdentifierFacts>(facts::TABLE, &from.to_bytes(), end.as_ref().map(<[u8; 16]>::as_slice))?
        {
            let (key, facts) = entry?;
            // Both stand in the order of the identifiers; one may be there without the other.
            while owner.as_ref().is_some_and(|(owned, _)| *owned < key) {
                owner = owners.next().transpose()?;
            }
            if let Some((owned, profile)) = &owner
                && *owned == key
            {
                let bytes = key.as_ref().try_into().map_err(|_| StoreError::Damaged(facts::TABLE))?;
                if !each(IdentifierId::from_bytes(bytes), &facts, *profile)? {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Store {
    /// Every identifier with its profile.
    ///
    /// # Errors
    /// If one cannot be read, or `each` fails.
    pub fn each_owner(
        &self,
        mut each: impl FnMut(IdentifierId, ProfileId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.scan(TABLE, |key, profile| {
            let bytes = key.try_into().map_err(|_| StoreError::Damaged(TABLE))?;
            each(IdentifierId::from_bytes(bytes), profile)
        })
    }
}

impl Batch<'_> {
    /// Moves an identifier from one profile to another.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn move_identifier(
        &mut self,
        identifier: IdentifierId,
        old: Option<ProfileId>,
        new: Option<ProfileId>,
    ) -> Result<(), StoreError> {
        if let Some(old) = old {
            self.delete(IDENTIFIERS, &identifiers_key(old, identifier))?;
        }
        match new {
            Some(new) => {
                self.put(TABLE, &identifier.to_bytes(), &new)?;
                self.put(IDENTIFIERS, &identifiers_key(new, identifier), &())
            }
            None => self.delete(TABLE, &identifier.to_bytes()),
        }
    }
}
