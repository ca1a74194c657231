//! The resolver in the dataflow: changes of evidence in, changes of owners out, epoch by epoch.

use super::evidence::{Evidence, Resolved};
use super::resolver::Resolver;
use super::rules::Rules;
use differential_dataflow::{AsCollection, VecCollection};
use std::collections::BTreeMap;
use std::sync::Arc;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;
use tributary_model::Epoch;

/// Who is one customer. One worker does it for all: a component may be anywhere, and a link takes a microsecond.
pub fn resolve<'scope>(
    evidence: VecCollection<'scope, Epoch, Evidence, isize>,
    rules: Arc<Rules>,
) -> VecCollection<'scope, Epoch, Resolved, isize> {
    let to_one = Exchange::new(|_: &(Evidence, Epoch, isize)| 0);
    let resolve = evidence.inner.unary_frontier::<CapacityContainerBuilder<Vec<_>>, _, _, _>(
        to_one,
        "Resolve",
        move |_capability, _info| {
            let mut resolver = Resolver::new(rules);
            let mut open = BTreeMap::new();
            move |(input, frontier), output| {
                input.for_each(|capability, changes| {
                    for (evidence, epoch, times) in changes.drain(..) {
                        let (_, waiting) =
                            open.entry(epoch).or_insert_with(|| (capability.delayed(&epoch, 0), Vec::new()));
                        waiting.push((evidence, times));
                    }
                });
                while let Some(first) = open.first_entry().filter(|first| !frontier.less_equal(first.key())) {
                    let epoch = *first.key();
                    let (capability, changes) = first.remove();
                    let mut session = output.session(&capability);
                    for (resolved, times) in resolver.apply(changes) {
                        session.give((resolved, epoch, times));
                    }
                }
            }
        },
    );
    resolve.as_collection()
}
