//! A model of the gate: a list of all messages, from which each rule is worked out anew whenever it is asked.

mod play;

use super::*;
use crate::activation::contact::Reason;
use std::collections::BTreeSet;

const PEOPLE: u8 = 4;
const TRIGGERS: [&str; 3] = ["offer", "news", "receipt"];

/// Purposes are `marketing`, which is denied by default, and `service`, which is granted.
#[derive(Clone, Debug)]
struct Rules {
    contact: ContactPolicy,
    triggers: Vec<(&'static str, TriggerPolicy)>,
}

impl Rules {
    fn policy(&self, trigger: &str) -> &TriggerPolicy {
        let (_, policy) = self.triggers.iter().find(|(id, _)| *id == trigger).unwrap();
        policy
    }
}

/// A message, and what has become of it.
#[derive(Debug)]
struct Known {
    message: Message,
    about: u8,
    channel: Channel,
    retracts: bool,
    stands: bool,
    /// Whether an attempt at it is under way.
    is_sent: bool,
    /// Which of all that was let out it is, for as long as it counts.
    place: Option<usize>,
    /// Its status, why, and until when it waits; nothing of what was deleted.
    told: Option<(&'static str, Option<String>, Option<Millis>)>,
}

/// Which messages a limit is about.
#[derive(Clone, Copy, Debug)]
enum Scope {
    OneTrigger,
    OneChannel(Channel),
    People,
}

impl Known {
    fn is_within(&self, scope: Scope, trigger: &str) -> bool {
        match scope {
            Scope::OneTrigger => self.message.trigger == trigger,
            Scope::OneChannel(channel) => self.channel == channel,
            Scope::People => matches!(self.channel, Channel::Email | Channel::Sms | Channel::Push),
        }
    }
}

/// At most so many messages within a span. A cool-down lets one out.
struct Limit {
    scope: Scope,
    most: usize,
    within_ms: Millis,
    reason: Reason,
}

/// A message was let out.
#[derive(Debug)]
struct LetOut {
    known: usize,
    at: Millis,
    /// The identifiers of the customer, as of then.
    person: BTreeSet<u8>,
}

/// What somebody has said of themselves.
struct Said {
    who: u8,
    name: &'static str,
    value: Value,
    order: (Millis, u128),
}

/// All that has happened.
struct Model {
    rules: Rules,
    owners: Vec<u8>,
    said: Vec<Said>,
    suppressed: BTreeSet<(Channel, u8)>,
    all: Vec<Known>,
    let_out: Vec<LetOut>,
    next_message: u64,
    /// How often what was met.
    met: BTreeMap<&'static str, usize>,
}

impl Model {
    fn new(rules: Rules) -> Self {
        Self {
            rules,
            owners: (0..PEOPLE).collect(),
            said: Vec::new(),
            suppressed: BTreeSet::new(),
            all: Vec::new(),
            let_out: Vec::new(),
            next_message: 0,
            met: BTreeMap::new(),
        }
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    fn add(&mut self, message: Message, about: u8, channel: Channel, retracts: bool) {
        assert_eq!(message.sequence, self.next_message);
        self.next_message += 1;
        let told = Some(("pending", None, None));
        self.all.push(Known { message, about, channel, retracts, stands: true, is_sent: false, place: None, told });
    }

    /// Whether a message is nobody's to refuse, and counts to nothing.
    fn is_free(&self, known: &Known) -> bool {
        known.retracts || self.rules.policy(&known.message.trigger).is_transactional
    }

    /// The identifiers of whoever has this one now.
    fn person(&self, about: u8) -> BTreeSet<u8> {
        let owner = |number: &u8| self.owners[usize::from(*number)];
        (0..PEOPLE).filter(|other| owner(other) == owner(&about)).collect()
    }

    /// What a customer has said last, by whichever identifier.
    fn latest(&self, person: &BTreeSet<u8>, name: &str) -> Option<&Value> {
        let theirs = self.said.iter().filter(|said| person.contains(&said.who) && said.name == name);
        theirs.max_by_key(|said| said.order).map(|said| &said.value)
    }

    /// The limits that a message falls under.
    fn limits(&self, known: &Known) -> Vec<Limit> {
        let trigger = known.message.trigger.as_str();
        let policy = self.rules.policy(trigger);
        let limit = |cap: &Cap, scope| Limit {
            scope,
            most: usize::try_from(cap.most).unwrap(),
            within_ms: cap.within_ms,
            reason: Reason::FrequencyCap,
        };
        let cooldown = policy.cooldown_ms.map(|within_ms| Limit {
            scope: Scope::OneTrigger,
            most: 1,
            within_ms,
            reason: Reason::Cooldown,
        });
        let of_trigger = policy.caps.iter().map(|cap| limit(cap, Scope::OneTrigger));
        let of_all = self.rules.contact.caps.iter();
        let of_all = of_all.map(|cap| limit(cap, cap.channel.map_or(Scope::People, Scope::OneChannel)));
        let all = cooldown.into_iter().chain(of_trigger).chain(of_all);
        all.filter(|limit| !self.is_free(known) && known.is_within(limit.scope, trigger)).collect()
    }

    /// What the rules say of a message now.
    fn verdict(&self, known: &Known, now: Millis) -> Verdict {
        let policy = self.rules.policy(&known.message.trigger);
        let person = self.person(known.about);
        if self.suppressed.contains(&(known.channel, known.about)) {
            return Verdict::Hold(Reason::Suppressed);
        }
        if self.is_free(known) {
            return Verdict::Send;
        }
        if let Some(purpose) = &policy.purpose {
            let said = self.latest(&person, &format!("consent.{purpose}")).and_then(Value::as_bool);
            if !said.unwrap_or(purpose == "service") {
                return Verdict::Hold(Reason::NoConsent);
            }
        }
        let subscription = self.latest(&person, &format!("subscription.{}", known.channel));
        if known.is_within(Scope::People, "") && subscription == Some(&json!("unsubscribed")) {
            return Verdict::Hold(Reason::Unsubscribed);
        }
        if self.rules.contact.holdout.is_some() || policy.holdout.is_some() {
            return Verdict::Hold(Reason::Holdout);
        }
        let limits = if known.place.is_none() { self.limits(known) } else { Vec::new() };
        for Limit { scope, most, within_ms, reason } in limits {
            let counted = self
                .all
                .iter()
                .filter(|other| person.contains(&other.about) && other.is_within(scope, &known.message.trigger));
            let mut ago: Vec<_> =
                counted.filter_map(|other| other.place).map(|place| now - self.let_out[place].at).collect();
            ago.sort_unstable();
            // As many as there may be are that near, or ahead.
            if ago.get(most - 1).is_some_and(|ago| *ago < within_ms) {
                return Verdict::Hold(reason);
            }
        }
        self.quiet_until(known, &person, now).map_or(Verdict::Send, Verdict::Wait)
    }

    fn quiet_until(&self, known: &Known, person: &BTreeSet<u8>, now: Millis) -> Option<Millis> {
        let quiet = self.rules.contact.quiet_hours.as_ref().filter(|quiet| quiet.channels.contains(&known.channel))?;
        // Both zones keep the same time all year.
        let is_zone = |zone: &&str| ["UTC", "Asia/Tokyo"].contains(zone);
        let zone = self.latest(person, "zone").and_then(Value::as_str).filter(is_zone).unwrap_or(&quiet.otherwise);
        let ahead = if zone == "UTC" { 0 } else { 9 * HOUR };
        let (from, to) = (Millis::from(quiet.from) * 60_000, Millis::from(quiet.to) * 60_000);
        let (since, long) = ((now + ahead - from).rem_euclid(DAY), (to - from).rem_euclid(DAY));
        (since < long).then_some(now - since + long)
    }

    /// A message is asked about.
    fn admit(&mut self, index: usize, now: Millis) -> Admission {
        if !self.all[index].stands {
            return Admission::Gone;
        }
        let verdict = self.verdict(&self.all[index], now);
        let person = self.person(self.all[index].about);
        let counts = !self.is_free(&self.all[index]);
        let known = &mut self.all[index];
        let told = match verdict {
            Verdict::Send => {
                known.is_sent = true;
                if counts && known.place.is_none() {
                    known.place = Some(self.let_out.len());
                    self.let_out.push(LetOut { known: index, at: now, person });
                }
                self.meet("sent");
                return Admission::Send;
            }
            Verdict::Hold(reason) => ("held", reason.name(), None),
            Verdict::Wait(until) => ("waiting", "quiet_hours", Some(until)),
        };
        let gave_back = known.place.take().is_some();
        (known.stands, known.is_sent) = (false, false);
        known.told = Some((told.0, Some(told.1.to_owned()), told.2));
        self.meet(told.1);
        if gave_back {
            self.meet("held after it was let out");
        }
        Admission::Gone
    }

    /// An attempt has ended.
    fn settle(&mut self, index: usize, settled: &Settled) {
        let known = &mut self.all[index];
        let (status, reason) = match settled {
            Settled::Delivered => ("delivered", None),
            Settled::MaybeSent(reason) => ("maybe_sent", Some(reason)),
            Settled::Failed(reason) => ("retrying", Some(reason)),
            Settled::Postponed(reason) => ("postponed", Some(reason)),
            Settled::Dead(reason) => ("dead", Some(reason)),
            Settled::Unreachable(reason) => ("unreachable", Some(reason)),
        };
        known.stands = matches!(settled, Settled::Failed(_) | Settled::Postponed(_));
        known.is_sent = false;
        if matches!(settled, Settled::Dead(_) | Settled::Unreachable(_)) {
            known.place = None;
        }
        known.told = Some((status, reason.cloned(), None));
        self.meet(status);
    }

    /// An epoch is committed.
    fn commit(&mut self, clock: Millis) {
        let waits = |(index, known): (usize, &Known)| {
            let until = known.told.as_ref().and_then(|(_, _, until)| *until)?;
            (until <= clock).then_some((until, known.message.sequence, index))
        };
        let mut due: Vec<_> = self.all.iter().enumerate().filter_map(waits).collect();
        due.sort_unstable();
        for (_, _, index) in due {
            let known = &mut self.all[index];
            known.message.sequence = self.next_message;
            known.stands = true;
            known.told = Some(("pending", None, None));
            self.next_message += 1;
            self.meet("came back");
        }
    }

    /// All of an identifier is forgotten, but for whose it is.
    fn delete(&mut self, number: u8) {
        for known in self.all.iter_mut().filter(|known| known.about == number) {
            (known.stands, known.is_sent, known.place, known.told) = (false, false, None, None);
        }
        self.said.retain(|said| said.who != number);
    }

    /// In no span that one looks at did a customer, as they were at its last message, get more than there may be.
    fn look_back(&self) {
        let counts = |index: &usize| self.all[self.let_out[*index].known].place == Some(*index);
        for last in (0..self.let_out.len()).filter(counts) {
            let LetOut { known, at, person } = &self.let_out[last];
            let known = &self.all[*known];
            for Limit { scope, most, within_ms, .. } in self.limits(known) {
                let theirs = (0..=last).filter(counts).map(|index| &self.let_out[index]);
                let theirs = theirs.filter(|other| {
                    let other = &self.all[other.known];
                    person.contains(&other.about) && other.is_within(scope, &known.message.trigger)
                });
                let times: Vec<Millis> = theirs.map(|other| other.at).collect();
                for begin in &times {
                    let span = *begin..begin + within_ms;
                    let got = times.iter().filter(|time| span.contains(*time)).count();
                    let is_too_much = span.contains(at) && got > most;
                    assert!(!is_too_much, "{got} instead of {most} within {span:?}, the last one: {known:?}");
                }
            }
        }
    }
}
