//! Operators that take in whole epochs, one after the other: for what keeps its own state between them.

use differential_dataflow::difference::Semigroup;
use differential_dataflow::{AsCollection, ExchangeData, VecCollection};
use std::collections::BTreeMap;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::operator::Operator;
use tributary_model::Epoch;

/// Changes of one epoch that wait for it to be closed, with the right to answer them.
type Open<D, R> = BTreeMap<Epoch, (Capability<Epoch>, Vec<(D, R)>)>;

/// Has changes wait for their epochs to be closed; `right` gives the right to answer at an epoch.
fn wait<D, R>(
    open: &mut Open<D, R>,
    changes: impl Iterator<Item = (D, Epoch, R)>,
    right: impl Fn(&Epoch) -> Capability<Epoch>,
) {
    for (data, epoch, difference) in changes {
        let (_, waiting) = open.entry(epoch).or_insert_with(|| (right(&epoch), Vec::new()));
        waiting.push((data, difference));
    }
}

/// Gives each closed epoch's changes to `apply`, with the epoch and its ticks, and on what it makes of them.
///
/// Every worker is given each tick, with its epoch; an epoch with ticks is applied even if nothing changes in it. Changes
/// stay with the worker on which they are.
pub(crate) fn by_epoch_at<'scope, D, R, T, O>(
    changes: VecCollection<'scope, Epoch, D, R>,
    ticks: StreamVec<'scope, Epoch, (Epoch, T)>,
    name: &str,
    mut apply: impl FnMut(Epoch, Vec<T>, Vec<(D, R)>) -> Vec<(O, isize)> + 'static,
) -> VecCollection<'scope, Epoch, O, isize>
where
    D: Clone + 'static,
    R: Semigroup + 'static,
    T: Clone + 'static,
    O: Clone + 'static,
{
    let applied = changes.inner.binary_frontier::<_, CapacityContainerBuilder<Vec<_>>, _, _, _, _>(
        ticks,
        Pipeline,
        Pipeline,
        name,
        move |_capability, _info| {
            let mut open: Open<D, R> = BTreeMap::new();
            let mut waiting: BTreeMap<Epoch, Vec<T>> = BTreeMap::new();
            move |(input, frontier), (ticks, ticks_frontier), output| {
                input.for_each(|capability, changes| {
                    wait(&mut open, changes.drain(..), |epoch| capability.delayed(epoch, 0));
                });
                ticks.for_each(|capability, ticks| {
                    for (epoch, tick) in ticks.drain(..) {
                        open.entry(epoch).or_insert_with(|| (capability.delayed(&epoch, 0), Vec::new()));
                        waiting.entry(epoch).or_default().push(tick);
                    }
                });
                let is_closed = |epoch: &Epoch| !frontier.less_equal(epoch) && !ticks_frontier.less_equal(epoch);
                while let Some(first) = open.first_entry().filter(|first| is_closed(first.key())) {
                    let epoch = *first.key();
                    let (capability, changes) = first.remove();
                    let mut session = output.session(&capability);
                    for (made, times) in apply(epoch, waiting.remove(&epoch).unwrap_or_default(), changes) {
                        session.give((made, epoch, times));
                    }
                }
            }
        },
    );
    applied.as_collection()
}

/// Gives each closed epoch's changes to `apply`, and on what it makes of them.
///
/// `route` says which worker has a record: those with the same number, modulo the workers, come to the same one.
pub(crate) fn by_epoch<'scope, D, R, O>(
    changes: VecCollection<'scope, Epoch, D, R>,
    name: &str,
    route: impl Fn(&D) -> u64 + 'static,
    mut apply: impl FnMut(Vec<(D, R)>) -> Vec<(O, isize)> + 'static,
) -> VecCollection<'scope, Epoch, O, isize>
where
    D: ExchangeData,
    R: Semigroup + ExchangeData,
    O: Clone + 'static,
{
    let to_worker = Exchange::new(move |(data, _, _): &(D, Epoch, R)| route(data));
    let applied = changes.inner.unary_frontier::<CapacityContainerBuilder<Vec<_>>, _, _, _>(
        to_worker,
        name,
        move |_capability, _info| {
            let mut open: Open<D, R> = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each(|capability, changes| {
                    wait(&mut open, changes.drain(..), |epoch| capability.delayed(epoch, 0));
                });
                while let Some(first) = open.first_entry().filter(|first| !frontier.less_equal(first.key())) {
                    let epoch = *first.key();
                    let (capability, changes) = first.remove();
                    let mut session = output.session(&capability);
                    for (made, times) in apply(changes) {
                        session.give((made, epoch, times));
                    }
                }
            }
        },
    );
    applied.as_collection()
}
