//! What outlives the process: dbsp's own checkpoints, each named by how far was read when it was made. So what is in a
//! checkpoint and where to read on from become durable as one.

use crate::job::{self, Handles};
use anyhow::Context;
use dbsp::circuit::checkpointer::Checkpointer;
use dbsp::circuit::{CircuitConfig, CircuitStorageConfig, StorageConfig, StorageOptions};
use dbsp::{DBSPHandle, Runtime};
use std::collections::HashSet;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const WORKERS: usize = 2;
/// For blocks of files, of all threads together.
const CACHE_MIB: usize = 256;

/// How far the circuit has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// The clock at its last step, in milliseconds since 1970.
    pub(crate) clock: i64,
    /// By partition, the next event's offset.
    pub(crate) next: Vec<i64>,
}

impl Progress {
    fn name(&self) -> String {
        let numbers = std::iter::once(&self.clock).chain(&self.next);
        numbers.map(i64::to_string).collect::<Vec<_>>().join(",")
    }

    fn parse(name: &str) -> anyhow::Result<Self> {
        let mut numbers = name.split(',').map(str::parse);
        let clock = numbers.next().context("a checkpoint's name is empty")??;
        Ok(Self { clock, next: numbers.collect::<Result<_, _>>()? })
    }
}

/// The circuit as it was at the last checkpoint in a folder, or a new one.
pub(crate) fn open(folder: &Path, partitions: usize) -> anyhow::Result<(DBSPHandle, Handles, Progress)> {
    std::fs::create_dir_all(folder)?;
    let config = StorageConfig { path: folder.to_string_lossy().into_owned(), cache: Default::default() };
    let options = StorageOptions { cache_mib: Some(CACHE_MIB), ..Default::default() };
    let storage = CircuitStorageConfig::for_config(config, options)?;
    let last = Checkpointer::read_checkpoints(&*storage.backend)?.pop_back();
    let mut progress = match last.as_ref().and_then(|last| last.identifier.as_deref()) {
        Some(name) => Progress::parse(name)?,
        None => Progress::default(),
    };
    progress.next.resize(partitions, 0);
    let storage = storage.with_init_checkpoint(last.map(|last| last.uuid));
    let config = CircuitConfig::with_workers(WORKERS).with_storage(Some(storage));
    let (circuit, handles) = Runtime::init_circuit(config, job::build)?;
    Ok((circuit, handles, progress))
}

/// Makes checkpoints, one after the other, each beside the steps that follow it.
pub(crate) struct Checkpoints {
    /// Between two of them: what may have to be gone through again after a crash, against what is written.
    interval: Duration,
    /// How far the last one is.
    last: Progress,
    started: Instant,
    running: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Checkpoints {
    pub(crate) fn since(progress: &Progress, interval: Duration) -> Self {
        Self { interval, last: progress.clone(), started: Instant::now(), running: None }
    }

    /// Whether it is time for one.
    pub(crate) fn are_due(&self, progress: &Progress) -> bool {
        self.started.elapsed() >= self.interval
            && progress.next != self.last.next
            && self.running.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Begins one. All triggers of what it contains must have been sent: they are not made again.
    pub(crate) fn begin(&mut self, circuit: &mut DBSPHandle, progress: &Progress) -> anyhow::Result<()> {
        self.wait()?;
        circuit.gc_checkpoint(HashSet::new())?;
        // The circuit stands still while it writes what is in memory only; that becomes durable while it goes on.
        let committer = circuit.checkpoint().with_name(progress.name()).prepare()?;
        self.running = Some(std::thread::spawn(move || {
            committer.commit()?.publish()?;
            Ok(())
        }));
        self.last = progress.clone();
        self.started = Instant::now();
        Ok(())
    }

    /// Waits until the last one is durable.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.join().map_err(|_| anyhow::anyhow!("a checkpoint panicked"))?
    }
}
