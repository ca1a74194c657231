//! One write batch an epoch: what its events said, what follows from it, and what is to be sent, all or nothing.

use super::epoch::{FactsChange, Prepared, Work};
use super::lookup::Profile;
use super::status::Committed;
use super::worker::Outputs;
use crate::activation::messages::message_id;
use crate::activation::{Messages, Occasion};
use crate::store::history::Happened;
use crate::store::outbox::StoredMessage;
use crate::store::{Batch, Meta, Rejected, Store, StoreError, View};
use crate::telemetry;
use crossbeam_channel::Receiver;
use foldhash::{HashMap, HashMapExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tributary_connectors::log::Log;
use tributary_dataflows::SegmentIndex;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::triggers::{Changes, Membership, Prior, Transition, qualify};
use tributary_model::{Epoch, Event, IdentifierId, Millis, ProfileId};

/// How long a commit is tried again before the process gives up: a full disk may be cleared in the meantime.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// The one writer of the state.
pub struct Committer {
    /// The state.
    pub store: Arc<Store>,
    /// Compiled definitions.
    pub plan: Arc<Plan>,
    /// Identity rules.
    pub rules: Arc<Rules>,
    /// Triggers and their templates.
    pub messages: Arc<Messages>,
    /// Learns what may be deleted by retention.
    pub log: Arc<dyn Log>,
    /// The log's name among the streams.
    pub log_stream: String,
    /// Where the state stands.
    pub meta: Meta,
    /// Tells everybody else.
    pub status: watch::Sender<Committed>,
    /// What the dataflow's workers say of each epoch.
    pub outputs: Receiver<(Epoch, Outputs)>,
    /// How many workers there are.
    pub workers: usize,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Committer at epoch {}", self.meta.epoch)
    }
}

struct PriorView<'a> {
    view: &'a View<'a>,
    plan: &'a Plan,
}

impl Prior for PriorView<'_> {
    type Error = StoreError;
    fn since(&self, profile: ProfileId, segment: SegmentIndex) -> Result<Option<Millis>, StoreError> {
        match segment_id(self.plan, segment) {
            Some(id) => self.view.since(profile, id),
            None => Ok(None),
        }
    }
}

fn segment_id(plan: &Plan, segment: SegmentIndex) -> Option<&str> {
    plan.program.segments.get(usize::from(segment)).map(|segment| segment.id.as_str())
}

impl Committer {
    /// Commits all that comes until the other side is closed.
    ///
    /// # Errors
    /// If the state can no longer be read or written.
    pub fn run(mut self, work: &Receiver<Work>) -> Result<(), StoreError> {
        for work in work {
            match work {
                Work::Hydrated { now, aggregates } => {
                    let Some(changes) = self.changes() else { break };
                    self.meta.aggregates = aggregates;
                    self.reconcile(&changes, now)?;
                }
                Work::Epoch(prepared) => {
                    let Some(changes) = self.changes() else { break };
                    self.commit(&prepared, &changes)?;
                }
            }
        }
        self.store.flush()
    }

    /// What all workers say of the next epoch; `None` if they have stopped.
    fn changes(&self) -> Option<Changes> {
        let shares: Option<Vec<_>> = (0..self.workers).map(|_| self.outputs.recv().ok()).collect();
        Some(Changes::new(shares?.into_iter().flat_map(|(_epoch, outputs)| outputs)))
    }

    fn commit(&mut self, prepared: &Prepared, changes: &Changes) -> Result<(), StoreError> {
        let started = Instant::now();
        let _span = tracing::debug_span!("commit", epoch = prepared.epoch, events = prepared.events.len()).entered();
        let meta = loop {
            match self.try_commit(prepared, changes) {
                Ok(meta) => break meta,
                Err(error) if started.elapsed() < GIVE_UP_AFTER && matches!(error, StoreError::RocksDb(_)) => {
                    tracing::warn!(%error, epoch = prepared.epoch, "commit failed, trying again");
                    std::thread::sleep(RETRY_EVERY);
                }
                Err(error) => return Err(error),
            }
        };
        self.meta = meta;
        telemetry::committed(prepared, started.elapsed());
        self.publish();
        Ok(())
    }

    /// Shows the committed epoch to everybody.
    fn publish(&self) {
        if let Some(position) = self.meta.positions.get(&self.log_stream) {
            self.log.committed(position);
        }
        telemetry::population(self.meta.profiles, &self.meta.counts);
        self.status.send_replace(Committed::new(&self.meta, true));
    }

    fn try_commit(&self, prepared: &Prepared, changes: &Changes) -> Result<Meta, StoreError> {
        let view = self.store.view();
        let qualified = qualify(changes, &PriorView { view: &view, plan: &self.plan }, prepared.clock)?;
        let mut meta = self.meta.clone();
        meta.epoch = prepared.epoch;
        meta.clock = prepared.clock;
        meta.positions.clone_from(&prepared.positions);

        let mut batch = self.store.batch();
        write_base_facts(&mut batch, prepared)?;
        for (identifier, (old, new)) in &changes.owners {
            batch.move_identifier(*identifier, *old, *new)?;
            meta.profiles += change_of_profiles(*identifier, *old, *new);
        }
        for (profile, segment) in &changes.left {
            if let Some(id) = segment_id(&self.plan, *segment) {
                batch.delete_member(id, *profile)?;
            }
        }
        for Membership { profile, segment, since } in &qualified.members {
            if let Some(id) = segment_id(&self.plan, *segment) {
                batch.put_member(id, *profile, *since)?;
            }
        }
        for (segment, count) in &changes.counts {
            if let Some(id) = segment_id(&self.plan, *segment) {
                meta.counts.insert(id.to_owned(), *count);
            }
        }
        let mut rejected = prepared.rejected.clone();
        let mut outbox = Outbox { committer: self, view: &view, prepared, changes, profiles: HashMap::new() };
        for (profile, segment, transition) in &qualified.transitions {
            let Some(id) = segment_id(&self.plan, *segment) else { continue };
            let enters = *transition == Transition::Enter;
            for (trigger, _) in self.messages.on_segment(id, enters) {
                outbox.send(&mut batch, &mut meta, trigger, *profile, Occasion::Segment { id }, 0, &mut rejected)?;
            }
        }
        for (place, trigger) in &prepared.fired {
            let Some((identifier, event)) = prepared.events.get(*place) else { continue };
            let owner = match changes.owners.get(identifier) {
                Some((_, new)) => *new,
                None => view.owner(*identifier)?,
            };
            if let Some(profile) = owner {
                let occasion = Occasion::Event(event);
                outbox.send(&mut batch, &mut meta, trigger, profile, occasion, place + 1, &mut rejected)?;
            }
        }
        for rejected in &rejected {
            batch.put_rejected(meta.next_rejected, rejected)?;
            meta.next_rejected += 1;
        }
        batch.put_meta(&meta)?;
        self.store.write(batch, true)?;
        Ok(meta)
    }

    /// Compares what the re-fed dataflow says with what is stored, and corrects the difference. Fires nothing.
    fn reconcile(&mut self, changes: &Changes, now: Millis) -> Result<(), StoreError> {
        let store = self.store.clone();
        let mut batch = store.batch();
        let mut corrected = 0usize;

        let mut owners: HashMap<IdentifierId, ProfileId> =
            changes.owners.iter().filter_map(|(identifier, (_, new))| Some((*identifier, (*new)?))).collect();
        self.meta.profiles = owners.iter().filter(|(identifier, profile)| identifier.0 == profile.0).count() as i64;
        let mut stale = Vec::new();
        store.each_owner(|identifier, stored| {
            let rebuilt = owners.remove(&identifier);
            if rebuilt != Some(stored) {
                stale.push((identifier, Some(stored), rebuilt));
            }
            Ok(())
        })?;
        stale.extend(owners.into_iter().map(|(identifier, rebuilt)| (identifier, None, Some(rebuilt))));
        for (identifier, old, new) in &stale {
            batch.move_identifier(*identifier, *old, *new)?;
        }
        corrected += stale.len();

        let name = |(profile, segment): &(ProfileId, SegmentIndex)| {
            segment_id(&self.plan, *segment).map(|id| (id.to_owned(), *profile))
        };
        let mut members: BTreeSet<(String, ProfileId)> = changes.entered.iter().filter_map(name).collect();
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for (id, _) in &members {
            *counts.entry(id.clone()).or_default() += 1;
        }
        let mut gone = Vec::new();
        store.each_member(|segment, profile, _since| {
            if !members.remove(&(segment.to_owned(), profile)) {
                gone.push((segment.to_owned(), profile));
            }
            Ok(())
        })?;
        corrected += gone.len() + members.len();
        for (segment, profile) in &gone {
            batch.delete_member(segment, *profile)?;
        }
        for (segment, profile) in &members {
            batch.put_member(segment, *profile, now)?;
        }
        self.meta.counts = counts;
        self.meta.clock = self.meta.clock.max(now);
        batch.put_meta(&self.meta)?;
        store.write(batch, true)?;
        if corrected > 0 {
            tracing::info!(corrected, "stored owners and memberships corrected to what the facts say");
        }
        self.publish();
        Ok(())
    }
}

/// In the order of the keys, which RocksDB takes in faster.
fn write_base_facts(batch: &mut Batch<'_>, prepared: &Prepared) -> Result<(), StoreError> {
    let mut facts: Vec<_> = prepared.facts.iter().collect();
    facts.sort_unstable_by_key(|(id, _)| **id);
    for (id, facts) in facts {
        match facts {
            FactsChange::Whole(whole) => batch.put_facts(*id, whole)?,
            FactsChange::Added(added) => batch.merge_facts(*id, added)?,
        }
    }
    for (ends, facts) in &prepared.links {
        batch.put_link(*ends, facts)?;
    }
    for ends in &prepared.new_links {
        batch.put_new_link(*ends)?;
    }
    for (due, id) in &prepared.timers_done {
        batch.delete_timer(*due, *id)?;
    }
    for (due, id) in &prepared.timers_set {
        batch.put_timer(*due, *id)?;
    }
    let mut seen = prepared.seen.clone();
    seen.sort_unstable();
    for message in seen {
        batch.put_seen(message, prepared.clock)?;
    }
    let happened = |(identifier, event): &(IdentifierId, Event)| Happened {
        identifier: *identifier,
        at: event.timestamp,
        message_id: event.message_id,
        body: event.body.clone(),
    };
    let mut events: Vec<_> = prepared.events.iter().collect();
    events.sort_unstable_by_key(|(id, event)| (*id, event.timestamp));
    batch.put_events(prepared.epoch, events.into_iter().map(happened))
}

/// A profile exists while the identifier that names it is its own.
fn change_of_profiles(identifier: IdentifierId, old: Option<ProfileId>, new: Option<ProfileId>) -> i64 {
    let own = |profile: Option<ProfileId>| i64::from(profile.is_some_and(|profile| profile.0 == identifier.0));
    own(new) - own(old)
}

/// Makes an epoch's messages.
struct Outbox<'a> {
    committer: &'a Committer,
    view: &'a View<'a>,
    prepared: &'a Prepared,
    changes: &'a Changes,
    profiles: HashMap<ProfileId, Arc<Profile>>,
}

impl Outbox<'_> {
    #[expect(clippy::too_many_arguments, reason = "what fires, for whom, why, and where it is noted")]
    fn send(
        &mut self,
        batch: &mut Batch<'_>,
        meta: &mut Meta,
        trigger: &str,
        profile: ProfileId,
        occasion: Occasion<'_>,
        place: usize,
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), StoreError> {
        let committer = self.committer;
        let Some(definition) = committer.messages.trigger(trigger) else { return Ok(()) };
        let customer = self.profile(profile)?;
        let id = message_id(&meta.state_id, trigger, profile, self.prepared.epoch, place);
        match committer.messages.render(trigger, &id, &customer, occasion) {
            Ok(body) => {
                let message = StoredMessage {
                    id,
                    trigger: trigger.to_owned(),
                    profile,
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

    fn profile(&mut self, id: ProfileId) -> Result<Arc<Profile>, StoreError> {
        if let Some(profile) = self.profiles.get(&id) {
            return Ok(profile.clone());
        }
        let owners = &self.changes.owners;
        let stayed = self.view.identifiers(id)?.into_iter().filter(|identifier| !owners.contains_key(identifier));
        let came = owners.iter().filter(|(_, (_, new))| *new == Some(id)).map(|(identifier, _)| *identifier);
        let identifiers: Vec<_> = stayed.chain(came).collect();
        let Committer { plan, rules, .. } = self.committer;
        let profile = Profile::read_with(self.view, id, &identifiers, &self.prepared.facts, plan, rules)?;
        let profile = Arc::new(profile);
        self.profiles.insert(id, profile.clone());
        Ok(profile)
    }
}
