//! Deterministic simulation: the real engine, intake, dataflow, commit, timers, definitions and outbox, on a log, a disk,
//! a clock and destinations that a seed decides about: what happens next, what fails, and when the power goes.
//!
//! ```sh
//! SIM_SEEDS=10000 make test FILTER=simulation     # so many seeds, from SIM_SEED (or 0) on
//! SIM_SEED=4711 SIM_SEEDS=1 make test FILTER=simulation
//! ```
//!
//! After each seed all faults end, everything drains, and the state must be what the naive oracle says of the log, each
//! trigger be on the transactional topic once, and at the webhook at least once under one id.

mod disk;
mod log;
mod receivers;
mod judge;
mod shop;
mod world;
mod redefine;
mod by_hand;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use world::{Sabotage, World, run};

/// Seeds of a run that nobody has asked more of.
const SEEDS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Runs seeds on all processors, until so many have failed; gives those that failed, with why.
fn run_all(first: u64, count: u64, most: usize, sabotage: Sabotage) -> Vec<(u64, String)> {
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || failures.lock().unwrap().len() >= most {
                        return;
                    }
                    let ended = catch_unwind(AssertUnwindSafe(|| run(seed, sabotage)));
                    let failed = match ended {
                        Ok(Ok(_)) => continue,
                        Ok(Err(why)) => why,
                        Err(panic) => match panic.downcast_ref::<String>() {
                            Some(text) => format!("panicked: {text}"),
                            None => "panicked".to_owned(),
                        },
                    };
                    failures.lock().unwrap().push((seed, failed));
                }
            });
        }
    });
    failures.into_inner().unwrap()
}

#[test]
fn nothing_is_lost_and_nothing_twice_whatever_fails_when() {
    let (first, count) = (number("SIM_SEED").unwrap_or(0), number("SIM_SEEDS").unwrap_or(SEEDS));
    let failures = run_all(first, count, usize::MAX, Sabotage::None);
    for (seed, why) in failures.iter().take(20) {
        eprintln!("to repeat it: SIM_SEED={seed} SIM_SEEDS=1 make test FILTER=simulation\n{why}\n");
    }
    assert!(failures.is_empty(), "{} of {count} seeds fail, the first is {}", failures.len(), failures[0].0);
}

#[test]
fn a_seed_says_the_same_again() {
    for seed in 0..5 {
        let (one, other) = (run(seed, Sabotage::None).unwrap(), run(seed, Sabotage::None).unwrap());
        assert_eq!(one.steps, other.steps, "seed {seed}");
    }
}

#[test]
fn a_state_that_cannot_be_written_says_so_and_goes_on_when_it_can() {
    let mut world = World::new(1, Sabotage::None);
    world.drain_prelude().unwrap();
    world.fail_writes(3);
    world.send_all();
    let mut told = false;
    for _ in 0..200 {
        world.drive().unwrap();
        world.commit().unwrap();
        told |= world.trouble().is_some();
    }
    assert!(told, "three commits failed");
    assert_eq!(world.trouble(), None, "and then it went on");
    world.end();
}

/// A simulation that finds nothing may be one that looks at nothing: what surrounds the engine breaks its word here, as the
/// engine must not, and a few seeds must notice.
#[test]
fn what_breaks_its_word_is_found_out() {
    for sabotage in [
        Sabotage::DiskForgets,
        Sabotage::LogForgets,
        Sabotage::CommitsPositionsFirst,
        Sabotage::TopicForgetsProgress,
        Sabotage::OutboxSettlesFirst,
    ] {
        let failures = run_all(0, 600, 1, sabotage);
        assert!(!failures.is_empty(), "no seed notices {sabotage:?}");
    }
}
