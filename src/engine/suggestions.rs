//! Customers who may be one person: their traits compared in the background, and what was found kept until the next time.
//!
//! Nothing here changes who is whom: what people accept or refuse becomes a statement like any other.

use crate::store::{Store, StoreError, View};
use crate::telemetry;
use foldhash::{HashSet, HashSetExt};
use serde_json::Value as Json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tributary_dataflows::identity::matching::{Level, Matcher, Record, normal};
use tributary_dataflows::identity::{Ends, Stated, ends};
use tributary_dataflows::profile::{IdentifierFacts, merged_traits};
use tributary_model::{IdentifierId, Likeness, Matching, Millis, ProfileId};

/// Suggestions that are kept, the most probable ones.
const MOST: usize = 10_000;
/// Identifiers whose facts are read together.
const CHUNK: usize = 1_000;

/// Two customers who may be one person.
#[derive(Clone, Debug)]
pub struct Suggested {
    /// The identifiers that named them.
    pub ends: Ends,
    /// The probability that they are.
    pub score: f64,
    /// By field: how the values compare and what that says, in bits; nothing where a value is missing.
    pub parts: Vec<Option<(Level, f64)>>,
    /// What was compared, in the order of the ends.
    compared: [Record; 2],
}

impl Suggested {
    /// Whether this is still what is known of the two, in the order of the ends.
    pub fn holds(&self, one: &Record, other: &Record) -> bool {
        let [a, b] = &self.compared;
        (a, b) == (one, other)
    }
}

/// What was found at one time.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// When.
    pub at: Millis,
    /// How long it took.
    pub took: Duration,
    /// Customers with something to compare.
    pub profiles: usize,
    /// Pairs that were compared: those that are equal in some field.
    pub compared: usize,
    /// Values that too many have to compare them all, also together with another field.
    pub left_out: u64,
    /// Pairs that are probable enough, of which at most 10,000 are kept.
    pub probable: usize,
    /// The most probable first.
    pub suggestions: Vec<Suggested>,
}

/// Finds customers who may be one person.
pub struct Suggestions {
    store: Arc<Store>,
    matching: Matching,
    found: Mutex<Option<Arc<Found>>>,
    running: Arc<tokio::sync::Mutex<()>>,
}

impl std::fmt::Debug for Suggestions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Suggestions by {:?}", self.matching.compare.keys())
    }
}

impl Suggestions {
    /// Nothing found yet.
    pub fn new(store: Arc<Store>, matching: Matching) -> Self {
        Self { store, matching, found: Mutex::new(None), running: Arc::default() }
    }

    /// What is compared.
    pub fn matching(&self) -> &Matching {
        &self.matching
    }

    /// What was found last; `None` before the first time.
    pub fn found(&self) -> Option<Arc<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares all customers, off the async threads; one after the other where several ask at once. Gives `None` if it
    /// was stopped.
    ///
    /// # Errors
    /// If the state cannot be read.
    pub async fn refresh(
        self: &Arc<Self>,
        now: Millis,
        stop: impl Fn() -> bool + Send + 'static,
    ) -> Result<Option<Arc<Found>>, StoreError> {
        let turn = self.running.clone().lock_owned().await;
        let this = self.clone();
        // Whoever asked may go away meanwhile: the turn ends, and what was found is kept, when this is through.
        let compare = move || {
            let found = this.compare(now, &stop)?.map(Arc::new);
            if let Some(found) = &found {
                telemetry::suggested(found.suggestions.len(), found.took);
                *this.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
            }
            drop(turn);
            Ok(found)
        };
        tokio::task::spawn_blocking(compare).await.unwrap_or_else(|error| {
            tracing::error!(%error, "comparing customers ended early");
            Ok(None)
        })
    }

    fn compare(&self, now: Millis, stop: &dyn Fn() -> bool) -> Result<Option<Found>, StoreError> {
        let started = Instant::now();
        let view = self.store.view();
        let (profiles, records) = self.records(&view, stop)?;
        let fields: Vec<Likeness> = self.matching.compare.values().map(|comparison| comparison.likeness).collect();
        let matcher = Matcher::new(&records, &fields, stop);
        let name = |place: u32| profiles.get(place as usize).map(|profile| IdentifierId(profile.0));
        let apart = apart(&self.store, &view)?;
        let suggestions = matcher.suggestions(f64::from(self.matching.min_percent) / 100.0).into_iter();
        let mut suggestions: Vec<_> = suggestions
            .filter_map(|found| {
                // Profiles stand in the order of their ids, and so do ends.
                let ends = (name(found.pair.0)?, name(found.pair.1)?);
                let parts = found.parts.into_iter().map(|part| part.map(|part| (part.level, part.bits)));
                Some((
                    found.pair,
                    Suggested { ends, score: found.score, parts: parts.collect(), compared: [vec![], vec![]] },
                ))
            })
            .filter(|(_, suggested)| !apart.contains(&suggested.ends))
            .collect();
        let probable = suggestions.len();
        suggestions.truncate(MOST);
        let record = |place: u32| records.get(place as usize).cloned().unwrap_or_default();
        let suggestions = suggestions.into_iter().map(|((one, other), suggested)| {
            let compared = [record(one), record(other)];
            Suggested { compared, ..suggested }
        });
        let suggestions = suggestions.collect();
        let found = Found {
            at: now,
            took: started.elapsed(),
            profiles: profiles.len(),
            compared: matcher.candidates().len(),
            left_out: matcher.left_out(),
            probable,
            suggestions,
        };
        Ok((!stop()).then_some(found))
    }

    /// The customers of whom there is anything to compare, in the order of their ids, and what.
    fn records(&self, view: &View<'_>, stop: &dyn Fn() -> bool) -> Result<(Vec<ProfileId>, Vec<Record>), StoreError> {
        let (mut profiles, mut records) = (Vec::new(), Vec::new());
        let mut waiting: Vec<(ProfileId, IdentifierId)> = Vec::with_capacity(CHUNK);
        let mut take_in = |waiting: &mut Vec<(ProfileId, IdentifierId)>| -> Result<(), StoreError> {
            let identifiers: Vec<_> = waiting.iter().map(|(_, identifier)| *identifier).collect();
            let mut of_profile: Vec<IdentifierFacts> = Vec::new();
            let facts = view.facts(&identifiers)?;
            for (index, ((profile, _), facts)) in waiting.iter().zip(facts).enumerate() {
                of_profile.extend(facts);
                if waiting.get(index + 1).is_none_or(|(next, _)| next != profile) {
                    let record = self.record(&std::mem::take(&mut of_profile));
                    if record.iter().any(Option::is_some) {
                        profiles.push(*profile);
                        records.push(record);
                    }
                }
            }
            waiting.clear();
            Ok(())
        };
        view.each_identifier(|profile, identifier| {
            // A customer's identifiers stay together.
            if waiting.len() >= CHUNK && waiting.last().is_some_and(|(last, _)| *last != profile) {
                take_in(&mut waiting)?;
            }
            waiting.push((profile, identifier));
            Ok(!stop())
        })?;
        take_in(&mut waiting)?;
        Ok((profiles, records))
    }

    /// What is compared of a customer with these identifiers.
    pub fn record(&self, facts: &[IdentifierFacts]) -> Record {
        let compared = self.matching.compare.values();
        self.values(facts).into_iter().zip(compared).map(|(text, by)| normal(by.likeness, &text?)).collect()
    }

    /// The values that are compared of a customer with these identifiers, as they were sent.
    pub fn values(&self, facts: &[IdentifierFacts]) -> Vec<Option<String>> {
        let traits = Json::Object(merged_traits(facts));
        let at = |path: &String| {
            let json = path.split('.').try_fold(&traits, |json, step| json.get(step))?;
            match json {
                Json::String(text) => Some(text.clone()),
                Json::Number(number) => Some(number.to_string()),
                _ => None,
            }
        };
        let says = |likeness| move |text: &String| normal(likeness, text).is_some();
        let compared = self.matching.compare.values();
        compared.map(|by| by.from.iter().filter_map(at).find(says(by.likeness))).collect()
    }
}

/// Customers of whom somebody has said that they are two, by the identifiers that name them.
fn apart(store: &Store, view: &View<'_>) -> Result<HashSet<Ends>, StoreError> {
    let mut apart = HashSet::new();
    store.each_standing(|(a, b), standing| {
        if standing.stated == Some(Stated::Different) {
            let owners = view.owner(a)?.zip(view.owner(b)?);
            apart.extend(owners.map(|(a, b)| ends(IdentifierId(a.0), IdentifierId(b.0))));
        }
        Ok(())
    })?;
    Ok(apart)
}
