//! What an expression sees of one event: its columns, and no aggregates, traits or segments.

use super::check::Scope;
use super::datum::Datum;
use super::evaluate::Source;
use super::functions;
use super::problem::{Position, Problem, suggestion};
use super::syntax::{Call, Step, step_text};
use super::tree::Tree;
use super::types::{Type, Typed};
use serde_json::Value as Json;
use std::fmt;
use tributary_model::{Event, Object};

/// A column of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventColumn {
    /// The name of a track call.
    Event,
    /// `track`, `identify`, `page`, `screen`, `group`, `alias`.
    Type,
    /// The name of a page or screen.
    Name,
    Timestamp,
    Properties(Vec<String>),
    Context(Vec<String>),
}

/// An expression over one event.
pub(crate) type EventTree = Tree<EventColumn>;

impl fmt::Display for EventColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |f: &mut fmt::Formatter<'_>, root: &str, steps: &[String]| {
            f.write_str(root)?;
            steps.iter().try_for_each(|step| write!(f, ".{}", step_text(step)))
        };
        match self {
            Self::Event => f.write_str("event"),
            Self::Type => f.write_str("type"),
            Self::Name => f.write_str("name"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Properties(steps) => path(f, "properties", steps),
            Self::Context(steps) => path(f, "context", steps),
        }
    }
}

/// Where in a definition an event is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventScope {
    /// Within an aggregate: its argument or its FILTER.
    Aggregate,
    /// A trigger's condition.
    Trigger,
}

const COLUMNS: [&str; 6] = ["event", "type", "name", "timestamp", "properties", "context"];

impl Scope for EventScope {
    type Leaf = EventColumn;

    fn column(&mut self, steps: &[Step]) -> Result<Typed<EventColumn>, String> {
        let Some((root, below)) = steps.split_first() else { return Err("a name is missing; write one".to_owned()) };
        let folded = root.folded();
        let leaf = |column, is| Ok(Typed::new(Tree::Leaf(column), is));
        let path = || below.iter().map(|step| step.text.clone()).collect::<Vec<_>>();
        match (folded.as_str(), below.is_empty()) {
            ("event", true) => leaf(EventColumn::Event, Type::Text),
            ("type", true) => leaf(EventColumn::Type, Type::Text),
            ("name", true) => leaf(EventColumn::Name, Type::Text),
            ("timestamp", true) => leaf(EventColumn::Timestamp, Type::Timestamp),
            ("properties", false) => leaf(EventColumn::Properties(path()), Type::Dynamic),
            ("context", false) => leaf(EventColumn::Context(path()), Type::Dynamic),
            ("properties" | "context", true) => {
                Err(format!("`{folded}` holds many values; write the name of one behind it, as {folded}.total"))
            }
            ("event" | "type" | "name" | "timestamp", false) => {
                Err(format!("`{folded}` has no parts; write {folded} alone, or properties.{folded}"))
            }
            ("group", _) => Err(format!("{}, and group is a customer's account; {}", self.sees(), self.outside())),
            ("traits", _) => Err(format!("{}, and traits are a customer's; {}", self.sees(), self.outside())),
            _ => Err(self.unknown(root, &folded)),
        }
    }

    fn call(&mut self, call: &Call, _: Position, _: &mut Vec<Problem>) -> Option<Result<Typed<EventColumn>, String>> {
        let name = call.name.as_str();
        if name == "now" {
            return Some(Err(match self {
                Self::Aggregate => functions::NOW.to_owned(),
                Self::Trigger => {
                    "a trigger sees an event as it comes, so there is no now(); remove it, or let the trigger be on \
                     `enter` of a segment with a window"
                        .to_owned()
                }
            }));
        }
        if matches!(name, "in_segment" | "in_group") {
            return Some(Err(format!("{}, and {name} is about a customer; {}", self.sees(), self.outside())));
        }
        functions::is_aggregate(name).then(|| {
            Err(match self {
                Self::Aggregate => format!("{name}(…) stands within another aggregate; write the two side by side"),
                Self::Trigger => format!(
                    "{}, and {name}(…) reads many; put it into a segment, and let the trigger be on its `enter`",
                    self.sees()
                ),
            })
        })
    }
}

impl EventScope {
    fn sees(self) -> &'static str {
        match self {
            Self::Aggregate => "an aggregate sees one event at a time",
            Self::Trigger => "a trigger's condition sees one event",
        }
    }

    fn outside(self) -> &'static str {
        match self {
            Self::Aggregate => "write that condition beside the aggregate, joined by AND",
            Self::Trigger => "put it into a segment, and let the trigger be on its `enter`",
        }
    }

    fn unknown(self, root: &Step, folded: &str) -> String {
        if root.quoted && folded.contains(char::is_uppercase) {
            return format!("an event has no column \"{folded}\"; text stands in single quotes, as '{folded}'");
        }
        let hint = suggestion(folded, COLUMNS);
        if hint.contains("did you mean") {
            return format!("an event has no column `{folded}`{hint}");
        }
        format!("an event has no column `{folded}`; what the event carries is written properties.{}{hint}", root.text)
    }
}

/// Reads columns of one event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneEvent<'e>(pub(crate) &'e Event);

impl Source for OneEvent<'_> {
    type Leaf = EventColumn;

    fn read<'a>(&'a self, column: &'a EventColumn) -> Datum<'a> {
        let event = self.0;
        match column {
            EventColumn::Event => event.event.as_deref().map_or(Datum::Null, Datum::text),
            EventColumn::Type => Datum::text(event.kind.name()),
            EventColumn::Name => event.name.as_deref().map_or(Datum::Null, Datum::text),
            EventColumn::Timestamp => Datum::Timestamp(event.timestamp),
            EventColumn::Properties(steps) => walk(&event.properties, steps),
            EventColumn::Context(steps) => walk(&event.context, steps),
        }
    }
}

/// What an event has in a column that is to be some text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'e> {
    /// Nothing, which equals nothing.
    Nothing,
    Text(&'e str),
    /// What is no text: the comparison itself must tell.
    Other,
}

impl EventColumn {
    /// What an event has here.
    pub(crate) fn find<'e>(&'e self, event: &'e Event) -> Found<'e> {
        let json = |object: &'e Object, steps: &[String]| match object.at(steps) {
            None | Some(Json::Null) => Found::Nothing,
            Some(Json::String(text)) => Found::Text(text),
            Some(_) => Found::Other,
        };
        match self {
            Self::Event => event.event.as_deref().map_or(Found::Nothing, Found::Text),
            Self::Type => Found::Text(event.kind.name()),
            Self::Name => event.name.as_deref().map_or(Found::Nothing, Found::Text),
            Self::Timestamp => Found::Other,
            Self::Properties(steps) => json(&event.properties, steps),
            Self::Context(steps) => json(&event.context, steps),
        }
    }
}

fn walk<'a>(object: &'a Object, steps: &[String]) -> Datum<'a> {
    object.at(steps).map_or(Datum::Null, Datum::json)
}
