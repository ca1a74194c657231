//! Which aggregates an event can change: found by what their filters ask of it, so that a thousand of them cost little
//! more than those that are met.

use crate::segments::{Aggregate, EventColumn, Found};
use std::collections::HashMap;
use tributary_model::Event;

/// Aggregates, by the texts that their filters ask for.
#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    by_event: HashMap<String, Asked>,
    any_event: Asked,
}

/// Aggregates of events of one name, or of any.
#[derive(Clone, Debug, Default)]
struct Asked {
    always: Vec<usize>,
    by_column: Vec<Column>,
}

/// Aggregates that ask one column for a text.
#[derive(Clone, Debug)]
struct Column {
    column: EventColumn,
    all: Vec<usize>,
    by_text: HashMap<String, Vec<usize>>,
}

impl Touched {
    pub(super) fn new(aggregates: &[Aggregate]) -> Self {
        let mut this = Self::default();
        for (index, aggregate) in aggregates.iter().enumerate() {
            let event = aggregate.asks().iter().find(|(column, _)| *column == EventColumn::Event);
            let asked = match event {
                Some((_, event)) => this.by_event.entry(event.clone()).or_default(),
                None => &mut this.any_event,
            };
            match aggregate.asks().iter().find(|(column, _)| *column != EventColumn::Event) {
                Some((column, text)) => asked.ask(column, text, index),
                None => asked.always.push(index),
            }
        }
        this
    }

    /// The indexes of those that an event may change: of all others the filters are not true.
    pub(super) fn by<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = usize> + 'a {
        let named = event.event.as_ref().and_then(|name| self.by_event.get(name));
        std::iter::once(&self.any_event).chain(named).flat_map(move |asked| {
            let found = asked.by_column.iter().flat_map(|column| column.by(event));
            asked.always.iter().chain(found).copied()
        })
    }
}

impl Asked {
    fn ask(&mut self, column: &EventColumn, text: &str, index: usize) {
        if let Some(known) = self.by_column.iter_mut().find(|known| known.column == *column) {
            return known.add(text, index);
        }
        let mut new = Column { column: column.clone(), all: Vec::new(), by_text: HashMap::new() };
        new.add(text, index);
        self.by_column.push(new);
    }
}

impl Column {
    fn add(&mut self, text: &str, index: usize) {
        self.all.push(index);
        self.by_text.entry(text.to_owned()).or_default().push(index);
    }

    fn by(&self, event: &Event) -> &[usize] {
        match self.column.find(event) {
            Found::Nothing => &[],
            Found::Text(text) => self.by_text.get(text).map(Vec::as_slice).unwrap_or_default(),
            Found::Other => &self.all,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::segments::Program;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};
    use tributary_model::{ComputedTrait, Definitions, EventKind, Identifier, MessageId};

    fn conditions() -> impl Strategy<Value = String> {
        let column = prop::sample::select(vec!["event", "type", "name", "properties.a", "properties.b.c", "context.a"]);
        let text = prop::sample::select(vec!["A", "B", "page", "1"]);
        let equal = (column, text).prop_map(|(column, text)| format!("{column} = '{text}'"));
        let odd = prop::sample::select(vec!["properties.a IS NULL", "properties.a = 1", "NOT event = 'A'"]);
        let one = prop_oneof![4 => equal, 1 => odd.prop_map(str::to_owned)];
        prop::collection::vec(one, 1..4).prop_map(|all| all.join(" AND "))
    }

    fn events() -> impl Strategy<Value = Event> {
        let json = prop::sample::select(vec![json!("A"), json!("B"), json!("1"), json!(1), json!(null), json!(["A"])]);
        let name = prop::sample::select(vec![None, Some("A"), Some("B")]);
        let kind = prop::sample::select(vec![EventKind::Track, EventKind::Page]);
        (kind, name, json.clone(), json.clone(), json).prop_map(|(kind, name, a, c, of_context)| {
            let map = |json: Json| json.as_object().cloned().unwrap();
            Event {
                kind,
                group: None,
                message_id: MessageId(1),
                timestamp: 1,
                identifiers: vec![Identifier::new("user_id", "u")],
                event: name.map(str::to_owned).filter(|_| kind == EventKind::Track),
                name: name.map(str::to_owned).filter(|_| kind != EventKind::Track),
                properties: map(json!({ "a": a, "b": { "c": c } })).into(),
                context: map(json!({ "a": of_context })).into(),
                consent: serde_json::Map::new(),
                traits: tributary_model::Object::default(),
                body: bytes::Bytes::new(),
            }
        })
    }

    proptest! {
        #[test]
        fn whatever_an_event_changes_is_found(filters in prop::collection::vec(conditions(), 1..8), event in events()) {
            let traits = filters.iter().enumerate().map(|(index, filter)| {
                (format!("t{index}"), ComputedTrait { expression: format!("count(*) FILTER (WHERE {filter})") })
            });
            let definitions = Definitions { traits: traits.collect(), ..Definitions::default() };
            let aggregates = Program::compile(&definitions).unwrap().aggregates;
            let changed = aggregates.iter().enumerate().filter(|(_, aggregate)| aggregate.observe(&event).is_some());
            let found: Vec<usize> = Touched::new(&aggregates).by(&event).collect();
            for (index, aggregate) in changed {
                let times = found.iter().filter(|at| **at == index).count();
                prop_assert_eq!(times, 1, "{} of {:?}", &aggregate.text, &event);
            }
        }
    }
}
