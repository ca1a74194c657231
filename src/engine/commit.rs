//! One write batch an epoch: what its events said, what follows from it, and what is to be sent, all or nothing.

use super::epoch::{Prepared, Work};
use super::fire::{Cause, Outbox};
use super::mirror;
use super::preview::live::Happened;
use super::status::Committed;
use super::tally::{Moves, tally};
use super::void;
use super::worker::Outputs;
use super::write::{
    PriorView, segment_id, write_base_facts, write_conflicts, write_groups, write_members, write_owners, write_wakes,
};
use crate::activation::{Messages, Occasion, gate};
use crate::store::{Meta, Store, StoreError};
use crate::telemetry;
use crossbeam_channel::Receiver;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};
use tributary_connectors::crash::{self, Place};
use tributary_connectors::log::Log;
use tributary_dataflows::SegmentIndex;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::triggers::{Changes, Transition, qualify};
use tributary_model::{Epoch, Millis, ProfileId};

/// How long a commit is tried again before the process gives up: a full disk may be cleared in the meantime.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// What is being committed.
#[derive(Debug)]
pub(super) struct UnderWay {
    work: Work,
    /// What an epoch changes.
    changes: Changes,
    /// All that is true, after the dataflow was fed anew.
    truth: Outputs,
    since: Instant,
}

/// The one writer of the state.
pub struct Committer {
    /// The state.
    pub store: Arc<Store>,
    /// The definitions by which customers are told of, or are being so, one share after the other.
    pub plan: Arc<Plan>,
    /// Those by which all customers are told of.
    pub settled: Arc<Plan>,
    /// Workers that are through with the former.
    pub arrived: usize,
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
    /// Bytes of the last epoch's batch: the next one is given room for as many.
    pub batch_bytes: usize,
    /// Tells whoever watches what each committed epoch was.
    pub happened: broadcast::Sender<Happened>,
}

impl std::fmt::Debug for Committer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Committer at epoch {}", self.meta.epoch)
    }
}

impl Committer {
    /// Commits all that comes until the other side is closed.
    ///
    /// # Errors
    /// If the state can no longer be read or written.
    pub fn run(mut self, work: &Receiver<Work>) -> Result<(), StoreError> {
        for work in work {
            let Some(mut under_way) = self.begin(work) else { break };
            while let Some(pause) = self.try_on(&mut under_way)? {
                std::thread::sleep(pause);
            }
        }
        self.store.flush()
    }

    /// Takes up what is to be committed next, once the dataflow has said all of it; `None` if that has stopped.
    pub(super) fn begin(&mut self, work: Work) -> Option<UnderWay> {
        let shares: Option<Vec<_>> = (0..self.workers).map(|_| self.outputs.recv().ok()).collect();
        let outputs: Outputs = shares?.into_iter().flat_map(|(_epoch, outputs)| outputs).collect();
        let (changes, truth) = match &work {
            Work::Hydrated { .. } => (Changes::default(), outputs),
            Work::Epoch(_) => (Changes::new(outputs), Vec::new()),
        };
        if let Work::Epoch(prepared) = &work {
            if let Some(plan) = &prepared.redefinition.plan {
                (self.plan, self.arrived) = (plan.clone(), 0);
            }
            self.arrived += changes.current.get(&self.plan.version).copied().unwrap_or(0);
        }
        Some(UnderWay { work, changes, truth, since: Instant::now() })
    }

    /// Tries to commit it. If that fails as full disks do, gives how long to wait before the next try; `None` once it is
    /// committed and told.
    pub(super) fn try_on(&mut self, under_way: &mut UnderWay) -> Result<Option<Duration>, StoreError> {
        let UnderWay { work, changes, truth, since } = under_way;
        match work {
            Work::Hydrated { now, aggregates } => {
                self.meta.aggregates.clone_from(aggregates);
                self.reconcile(std::mem::take(truth), *now)?;
                mirror::catch_up(self)?;
                self.publish()?;
            }
            Work::Epoch(prepared) => {
                let epoch = prepared.epoch;
                let _span = tracing::debug_span!("commit", epoch, events = prepared.events.len()).entered();
                match self.try_commit(prepared, changes) {
                    Ok((meta, bytes)) => (self.meta, self.batch_bytes) = (meta, bytes),
                    Err(error) if since.elapsed() < GIVE_UP_AFTER && error.may_pass() => {
                        tracing::warn!(%error, epoch, "commit failed, trying again");
                        telemetry::state_health(false);
                        self.status.send_modify(|status| status.trouble = Some(error.to_string()));
                        return Ok(Some(RETRY_EVERY));
                    }
                    Err(error) => return Err(error),
                }
                if self.is_through() {
                    self.settled = self.plan.clone();
                    telemetry::defined(&self.settled.program);
                }
                telemetry::committed(prepared, since.elapsed());
                telemetry::state_health(true);
                if self.happened.receiver_count() > 0 {
                    // Nobody may be left by now.
                    self.happened.send(Arc::new((std::mem::take(prepared.as_mut()), std::mem::take(changes)))).ok();
                }
                self.publish()?;
                crash::at(Place::CommitTold);
            }
        }
        Ok(None)
    }

    /// Whether all customers are told of by the latest definitions.
    fn is_through(&self) -> bool {
        self.plan.version > self.settled.version && self.arrived >= self.workers
    }

    /// Shows the committed epoch to everybody.
    pub(super) fn publish(&self) -> Result<(), StoreError> {
        if let Some(position) = self.meta.positions.get(&self.log_stream) {
            self.log.committed(position);
        }
        telemetry::population(&self.meta);
        let next_wake = match self.plan.program.reads_clock() {
            true => self.store.view().wakes(Millis::MIN, 1)?.first().map(|(due, _)| *due),
            false => None,
        };
        self.status.send_replace(Committed::new(&self.meta, next_wake, true, self.settled.clone()));
        Ok(())
    }

    fn try_commit(&self, prepared: &Prepared, changes: &Changes) -> Result<(Meta, usize), StoreError> {
        // Messages of whoever is deleted stay as they are seen here until they are gone.
        let releases = self.store.next_waiting().is_some_and(|due| due <= prepared.clock);
        let held = (releases || !prepared.deleted.is_empty()).then(|| self.store.hold_outbox());
        let view = self.store.view();
        let qualified = qualify(changes, &PriorView { view: &view, plan: &self.plan }, prepared.clock)?;
        let mut meta = self.meta.clone();
        meta.epoch = prepared.epoch;
        meta.clock = prepared.clock;
        meta.positions.clone_from(&prepared.positions);
        meta.sources.clone_from(&prepared.sources);

        let mut batch = self.store.batch_of(self.batch_bytes);
        write_base_facts(&mut batch, &view, prepared)?;
        write_owners(&mut batch, &mut meta, changes)?;
        write_conflicts(&mut batch, &mut meta, changes)?;
        write_groups(&mut batch, changes)?;
        write_wakes(&mut batch, changes)?;
        for made in &prepared.statements {
            batch.put_statement(meta.next_statement, made)?;
            meta.next_statement += 1;
        }
        write_members(&mut batch, &view, &self.plan, changes, &qualified)?;
        for (segment, count) in &changes.counts {
            if let Some(id) = segment_id(&self.plan, *segment) {
                meta.counts.insert(id.to_owned(), *count);
            }
        }
        let mut moves: Moves<'_> = changes
            .counts
            .keys()
            .filter_map(|segment| segment_id(&self.plan, *segment))
            .map(|id| (id, (0, 0)))
            .collect();
        let is_redefined =
            |profile: &ProfileId, segment: &SegmentIndex| changes.redefined.contains(&(*profile, *segment));
        for (profile, segment, transition) in &qualified.transitions {
            // Nobody has come or gone because a definition changes.
            let Some(id) = segment_id(&self.plan, *segment).filter(|_| !is_redefined(profile, segment)) else {
                continue;
            };
            let (entered, left) = moves.entry(id).or_default();
            match transition {
                Transition::Enter => *entered += 1,
                Transition::Exit => *left += 1,
            }
        }
        tally(&mut batch, &view, &mut meta, &moves)?;
        let mut rejected = prepared.rejected.clone();
        let mut outbox = Outbox::new(self, &view, prepared, changes);
        void::retract(&mut outbox, &mut batch, &mut meta, (prepared, changes))?;
        // After all that takes messages away.
        if releases {
            meta.next_message = gate::release(&view, &mut batch, meta.next_message, prepared.clock)?;
        }
        mirror::follow(&mut outbox, &mut batch, &mut meta, (prepared, changes), &mut rejected)?;
        for (profile, segment, transition) in &qualified.transitions {
            let Some(id) = segment_id(&self.plan, *segment) else { continue };
            let enters = *transition == Transition::Enter;
            let is_silent = is_redefined(profile, segment);
            for (trigger, definition) in self.messages.on_segment(id, enters) {
                if is_silent && !definition.fire_on_backfill {
                    continue;
                }
                let occasion = Occasion::Segment { id, name: self.plan.segment_name(id), entered: enters };
                let cause = Cause { profile: *profile, occasion, place: None };
                outbox.send(&mut batch, &mut meta, trigger, cause, &mut rejected)?;
            }
        }
        for (place, trigger) in &prepared.fired {
            let Some((identifier, event)) = prepared.events.get(*place) else { continue };
            let owner = match changes.owners.get(identifier) {
                Some((_, new)) => *new,
                None => view.owner(*identifier)?,
            };
            if let Some(profile) = owner {
                let cause = Cause { profile, occasion: Occasion::Event(event), place: Some(*place) };
                outbox.send(&mut batch, &mut meta, trigger, cause, &mut rejected)?;
            }
        }
        for rejected in &rejected {
            batch.put_rejected(meta.next_rejected, rejected)?;
            meta.next_rejected += 1;
        }
        if let Some(aggregates) = &prepared.redefinition.aggregates {
            meta.aggregates.clone_from(aggregates);
            batch.put_unsettled(&BTreeSet::new())?;
        }
        if self.is_through() {
            let segments = self.plan.program.segments.iter();
            let defined: BTreeSet<&str> = segments.map(|segment| segment.id.as_str()).collect();
            let is_defined = |id: &String| defined.contains(id.as_str());
            meta.counts.keys().filter(|id| !is_defined(id)).for_each(|id| telemetry::segment_gone(id));
            meta.counts.retain(|id, _| is_defined(id));
            meta.minutes.retain(|id, _| is_defined(id));
            // Who was in a segment when identifiers last moved was in another one than it is now.
            let redefined = self.plan.program.redefined_segments(&self.settled.program);
            batch.delete_former_members_of(&view, &redefined)?;
        }
        batch.put_meta(&meta)?;
        let bytes = batch.size();
        crash::at(Place::CommitReady);
        self.store.write(batch, true)?;
        if held.is_some() {
            self.store.look_who_waits()?;
        }
        crash::at(Place::CommitWritten);
        Ok((meta, bytes))
    }
}
