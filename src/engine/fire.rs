//! The messages of an epoch's triggers.

use super::commit::Committer;
use super::epoch::Prepared;
use super::lookup::{Profile, Reading};
use crate::activation::messages::message_id;
use crate::activation::{About, Occasion, Rendered};
use crate::store::outbox::{Status, StoredMessage};
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
    pub(super) committer: &'a Committer,
    pub(super) view: &'a View<'a>,
    prepared: &'a Prepared,
    changes: &'a Changes,
    profiles: HashMap<ProfileId, Arc<Profile>>,
    /// The latest event of each identifier in the epoch, once somebody has asked.
    latest: OnceCell<HashMap<IdentifierId, (Millis, MessageId)>>,
    /// The identifiers that came to each profile, once somebody has asked.
    came: OnceCell<HashMap<ProfileId, Vec<IdentifierId>>>,
}

impl<'a> Outbox<'a> {
    pub(super) fn new(
        committer: &'a Committer,
        view: &'a View<'a>,
        prepared: &'a Prepared,
        changes: &'a Changes,
    ) -> Self {
        Self {
            committer,
            view,
            prepared,
            changes,
            profiles: HashMap::new(),
            latest: OnceCell::new(),
            came: OnceCell::new(),
        }
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
        let clock = self.prepared.clock;
        let told = About { message: &id, created_at: clock, profile: &customer, occasion };
        let body = match committer.messages.render(trigger, &told) {
            Ok(Rendered::Body(body)) => Some(body),
            Ok(Rendered::NoAddress) => None,
            Err(error) => {
                telemetry::render_failed(trigger);
                rejected.push(Rejected {
                    received_at: clock,
                    code: "template_failed".to_owned(),
                    reason: error.to_string(),
                    source: format!("trigger {trigger}"),
                    body: rejected_body(profile, occasion),
                });
                return Ok(());
            }
        };
        let has_address = body.is_some();
        let message = StoredMessage {
            id,
            trigger: trigger.to_owned(),
            profile,
            about,
            body: body.unwrap_or_default(),
            created_at: clock,
            attempts: 0,
            sent_at: None,
            retracts: false,
        };
        let destination = &definition.send.to;
        if has_address {
            batch.put_message(destination, meta.next_message, &message)?;
            telemetry::fired(trigger);
        } else {
            batch.put_note(destination, meta.next_message, &message, Status::Held, Some("no_address"), clock)?;
            telemetry::held_back(trigger, "no_address");
        }
        meta.next_message += 1;
        Ok(())
    }

    /// The identifier that a message goes with: of the event that set it off, else of the customer's latest event in the
    /// epoch, else the one that names the customer.
    fn about(&self, customer: &Profile, place: Option<usize>) -> IdentifierId {
        let events = &self.prepared.events;
        if let Some((identifier, _)) = place.and_then(|place| events.get(place)) {
            return *identifier;
        }
        let latest = self.latest();
        let own = customer.identifiers.iter().map(|facts| facts.identifier.id());
        let of_own = own.filter_map(|identifier| latest.get(&identifier).map(|at| (at, identifier)));
        of_own.max().map_or(IdentifierId(customer.id.0), |(_, identifier)| identifier)
    }

    /// When the latest event happened that an identifier has in the epoch.
    pub(super) fn latest_event(&self, identifier: &IdentifierId) -> Option<Millis> {
        self.latest().get(identifier).map(|(at, _)| *at)
    }

    /// An epoch may have many events, and many messages: each is walked once.
    fn latest(&self) -> &HashMap<IdentifierId, (Millis, MessageId)> {
        self.latest.get_or_init(|| {
            let mut latest = HashMap::new();
            for (identifier, event) in &self.prepared.events {
                let at = (event.timestamp, event.message_id);
                latest.entry(*identifier).and_modify(|held| *held = at.max(*held)).or_insert(at);
            }
            latest
        })
    }

    /// The identifiers that each profile has got in the epoch.
    fn came(&self) -> &HashMap<ProfileId, Vec<IdentifierId>> {
        self.came.get_or_init(|| {
            let mut came: HashMap<ProfileId, Vec<IdentifierId>> = HashMap::new();
            for (identifier, (_, new)) in &self.changes.owners {
                new.iter().for_each(|new| came.entry(*new).or_default().push(*identifier));
            }
            came
        })
    }

    pub(super) fn profile(&mut self, id: ProfileId) -> Result<Arc<Profile>, StoreError> {
        if let Some(profile) = self.profiles.get(&id) {
            return Ok(profile.clone());
        }
        let owners = &self.changes.owners;
        let stayed = self.view.identifiers(id)?.into_iter().filter(|identifier| !owners.contains_key(identifier));
        let came = self.came().get(&id).into_iter().flatten().copied();
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

/// What is kept of a message that could not be made: whom it was for, and the event that set it off.
fn rejected_body(profile: ProfileId, occasion: Occasion<'_>) -> Vec<u8> {
    let event = match occasion {
        Occasion::Event(event) => serde_json::from_slice(&event.body).ok(),
        Occasion::Segment { .. } => None::<serde_json::Value>,
    };
    serde_json::json!({ "profile": profile.to_string(), "event": event }).to_string().into_bytes()
}
