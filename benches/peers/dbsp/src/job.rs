//! The job as a circuit: whose events they are, aggregates, segments, triggers. All of it is incremental: a step costs what
//! has changed.

use crate::event::{Event, Fact};
use crate::lookup::{Rows, lookup};
use crate::segments::{Lifetime, Recent, Standing};
use dbsp::dynamic::DynData;
use dbsp::operator::input::{IndexedZSetHandle, InputHandle};
use dbsp::typed_batch::{SpineSnapshot, TypedBox};
use dbsp::utils::{Tup2, Tup3, Tup4};
use dbsp::{OrdIndexedZSet, OutputHandle, RootCircuit, Stream};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A trigger by the probe's number: orders of its customer, and the partition and offset where the probe was.
pub(crate) type Triggers = OrdIndexedZSet<i64, Tup3<i64, i32, i64>>;
pub(crate) type Customers = OrdIndexedZSet<String, Standing>;

/// What goes into the circuit, and what comes out of it.
pub(crate) struct Handles {
    pub(crate) events: IndexedZSetHandle<String, Event>,
    /// Milliseconds since 1970; to be set before each step.
    pub(crate) clock: InputHandle<i64>,
    pub(crate) triggers: OutputHandle<SpineSnapshot<Triggers>>,
    /// All customers, as of the last step.
    pub(crate) customers: OutputHandle<SpineSnapshot<Customers>>,
}

pub(crate) fn build(circuit: &mut RootCircuit) -> anyhow::Result<Handles> {
    let (events, events_handle) = circuit.add_input_indexed_zset::<String, Event>();
    let (clock, clock_handle) = circuit.add_input_stream::<i64>();

    let facts = identify(&events);
    let lifetime = facts.chain_aggregate(
        |fact, times| Lifetime::default().with(fact, times),
        |lifetime, fact, times| lifetime.with(fact, times),
    );
    // Optional, as the right side of a left join is: most customers have done nothing lately.
    let recent = recently(&facts, &clock).aggregate_linear_postprocess(Clone::clone, Some);
    let standing = lifetime.left_join_index(&recent, |customer, lifetime, recent: &Option<Recent>| {
        Some((customer.clone(), Standing::of(lifetime, &recent.unwrap_or_default())))
    });
    // dbsp cannot see that the join's keys are still the customers, each at the worker where it was.
    let standing: Rows<String, Standing> = standing.inner().mark_sharded().typed();

    let probes = facts.flat_map_index(|(customer, fact)| match fact {
        Fact::Probe { number, partition, offset } => Some((customer.clone(), Tup3(*number, *partition, *offset))),
        _ => None,
    });
    let triggers = lookup(&probes, &standing, |_, probe, standing| {
        let Tup3(number, partition, offset) = *probe;
        (number, Tup3(standing.map_or(0, |standing| standing.orders), partition, offset))
    });
    Ok(Handles {
        events: events_handle,
        clock: clock_handle,
        triggers: triggers.accumulate_output(),
        customers: standing.accumulate_integrate_trace().apply(|customers| customers.ro_snapshot()).output(),
    })
}

/// From events by device to facts by customer: who an event names, else who the device was first known to belong to, else
/// the device itself.
fn identify(events: &Rows<String, Event>) -> Rows<String, Fact> {
    let owners = events
        .flat_map_index(|(device, event)| event.user.clone().map(|user| (device.clone(), Tup2(event.offset, user))))
        .chain_aggregate(
            |owner, _| owner.clone(),
            |known, owner, _| if *owner < known { owner.clone() } else { known },
        );
    let named = events.flat_map_index(|(_, event)| event.user.clone().map(|user| (user, event.fact.clone())));
    let unnamed = events.flat_map_index(|(device, event)| {
        event.user.is_none().then(|| (device.clone(), Tup2(event.offset, event.fact.clone())))
    });
    let looked_up = lookup(&unnamed, &owners, |device, Tup2(offset, fact), owner| {
        let known = owner.filter(|Tup2(since, _)| since < offset);
        (known.map_or(device, |Tup2(_, user)| user).clone(), fact.clone())
    });
    named.plus(&looked_up)
}

/// What is in the windows now, as vectors to be added for each customer. What leaves a window comes with a negative weight.
fn recently(facts: &Rows<String, Fact>, clock: &Stream<RootCircuit, i64>) -> Rows<String, Recent> {
    // What has left the longest window before it has come need not be kept until then. Both windows over a stream share
    // what is kept of it.
    let views = facts.flat_map_index(|(customer, fact)| match fact {
        Fact::View { at, received } if at + 7 * DAY + MINUTE > *received => {
            Some((at.div_euclid(MINUTE), customer.clone()))
        }
        _ => None,
    });
    let orders = facts.flat_map_index(|(customer, fact)| match fact {
        Fact::Order { at, received, amount } if at + 30 * DAY + HOUR > *received => {
            Some((at.div_euclid(HOUR), Tup2(customer.clone(), *amount)))
        }
        _ => None,
    });
    let views_1d = views.window((true, true), &since(clock, DAY, MINUTE));
    let views_7d = views.window((true, true), &since(clock, 7 * DAY, MINUTE));
    let orders_30d = orders.window((true, true), &since(clock, 30 * DAY, HOUR));
    let orders_7d = orders.window((true, true), &since(clock, 7 * DAY, HOUR));
    views_1d.map_index(|(_, customer)| (customer.clone(), Tup4(1, 0, 0, 0))).sum([
        &views_7d.map_index(|(_, customer)| (customer.clone(), Tup4(0, 1, 0, 0))),
        &orders_30d.map_index(|(_, Tup2(customer, _))| (customer.clone(), Tup4(0, 0, 1, 0))),
        &orders_7d.map_index(|(_, Tup2(customer, amount))| (customer.clone(), Tup4(0, 0, 0, *amount))),
    ])
}

type Bound = TypedBox<i64, DynData>;

/// A window that is so long and slides by granules of time: the first granule in it, and none that would be the last.
fn since(clock: &Stream<RootCircuit, i64>, length: i64, granule: i64) -> Stream<RootCircuit, (Bound, Bound)> {
    let mut now = 0;
    // A step may be cut into several, of which only the first is told the time; and windows never slide back.
    clock.apply_mut(move |told| {
        now = now.max(*told);
        (TypedBox::new((now - length).div_euclid(granule)), TypedBox::new(i64::MAX))
    })
}
