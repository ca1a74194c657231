//! All expressions of the definitions, compiled together.

use super::expression::aggregate::Aggregate;
use super::expression::references::{Reference, references};
use super::expression::{
    CustomerScope, CustomerTree, EventScope, EventTree, OneEvent, Position, Problem, Registry, Syntax, condition,
    parse, take_out, value,
};
use super::group::GroupProgram;
use super::order::{Needs, order};
use super::run::Readers;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tributary_model::{Definitions, Event, EventKind, MessageId, Millis, On, Value};

/// The definitions as total functions: evaluating never fails.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Every aggregate that any definition reads, once each; an aggregate's slot is its index.
    pub aggregates: Vec<Aggregate>,
    /// Every trait that any definition reads, as `country` or `address.city`; a path's slot is its index.
    pub trait_paths: Vec<String>,
    /// Computed traits, each after those it needs.
    pub computed: Vec<Computed>,
    /// Segments, each after those it needs; a segment's slot is its index.
    pub segments: Vec<CompiledSegment>,
    /// What events set off a trigger, by the trigger's id.
    pub event_conditions: BTreeMap<String, EventCondition>,
    /// What is computed of groups.
    pub groups: GroupProgram,
    /// Computed traits and segments in one order, since each may need the other.
    pub(super) steps: Vec<Step>,
    /// Which of them read what.
    pub(super) readers: Readers,
}

/// A named value of a customer.
#[derive(Clone, Debug)]
pub struct Computed {
    /// The name by which expressions and templates read it.
    pub name: String,
    /// The expression as it was written.
    pub text: String,
    pub(super) expression: CustomerTree,
}

/// A named condition on a customer.
#[derive(Clone, Debug)]
pub struct CompiledSegment {
    /// Unique among segments.
    pub id: String,
    /// For people.
    pub name: String,
    /// The condition as it was written.
    pub text: String,
    pub(super) expression: CustomerTree,
}

/// Which events set off a trigger.
#[derive(Clone, Debug)]
pub struct EventCondition {
    /// The name that the track event must have.
    pub event: String,
    condition: Option<EventTree>,
}

impl EventCondition {
    /// Whether the event is a track call of that name that meets the condition.
    pub fn matches(&self, event: &Event) -> bool {
        event.kind == EventKind::Track
            && event.event.as_deref() == Some(self.event.as_str())
            && self.condition.as_ref().is_none_or(|condition| condition.truth(&OneEvent(event)) == Some(true))
    }
}

/// All that is computed of one customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluation {
    /// Values of [`Program::computed`], by index.
    pub computed: Vec<Value>,
    /// Whether the customer is in each of [`Program::segments`], by index. What is not known is no membership.
    pub segments: Vec<bool>,
}

/// What is known of a customer, by the program's slots.
pub trait ProfileValues {
    /// The latest value of a trait path; NULL where there is none.
    fn trait_value(&self, slot: usize) -> Value;
    /// The count and the sum of a Count or Sum; the sum is `None` where it is too large to be exact.
    fn additive(&self, slot: usize) -> (i64, Option<Decimal>);
    /// The value of a Min, Max, First or Last; NULL where there is none.
    fn value(&self, slot: usize) -> Value;
    /// The value of an expression of groups for the customer's account; NULL where there is none.
    fn account(&self, index: usize) -> Value;
    /// For how many of the customer's groups an expression of groups is true.
    fn groups_where(&self, index: usize) -> i64;
    /// What time it is.
    fn now(&self) -> Millis;
    /// The instants that a timeline keeps, earliest first, each with what breaks a tie.
    fn instants(&self, slot: usize) -> Vec<(Millis, MessageId)>;
}

/// Which definition an error is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A computed trait, by name.
    Trait(String),
    /// A segment, by id.
    Segment(String),
    /// A trigger, by id.
    Trigger(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trait(name) => write!(f, "trait `{name}`"),
            Self::Segment(id) => write!(f, "segment `{id}`"),
            Self::Trigger(id) => write!(f, "trigger `{id}`"),
        }
    }
}

/// A mistake in an expression: what it is and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{place}, line {line}, column {column}: {message}")]
pub struct DefinitionError {
    /// Whose expression it is.
    pub place: Place,
    /// The line within the expression, from 1.
    pub line: usize,
    /// The column within the line in characters, from 1.
    pub column: usize,
    /// The mistake and its mend.
    pub message: String,
}

/// A definition that is computed, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Computed(usize),
    Segment(usize),
}

impl Step {
    /// The index of the computed trait that it is.
    pub(super) const fn computed(self) -> Option<usize> {
        match self {
            Self::Computed(index) => Some(index),
            Self::Segment(_) => None,
        }
    }

    /// The index of the segment that it is.
    pub(super) const fn segment(self) -> Option<usize> {
        match self {
            Self::Segment(index) => Some(index),
            Self::Computed(_) => None,
        }
    }
}

impl Program {
    /// Compiles all expressions of the definitions.
    ///
    /// # Errors
    /// Every mistake in every expression, by place, line and column.
    pub fn compile(definitions: &Definitions) -> Result<Self, Vec<DefinitionError>> {
        let mut compiler = Compiler::new(definitions);
        compiler.customers();
        compiler.triggers();
        let Compiler { mut errors, registry, mut program, .. } = compiler;
        if !errors.is_empty() {
            errors.sort();
            return Err(errors);
        }
        program.aggregates = registry.aggregates;
        program.trait_paths = registry.trait_paths;
        program.groups = GroupProgram::new(registry.group_expressions, &program);
        program.readers = Readers::new(&program);
        let too_costly: Vec<_> = program.steps.iter().filter_map(|step| program.too_costly(*step)).collect();
        if too_costly.is_empty() { Ok(program) } else { Err(too_costly) }
    }
}

/// One definition over customers, as it was read.
struct Node<'d> {
    place: Place,
    name: &'d str,
    text: &'d str,
    /// `None` where it could not be read, which was told.
    syntax: Option<Syntax>,
    references: Vec<(Position, Reference)>,
}

struct Compiler<'d> {
    definitions: &'d Definitions,
    errors: Vec<DefinitionError>,
    registry: Registry,
    program: Program,
}

impl<'d> Compiler<'d> {
    fn new(definitions: &'d Definitions) -> Self {
        let mut registry = Registry::default();
        registry.computed.extend(definitions.traits.keys().map(|name| (name.clone(), None)));
        registry.segments.extend(definitions.segments.keys().map(|id| (id.clone(), None)));
        Self { definitions, errors: Vec::new(), registry, program: Program::default() }
    }

    fn wrong(&mut self, place: &Place, problems: Vec<Problem>) {
        self.errors.extend(problems.into_iter().map(|Problem { at, message }| DefinitionError {
            place: place.clone(),
            line: at.line,
            column: at.column,
            message,
        }));
    }

    fn read(&mut self, place: &Place, text: &str) -> Option<Syntax> {
        match parse::parse(text) {
            Ok(syntax) => Some(syntax),
            Err(problems) => {
                self.wrong(place, problems);
                None
            }
        }
    }

    fn node(&mut self, place: Place, name: &'d str, text: &'d str) -> Node<'d> {
        let syntax = self.read(&place, text);
        let references = syntax.as_ref().map(references).unwrap_or_default();
        Node { place, name, text, syntax, references }
    }

    /// Computed traits and segments, in an order in which each finds what it needs.
    fn customers(&mut self) {
        let definitions = self.definitions;
        let traits = definitions.traits.iter();
        let traits = traits.map(|(name, definition)| (Place::Trait(name.clone()), name, &definition.expression));
        let segments = definitions.segments.iter();
        let segments = segments.map(|(id, definition)| (Place::Segment(id.clone()), id, &definition.condition));
        let all = traits.chain(segments);
        let nodes: Vec<Node<'d>> = all.map(|(place, name, text)| self.node(place, name, text)).collect();

        let indexes: BTreeMap<&Place, usize> = nodes.iter().enumerate().map(|(at, node)| (&node.place, at)).collect();
        let needed = |(_, reference): &(Position, Reference)| indexes.get(&place_of(reference)).copied();
        // A set: what is referred to twice is needed once, and a cycle is told once.
        let needs = nodes.iter().map(|node| node.references.iter().filter_map(needed).collect::<BTreeSet<_>>());
        let needs: Needs = needs.map(|needed| needed.into_iter().collect()).collect();
        let order = order(&needs);
        for cycle in &order.cycles {
            self.cycle(&nodes, cycle);
        }
        for node in order.nodes.into_iter().filter_map(|index| nodes.get(index)) {
            if let Some(syntax) = &node.syntax {
                self.customer(node, syntax);
            }
        }
    }

    fn cycle(&mut self, nodes: &[Node<'_>], cycle: &[usize]) {
        let members: Vec<&Node<'_>> = cycle.iter().filter_map(|index| nodes.get(*index)).collect();
        let [first, second, ..] = members.as_slice() else { return };
        let reference = first.references.iter().find(|(_, reference)| place_of(reference) == second.place);
        let at = reference.map(|(at, _)| *at).unwrap_or_default();
        let names: Vec<&str> = members.iter().map(|node| node.name).collect();
        let message = format!("`{}` needs itself: {}; take one of these references out", first.name, names.join(" → "));
        self.wrong(&first.place, vec![Problem::new(at, message)]);
    }

    fn customer(&mut self, node: &Node<'_>, syntax: &Syntax) {
        let mut problems = Vec::new();
        let mut scope = CustomerScope(&mut self.registry);
        match &node.place {
            Place::Trait(name) => {
                let mut typed = value(&mut scope, syntax, &mut problems);
                if typed.is.is_fleeting() {
                    let message = format!(
                        "a computed trait cannot be {}; compare it, as max(timestamp) - min(timestamp) > INTERVAL '30 days'",
                        typed.is
                    );
                    problems.push(Problem::new(Position::default(), message));
                }
                self.take_groups_out(&mut typed.tree, &mut problems);
                if problems.is_empty() {
                    let index = self.program.computed.len();
                    if self.registry.is_clocked(&typed.tree) {
                        self.registry.clocked.0.insert(index);
                    }
                    self.registry.computed.insert(name.clone(), Some((index, typed.is)));
                    let (name, text) = (name.clone(), node.text.to_owned());
                    self.program.computed.push(Computed { name, text, expression: typed.tree });
                    self.program.steps.push(Step::Computed(index));
                }
            }
            Place::Segment(id) => {
                let mut expression = condition(&mut scope, syntax, &mut problems);
                self.take_groups_out(&mut expression, &mut problems);
                if problems.is_empty() {
                    let index = self.program.segments.len();
                    if self.registry.is_clocked(&expression) {
                        self.registry.clocked.1.insert(index);
                    }
                    self.registry.segments.insert(id.clone(), Some(index));
                    let definition = self.definitions.segments.get(id);
                    let name = definition.map_or_else(|| id.clone(), |definition| definition.name.clone());
                    let (id, text) = (id.clone(), node.text.to_owned());
                    self.program.segments.push(CompiledSegment { id, name, text, expression });
                    self.program.steps.push(Step::Segment(index));
                }
            }
            Place::Trigger(_) => {}
        }
        self.wrong(&node.place, problems);
    }

    fn take_groups_out(&mut self, tree: &mut CustomerTree, problems: &mut Vec<Problem>) {
        let taken = take_out(tree, &mut self.registry);
        problems.extend(taken.err().map(|message| Problem::new(Position::default(), message)));
    }

    fn triggers(&mut self) {
        for (id, trigger) in &self.definitions.triggers {
            let On::Event { event, condition: text } = &trigger.on else { continue };
            let place = Place::Trigger(id.clone());
            let mut problems = Vec::new();
            let checked = text.as_deref().and_then(|text| {
                let syntax = self.read(&place, text)?;
                Some(condition(&mut EventScope::Trigger, &syntax, &mut problems))
            });
            self.wrong(&place, problems);
            let condition = EventCondition { event: event.clone(), condition: checked };
            self.program.event_conditions.insert(id.clone(), condition);
        }
    }
}

fn place_of(reference: &Reference) -> Place {
    match reference {
        Reference::Name(name) => Place::Trait(name.clone()),
        Reference::Segment(id) => Place::Segment(id.clone()),
    }
}
