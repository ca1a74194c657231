//! The messages of an epoch's triggers.

use super::commit::Committer;
use super::epoch::Prepared;
use super::lookup::{Profile, Reading};
use crate::activation::Occasion;
use crate::activation::messages::message_id;
use crate::store::outbox::StoredMessage;
use crate::store::{Batch, Meta, Rejected, StoreError, View};
use crate::telemetry;
use foldhash::{HashMap, HashMapExt};
use std::cell::OnceCell;
use std::sync::Arc;
use tributary_dataflows::triggers::Changes;
use tributary_model::{IdentifierId, MessageId, Millis, ProfileId};

/// Whom a trigger fires for, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'a> {
    pub(super) profile: ProfileId,
    pub(super) occasion: Occasion<'a>,
    /// The place of the event among the epoch's, where it is one event that set the trigger off.
    pub(super) place: Option<usize>,
}

/// Makes an epoch's messages.
pub(super) struct Outbox<'a> {
    committer: &'a Committer,
    view: &'a View<'a>,
    prepared: &'a Prepared,
    changes: &'a Changes,
    profiles: HashMap<ProfileId, Arc<Profile>>,
    /// The latest event of each identifier in the epoch, once somebody has asked.
    latest: OnceCell<HashMap<IdentifierId, (Millis, MessageId)>>,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(
        committer: &'a Committer,
        view: &'a View<'a>,
        prepared: &'a Prepared,
        changes: &'a Changes,
    ) -> Self {
        Self { committer, view, prepared, changes, profiles: HashMap::new(), latest: OnceCell::new() }
    }

    /// Puts the message of a trigger into the batch, or what stands in its way among the rejected.
    pub(super) fn send(
        &mut self,
        batch: &mut Batch<'_>,
        meta: &mut Meta,
        trigger: &str,
        cause: Cause<'_>,
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), StoreError> {
        let Cause { profile, occasion, place } = cause;
        let committer = self.committer;
        let Some(definition) = committer.messages.trigger(trigger) else { return Ok(()) };
        let customer = self.profile(profile)?;
        let id = message_id(&meta.state_id, trigger, profile, self.prepared.epoch, place.map_or(0, |place| place + 1));
        let about = self.about(&customer, place);
        match committer.messages.render(trigger, &id, &customer, occasion) {
            Ok(body) => {
                let message = StoredMessage {
                    id,
                    trigger: trigger.to_owned(),
                    profile,
                    about,
                    body: body.into_bytes(),
                    created_at: self.prepared.clock,
                    attempts: 0,
                };
                batch.put_message(&definition.send.to, meta.next_message, &message)?;
                meta.next_message += 1;
                telemetry::fired(trigger);
            }
            Err(error) => rejected.push(Rejected {
                received_at: self.prepared.clock,
                code: "template_failed".to_owned(),
                reason: format!("triggers.{trigger}.send.body cannot be rendered: {error}"),
                source: format!("trigger {trigger}"),
                body: serde_json::json!({ "profile": profile.to_string() }).to_string().into_bytes(),
            }),
        }
        Ok(())
    }

    /// The identifier that a message goes with: of the event that set it off, else of the customer's latest event in the
    /// epoch, else the one that names the customer.
    fn about(&self, customer: &Profile, place: Option<usize>) -> IdentifierId {
        let events = &self.prepared.events;
        if let Some((identifier, _)) = place.and_then(|place| events.get(place)) {
            return *identifier;
        }
        // An epoch may have many events, and many messages.
        let latest = self.latest.get_or_init(|| {
            let mut latest = HashMap::new();
            for (identifier, event) in events {
                let at = (event.timestamp, event.message_id);
                latest.entry(*identifier).and_modify(|held| *held = at.max(*held)).or_insert(at);
            }
            latest
        });
        let own = customer.identifiers.iter().map(|facts| facts.identifier.id());
        let of_own = own.filter_map(|identifier| latest.get(&identifier).map(|at| (at, identifier)));
        of_own.max().map_or(IdentifierId(customer.id.0), |(_, identifier)| identifier)
    }

    fn profile(&mut self, id: ProfileId) -> Result<Arc<Profile>, StoreError> {
        if let Some(profile) = self.profiles.get(&id) {
            return Ok(profile.clone());
        }
        let owners = &self.changes.owners;
        let stayed = self.view.identifiers(id)?.into_iter().filter(|identifier| !owners.contains_key(identifier));
        let came = owners.iter().filter(|(_, (_, new))| *new == Some(id)).map(|(identifier, _)| *identifier);
        let identifiers: Vec<_> = stayed.chain(came).collect();
        let Committer { plan, rules, .. } = self.committer;
        let evaluations = |group| match self.changes.groups.get(&group) {
            Some(now) => Ok(now.clone()),
            None => self.view.evaluation(group),
        };
        let Prepared { facts: newer, clock, .. } = self.prepared;
        let reading = Reading { plan, rules, now: *clock, evaluations: &evaluations };
        let profile = Profile::read_with(self.view, id, &identifiers, newer, &reading)?;
        let profile = Arc::new(profile);
        self.profiles.insert(id, profile.clone());
        Ok(profile)
    }
}
