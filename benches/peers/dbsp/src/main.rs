//! The job of `make bench-peers` on dbsp, as a peer of Tributary: reads events from a topic, keeps aggregates and segments of
//! customers, and answers each probe with a trigger in another topic, exactly once.
//!
//! State is in dbsp's checkpoints. After a crash, what came since the last one is read again; triggers that the broker has
//! are left out, which the offsets tell that were committed with them.

mod event;
mod inbox;
mod job;
mod kafka;
mod lookup;
mod segments;
mod state;

use crate::inbox::{Batch, Inbox};
use crate::job::{Customers, Handles};
use crate::kafka::{Sender, Trigger};
use crate::state::{Checkpoints, Progress};
use anyhow::Context;
use dbsp::DBSPHandle;
use dbsp::typed_batch::{IndexedZSetReader, SpineSnapshot};
use dbsp::utils::Tup3;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The clock goes on so often when no events come, so that they leave windows.
const TICK: Duration = Duration::from_secs(1);
/// Between checkpoints, if `--checkpoint-ms` does not say otherwise.
const CHECKPOINT: Duration = Duration::from_secs(10);
/// How far was read is committed at least so often while events come that fire nothing.
const COMMIT: Duration = Duration::from_millis(100);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let pairs = arguments.chunks(2).filter_map(|pair| Some((pair[0].strip_prefix("--")?, pair.get(1)?.as_str())));
    let options: HashMap<_, _> = pairs.collect();
    let option = |name: &str| options.get(name).copied().with_context(|| format!("--{name} is missing"));
    let input = option("input")?;

    let (consumer, sender) = kafka::connect(option("bootstrap-servers")?, option("group")?, input, option("output")?)?;
    let (circuit, handles, progress) = state::open(Path::new(option("state")?), sender.partitions())?;
    let inbox = Arc::new(Inbox::default());
    kafka::read(consumer, input, &progress.next, inbox.clone())?;
    let asks = inbox.clone();
    std::thread::spawn(move || serve(&asks));
    let interval =
        options.get("checkpoint-ms").map_or(Ok(CHECKPOINT), |text| text.parse().map(Duration::from_millis))?;
    let checkpoints = Checkpoints::since(&progress, interval);
    println!("started");
    Peer { circuit, handles, progress, sender, checkpoints, triggers: Vec::new(), committed: Instant::now() }
        .run(&inbox)
}

/// Passes on what is asked for through the standard input, until that ends.
fn serve(inbox: &Inbox) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.strip_prefix("members ") {
            Some(path) => inbox.ask(PathBuf::from(path)),
            None => return inbox.end(Err(anyhow::anyhow!("no command: {line}"))),
        }
    }
    inbox.end(Ok(()));
}

/// What the thread that runs the circuit has.
struct Peer {
    circuit: DBSPHandle,
    handles: Handles,
    progress: Progress,
    sender: Sender,
    checkpoints: Checkpoints,
    /// Made and not yet sent.
    triggers: Vec<Trigger>,
    /// When how far was read was committed last.
    committed: Instant,
}

impl Peer {
    fn run(mut self, inbox: &Inbox) -> anyhow::Result<()> {
        loop {
            let mut batch = inbox.take(TICK);
            self.step(&mut batch)?;
            if !self.triggers.is_empty() || self.committed.elapsed() >= COMMIT {
                self.commit()?;
            }
            for path in &batch.asked {
                write(&self.handles.customers.take_from_all(), path)?;
                println!("members written");
            }
            if self.checkpoints.are_due(&self.progress) {
                self.checkpoint()?;
            }
            if let Some(end) = batch.end {
                self.checkpoint()?;
                self.checkpoints.wait()?;
                return end;
            }
        }
    }

    /// One transaction of the circuit.
    fn step(&mut self, batch: &mut Batch) -> anyhow::Result<()> {
        self.progress.clock = self.progress.clock.max(kafka::now());
        self.handles.clock.set_for_all(self.progress.clock);
        self.handles.events.append(&mut batch.rows);
        self.circuit.transaction()?;
        for (next, read) in self.progress.next.iter_mut().zip(&batch.next) {
            *next = read.unwrap_or(*next);
        }
        // A probe that is there has weight one: its place in the topic is in its row.
        let made = self.handles.triggers.concat();
        self.triggers.extend(made.iter().map(|(number, Tup3(orders, partition, offset), _)| Trigger {
            number,
            orders,
            partition: partition as usize,
            offset,
        }));
        Ok(())
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        self.sender.commit(&self.triggers, &self.progress.next)?;
        self.triggers.clear();
        self.committed = Instant::now();
        Ok(())
    }

    fn checkpoint(&mut self) -> anyhow::Result<()> {
        self.commit()?;
        self.checkpoints.begin(&mut self.circuit, &self.progress)
    }
}

/// Writes a line for each customer.
fn write(customers: &[SpineSnapshot<Customers>], path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (customer, standing, weight) in customers.iter().flat_map(IndexedZSetReader::iter) {
        if weight > 0 {
            writeln!(file, "{customer}\t{}", standing.segments)?;
        }
    }
    Ok(file.flush()?)
}
