//! Computed traits and segments as they are to be: from the folder at a start, and over HTTP while the server runs.
//!
//! A change is checked as a whole, kept in the state with who made it, and only then handed to the engine, which takes it
//! over in its own time. What was said last holds: a start takes over what has changed in the folder since the start before.

mod check;
mod folder;

pub use check::Refused;

use crate::config::Loaded;
use crate::store::definitions::{By, Changed, Definition, DefinitionChange, Kept, Kind, Named};
use crate::store::{Store, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;
use tributary_connectors::crash::{self, Place};
use tributary_dataflows::profile::Plan;
use tributary_dataflows::segments::Program;
use tributary_model::{Definitions, Millis};

/// All definitions as of one change.
#[derive(Debug)]
pub struct Wanted {
    /// The number of the last change; zero before the first.
    pub version: u64,
    /// As written.
    pub definitions: Arc<Definitions>,
    /// Their expressions, compiled.
    pub program: Program,
    /// Computed traits and segments with their versions, also deleted ones.
    pub kept: BTreeMap<Named, Kept>,
    /// What is known of each before anybody is told of by it.
    known: BTreeMap<Named, Known>,
}

/// What is known of a definition before anybody is told of by it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// By which change it last became another, by itself or through what it refers to.
    pub as_of: u64,
    /// The most values that are kept of one identifier for what it reads itself.
    pub values_max: usize,
}

impl Wanted {
    fn new(version: u64, definitions: Definitions, program: Program, kept: BTreeMap<Named, Kept>) -> Self {
        let change = |name: &Named| kept.get(name).map_or(0, |kept| kept.change);
        let as_of = |(traits, segments): (Vec<&str>, Vec<&str>)| {
            let traits = traits.into_iter().map(|name| (Kind::Trait, name.to_owned()));
            let all = traits.chain(segments.into_iter().map(|id| (Kind::Segment, id.to_owned())));
            all.map(|name| change(&name)).max().unwrap_or(0)
        };
        let traits = program.computed.iter().enumerate();
        let traits = traits.map(|(at, says)| {
            let known = Known { as_of: as_of(program.trait_needs(at)), values_max: program.most_values_of_trait(at) };
            ((Kind::Trait, says.name.clone()), known)
        });
        let segments = program.segments.iter().enumerate();
        let segments = segments.map(|(at, says)| {
            let known = Known { as_of: as_of(program.needs(at)), values_max: program.most_values_of_segment(at) };
            ((Kind::Segment, says.id.clone()), known)
        });
        let known = traits.chain(segments).collect();
        Self { version, definitions: Arc::new(definitions), program, kept, known }
    }

    /// What is known of a definition before anybody is told of by it.
    pub fn known(&self, name: &Named) -> Known {
        self.known.get(name).copied().unwrap_or_default()
    }
}

/// A change of one definition.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Which.
    pub name: Named,
    /// What it is to say; `None` deletes it.
    pub says: Option<Definition>,
    /// What there must be before.
    pub expects: Expects,
}

/// What must be defined before an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// Nothing of that name.
    Nothing,
    /// Something of that name.
    Something,
    /// That version of it.
    Version(u64),
    /// Whatever there is.
    Anything,
}

/// Where definitions are changed.
pub struct Definer {
    store: Arc<Store>,
    /// Of groups no more is computed than by these.
    start: Arc<Plan>,
    wanted: watch::Sender<Arc<Wanted>>,
    turn: Mutex<()>,
}

impl std::fmt::Debug for Definer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Definer at change {}", self.wanted.borrow().version)
    }
}

impl Definer {
    /// Joins what the folder says with what was defined before, and keeps the result.
    ///
    /// # Errors
    /// If what was defined over HTTP does not go with what the folder says now, or the state cannot be read or written.
    pub fn start(store: Arc<Store>, loaded: Loaded, now: Millis) -> Result<Self, Refused> {
        let (before, last) = {
            let view = store.view();
            let last = view.definition_changes(None, 1)?.first().map_or(0, |(number, _)| *number);
            (view.definitions()?, last)
        };
        let joined = folder::join(&before, &loaded.definitions);
        let definitions = with(&loaded.definitions, &joined);
        let program = check::compile(&definitions, &BTreeSet::new())?;
        let (kept, changed) = numbered(&before, joined, last + 1, now);
        let version = last + u64::from(!changed.is_empty());
        write(&store, &before, &kept, (last + 1, DefinitionChange { at: now, by: By::Folder, changed }))?;
        let start = Arc::new(Plan::new(program.clone()).of_version(version));
        let wanted = Wanted::new(version, definitions, program, kept);
        Ok(Self { store, start, wanted: watch::channel(Arc::new(wanted)).0, turn: Mutex::default() })
    }

    /// The definitions that the server has started with.
    pub fn at_start(&self) -> Arc<Plan> {
        self.start.clone()
    }

    /// The definitions as they are to be, as they change.
    pub fn wanted(&self) -> watch::Receiver<Arc<Wanted>> {
        self.wanted.subscribe()
    }

    /// Changes definitions, all of them or none; gives what has changed. A trial changes nothing.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn change(
        &self,
        edits: Vec<Edit>,
        is_trial: bool,
        now: Millis,
    ) -> Result<(Arc<Wanted>, Vec<Changed>), Refused> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.wanted.borrow().clone();
        let edited: BTreeSet<Named> = edits.iter().map(|edit| edit.name.clone()).collect();
        let mut next: BTreeMap<Named, (Option<Definition>, Option<Definition>)> =
            wanted.kept.iter().map(|(name, kept)| (name.clone(), (kept.says.clone(), kept.folder.clone()))).collect();
        for Edit { name, says, expects } in edits {
            check::expected(wanted.kept.get(&name), &name, expects)?;
            if let Some(says) = &says {
                check::name(&name)?;
                check::says(says)?;
            }
            next.entry(name).or_default().0 = says;
        }
        let definitions = with(&wanted.definitions, &next);
        let program = check::compile(&definitions, &edited)?;
        check::groups(&program, &self.start)?;
        let version = wanted.version + 1;
        let (kept, changed) = numbered(&wanted.kept, next, version, now);
        if is_trial || changed.is_empty() {
            return Ok((wanted, changed));
        }
        let change = DefinitionChange { at: now, by: By::Admin, changed: changed.clone() };
        write(&self.store, &wanted.kept, &kept, (version, change))?;
        crash::at(Place::DefinitionsWritten);
        let wanted = Arc::new(Wanted::new(version, definitions, program, kept));
        self.wanted.send_replace(wanted.clone());
        Ok((wanted, changed))
    }
}

/// What definitions say, and what the folder says of them.
type Said = BTreeMap<Named, (Option<Definition>, Option<Definition>)>;

/// Definitions with other computed traits and segments.
fn with(all: &Definitions, said: &Said) -> Definitions {
    let mut all = Definitions { traits: BTreeMap::new(), segments: BTreeMap::new(), ..all.clone() };
    for ((_, id), (says, _)) in said {
        match says {
            Some(Definition::Trait(says)) => drop(all.traits.insert(id.clone(), says.clone())),
            Some(Definition::Segment(says)) => drop(all.segments.insert(id.clone(), says.clone())),
            None => {}
        }
    }
    all
}

/// Gives what has changed the number of the change and a new version.
fn numbered(
    before: &BTreeMap<Named, Kept>,
    said: Said,
    change: u64,
    now: Millis,
) -> (BTreeMap<Named, Kept>, Vec<Changed>) {
    let mut kept = BTreeMap::new();
    let mut changed = Vec::new();
    for (name, (says, folder)) in said {
        let held = before.get(&name);
        let was = held.and_then(|held| held.says.clone());
        if was == says {
            kept.extend(held.map(|held| (name, Kept { folder, ..held.clone() })));
            continue;
        }
        let version = held.map_or(0, |held| held.version) + 1;
        kept.insert(name.clone(), Kept { says: says.clone(), version, change, at: now, folder });
        changed.push(Changed { name, before: was, after: says });
    }
    (kept, changed)
}

/// Keeps what has changed, with the note of the change, as one.
fn write(
    store: &Store,
    before: &BTreeMap<Named, Kept>,
    kept: &BTreeMap<Named, Kept>,
    (number, change): (u64, DefinitionChange),
) -> Result<(), StoreError> {
    let mut batch = store.batch();
    for name in before.keys().chain(kept.keys()).collect::<BTreeSet<_>>() {
        if before.get(name) != kept.get(name) {
            batch.put_definition(name, kept.get(name))?;
        }
    }
    if !change.changed.is_empty() {
        batch.put_definition_change(number, &change)?;
    }
    store.write(batch, true)
}

/// The computed traits and segments of some definitions, by name.
pub fn named(definitions: &Definitions) -> impl Iterator<Item = (Named, Definition)> {
    let traits = definitions.traits.iter();
    let traits = traits.map(|(name, says)| ((Kind::Trait, name.clone()), Definition::Trait(says.clone())));
    let segments = definitions.segments.iter();
    traits.chain(segments.map(|(id, says)| ((Kind::Segment, id.clone()), Definition::Segment(says.clone()))))
}
