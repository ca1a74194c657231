//! Differential dataflow's own connected components, with nothing around them: no rules, no evidence.

use super::graphs::Customers;
use super::union_find::Measured;
use differential_dataflow::algorithms::graphs::propagate::propagate_core;
use differential_dataflow::input::Input;
use std::sync::Arc;
use std::time::Instant;
use tributary_dataflows::identity::Node;
use tributary_model::IdentifierId;

/// Bytes of memory that this process holds.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

pub(crate) fn rate(customers: &Arc<Customers>) -> Measured {
    let (before, customers) = (resident(), customers.clone());
    timely::execute_directly(move |worker| {
        let (mut links, mut nodes, probe) = worker.dataflow::<u64, _, _>(|scope| {
            let (links_in, links) = scope.new_collection::<(IdentifierId, IdentifierId), isize>();
            let (nodes_in, nodes) = scope.new_collection::<Node, isize>();
            let edges = links.clone().map(|(a, b)| (b, a)).concat(links).arrange_by_key();
            let labelled = nodes.map(|node| (node.id, node));
            let owners = propagate_core(edges, labelled, |label: &Node| 1u64 << label.priority.min(63));
            let (probe, _) = owners.probe();
            (links_in, nodes_in, probe)
        });
        let started = Instant::now();
        customers.nodes.iter().for_each(|node| nodes.insert(*node));
        customers.links.iter().for_each(|link| links.insert(link.ends));
        nodes.advance_to(1);
        links.advance_to(1);
        nodes.flush();
        links.flush();
        worker.step_while(|| probe.less_than(&1));
        let took = started.elapsed();
        Measured {
            rate: customers.links.len() as f64 / took.as_secs_f64(),
            bytes: resident().saturating_sub(before) as f64 / customers.nodes.len() as f64,
        }
    })
}
