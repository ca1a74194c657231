//! What an expression sees of a customer: traits, computed traits, segments, and aggregates of events.

use super::aggregate::{Aggregate, AggregateFunction};
use super::check::{self, Scope};
use super::datum::Datum;
use super::evaluate::Source;
use super::event::EventScope;
use super::functions;
use super::group::{self, GroupColumn};
use super::problem::{Position, Problem, suggestion};
use super::sequence::{self, Sequence};
use super::syntax::{Arguments, Call, Kind, Step, Syntax};
use super::tree::Tree;
use super::types::{Type, Typed};
use super::window;
use crate::segments::ProfileValues;
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tributary_model::{Millis, Value};

/// What all definitions together may read: each takes room in every customer who has it.
const SLOTS: usize = 60_000;

/// What is read of a customer, by index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CustomerColumn {
    Trait(usize),
    Computed(usize),
    InSegment(usize),
    Count(usize),
    Sum(usize),
    Average(usize),
    Value(usize),
    /// An expression of groups, of the account.
    Account(usize),
    /// Whether an expression of groups is true of any of the customer's.
    InGroup(usize),
    /// Something of one group: only within expressions of groups.
    Group(GroupColumn),
    /// The time that passes.
    Now,
    /// What follows what.
    Sequence(Sequence),
}

/// An expression over one customer.
pub(crate) type CustomerTree = Tree<CustomerColumn>;

/// For debugging; only event expressions have a canonical text that anything relies on.
impl fmt::Display for CustomerColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// All that expressions refer to, each once.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) trait_paths: Vec<String>,
    /// What is computed once for each group.
    pub(crate) group_expressions: Vec<CustomerTree>,
    /// Computed traits by name: their index and type once they are checked.
    pub(crate) computed: BTreeMap<String, Option<(usize, Type)>>,
    /// Segments by id: their index once they are checked.
    pub(crate) segments: BTreeMap<String, Option<usize>>,
    /// The computed traits and the segments, by index, that change with time alone, by themselves or through others.
    pub(crate) clocked: (BTreeSet<usize>, BTreeSet<usize>),
    aggregates_by_id: BTreeMap<u64, usize>,
    traits_by_path: BTreeMap<String, usize>,
    groups_by_text: BTreeMap<String, usize>,
}

impl Registry {
    /// Whether an expression changes with time alone, by itself or through what it refers to.
    pub(crate) fn is_clocked(&self, tree: &CustomerTree) -> bool {
        let mut is = false;
        tree.each_leaf(&mut |leaf| {
            is |= match leaf {
                CustomerColumn::Now => true,
                CustomerColumn::Sequence(sequence) => sequence.reads_clock(),
                CustomerColumn::Computed(index) => self.clocked.0.contains(index),
                CustomerColumn::InSegment(index) => self.clocked.1.contains(index),
                _ => false,
            }
        });
        is
    }

    fn has_room(&self) -> Result<(), String> {
        if self.aggregates.len() + self.trait_paths.len() + self.group_expressions.len() < SLOTS {
            return Ok(());
        }
        Err(format!("all definitions together read more than {SLOTS} traits and aggregates; remove some definitions"))
    }

    /// The index of the trait at some steps below `traits`.
    pub(super) fn trait_path(&mut self, steps: &[Step]) -> Result<usize, String> {
        if let Some(step) = steps.iter().find(|step| step.text.is_empty() || step.text.contains('.')) {
            return Err(format!("a trait named \"{}\" cannot be read; send it under a name without a dot", step.text));
        }
        let path = steps.iter().map(|step| step.text.as_str()).collect::<Vec<_>>().join(".");
        if let Some(slot) = self.traits_by_path.get(&path) {
            return Ok(*slot);
        }
        self.has_room()?;
        let slot = self.trait_paths.len();
        self.trait_paths.push(path.clone());
        self.traits_by_path.insert(path, slot);
        Ok(slot)
    }

    /// The index of an expression of groups; that of the same one where it is there.
    pub(super) fn group_expression(&mut self, expression: CustomerTree) -> Result<usize, String> {
        let text = expression.to_string();
        if let Some(index) = self.groups_by_text.get(&text) {
            return Ok(*index);
        }
        self.has_room()?;
        let index = self.group_expressions.len();
        self.group_expressions.push(expression);
        self.groups_by_text.insert(text, index);
        Ok(index)
    }

    pub(super) fn aggregate_slot(&mut self, aggregate: Aggregate) -> Result<usize, String> {
        if let Some(slot) = self.aggregates_by_id.get(&aggregate.id) {
            let same = self.aggregates.get(*slot).is_some_and(|known| known.text == aggregate.text);
            return if same {
                Ok(*slot)
            } else {
                Err("this aggregate's name in the state is taken by another one; turn two of its conditions round"
                    .to_owned())
            };
        }
        self.has_room()?;
        let slot = self.aggregates.len();
        self.aggregates_by_id.insert(aggregate.id, slot);
        self.aggregates.push(aggregate);
        Ok(slot)
    }
}

/// Resolves a customer's names, and registers what they read.
#[derive(Debug)]
pub(crate) struct CustomerScope<'a>(pub(crate) &'a mut Registry);

impl Scope for CustomerScope<'_> {
    type Leaf = CustomerColumn;

    fn column(&mut self, steps: &[Step]) -> Result<Typed<CustomerColumn>, String> {
        let Some((root, below)) = steps.split_first() else { return Err("a name is missing; write one".to_owned()) };
        let name = root.folded();
        if below.is_empty() {
            return match self.0.computed.get(&name) {
                Some(Some((index, is))) => Ok(Typed::new(Tree::Leaf(CustomerColumn::Computed(*index)), *is)),
                Some(None) => Ok(Typed::mistaken()),
                None => Err(self.unknown_name(root, &name)),
            };
        }
        match name.as_str() {
            "traits" => Ok(Typed::new(Tree::Leaf(CustomerColumn::Trait(self.0.trait_path(below)?)), Type::Dynamic)),
            "group" => group::column(self.0, below),
            _ => Err(self.unknown_path(&name, steps)),
        }
    }

    fn call(
        &mut self,
        call: &Call,
        at: Position,
        problems: &mut Vec<Problem>,
    ) -> Option<Result<Typed<CustomerColumn>, String>> {
        match call.name.as_str() {
            "now" | "current_timestamp" => Some(now(call)),
            "in_segment" => Some(self.in_segment(call)),
            "in_group" => Some(self.in_group(call, problems)),
            name if sequence::is_sequence(name) => Some(sequence::call(self.0, call, problems)),
            name if functions::is_aggregate(name) => Some(self.aggregate(call, at, problems)),
            _ => None,
        }
    }
}

impl CustomerScope<'_> {
    fn unknown_name(&self, root: &Step, name: &str) -> String {
        match name {
            "traits" => "`traits` holds many values; write the name of one behind it, as traits.country".to_owned(),
            "now" => "now is a function; write now()".to_owned(),
            "group" => group::WITHOUT_PARTS.to_owned(),
            "event" | "type" | "timestamp" | "properties" | "context" => of_events(name),
            _ if root.quoted && name.contains(|c: char| c.is_uppercase() || c.is_whitespace()) => {
                format!("there is no computed trait \"{name}\"; text stands in single quotes, as '{name}'")
            }
            _ => {
                let hint = suggestion(name, self.0.computed.keys().map(String::as_str));
                if hint.contains("did you mean") {
                    return format!("there is no computed trait `{name}`{hint}");
                }
                format!(
                    "there is no computed trait `{name}`; a trait that was sent is written traits.{}{hint}",
                    root.text
                )
            }
        }
    }

    fn unknown_path(&self, name: &str, steps: &[Step]) -> String {
        let below: Vec<_> = steps.iter().skip(1).map(|step| step.text.as_str()).collect();
        let below = below.join(".");
        match name {
            "properties" | "context" => of_events(&format!("{name}.{below}")),
            "computed" => format!("a computed trait is written by its name alone; write {below}"),
            _ => {
                let hint = suggestion(name, ["traits", "group", "properties", "context"]);
                let mend = if hint.contains("did you mean") {
                    hint
                } else {
                    "; a customer's traits are written traits.…, an event's properties within an aggregate properties.…"
                        .to_owned()
                };
                format!("there is nothing named `{name}` with parts{mend}")
            }
        }
    }

    fn in_segment(&mut self, call: &Call) -> Result<Typed<CustomerColumn>, String> {
        let Some(id) = segment_named(call) else {
            return Err("in_segment takes the id of one segment; write in_segment('vip')".to_owned());
        };
        match self.0.segments.get(id) {
            Some(Some(index)) => Ok(Typed::new(Tree::Leaf(CustomerColumn::InSegment(*index)), Type::Bool)),
            Some(None) => Ok(Typed::mistaken()),
            None => {
                let hint = suggestion(id, self.0.segments.keys().map(String::as_str));
                let mend = if hint.is_empty() { "; define it under `segments`".to_owned() } else { hint };
                Err(format!("there is no segment `{id}`{mend}"))
            }
        }
    }

    fn in_group(&mut self, call: &Call, problems: &mut Vec<Problem>) -> Result<Typed<CustomerColumn>, String> {
        let condition = match &call.arguments {
            Arguments::List(list) if call.filter.is_none() => list.as_slice(),
            _ => &[],
        };
        let [condition] = condition else {
            return Err("in_group takes one condition; write in_group(group.id = 'acme')".to_owned());
        };
        let before = problems.len();
        let condition = check::condition(self, condition, problems);
        if problems.len() > before { Ok(Typed::mistaken()) } else { group::in_group(self.0, condition) }
    }

    fn aggregate(
        &mut self,
        call: &Call,
        at: Position,
        problems: &mut Vec<Problem>,
    ) -> Result<Typed<CustomerColumn>, String> {
        let name = call.name.as_str();
        let before = problems.len();
        let argument = match &call.arguments {
            Arguments::Star if name == "count" && !call.distinct => None,
            Arguments::Star => return Err(format!("`*` stands only in count(*); write {name}(properties.total)")),
            Arguments::List(list) => match list.as_slice() {
                [argument] => {
                    let typed = check::value(&mut EventScope::Aggregate, argument, problems);
                    if let Some(message) = unfit(name, argument, typed.is) {
                        problems.push(Problem::new(argument.at, message));
                    }
                    Some(typed)
                }
                [] if name == "count" => return Err("count() counts nothing; write count(*)".to_owned()),
                list => {
                    let count = list.len();
                    return Err(format!("{name}(…) takes one value, not {count}; write {name}(properties.total)"));
                }
            },
        };
        let mut window = None;
        let mut filters = Vec::new();
        if let Some(filter) = &call.filter {
            let (edge, conditions) = window::split(filter, problems);
            window = edge;
            let checked = |condition: &&Syntax| check::condition(&mut EventScope::Aggregate, condition, problems);
            filters = conditions.iter().map(checked).collect();
        }
        if problems.len() > before {
            return Ok(Typed::mistaken());
        }
        let is = argument.as_ref().map_or(Type::Bool, |argument| argument.is);
        let (function, is) = match name {
            "count" if call.distinct => (AggregateFunction::Distinct, Type::Number),
            "mode" => (AggregateFunction::Mode, is),
            "count" => (AggregateFunction::Count, Type::Number),
            "sum" | "avg" => (AggregateFunction::Sum, Type::Number),
            "min" => (AggregateFunction::Min, is),
            "max" => (AggregateFunction::Max, is),
            "first" | "first_value" => (AggregateFunction::First, is),
            _ => (AggregateFunction::Last, is),
        };
        let aggregate = Aggregate::new(function, argument.map(|argument| argument.tree), filters, window);
        let slot = self.0.aggregate_slot(aggregate).map_err(|message| format!("{message} (line {})", at.line))?;
        let column = match (name, function) {
            ("avg", _) => CustomerColumn::Average(slot),
            (_, AggregateFunction::Count) => CustomerColumn::Count(slot),
            (_, AggregateFunction::Sum) => CustomerColumn::Sum(slot),
            _ => CustomerColumn::Value(slot),
        };
        Ok(Typed::new(Tree::Leaf(column), is))
    }
}

/// The segment that a call of `in_segment` names.
pub(super) fn segment_named(call: &Call) -> Option<&str> {
    match &call.arguments {
        Arguments::List(list) if call.filter.is_none() => match list.as_slice() {
            [Syntax { kind: Kind::Literal(Value::Text(id)), .. }] => Some(id),
            _ => None,
        },
        _ => None,
    }
}

fn now(call: &Call) -> Result<Typed<CustomerColumn>, String> {
    match &call.arguments {
        Arguments::List(list) if list.is_empty() && call.filter.is_none() => {
            Ok(Typed::new(Tree::Leaf(CustomerColumn::Now), Type::Now))
        }
        _ => Err(format!("{}() takes nothing; write now()", call.name)),
    }
}

fn of_events(name: &str) -> String {
    format!(
        "`{name}` is an event's, and a customer has many events; write an aggregate, as \
         last({name}) FILTER (WHERE event = 'Order Completed')"
    )
}

/// Why an aggregate cannot take a value of that type.
fn unfit(name: &str, argument: &Syntax, is: Type) -> Option<String> {
    match (name, is) {
        (_, is) if is.is_fleeting() => Some(format!(
            "`{argument}` is a length of time, which {name} cannot keep; keep the instants, as max(timestamp)"
        )),
        ("sum" | "avg", is) if !is.may_be(Type::Number) => {
            Some(format!("`{argument}` is {is}, and {name} takes numbers; write one, as {name}(properties.total)"))
        }
        ("min" | "max", Type::Bool) => Some(format!(
            "`{argument}` is true or false, and {name} takes what has an order; write count(*) FILTER (WHERE …) > 0"
        )),
        _ => None,
    }
}

/// Reads a customer's values.
#[derive(Debug)]
pub(crate) struct Customer<'p, P> {
    pub(crate) profile: &'p P,
    pub(crate) computed: &'p [Value],
    pub(crate) segments: &'p [bool],
}

impl<P: ProfileValues> Source for Customer<'_, P> {
    type Leaf = CustomerColumn;

    fn read<'a>(&'a self, column: &'a CustomerColumn) -> Datum<'a> {
        match column {
            CustomerColumn::Trait(slot) => Datum::owned(self.profile.trait_value(*slot)),
            CustomerColumn::Computed(index) => self.computed.get(*index).map_or(Datum::Null, Datum::borrowed),
            CustomerColumn::InSegment(index) => Datum::Bool(self.segments.get(*index).copied().unwrap_or(false)),
            CustomerColumn::Count(slot) => Datum::Number(Decimal::from(self.profile.additive(*slot).0)),
            CustomerColumn::Sum(slot) => match self.profile.additive(*slot) {
                (count, sum) if count > 0 => Datum::number(sum),
                _ => Datum::Null,
            },
            CustomerColumn::Average(slot) => match self.profile.additive(*slot) {
                (count, Some(sum)) if count > 0 => Datum::number(sum.checked_div(Decimal::from(count))),
                _ => Datum::Null,
            },
            CustomerColumn::Value(slot) => Datum::owned(self.profile.value(*slot)),
            CustomerColumn::Account(index) => Datum::owned(self.profile.account(*index)),
            CustomerColumn::InGroup(index) => Datum::Bool(self.profile.groups_where(*index) > 0),
            CustomerColumn::Group(_) => Datum::Null,
            CustomerColumn::Now => Datum::Timestamp(self.profile.now()),
            CustomerColumn::Sequence(sequence) => Datum::owned(sequence.value(self.profile)),
        }
    }

    fn next_change(&self, column: &CustomerColumn) -> Option<Millis> {
        match column {
            CustomerColumn::Sequence(sequence) => sequence.next_change(self.profile),
            _ => None,
        }
    }
}
