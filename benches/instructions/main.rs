//! `make bench-instructions`: how many instructions the ways take that every event or query goes. Valgrind counts them, so that
//! the figures are the same on a busy machine and on a quiet one; CI fails where one is above its limit.
//!
//! A limit is what stands in `counted.txt` and a margin for other compilers and libraries. `COUNTED=write` writes down what is
//! counted now: whoever makes something cheaper does so, and whoever makes something dearer says in the commit why it is worth it.

// A bench may fail loudly, and prints its numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

#[path = "../support/mod.rs"]
mod support;
mod engine;

use engine::{Ready, Shop};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const COUNTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions/counted.txt");
/// Above what is written down, in percent.
const MARGIN: u64 = 10;

/// The ways, and what goes them. Each is prepared first, which does not count.
const WAYS: [(&str, fn()); 5] = [
    ("1000 events from bytes", || {
        let shop = Shop::with_events(1_000);
        let bodies: Vec<_> = shop.bodies().collect();
        count(&mut || bodies.iter().for_each(|body| drop(black_box(shop.process(body.clone())).unwrap())));
    }),
    ("epoch of 1000 events of new customers", || epoch_after(0, 1_000)),
    ("epoch of 1000 events of known customers", || epoch_after(10_000, 1_000)),
    ("epoch of 10 events", || epoch_after(10_000, 10)),
    ("100 profiles read", || {
        let engine = Ready::after(10_000, 0);
        count(&mut || (0..100).for_each(|customer| drop(black_box(engine.profile(customer)))));
    }),
];

fn epoch_after(known: usize, events: usize) {
    let mut engine = Ready::after(known, events);
    count(&mut || engine.epoch());
}

/// What happens in here is counted: Valgrind knows it by this name.
#[inline(never)]
fn count(what: &mut dyn FnMut()) {
    what();
}

fn main() -> ExitCode {
    let word = std::env::var("WAY").ok();
    if let Some((_, way)) = WAYS.iter().find(|(name, _)| word.as_deref() == Some(*name)) {
        way();
        return ExitCode::SUCCESS;
    }
    let counted: BTreeMap<&str, u64> = WAYS.iter().map(|(name, _)| (*name, instructions(name))).collect();
    if std::env::var("COUNTED").is_ok_and(|word| word == "write") {
        let lines = counted.iter().map(|(name, instructions)| format!("{instructions} {name}\n"));
        std::fs::write(COUNTED, lines.collect::<String>()).unwrap();
    }
    let text = std::fs::read_to_string(COUNTED).unwrap();
    let before: BTreeMap<&str, u64> = text
        .lines()
        .map(|line| line.split_once(' ').unwrap_or_else(|| panic!("{COUNTED}: no number and name: {line}")))
        .map(|(number, name)| (name, number.parse().unwrap()))
        .collect();
    assert!(before.keys().eq(counted.keys()), "{COUNTED} has other names: COUNTED=write make bench-instructions");
    println!("{:<42} {:>14} {:>14} {:>6}", "instructions", "written down", "now", "ratio");
    let mut is_dear = false;
    for (name, now) in &counted {
        let before = before[name];
        let is_above = *now > before + before / 100 * MARGIN;
        is_dear |= is_above;
        let word = if is_above { "  too many" } else { "" };
        println!("{name:<42} {before:>14} {now:>14} {:>6.3}{word}", *now as f64 / before as f64);
    }
    if is_dear { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Has Valgrind count a way in a process of its own.
fn instructions(way: &str) -> u64 {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    valgrind.arg("--toggle-collect=instructions::count").arg(std::env::current_exe().unwrap()).env("WAY", way);
    let output = valgrind.output().expect("valgrind is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{way}: {told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    let collected = collected.and_then(|number| number.parse().ok()).filter(|number| *number > 0);
    collected.unwrap_or_else(|| panic!("{way}: nothing was counted: {told}"))
}
