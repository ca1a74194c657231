//! Lets messages out of the outbox, or holds them back: what [`contact`](super::contact) says of each, with what the store knows.
//!
//! Letting one out that counts for caps is noted in the same write, before it is sent; so that two destinations at once, or a
//! crash, let out no more than there may be.

use super::contact::{self, Consent, Needs, Person, Sent, Verdict, Wish};
use crate::store::outbox::{Status, StoredMessage, TABLE};
use crate::store::sends::SentMessage;
use crate::store::waiting::WaitingMessage;
use crate::store::{Batch, Store, StoreError, View};
use crate::telemetry;
use std::collections::BTreeMap;
use tributary_connectors::destination::{Admission, Message};
use tributary_dataflows::profile::merged_traits;
use tributary_model::{Channel, ContactPolicy, Definitions, IdentifierId, Millis, Normalise, ProfileId, TriggerPolicy};

/// The rules by which messages are let out.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    contact: ContactPolicy,
    policies: BTreeMap<String, TriggerPolicy>,
    channels: BTreeMap<String, Channel>,
    /// Of triggers that are no longer defined.
    usual: TriggerPolicy,
    /// Of messages that take others back.
    of_retractions: TriggerPolicy,
}

/// A message that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its trigger's id.
    pub trigger: &'a str,
    /// Where it goes.
    pub destination: &'a str,
    /// To whom.
    pub profile: ProfileId,
    /// What it says.
    pub body: &'a [u8],
    /// Whether it was let out before, and so is counted already.
    pub had_gone: bool,
}

/// What one look at the gate writes.
struct Look<'a> {
    view: View<'a>,
    batch: Batch<'a>,
    writes: bool,
    waits: bool,
    /// What is let out by this look itself, which the view does not have.
    sent: BTreeMap<IdentifierId, Vec<Sent>>,
    /// What had been let out before and is held back by this look, which the view still has.
    returned: BTreeMap<IdentifierId, Vec<Sent>>,
    now: Millis,
}

impl Gate {
    /// The rules of these definitions.
    pub fn new(definitions: &Definitions) -> Self {
        let policies = definitions.triggers.iter().map(|(id, trigger)| (id.clone(), trigger.policy.clone()));
        let channels = definitions.destinations.iter();
        let channels = channels.map(|(id, destination)| (id.clone(), destination.kind.channel()));
        Self {
            contact: definitions.contact.clone(),
            policies: policies.collect(),
            channels: channels.collect(),
            usual: TriggerPolicy::default(),
            of_retractions: TriggerPolicy { is_transactional: true, ..TriggerPolicy::default() },
        }
    }

    /// Whether a message would be let out now. Nothing is noted of that, and nothing counted.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn ask(&self, view: &View<'_>, asked: &Asked<'_>, now: Millis) -> Result<Verdict, StoreError> {
        let channel = self.channel(asked.destination);
        let policy = self.policies.get(asked.trigger).unwrap_or(&self.usual);
        let needs = Needs::of(&self.contact, policy, channel);
        let sent = |identifiers: &[IdentifierId], span_ms| sent_since(view, identifiers, now.saturating_sub(span_ms));
        self.judge(view, asked, (policy, channel), needs, now, sent)
    }

    /// By which way messages to a destination go. One that is no longer defined has no messages that are looked at.
    fn channel(&self, destination: &str) -> Channel {
        self.channels.get(destination).copied().unwrap_or(Channel::Webhook)
    }

    /// Whether each of some messages may go now. What may not leaves the outbox, with a note that says why.
    ///
    /// # Errors
    /// If the store cannot be read or written; then none may.
    pub fn admit(&self, store: &Store, messages: &[Message], now: Millis) -> Result<Vec<Admission>, StoreError> {
        let _held = store.hold_outbox();
        // Messages come back by the clock of epochs, which is never set back: else what is back would be sent away again.
        let now = now.max(store.clock());
        let (view, batch) = (store.view(), store.batch());
        let (sent, returned) = (BTreeMap::new(), BTreeMap::new());
        let mut look = Look { view, batch, writes: false, waits: false, sent, returned, now };
        let admitted: Result<Vec<_>, _> = messages.iter().map(|message| self.admit_one(&mut look, message)).collect();
        let admitted = admitted?;
        if look.writes {
            store.write(look.batch, false)?;
        }
        if look.waits {
            store.look_who_waits()?;
        }
        Ok(admitted)
    }

    fn admit_one(&self, look: &mut Look<'_>, message: &Message) -> Result<Admission, StoreError> {
        let (destination, number) = (message.destination.as_str(), message.sequence);
        let Some(mut stored) = look.view.message(TABLE, destination, number)? else {
            // Whom it is about was deleted.
            telemetry::delivery(destination, "withdrawn", None);
            return Ok(Admission::Gone);
        };
        let channel = self.channel(destination);
        let policy = match stored.retracts {
            true => &self.of_retractions,
            false => self.policies.get(&stored.trigger).unwrap_or(&self.usual),
        };
        let needs = Needs::of(&self.contact, policy, channel);
        if needs == Needs::default() {
            return Ok(Admission::Send);
        }
        let now = look.now;
        let asked = Asked {
            trigger: &stored.trigger,
            destination,
            profile: look.view.owner(stored.about)?.unwrap_or(stored.profile),
            body: &stored.body,
            had_gone: stored.sent_at.is_some(),
        };
        let sent = |identifiers: &[IdentifierId], span_ms| look.sent_to(identifiers, span_ms);
        let verdict = self.judge(&look.view, &asked, (policy, channel), needs, now, sent)?;
        let had_gone = stored.sent_at;
        match verdict {
            Verdict::Send => {
                if needs.sent_within_ms.is_some() && had_gone.is_none() {
                    stored.sent_at = Some(now);
                    let is_counted = !policy.is_transactional;
                    let (trigger, name) = (stored.trigger.clone(), channel.name().to_owned());
                    let sent = SentMessage { trigger: trigger.clone(), channel: name, is_counted };
                    look.batch.put_send(stored.about, now, number, &sent)?;
                    look.batch.keep_message(destination, number, &stored)?;
                    look.sent.entry(stored.about).or_default().push(Sent { at: now, trigger, channel, is_counted });
                    look.writes = true;
                }
                return Ok(Admission::Send);
            }
            Verdict::Hold(reason) => {
                look.batch.put_note(destination, number, &stored, Status::Held, Some(reason.name()), now)?;
                telemetry::held_back(&stored.trigger, reason.name());
            }
            Verdict::Wait(until) => {
                let status = Status::Waiting(until);
                look.batch.put_note(destination, number, &stored, status, Some("quiet_hours"), now)?;
                let message = StoredMessage { sent_at: None, ..stored.clone() };
                let waiting = WaitingMessage { destination: destination.to_owned(), message };
                look.batch.put_waiting((until, number), &waiting)?;
                look.waits = true;
                telemetry::held_back(&stored.trigger, "quiet_hours");
            }
        }
        look.batch.delete_message(destination, number)?;
        if let Some(at) = had_gone {
            look.batch.delete_send(stored.about, at, number)?;
            let is_counted = !policy.is_transactional;
            let sent = Sent { at, trigger: stored.trigger, channel, is_counted };
            look.returned.entry(stored.about).or_default().push(sent);
        }
        look.writes = true;
        Ok(Admission::Gone)
    }

    fn judge(
        &self,
        view: &View<'_>,
        asked: &Asked<'_>,
        (policy, channel): (&TriggerPolicy, Channel),
        needs: Needs,
        now: Millis,
        sent_to: impl FnOnce(&[IdentifierId], Millis) -> Result<Vec<Sent>, StoreError>,
    ) -> Result<Verdict, StoreError> {
        let Asked { trigger, profile, body, had_gone, .. } = *asked;
        let address = if needs.suppression { address(channel, body) } else { None };
        let is_suppressed = match &address {
            Some(address) => {
                view.suppression(channel.name(), address)?.is_some_and(|suppression| suppression.is_suppressed)
            }
            None => false,
        };
        let identifiers = match needs {
            Needs { traits: false, sent_within_ms: None, .. } => Vec::new(),
            _ => view.identifiers(profile)?,
        };
        let (consent, time_zone) =
            if needs.traits { self.traits(view, &identifiers)? } else { (Consent::default(), None) };
        // One that was let out before is not counted against itself.
        let span = needs.sent_within_ms.filter(|_| !had_gone);
        let sent = match span {
            Some(span) => sent_to(&identifiers, span)?,
            None => Vec::new(),
        };
        let person = Person { is_suppressed, consent: &consent, time_zone: time_zone.as_deref(), sent: &sent };
        let wish = Wish { trigger, policy, channel, profile };
        Ok(contact::judge(&self.contact, &wish, &person, now))
    }

    /// What the customer's traits say of consent, and of their time zone.
    fn traits(&self, view: &View<'_>, identifiers: &[IdentifierId]) -> Result<(Consent, Option<String>), StoreError> {
        let facts: Vec<_> = view.facts(identifiers)?.into_iter().flatten().collect();
        let traits = merged_traits(&facts);
        let quiet = self.contact.quiet_hours.as_ref();
        let zone = quiet.and_then(|quiet| traits.get(&quiet.time_zone)).and_then(|zone| zone.as_str());
        Ok((Consent::of(&traits), zone.map(str::to_owned)))
    }
}

impl Look<'_> {
    fn sent_to(&self, identifiers: &[IdentifierId], span_ms: Millis) -> Result<Vec<Sent>, StoreError> {
        let mut all = sent_since(&self.view, identifiers, self.now.saturating_sub(span_ms))?;
        for identifier in identifiers {
            for returned in self.returned.get(identifier).into_iter().flatten() {
                if let Some(place) = all.iter().position(|sent| sent == returned) {
                    all.swap_remove(place);
                }
            }
            all.extend(self.sent.get(identifier).into_iter().flatten().cloned());
        }
        Ok(all)
    }
}

/// What was sent to all of a customer's identifiers since then.
fn sent_since(view: &View<'_>, identifiers: &[IdentifierId], since: Millis) -> Result<Vec<Sent>, StoreError> {
    let mut all = Vec::new();
    for identifier in identifiers {
        for (at, SentMessage { trigger, channel, is_counted }) in view.sends(*identifier, since)? {
            // A channel that there no longer is concerns no cap.
            let channel = Channel::from_name(&channel);
            all.extend(channel.map(|channel| Sent { at, trigger, channel, is_counted }));
        }
    }
    Ok(all)
}

/// The address that a message goes to, as lists of addresses have it.
pub fn address(channel: Channel, body: &[u8]) -> Option<String> {
    let fields: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(normalised(channel, fields.get(super::content::ADDRESS)?.as_str()?))
}

/// An address as lists of addresses have it: e-mail addresses in small letters, phone numbers as vendors write them
/// (E.164).
pub fn normalised(channel: Channel, address: &str) -> String {
    let address = address.trim();
    match channel {
        Channel::Email => address.to_lowercase(),
        Channel::Sms => Normalise::Phone { region: None }.apply(address).unwrap_or_else(|| address.to_owned()),
        _ => address.to_owned(),
    }
}

/// Puts messages whose time has come back into the outbox, under new numbers from `next` on; gives the next number after them.
/// What the batch has taken away does not come back. Only who holds the outbox may.
///
/// # Errors
/// If one cannot be read or encoded.
pub fn release(view: &View<'_>, batch: &mut Batch<'_>, mut next: u64, clock: Millis) -> Result<u64, StoreError> {
    for ((due, number), WaitingMessage { destination, message }) in view.waiting(RELEASED)? {
        if due > clock {
            break;
        }
        if batch.has_taken((due, number)) {
            continue;
        }
        batch.delete_waiting((due, number))?;
        batch.delete_note(number, &message)?;
        batch.put_message(&destination, next, &message)?;
        next += 1;
    }
    Ok(next)
}

/// The most messages that come back in one epoch; others follow in the next.
const RELEASED: usize = 10_000;

#[cfg(test)]
mod tests;
