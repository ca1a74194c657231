//! A table as it is when an event comes: dbsp's joins keep both of their sides, since either may change later, but an
//! event is looked up once, and what the table says later does not change the answer. So this keeps no events.

use dbsp::circuit::Scope;
use dbsp::circuit::operator_traits::{BinaryOperator, Operator};
use dbsp::dynamic::DowncastTrait;
use dbsp::trace::{BatchReader as _, Cursor as _};
use dbsp::typed_batch::{BatchReader as _, Spine, SpineSnapshot};
use dbsp::utils::Tup2;
use dbsp::{Circuit, DBData, OrdIndexedZSet, RootCircuit, Stream};
use std::borrow::Cow;
use std::marker::PhantomData;

type Table<K, V> = OrdIndexedZSet<K, V>;
pub(crate) type Rows<K, V> = Stream<RootCircuit, Table<K, V>>;

/// For each event, what `join` makes of it and of its key's row in the table, the changes of the same step included. The
/// table has to have one row for each key at most.
pub(crate) fn lookup<K, E, T, OK, OV, F>(events: &Rows<K, E>, table: &Rows<K, T>, join: F) -> Rows<OK, OV>
where
    K: DBData,
    E: DBData,
    T: DBData,
    OK: DBData,
    OV: DBData,
    F: Fn(&K, &E, Option<&T>) -> (OK, OV) + 'static,
{
    // A key's events have to be at the worker that has its row.
    let events = events.shard().accumulate().into_enabled_stream();
    let operator = Lookup { join, events: None, complete: false, table: PhantomData };
    events.circuit().add_binary_operator(operator, &events, &table.shard().accumulate_integrate_trace())
}

struct Lookup<K: DBData, E: DBData, T, F> {
    join: F,
    /// All that came in this transaction.
    events: Option<SpineSnapshot<Table<K, E>>>,
    /// Whether both inputs have all of this transaction.
    complete: bool,
    table: PhantomData<T>,
}

impl<K: DBData, E: DBData, T: 'static, F: 'static> Operator for Lookup<K, E, T, F> {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("Lookup")
    }

    fn fixedpoint(&self, _scope: Scope) -> bool {
        true
    }

    fn flush(&mut self) {
        self.complete = true;
    }
}

impl<K, E, T, OK, OV, F> BinaryOperator<Option<Spine<Table<K, E>>>, Spine<Table<K, T>>, Table<OK, OV>>
    for Lookup<K, E, T, F>
where
    K: DBData,
    E: DBData,
    T: DBData,
    OK: DBData,
    OV: DBData,
    F: Fn(&K, &E, Option<&T>) -> (OK, OV) + 'static,
{
    async fn eval(&mut self, events: &Option<Spine<Table<K, E>>>, table: &Spine<Table<K, T>>) -> Table<OK, OV> {
        if let Some(events) = events {
            self.events = Some(events.ro_snapshot());
        }
        if !std::mem::take(&mut self.complete) {
            return Table::empty();
        }
        let Some(events) = self.events.take() else { return Table::empty() };
        let mut events = events.inner().cursor();
        let mut table = table.inner().cursor();
        let mut found = Vec::new();
        while events.key_valid() {
            let is_known = table.seek_key_exact(events.key(), None);
            let row = is_known.then(|| table.val().downcast_checked::<T>());
            while events.val_valid() {
                let times = **events.weight();
                let (key, event) = (events.key().downcast_checked::<K>(), events.val().downcast_checked::<E>());
                let (key, value) = (self.join)(key, event, row);
                found.push(Tup2(Tup2(key, value), times));
                events.step_val();
            }
            events.step_key();
        }
        Table::from_tuples((), found)
    }
}
