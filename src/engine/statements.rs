//! What people state about identifiers, taken in between events: links and their contrary, and deletions; and about
//! addresses that nothing is to be sent to.
//!
//! The latest statement about two identifiers, or an address, stands, by the time it was made and not by when it is
//! read. A deletion takes back all that was received of an identifier up to then; what comes after begins anew.

use super::epoch::{Arrived, FactsChange, Feed, Prepared};
use super::intake::Intake;
use super::touched::{AllTouched, Touched};
use crate::store::StoreError;
use crate::store::statements::{Deleted, Made, Standing};
use crate::store::suppressions::{Address, Suppression};
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tributary_connectors::process::{Statement, StatementKind};
use tributary_dataflows::identity::{Ends, Evidence, Stated, ends};
use tributary_model::{Identifier, IdentifierId, MessageId, Millis};

/// A statement and when it was made; what breaks ties is the name of its place in the log.
#[derive(Clone, Debug)]
pub struct MadeAt {
    /// What is said.
    pub statement: Statement,
    /// When, and what breaks a tie.
    pub made: (Millis, MessageId),
}

impl MadeAt {
    /// The identifiers that have to be there for the statement to be of them.
    pub(super) fn ids(&self) -> Vec<IdentifierId> {
        match self.statement.kind {
            StatementKind::Link | StatementKind::Unlink => self.identifiers().map(Identifier::id).collect(),
            // What is taken back needs nobody to be there, and brings nobody in.
            StatementKind::Retract | StatementKind::Delete => Vec::new(),
            StatementKind::Suppress | StatementKind::Unsuppress => Vec::new(),
        }
    }

    fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        [Some(&self.statement.a), self.statement.b.as_ref()].into_iter().flatten()
    }
}

impl Intake {
    /// Strikes identifiers that were deleted after an event was received. Gives whether any is left.
    pub fn strike(&self, arrived: &mut Arrived) -> bool {
        if self.deleted.is_empty() {
            return true;
        }
        let Arrived { event, received_at, is_struck, .. } = arrived;
        let is_gone = |identifier: &Identifier| self.is_deleted(identifier.id(), *received_at);
        *is_struck = event.identifiers.first().is_some_and(is_gone);
        event.identifiers.retain(|identifier| !is_gone(identifier));
        !event.identifiers.is_empty()
    }

    fn is_deleted(&self, id: IdentifierId, at: Millis) -> bool {
        self.deleted.get(&id).is_some_and(|until| at <= *until)
    }

    /// Remembers which identifiers are deleted from now on: before the events are looked at.
    pub fn note_deletions(&mut self, statements: &[MadeAt]) {
        for MadeAt { statement, made } in statements.iter().filter(|made| made.statement.kind == StatementKind::Delete)
        {
            let until = self.deleted.entry(statement.a.id()).or_insert(made.0);
            *until = made.0.max(*until);
        }
    }

    /// Takes back all that is known of the identifiers that are deleted. The store must be up to date.
    pub(super) fn delete(
        &mut self,
        statements: &[MadeAt],
        feed: &mut Feed,
        prepared: &mut Prepared,
    ) -> Result<HashSet<IdentifierId>, StoreError> {
        let mut gone = HashSet::new();
        let deletions = statements.iter().filter(|made| made.statement.kind == StatementKind::Delete);
        for MadeAt { statement, made } in deletions {
            let id = statement.a.id();
            prepared.deleted.push((id, Deleted { received_until: made.0, epoch: prepared.epoch }));
            if !gone.insert(id) {
                continue;
            }
            let store = self.store.clone();
            let view = store.view();
            self.facts.forget(&id);
            let Some(facts) = view.facts(&[id])?.into_iter().flatten().next() else { continue };
            let mut told = facts.told(&self.plan, -1);
            feed.take_in(id, &mut told, &self.plan);
            prepared.take_groups_in(id, told);
            feed.evidence.push((Evidence::Node(self.node(id, &facts)), -1));
            prepared.timers_done.extend(facts.timer.map(|due| (due, id)));
            prepared.facts.insert(id, FactsChange::Gone);
            for (ends, facts) in view.links_of(id, usize::MAX)? {
                self.links.forget(&ends);
                feed.evidence.push((Evidence::Link(facts.link(ends)), -1));
                prepared.links_gone.push(ends);
            }
            for (other, standing) in view.standing_of(id)? {
                let ends = ends(id, other);
                feed.evidence.extend(standing.stated.map(|stated| (Evidence::Statement(ends, stated), -1)));
                prepared.standing.push((ends, None));
            }
        }
        // A link between two that are deleted was met twice, and is gone once.
        feed.evidence.sort_unstable();
        feed.evidence.dedup();
        Ok(gone)
    }

    /// Takes in who is stated to be the same or not. The store must be up to date.
    pub(super) fn state(
        &mut self,
        statements: &[MadeAt],
        gone: &HashSet<IdentifierId>,
        touched: &mut AllTouched,
        feed: &mut Feed,
        prepared: &mut Prepared,
    ) -> Result<(), StoreError> {
        let mut latest: HashMap<Ends, Standing> = HashMap::new();
        for made in statements {
            let MadeAt { statement, made: at } = made;
            prepared.statements.push(Made { at: at.0, statement: statement.clone() });
            let stated = match statement.kind {
                StatementKind::Link => Some(Stated::Same),
                StatementKind::Unlink => Some(Stated::Different),
                StatementKind::Retract => None,
                StatementKind::Delete | StatementKind::Suppress | StatementKind::Unsuppress => continue,
            };
            let Some(other) = &statement.b else { continue };
            let ends = ends(statement.a.id(), other.id());
            if self.is_deleted(ends.0, at.0) || self.is_deleted(ends.1, at.0) {
                continue;
            }
            if stated.is_some() {
                for identifier in made.identifiers() {
                    let id = identifier.id();
                    touched.entry(id).or_insert_with(|| Touched::new(identifier, at.0));
                }
            }
            let standing = Standing { made: *at, stated };
            let held = latest.entry(ends).or_insert(standing);
            if held.made < standing.made {
                *held = standing;
            }
        }
        let view = self.store.view();
        for (ends, standing) in latest {
            let is_gone = gone.contains(&ends.0) || gone.contains(&ends.1);
            let before = if is_gone { None } else { view.standing(ends)? };
            if before.is_some_and(|before| before.made >= standing.made) {
                continue;
            }
            let before = before.and_then(|before| before.stated);
            if before != standing.stated {
                feed.evidence.extend(before.map(|before| (Evidence::Statement(ends, before), -1)));
                feed.evidence.extend(standing.stated.map(|now| (Evidence::Statement(ends, now), 1)));
            }
            prepared.standing.push((ends, Some(standing)));
        }
        for (address, said) in suppressions(statements) {
            let before = view.suppression(&address.0, &address.1)?;
            if before.is_none_or(|before| before.made < said.made) {
                prepared.suppressions.push((address, said));
            }
        }
        Ok(())
    }
}

/// The latest word on each address that is spoken of.
fn suppressions(statements: &[MadeAt]) -> BTreeMap<Address, Suppression> {
    let mut latest: BTreeMap<Address, Suppression> = BTreeMap::new();
    for MadeAt { statement, made } in statements {
        let is_suppressed = match statement.kind {
            StatementKind::Suppress => true,
            StatementKind::Unsuppress => false,
            StatementKind::Link | StatementKind::Unlink | StatementKind::Retract | StatementKind::Delete => continue,
        };
        let Statement { a, by, reason, .. } = statement;
        let said = Suppression { made: *made, is_suppressed, by: by.clone(), reason: reason.clone() };
        match latest.entry((a.namespace.clone(), a.value.clone())) {
            Entry::Vacant(room) => drop(room.insert(said)),
            Entry::Occupied(mut held) if held.get().made < said.made => drop(held.insert(said)),
            Entry::Occupied(_) => {}
        }
    }
    latest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::engine::intake::IntakeOptions;
    use crate::store::{Store, StoreOptions};
    use std::sync::Arc;
    use tributary_dataflows::identity::Rules;
    use tributary_dataflows::profile::Plan;
    use tributary_dataflows::segments::Program;
    use tributary_model::{Channel, Definitions};

    const OPTIONS: StoreOptions = StoreOptions {
        block_cache_bytes: 1 << 20,
        history_retention_ms: i64::MAX,
        dedupe_horizon_ms: i64::MAX,
        rejected_retention_ms: i64::MAX,
    };

    fn said(kind: StatementKind, address: &str, at: Millis, tie: u128) -> MadeAt {
        let statement = Statement::of_address(kind, Channel::Email, address, None, Some(format!("{at} {tie}")));
        MadeAt { statement, made: (at, MessageId(tie)) }
    }

    /// An engine's intake, and what it has taken in; each round is about addresses of its own.
    struct List {
        store: Arc<Store>,
        intake: Intake,
        rounds: usize,
    }

    impl List {
        fn new() -> Self {
            let store = Arc::new(Store::simulated(&[], OPTIONS, Arc::new(|_, _| Ok(()))).unwrap());
            let definitions = Definitions::default();
            let plan = Arc::new(Plan::new(Program::compile(&definitions).unwrap()));
            let rules = Arc::new(Rules::new(&definitions.identity));
            let options = IntakeOptions { cache_entries: 10, dedupe_horizon_ms: 0 };
            let intake = Intake::new(plan, rules, store.clone(), options).unwrap();
            Self { store, intake, rounds: 0 }
        }

        /// What stands of Ada's and Ben's addresses after these statements, so many in an epoch.
        fn after(&mut self, statements: &[&MadeAt], in_epoch: usize) -> Vec<Option<Suppression>> {
            self.rounds += 1;
            let address = |name: &str| format!("{name}.{}@example.com", self.rounds);
            for statements in statements.chunks(in_epoch) {
                let mut statements: Vec<MadeAt> = statements.iter().map(|made| (*made).clone()).collect();
                statements.iter_mut().for_each(|made| made.statement.a.value = address(&made.statement.a.value));
                let (mut touched, mut feed, mut prepared) =
                    (AllTouched::default(), Feed::default(), Prepared::default());
                self.intake.state(&statements, &HashSet::new(), &mut touched, &mut feed, &mut prepared).unwrap();
                assert!(
                    touched.is_empty() && feed.evidence.is_empty(),
                    "nobody need be there, and nobody is brought in"
                );
                let mut batch = self.store.batch();
                let stated = prepared.suppressions.iter();
                stated.for_each(|(address, suppression)| batch.put_suppression(address, suppression).unwrap());
                self.store.write(batch, false).unwrap();
            }
            let stands = |name| self.store.view().suppression("email", &address(name)).unwrap();
            ["ada", "ben"].map(stands).to_vec()
        }
    }

    fn permutations<'a>(rest: &mut Vec<&'a MadeAt>, taken: &mut Vec<&'a MadeAt>, each: &mut dyn FnMut(&[&MadeAt])) {
        if rest.is_empty() {
            each(taken);
        }
        for place in 0..rest.len() {
            let one = rest.remove(place);
            taken.push(one);
            permutations(rest, taken, each);
            taken.pop();
            rest.insert(place, one);
        }
    }

    #[test]
    fn the_latest_word_on_an_address_stands_in_whatever_order_and_epochs_it_is_read() {
        use StatementKind::{Suppress, Unsuppress};
        let statements = [
            said(Suppress, "ada", 1, 9),
            said(Unsuppress, "ada", 2, 1),
            said(Suppress, "ada", 2, 2),
            said(Suppress, "ben", 1, 1),
            said(Unsuppress, "ben", 3, 1),
        ];
        let mut list = List::new();
        let expected = list.after(&statements.iter().collect::<Vec<_>>(), 1);
        let stands = expected.iter().flatten().map(|said| (said.is_suppressed, said.reason.as_deref()));
        assert_eq!(stands.collect::<Vec<_>>(), [(true, Some("2 2")), (false, Some("3 1"))]);
        permutations(&mut statements.iter().collect(), &mut Vec::new(), &mut |order| {
            assert_eq!(list.after(order, 1), expected);
            assert_eq!(list.after(order, 2), expected);
        });
    }
}
