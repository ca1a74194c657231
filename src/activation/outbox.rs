//! The store's outbox, as destinations see it.

use super::gate::Gate;
use super::reports::Reports;
use crate::store::outbox::{Status, StoredMessage, TABLE};
use crate::store::{Store, StoreError};
use std::sync::Arc;
use tributary_connectors::destination::{Admission, Message, Outbox, OutboxError, Settled};
use tributary_model::Millis;

/// Messages settled in one write.
const SETTLE: usize = 1_000;

/// The outbox in a store. What it notes is not synced: after a power cut a message may be sent once more, under its id.
#[derive(Clone, Debug)]
pub struct StoreOutbox {
    store: Arc<Store>,
    gate: Arc<Gate>,
    reports: Option<Reports>,
}

impl StoreOutbox {
    /// The outbox of a store, whose messages are let out by these rules.
    pub fn new(store: Arc<Store>, gate: Arc<Gate>) -> Self {
        Self { store, gate, reports: None }
    }

    /// The same with somebody who wants to know of dead addresses.
    #[must_use]
    pub fn with_reports(self, reports: Reports) -> Self {
        Self { reports: Some(reports), ..self }
    }

    fn read(
        &self,
        destination: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, StoredMessage)>, StoreError> {
        self.store.view().messages_to(TABLE, destination, after, limit)
    }

    fn settle_all(&self, settled: &[(Message, Settled)], at: Millis) -> Result<(), StoreError> {
        let _held = self.store.hold_outbox();
        let view = self.store.view();
        let mut batch = self.store.batch();
        let mut unreachable = Vec::new();
        for (message, settled) in settled {
            let (destination, number) = (&message.destination, message.sequence);
            // Whoever was deleted while it was under way leaves no trace of it.
            let Some(mut kept) = view.message(TABLE, destination, number)? else { continue };
            kept.attempts += u32::from(!matches!(settled, Settled::Postponed(_)));
            let (status, reason) = match settled {
                Settled::Delivered => (Status::Delivered, None),
                Settled::MaybeSent(reason) => (Status::MaybeSent, Some(reason)),
                Settled::Failed(reason) => (Status::Retrying, Some(reason)),
                Settled::Postponed(reason) => (Status::Postponed, Some(reason)),
                Settled::Dead(reason) => (Status::Dead, Some(reason)),
                Settled::Unreachable(reason) => (Status::Unreachable, Some(reason)),
            };
            match settled {
                Settled::Failed(_) | Settled::Postponed(_) => batch.keep_message(destination, number, &kept)?,
                Settled::Delivered | Settled::MaybeSent(_) => batch.delete_message(destination, number)?,
                Settled::Dead(_) | Settled::Unreachable(_) => {
                    batch.delete_message(destination, number)?;
                    // Nobody got it: it does not count.
                    if let Some(sent_at) = kept.sent_at.take() {
                        batch.delete_send(kept.about, sent_at, number)?;
                    }
                    batch.put_dead(destination, number, &kept)?;
                }
            }
            batch.put_note(destination, number, &kept, status, reason.map(String::as_str), at)?;
            if let Settled::Unreachable(reason) = settled {
                unreachable.push((message, reason));
            }
        }
        self.store.write(batch, false)?;
        if let Some(reports) = &self.reports {
            unreachable.into_iter().for_each(|(message, reason)| reports.unreachable(message, reason));
        }
        Ok(())
    }

    fn settle_through(
        &self,
        destination: &str,
        after: Option<u64>,
        sequence: u64,
        at: Millis,
    ) -> Result<(), StoreError> {
        loop {
            let _held = self.store.hold_outbox();
            let mut messages = self.read(destination, after, SETTLE)?;
            let read = messages.len();
            messages.retain(|(number, _)| *number <= sequence);
            let mut batch = self.store.batch();
            for (number, message) in &messages {
                batch.delete_message(destination, *number)?;
                batch.put_note(destination, *number, message, Status::Delivered, None, at)?;
            }
            // Synced, so that the outbox does not fall behind the destination's progress record for long.
            self.store.write(batch, true)?;
            if messages.len() < SETTLE || read < SETTLE {
                return Ok(());
            }
        }
    }
}

fn failed(error: StoreError) -> OutboxError {
    OutboxError(error.to_string())
}

impl Outbox for StoreOutbox {
    fn pending(&self, destination: &str, after: Option<u64>, limit: usize) -> Result<Vec<Message>, OutboxError> {
        let messages = self.read(destination, after, limit).map_err(failed)?;
        let message = |(sequence, message): (u64, StoredMessage)| Message {
            sequence,
            id: message.id,
            trigger: message.trigger,
            destination: destination.to_owned(),
            profile: message.profile,
            about: message.about,
            body: message.body.into(),
            created_at: message.created_at,
            attempts: message.attempts,
        };
        Ok(messages.into_iter().map(message).collect())
    }

    fn admit(&self, messages: &[Message], at: Millis) -> Result<Vec<Admission>, OutboxError> {
        self.gate.admit(&self.store, messages, at).map_err(failed)
    }

    fn settle(&self, settled: &[(Message, Settled)], at: Millis) -> Result<(), OutboxError> {
        self.settle_all(settled, at).map_err(failed)
    }

    fn delivered_through(
        &self,
        destination: &str,
        after: Option<u64>,
        sequence: u64,
        at: Millis,
    ) -> Result<(), OutboxError> {
        self.settle_through(destination, after, sequence, at).map_err(failed)
    }
}
