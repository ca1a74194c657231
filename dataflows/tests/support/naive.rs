//! Everything recomputed from the full list of events, the slow and obvious way.

use super::definitions::{BLOCKED, Choice, Ruleset, SWAPPED};
use super::naive_groups::{groups, of_groups};
use bytes::Bytes;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tributary_dataflows::identity::{Conflict, Stated, ends};
use tributary_model::{Event, EventKind, GroupId, Identifier, IdentifierId, MessageId, Millis, ProfileId};

/// What a generated event says.
#[derive(Clone, Debug)]
pub struct Happening {
    pub user: Option<u8>,
    pub email: Option<u8>,
    pub device: Option<u8>,
    pub name: &'static str,
    pub cents: i64,
    pub country: Option<&'static str>,
    /// A group call, and the plan that it says the group has.
    pub group: Option<(u8, Option<&'static str>)>,
    pub back: i64,
}

pub type LinkEnds = (IdentifierId, IdentifierId);

/// All that has happened, and what time it is.
#[derive(Debug)]
pub struct History {
    pub now: Millis,
    pub rules: Ruleset,
    pub events: Vec<Event>,
    taken_back: BTreeMap<LinkEnds, usize>,
    deleted: BTreeMap<IdentifierId, usize>,
    stated: BTreeMap<LinkEnds, Stated>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            now: 1_780_000_000_000,
            rules: Ruleset::default(),
            events: Vec::new(),
            taken_back: BTreeMap::new(),
            deleted: BTreeMap::new(),
            stated: BTreeMap::new(),
        }
    }
}

/// All answers.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub owners: BTreeMap<IdentifierId, ProfileId>,
    pub members: BTreeSet<(ProfileId, String)>,
    pub counts: BTreeMap<String, i64>,
    pub conflicts: BTreeSet<Conflict>,
    pub groups: BTreeMap<GroupId, i64>,
}

impl Answers {
    /// The answers where not all segments are defined as they are in the beginning.
    pub fn of(&self, choice: Choice) -> Self {
        let defined = choice.definitions().segments;
        let name = |segment: &str| match SWAPPED.iter().position(|swapped| choice.swapped && *swapped == segment) {
            Some(at) => SWAPPED[1 - at].to_owned(),
            None => segment.to_owned(),
        };
        let mut these = self.clone();
        these.members = self.members.iter().map(|(profile, segment)| (*profile, name(segment))).collect();
        these.members.retain(|(_, segment)| defined.contains_key(segment));
        these.counts.clear();
        these.members.iter().for_each(|(_, segment)| *these.counts.entry(segment.clone()).or_default() += 1);
        these
    }
}

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

impl History {
    /// The event of a happening, named by its place in the history; none if it identifies nobody.
    pub fn add(&mut self, happening: &Happening) -> Option<Event> {
        let name = format!("message {}", self.events.len());
        self.push(happening, &name)
    }

    /// The event of a happening, named by what it says, so that its place does not matter.
    pub fn add_with_own_name(&mut self, happening: &Happening) -> Option<Event> {
        self.push(happening, &format!("{happening:?}"))
    }

    fn push(&mut self, happening: &Happening, message: &str) -> Option<Event> {
        let named = [
            ("user_id", happening.user.map(|n| format!("u{n}"))),
            ("email", happening.email.map(|n| format!("e{n}@example.com"))),
            ("anonymous_id", happening.device.map(|n| format!("a{n}"))),
        ];
        let identifiers = named.into_iter().filter_map(|(namespace, value)| Some(Identifier::new(namespace, value?)));
        let mut identifiers: Vec<_> = identifiers.filter(|identifier| !self.is_blocked(identifier)).collect();
        identifiers.sort_by_key(|identifier| self.rules.priority(&identifier.namespace));
        if identifiers.is_empty() {
            return None;
        }
        let (kind, said) = match (happening.group, happening.country) {
            (Some((_, plan)), _) => (EventKind::Group, plan.map(|plan| ("plan", plan))),
            (None, Some(country)) => (EventKind::Identify, Some(("country", country))),
            (None, None) => (EventKind::Track, None),
        };
        let traits = said.map(|(name, value)| (name.to_owned(), json!(value)));
        let event = Event {
            kind,
            event: (kind == EventKind::Track).then(|| happening.name.to_owned()),
            name: None,
            group: happening.group.map(|(group, _)| format!("g{group}")),
            message_id: MessageId::of(message),
            timestamp: self.now - happening.back,
            identifiers,
            properties: [("total".to_owned(), json!(happening.cents as f64 / 100.0))]
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
                .into(),
            traits: traits.into_iter().collect::<serde_json::Map<_, _>>().into(),
            context: tributary_model::Object::default(),
            consent: serde_json::Map::new(),
            body: Bytes::new(),
        };
        if self.events.iter().all(|known| known.message_id != event.message_id) {
            self.events.push(event.clone());
        }
        Some(event)
    }

    fn is_blocked(&self, identifier: &Identifier) -> bool {
        self.rules.blocks && identifier.value == BLOCKED
    }

    /// Takes back all evidence of a link so far.
    pub fn take_back(&mut self, link: LinkEnds) {
        self.taken_back.insert(link, self.events.len());
    }

    /// What somebody says of two identifiers holds until something else is said of them.
    pub fn state(&mut self, link: LinkEnds, stated: Option<Stated>) {
        match stated {
            Some(stated) => drop(self.stated.insert(link, stated)),
            None => drop(self.stated.remove(&link)),
        }
    }

    /// Whatever was known of an identifier so far is as if it had never been.
    pub fn delete(&mut self, id: IdentifierId) {
        self.deleted.insert(id, self.events.len());
        self.stated.retain(|link, _| link.0 != id && link.1 != id);
    }

    fn is_deleted(&self, id: IdentifierId, place: usize) -> bool {
        self.deleted.get(&id).is_some_and(|until| place < *until)
    }

    /// The identifiers that there are, with when each was first seen.
    fn identifiers(&self) -> BTreeMap<Identifier, Millis> {
        let mut first_seen: BTreeMap<Identifier, Millis> = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            for identifier in event.identifiers.iter().filter(|identifier| !self.is_deleted(identifier.id(), place)) {
                let first = first_seen.entry(identifier.clone()).or_insert(event.timestamp);
                *first = (*first).min(event.timestamp);
            }
        }
        first_seen
    }

    pub fn ids(&self) -> Vec<IdentifierId> {
        self.identifiers().keys().map(Identifier::id).collect()
    }

    /// The links that there is evidence of, with when each was seen.
    fn evidence(&self) -> BTreeMap<LinkEnds, Vec<Millis>> {
        let mut links: BTreeMap<LinkEnds, Vec<Millis>> = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let best = event.identifiers[0].id();
            for other in &event.identifiers[1..] {
                let link = ends(best, other.id());
                let is_gone = self.is_deleted(link.0, place) || self.is_deleted(link.1, place);
                let is_gone = is_gone || self.is_blocked(other) || self.is_blocked(&event.identifiers[0]);
                if !is_gone && self.taken_back.get(&link).is_none_or(|until| place >= *until) {
                    links.entry(link).or_default().push(event.timestamp);
                }
            }
        }
        links
    }

    pub fn links(&self) -> Vec<LinkEnds> {
        self.evidence().into_keys().collect()
    }

    /// One component as the parts that it is split into: itself, where nothing keeps its members apart.
    fn parts(
        &self,
        together: &BTreeSet<IdentifierId>,
        merging: &[LinkEnds],
        namespace_of: impl Fn(IdentifierId) -> String,
    ) -> Vec<BTreeSet<IdentifierId>> {
        let evidence = self.evidence();
        let of = |namespace: &str, part: &BTreeSet<IdentifierId>| {
            part.iter().filter(|id| namespace_of(**id) == namespace).count()
        };
        let limits = [("user_id", self.rules.users), ("email", self.rules.emails)];
        let is_crowded = |name: &str, most: Option<u32>| most.is_some_and(|most| of(name, together) > most as usize);
        let mut crowded: Vec<_> = limits.iter().filter(|(name, most)| is_crowded(name, *most)).collect();
        let same = |link: &LinkEnds| self.stated.get(link) == Some(&Stated::Same);
        let mut links: Vec<_> = merging.iter().copied().filter(|link| together.contains(&link.0)).collect();
        if links.len() > self.rules.max_links as usize {
            links.retain(same);
            crowded.clear();
        }
        links.sort_by_key(|link| {
            let seen = evidence.get(link);
            let last_seen = seen.and_then(|seen| seen.iter().copied().max()).unwrap_or(Millis::MIN + 1);
            (!same(link), -last_seen, -(seen.map_or(0, Vec::len) as i64), *link)
        });
        let mut parts: Vec<_> = together.iter().map(|id| BTreeSet::from([*id])).collect();
        for link in links {
            let at = |id: IdentifierId, parts: &[BTreeSet<IdentifierId>]| {
                parts.iter().position(|part| part.contains(&id)).unwrap()
            };
            let (a, b) = (at(link.0, &parts), at(link.1, &parts));
            let joined: BTreeSet<_> = parts[a].union(&parts[b]).copied().collect();
            let holds_both = |(of, stated): (&LinkEnds, &Stated)| {
                *stated == Stated::Different && joined.contains(&of.0) && joined.contains(&of.1)
            };
            let both_have = |name: &str| of(name, &parts[a]) > 0 && of(name, &parts[b]) > 0;
            let is_cut = !same(&link) && crowded.iter().any(|(name, _)| both_have(name));
            if a != b && !is_cut && !self.stated.iter().any(holds_both) {
                parts[a] = joined;
                parts.remove(b);
            }
        }
        parts
    }

    /// Who owns what, who is in what, how many.
    pub fn answers(&self) -> Answers {
        let first_seen = self.identifiers();
        let namespace_of =
            |id: IdentifierId| first_seen.keys().find(|identifier| identifier.id() == id).unwrap().namespace.clone();
        let links = self.links();
        let users_of = |device: IdentifierId| {
            let touching = links.iter().filter(|link| link.0 == device || link.1 == device);
            let others = touching.map(|link| if link.0 == device { link.1 } else { link.0 });
            others.filter(|other| namespace_of(*other) == "user_id").count()
        };
        let shared =
            |id: IdentifierId| namespace_of(id) == "anonymous_id" && users_of(id) > self.rules.shared_after as usize;
        let is_stated = |link: &LinkEnds, stated| self.stated.get(link) == Some(&stated);
        let seen = links.iter().filter(|link| !shared(link.0) && !shared(link.1));
        let seen = seen.filter(|link| !is_stated(link, Stated::Different));
        let stated = self.stated.keys().filter(|link| is_stated(link, Stated::Same));
        let merging: Vec<LinkEnds> = seen.chain(stated).copied().collect::<BTreeSet<_>>().into_iter().collect();
        let rank = |identifier: &Identifier| {
            (self.rules.priority(&identifier.namespace), first_seen[identifier], identifier.id())
        };
        let best_of = |part: &BTreeSet<IdentifierId>| {
            let members = first_seen.keys().filter(|other| part.contains(&other.id()));
            members.min_by_key(|other| rank(other)).unwrap().id()
        };

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
            answers.owners.insert(identifier.id(), ProfileId::from(best_of(part)));
            if shared(identifier.id()) {
                answers.conflicts.insert(Conflict::Shared(identifier.id()));
            }
            if merging.iter().filter(|link| together.contains(&link.0)).count() > self.rules.max_links as usize {
                answers.conflicts.insert(Conflict::Tangled(identifier.id()));
            } else if parts.len() > 1 {
                let (component, parts) = (best_of(&together), parts.len() as u32);
                answers.conflicts.insert(Conflict::Split { component, parts });
            }
        }
        let profiles: BTreeSet<ProfileId> = answers.owners.values().copied().collect();
        let mut events_of: BTreeMap<ProfileId, Vec<&Event>> = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let best = event.identifiers[0].id();
            if !self.is_deleted(best, place) {
                events_of.entry(answers.owners[&best]).or_default().push(event);
            }
        }
        let groups = groups(&events_of);
        for (id, group) in &groups {
            answers.groups.insert(GroupId::of(id), group.members);
        }
        for profile in profiles {
            let events = events_of.remove(&profile).unwrap_or_default();
            for segment in self.segments(&events).into_iter().chain(of_groups(&events, &groups)) {
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
        let lapsed = last_order > 0 && last_order < self.now - 36 * HOUR;
        let last = events.iter().map(|event| event.timestamp).max();
        let day_in_kolkata = (self.now + 330 * MINUTE).div_euclid(DAY) * DAY - 330 * MINUTE;
        let totals: BTreeSet<i64> =
            events.iter().filter(|event| within(event, DAY, MINUTE)).map(|event| cents(event)).collect();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        events.iter().filter_map(|event| event.event.as_deref()).for_each(|name| *names.entry(name).or_default() += 1);
        let mode = names.iter().max_by_key(|(name, times)| (**times, std::cmp::Reverse(**name)));
        let browses = mode.is_some_and(|(name, _)| *name == "Product Viewed") && names.len() > 1;
        let is_after =
            |one: &Event, other: &Event| (one.timestamp, one.message_id) > (other.timestamp, other.message_id);
        let followed = |checkout: &Event, within: i64| {
            orders.iter().any(|order| is_after(order, checkout) && order.timestamp - checkout.timestamp <= within)
        };
        let views = named("Product Viewed");
        let seen_since = views.iter().filter(|view| orders.last().is_none_or(|order| is_after(view, order))).count();
        let truths = [
            ("converted", checkouts.iter().any(|checkout| followed(checkout, 12 * HOUR))),
            (
                "hesitates",
                checkouts
                    .last()
                    .is_some_and(|last| last.timestamp + 90 * MINUTE <= self.now && !followed(last, 90 * MINUTE)),
            ),
            ("looks_around", seen_since >= 2),
            ("varied", totals.len() >= 3),
            ("browser", browses),
            ("lapsed", lapsed),
            ("fresh", last.is_some_and(|last| self.now - last <= 2 * HOUR) && !lapsed),
            ("today", orders.iter().any(|order| order.timestamp >= day_in_kolkata)),
            ("odd_hour", self.now.div_euclid(HOUR) % 24 % 2 == 1 && country == Some("DE")),
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
