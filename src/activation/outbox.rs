//! The store's outbox, as destinations see it.

use crate::store::outbox::{StoredMessage, TABLE};
use crate::store::{Store, StoreError};
use std::sync::Arc;
use tributary_connectors::destination::{Message, Outbox, OutboxError};
use tributary_model::Millis;

/// Messages settled in one write.
const SETTLE: usize = 1_000;

/// The outbox in a store. What it notes is not synced: after a power cut a message may be sent once more, under its id.
#[derive(Clone, Debug)]
pub struct StoreOutbox(pub Arc<Store>);

fn stored(message: &Message) -> StoredMessage {
    StoredMessage {
        id: message.id.clone(),
        trigger: message.trigger.clone(),
        profile: message.profile,
        about: message.about,
        body: message.body.to_vec(),
        created_at: message.created_at,
        attempts: message.attempts,
    }
}

impl StoreOutbox {
    fn read(
        &self,
        destination: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, StoredMessage)>, StoreError> {
        self.0.view().messages_to(TABLE, destination, after, limit)
    }

    fn settle(&self, message: &Message, status: &str, reason: Option<&str>, at: Millis) -> Result<(), StoreError> {
        let (destination, number) = (&message.destination, message.sequence);
        let _held = self.0.hold_outbox();
        // Whoever was deleted while it was under way leaves no trace of it.
        if !self.0.view().is_to_send(destination, number)? {
            return Ok(());
        }
        let mut kept = stored(message);
        kept.attempts += 1;
        let mut batch = self.0.batch();
        match status {
            "delivered" => batch.delete_message(destination, number)?,
            "dead" => {
                batch.delete_message(destination, number)?;
                batch.put_dead(destination, number, &kept)?;
            }
            _ => batch.keep_message(destination, number, &kept)?,
        }
        batch.put_note(destination, number, &kept, status, reason, at)?;
        self.0.write(batch, false)
    }

    fn settle_through(
        &self,
        destination: &str,
        after: Option<u64>,
        sequence: u64,
        at: Millis,
    ) -> Result<(), StoreError> {
        loop {
            let _held = self.0.hold_outbox();
            let mut messages = self.read(destination, after, SETTLE)?;
            let read = messages.len();
            messages.retain(|(number, _)| *number <= sequence);
            let mut batch = self.0.batch();
            for (number, message) in &messages {
                batch.delete_message(destination, *number)?;
                batch.put_note(destination, *number, message, "delivered", None, at)?;
            }
            // Synced, so that the outbox does not fall behind the destination's progress record for long.
            self.0.write(batch, true)?;
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

    fn is_pending(&self, message: &Message) -> Result<bool, OutboxError> {
        self.0.view().is_to_send(&message.destination, message.sequence).map_err(failed)
    }

    fn delivered(&self, message: &Message, at: Millis) -> Result<(), OutboxError> {
        self.settle(message, "delivered", None, at).map_err(failed)
    }

    fn failed(&self, message: &Message, reason: &str, at: Millis) -> Result<(), OutboxError> {
        self.settle(message, "retrying", Some(reason), at).map_err(failed)
    }

    fn dead(&self, message: &Message, reason: &str, at: Millis) -> Result<(), OutboxError> {
        self.settle(message, "dead", Some(reason), at).map_err(failed)
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
