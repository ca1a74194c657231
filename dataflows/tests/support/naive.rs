//! Everything recomputed from the full list of events, the slow and obvious way.

use bytes::Bytes;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tributary_model::{Event, EventKind, Identifier, IdentifierId, MessageId, Millis, ProfileId};

/// What a generated event says.
#[derive(Clone, Debug)]
pub struct Happening {
    pub user: Option<u8>,
    pub email: Option<u8>,
    pub device: Option<u8>,
    pub name: &'static str,
    pub cents: i64,
    pub country: Option<&'static str>,
    pub back: i64,
}

pub type LinkEnds = (IdentifierId, IdentifierId);

/// All that has happened, and what time it is.
#[derive(Debug)]
pub struct History {
    pub now: Millis,
    pub events: Vec<Event>,
    unlinked: BTreeMap<LinkEnds, usize>,
}

impl Default for History {
    fn default() -> Self {
        Self { now: 1_780_000_000_000, events: Vec::new(), unlinked: BTreeMap::new() }
    }
}

/// All answers.
#[derive(Debug, Default)]
pub struct Answers {
    pub owners: BTreeMap<IdentifierId, ProfileId>,
    pub members: BTreeSet<(ProfileId, String)>,
    pub counts: BTreeMap<String, i64>,
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn priority(namespace: &str) -> u8 {
    match namespace {
        "user_id" => 1,
        "email" => 2,
        _ => 9,
    }
}

impl History {
    /// The event of a happening, named by its place in the history.
    pub fn add(&mut self, happening: &Happening) -> Event {
        let name = format!("message {}", self.events.len());
        self.push(happening, &name)
    }

    /// The event of a happening, named by what it says, so that its place does not matter.
    pub fn add_with_own_name(&mut self, happening: &Happening) -> Event {
        self.push(happening, &format!("{happening:?}"))
    }

    fn push(&mut self, happening: &Happening, message: &str) -> Event {
        let named = [
            ("user_id", happening.user.map(|n| format!("u{n}"))),
            ("email", happening.email.map(|n| format!("e{n}@example.com"))),
            ("anonymous_id", happening.device.map(|n| format!("a{n}"))),
        ];
        let identifiers = named.into_iter().filter_map(|(namespace, value)| Some(Identifier::new(namespace, value?)));
        let traits = happening.country.map(|country| ("country".to_owned(), json!(country)));
        let is_identify = traits.is_some();
        let event = Event {
            kind: if is_identify { EventKind::Identify } else { EventKind::Track },
            event: (!is_identify).then(|| happening.name.to_owned()),
            name: None,
            message_id: MessageId::of(message),
            timestamp: self.now - happening.back,
            identifiers: identifiers.collect(),
            properties: [("total".to_owned(), json!(happening.cents as f64 / 100.0))].into_iter().collect(),
            traits: traits.into_iter().collect(),
            context: serde_json::Map::new(),
            body: Bytes::new(),
        };
        if self.events.iter().all(|known| known.message_id != event.message_id) {
            self.events.push(event.clone());
        }
        event
    }

    /// Takes back all evidence of a link so far.
    pub fn unlink(&mut self, link: LinkEnds) {
        self.unlinked.insert(link, self.events.len());
    }

    /// The links that there is evidence of.
    pub fn links(&self) -> Vec<LinkEnds> {
        let mut links = BTreeSet::new();
        for (place, event) in self.events.iter().enumerate() {
            let best = event.identifiers[0].id();
            for other in &event.identifiers[1..] {
                let link = (best, other.id());
                if self.unlinked.get(&link).is_none_or(|until| place >= *until) {
                    links.insert(link);
                }
            }
        }
        links.into_iter().collect()
    }

    /// How often, and when last, a link was seen; as far as it was not taken back.
    fn evidence(&self, link: LinkEnds) -> (Millis, usize) {
        let since = self.unlinked.get(&link).copied().unwrap_or(0);
        let carries = |event: &&Event| {
            event.identifiers[0].id() == link.0 && event.identifiers[1..].iter().any(|other| other.id() == link.1)
        };
        let times: Vec<_> = self.events.iter().skip(since).filter(carries).map(|event| event.timestamp).collect();
        (times.iter().copied().max().unwrap(), times.len())
    }

    /// One component as the parts that it is split into: itself, where it does not hold too many of a namespace.
    fn parts(
        &self,
        together: &BTreeSet<IdentifierId>,
        merging: &[&LinkEnds],
        namespace_of: impl Fn(IdentifierId) -> String,
    ) -> Vec<BTreeSet<IdentifierId>> {
        let of = |namespace: &str, part: &BTreeSet<IdentifierId>| {
            part.iter().filter(|id| namespace_of(**id) == namespace).count()
        };
        let limits = [("user_id", 1), ("email", 2)];
        let crowded: Vec<_> = limits.iter().filter(|(name, most)| of(name, together) > *most).collect();
        let mut parts: Vec<_> = together.iter().map(|id| BTreeSet::from([*id])).collect();
        let mut links: Vec<_> = merging.iter().filter(|link| together.contains(&link.0)).collect();
        links.sort_by_key(|link| {
            let (last_seen, count) = self.evidence(***link);
            (-last_seen, -(count as i64), ***link)
        });
        for link in links {
            let at = |id: IdentifierId, parts: &[BTreeSet<IdentifierId>]| {
                parts.iter().position(|part| part.contains(&id)).unwrap()
            };
            let (a, b) = (at(link.0, &parts), at(link.1, &parts));
            let joined: BTreeSet<_> = parts[a].union(&parts[b]).copied().collect();
            if a != b && crowded.iter().all(|(name, _)| of(name, &joined) <= 1) {
                parts[a] = joined;
                parts.remove(b);
            }
        }
        parts
    }

    /// Who owns what, who is in what, how many.
    pub fn answers(&self) -> Answers {
        let mut first_seen: BTreeMap<Identifier, Millis> = BTreeMap::new();
        for event in &self.events {
            for identifier in &event.identifiers {
                let first = first_seen.entry(identifier.clone()).or_insert(event.timestamp);
                *first = (*first).min(event.timestamp);
            }
        }
        let namespace_of =
            |id: IdentifierId| first_seen.keys().find(|identifier| identifier.id() == id).unwrap().namespace.clone();
        let links = self.links();
        let users_of = |device: IdentifierId| {
            let ends = links.iter().filter(|link| link.1 == device && namespace_of(link.0) == "user_id");
            ends.map(|link| link.0).collect::<BTreeSet<_>>().len()
        };
        let shared = |id: IdentifierId| namespace_of(id) == "anonymous_id" && users_of(id) > 2;
        let merging: Vec<_> = links.iter().filter(|link| !shared(link.0) && !shared(link.1)).collect();

        let mut answers = Answers::default();
        for identifier in first_seen.keys() {
            let mut together = BTreeSet::from([identifier.id()]);
            loop {
                let before = together.len();
                for link in &merging {
                    if together.contains(&link.0) || together.contains(&link.1) {
                        together.extend([link.0, link.1]);
                    }
                }
                if together.len() == before {
                    break;
                }
            }
            let parts = self.parts(&together, &merging, namespace_of);
            let part = parts.iter().find(|part| part.contains(&identifier.id())).unwrap();
            let rank =
                |identifier: &Identifier| (priority(&identifier.namespace), first_seen[identifier], identifier.id());
            let members = first_seen.keys().filter(|other| part.contains(&other.id()));
            let best = members.min_by_key(|other| rank(other)).unwrap().id();
            answers.owners.insert(identifier.id(), ProfileId::from(best));
        }
        let profiles: BTreeSet<ProfileId> = answers.owners.values().copied().collect();
        for profile in profiles {
            let events = self.events.iter().filter(|event| answers.owners[&event.identifiers[0].id()] == profile);
            for segment in self.segments(&events.collect::<Vec<_>>()) {
                answers.members.insert((profile, segment.to_owned()));
                *answers.counts.entry(segment.to_owned()).or_default() += 1;
            }
        }
        answers
    }

    fn segments(&self, events: &[&Event]) -> Vec<&'static str> {
        let mut events = events.to_vec();
        events.sort_by_key(|event| (event.timestamp, event.message_id));
        let named = |name: &str| -> Vec<&Event> {
            events.iter().copied().filter(|event| event.event.as_deref() == Some(name)).collect()
        };
        let cents = |event: &Event| (event.properties["total"].as_f64().unwrap() * 100.0).round() as i64;
        let within = |event: &Event, length: i64, granule: i64| {
            (event.timestamp.div_euclid(granule) + 1) * granule + length > self.now
        };
        let (orders, checkouts) = (named("Order Completed"), named("Checkout Started"));
        let mut said = events.iter().rev().filter_map(|event| event.traits.get("country")?.as_str());
        let country = said.next();
        let vip = orders.iter().map(|order| cents(order)).sum::<i64>() > 50_000;
        let recent: Vec<_> = orders.iter().filter(|order| within(order, DAY, MINUTE)).collect();
        let last_order = orders.iter().map(|order| order.timestamp).max().unwrap_or(0);
        let truths = [
            ("vip", vip),
            ("german", country == Some("DE")),
            ("repeat", recent.len() >= 2),
            ("hesitant", checkouts.iter().filter(|checkout| within(checkout, 2 * DAY, HOUR)).count() >= 2),
            ("abandoned", checkouts.iter().any(|checkout| checkout.timestamp > last_order)),
            ("small_first", orders.first().is_some_and(|order| cents(order) < 10_000)),
            ("big_last", orders.last().is_some_and(|order| cents(order) > 20_000)),
            ("bargain", recent.iter().any(|order| cents(order) < 5_000)),
            // Membership is never unknown: someone without orders is not in `vip`, as a fact.
            ("plain", !vip && country.is_none()),
        ];
        truths.into_iter().filter(|(_, is_in)| *is_in).map(|(segment, _)| segment).collect()
    }
}
