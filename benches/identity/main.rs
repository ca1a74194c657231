//! `make bench-identity`: what it costs to know who is one customer, beside a plain union-find and beside differential
//! dataflow's `propagate`, which know no rules; and what hostile graphs do to everybody else.
//!
//! `BENCH_IDENTIFIERS` sets how many identifiers there are (a million if not set).

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod graphs;
mod propagate;
mod union_find;

use graphs::{Customers, node};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tributary_dataflows::identity::{Evidence, Link, Resolver, Rules, ends};
use tributary_model::IdentifierId;

/// Links in an epoch under load, and links that are timed one by one.
const EPOCH: usize = 1_000;
const SINGLES: usize = 20_000;

fn main() {
    let count = std::env::var("BENCH_IDENTIFIERS").map_or(1_000_000, |text| text.parse().expect("a number"));
    let customers = Arc::new(Customers::new(count));
    println!("{count} identifiers, {} links, four identifiers a customer, in random order\n", customers.links.len());

    let plain = union_find::rate(&customers);
    println!("| | links/s | ratio to union-find | bytes an identifier |");
    println!("|---|---|---|---|");
    println!("| plain union-find, one thread | {:.0} | 1 | {:.0} |", plain.rate, plain.bytes);
    // Twice the memory of everything else together: only where it fits.
    if count <= 1_000_000 {
        let propagate = propagate::rate(&customers);
        println!(
            "| differential's propagate | {:.0} | {:.3} | {:.0} |",
            propagate.rate,
            propagate.rate / plain.rate,
            propagate.bytes
        );
    }
    let mut resolver = load(&customers, plain.rate);
    steady(&mut resolver, &customers, plain.rate);
    hostile();
}

fn rules() -> Arc<Rules> {
    Arc::new(Rules::new(&graphs::rules()))
}

fn load(customers: &Customers, plain: f64) -> Resolver {
    let mut resolver = Resolver::new(rules());
    let nodes = customers.nodes.iter().map(|node| (Evidence::Node(*node), 1));
    let links = customers.links.iter().map(|link| (Evidence::Link(*link), 1));
    let changes: Vec<_> = nodes.chain(links).collect();
    let started = Instant::now();
    let owners = resolver.apply(changes).len();
    let took = started.elapsed();
    assert_eq!(owners, customers.nodes.len());
    let (_, links, bytes) = resolver.weight();
    let rate = links as f64 / took.as_secs_f64();
    let bytes = bytes as f64 / customers.nodes.len() as f64;
    println!("| resolver, all at once | {rate:.0} | {:.3} | {bytes:.0} |", rate / plain);
    resolver
}

fn steady(resolver: &mut Resolver, customers: &Customers, plain: f64) {
    let show = |what: &str, links: usize, took: Duration| {
        let rate = links as f64 / took.as_secs_f64();
        println!("| resolver, {what} | {rate:.0} | {:.3} | |", rate / plain);
    };
    // New devices of known customers, and new customers.
    let new = customers.more(200_000);
    let started = Instant::now();
    for epoch in new.chunks(EPOCH) {
        let changes = epoch.iter().flat_map(|(nodes, link)| {
            nodes.iter().map(|node| (Evidence::Node(*node), 1)).chain([(Evidence::Link(*link), 1)])
        });
        resolver.apply(changes.collect());
    }
    show("new links, 1,000 an epoch", new.len(), started.elapsed());

    let again = &customers.links[..customers.links.len().min(200_000)];
    let seen_again = |link: &Link| Link { last_seen: link.last_seen + 1, count: link.count + 1, ..*link };
    let started = Instant::now();
    for epoch in again.chunks(EPOCH) {
        let changes =
            epoch.iter().flat_map(|link| [(Evidence::Link(*link), -1), (Evidence::Link(seen_again(link)), 1)]);
        resolver.apply(changes.collect());
    }
    show("links seen again", again.len(), started.elapsed());

    let started = Instant::now();
    for epoch in new.chunks(EPOCH) {
        resolver.apply(epoch.iter().map(|(_, link)| (Evidence::Link(*link), -1)).collect());
    }
    show("links deleted", new.len(), started.elapsed());

    let mut insert = latencies(new[..SINGLES].iter().map(|(_, link)| vec![(Evidence::Link(*link), 1)]), resolver);
    let mut delete = latencies(new[..SINGLES].iter().map(|(_, link)| vec![(Evidence::Link(*link), -1)]), resolver);
    println!();
    for (what, all) in [("inserted", &mut insert), ("deleted", &mut delete)] {
        all.sort_unstable();
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
        println!("one link {what}: p50 {:.1} µs, p99 {:.1} µs, at most {:.0} µs", at(0.5), at(0.99), at(1.0));
    }
}

fn latencies(epochs: impl Iterator<Item = Vec<(Evidence, isize)>>, resolver: &mut Resolver) -> Vec<Duration> {
    let timed = |changes| {
        let started = Instant::now();
        resolver.apply(changes);
        started.elapsed()
    };
    epochs.map(timed).collect()
}

/// Feeds a hostile graph, 1,000 links an epoch; between its epochs another customer gets a link, and is timed.
fn hostile() {
    println!("\n| hostile graph | links | longest epoch, ms | another customer's link, p99 ms | bytes an identifier |");
    println!("|---|---|---|---|---|");
    for (name, links) in graphs::hostile(1) {
        let mut resolver = Resolver::new(rules());
        let mut longest = Duration::ZERO;
        let mut others = Vec::new();
        let mut known = std::collections::HashSet::new();
        for (epoch, links) in links.chunks(EPOCH).enumerate() {
            let mut changes = Vec::new();
            for (a, b) in links {
                let fresh = [a, b].into_iter().filter(|node| known.insert(node.id));
                changes.extend(fresh.map(|node| (Evidence::Node(*node), 1)));
                let link = Link { ends: ends(a.id, b.id), last_seen: epoch as i64, count: 1 };
                changes.push((Evidence::Link(link), 1));
            }
            let started = Instant::now();
            resolver.apply(changes);
            longest = longest.max(started.elapsed());

            let other = |number: u128| node("user_id", IdentifierId(u128::MAX - number));
            let (one, two) = (other(2 * epoch as u128), other(2 * epoch as u128 + 1));
            let link = Link { ends: ends(one.id, two.id), last_seen: 0, count: 1 };
            let changes = vec![(Evidence::Node(one), 1), (Evidence::Node(two), 1), (Evidence::Link(link), 1)];
            let started = Instant::now();
            resolver.apply(changes);
            others.push(started.elapsed());
        }
        others.sort_unstable();
        let other = others[(others.len() - 1) * 99 / 100];
        let (identifiers, _, bytes) = resolver.weight();
        println!(
            "| {name} | {} | {:.1} | {:.3} | {:.0} |",
            links.len(),
            longest.as_secs_f64() * 1e3,
            other.as_secs_f64() * 1e3,
            bytes as f64 / identifiers as f64
        );
    }
}
