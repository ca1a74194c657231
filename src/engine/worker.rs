//! Runs timely: feeds the dataflow an epoch at a time and hands on what comes out.
//!
//! Workers are plain threads that never wait for the disk or the network. Each gets every epoch (maybe with nothing in
//! it), steps until the dataflow is through with it, and gives its share of the outputs to the collector.

use super::epoch::Feed;
use super::priority::step_back;
use crossbeam_channel::{Receiver, Sender, bounded};
use differential_dataflow::input::InputSession;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use timely::dataflow::ProbeHandle;
use timely::worker::Worker;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_dataflows::{Inputs, Output};
use tributary_model::Epoch;

/// Takes in changes and computes what follows from them, epoch by epoch.
pub trait Dataflow {
    /// Gives changes to the open epoch.
    ///
    /// # Errors
    /// If it has stopped.
    fn feed(&self, feed: Feed) -> Result<(), WorkerError>;

    /// Closes the open epoch, which is to be computed.
    ///
    /// # Errors
    /// If it has stopped.
    fn close(&self, epoch: Epoch) -> Result<(), WorkerError>;

    /// Where each worker's share of each closed epoch comes out.
    fn outputs(&self) -> Receiver<(Epoch, Outputs)>;

    /// Ends it once all that was closed is computed, and waits for that.
    fn stop(self);
}

/// One worker's share of an epoch.
#[derive(Debug)]
enum Step {
    /// Takes in changes; the epoch stays open.
    Feed(Feed),
    /// Closes the epoch.
    Close(Epoch),
}

/// Consolidated changes of what is true.
pub type Outputs = Vec<(Output, isize)>;

/// The dataflow on threads of its own.
pub struct Workers {
    steps: Vec<Sender<Step>>,
    outputs: Receiver<(Epoch, Outputs)>,
    threads: timely::communication::WorkerGuards<()>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} workers", self.steps.len())
    }
}

/// The dataflow has stopped, which only a defect in it can cause.
#[derive(Debug, thiserror::Error)]
#[error("the dataflow has stopped: {0}")]
pub struct WorkerError(pub(super) String);

impl Workers {
    /// Starts `count` worker threads.
    ///
    /// # Errors
    /// If the threads cannot be started.
    pub fn start(count: usize, plan: Arc<Plan>, rules: Arc<Rules>) -> Result<Self, WorkerError> {
        let (steps, receivers): (Vec<_>, Vec<_>) = (0..count).map(|_| bounded::<Step>(4)).unzip();
        let (output, outputs) = bounded::<(Epoch, Outputs)>(4 * count);
        let receivers = Mutex::new(receivers.into_iter().map(Some).collect::<Vec<_>>());
        let config = match count {
            1 => timely::Config::thread(),
            _ => timely::Config::process(count),
        };
        let threads = timely::execute(config, move |worker| {
            let mut receivers = receivers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let receiver = receivers.get_mut(worker.index()).and_then(Option::take);
            drop(receivers);
            if let Some(receiver) = receiver {
                step_back();
                run(worker, &receiver, &output, plan.clone(), rules.clone());
            }
        })
        .map_err(WorkerError)?;
        Ok(Self { steps, outputs, threads })
    }

    fn send(&self, worker: usize, step: Step) -> Result<(), WorkerError> {
        let sender = self.steps.get(worker).ok_or_else(|| WorkerError(format!("there is no worker {worker}")))?;
        sender.send(step).map_err(|_| WorkerError("a worker thread has ended".to_owned()))
    }
}

impl Dataflow for Workers {
    fn feed(&self, mut feed: Feed) -> Result<(), WorkerError> {
        let count = self.steps.len();
        if count == 1 {
            return self.send(0, Step::Feed(feed));
        }
        let mut shares: Vec<Feed> = (0..count).map(|_| Feed::default()).collect();
        let share_of = |low_bits: u128| (low_bits % count as u128) as usize;
        // One worker resolves identities for all.
        shares.first_mut().into_iter().for_each(|share| share.evidence = std::mem::take(&mut feed.evidence));
        shares.iter_mut().for_each(|share| share.tick.clone_from(&feed.tick));
        for change in feed.facts {
            let share = shares.get_mut(share_of(change.0.0));
            share.into_iter().for_each(|share| share.facts.push(change.clone()));
        }
        for change in feed.belongs {
            let share = shares.get_mut(share_of(change.0.0.0));
            share.into_iter().for_each(|share| share.belongs.push(change));
        }
        for change in feed.groups {
            let share = shares.get_mut(share_of(change.0.0));
            share.into_iter().for_each(|share| share.groups.push(change.clone()));
        }
        shares.into_iter().enumerate().try_for_each(|(index, share)| self.send(index, Step::Feed(share)))
    }

    fn close(&self, epoch: Epoch) -> Result<(), WorkerError> {
        (0..self.steps.len()).try_for_each(|index| self.send(index, Step::Close(epoch)))
    }

    fn outputs(&self) -> Receiver<(Epoch, Outputs)> {
        self.outputs.clone()
    }

    fn stop(self) {
        drop(self.steps);
        drop(self.outputs);
        drop(self.threads);
    }
}

fn run(
    worker: &mut Worker,
    steps: &Receiver<Step>,
    output: &Sender<(Epoch, Outputs)>,
    plan: Arc<Plan>,
    rules: Arc<Rules>,
) {
    let mut share = Share::build(worker, plan, rules);
    // Ends when the driver drops its side.
    while let Ok(step) = steps.recv() {
        match step {
            Step::Feed(feed) => share.take_in(feed),
            Step::Close(epoch) => {
                if output.send((epoch, share.close(worker, epoch))).is_err() {
                    break;
                }
            }
        }
    }
}

/// The dataflow as one worker has it.
pub(super) struct Share {
    inputs: Inputs,
    probe: ProbeHandle<Epoch>,
    pending: Rc<RefCell<Outputs>>,
}

impl Share {
    pub(super) fn build(worker: &mut Worker, plan: Arc<Plan>, rules: Arc<Rules>) -> Self {
        let probe = ProbeHandle::new();
        let pending: Rc<RefCell<Outputs>> = Rc::default();
        let inputs = worker.dataflow::<Epoch, _, _>(|scope| {
            let (inputs, outputs) = tributary_dataflows::build(scope, plan, rules);
            let pending = pending.clone();
            outputs
                .inspect_batch(move |_epoch, batch| {
                    pending.borrow_mut().extend(batch.iter().map(|(output, _epoch, times)| (output.clone(), *times)));
                })
                .probe_with(&probe);
            inputs
        });
        Self { inputs, probe, pending }
    }

    pub(super) fn take_in(&mut self, feed: Feed) {
        fn all<D: differential_dataflow::Data, R: differential_dataflow::difference::Semigroup + 'static>(
            input: &mut InputSession<Epoch, D, R>,
            changes: Vec<(D, R)>,
        ) {
            changes.into_iter().for_each(|(data, times)| input.update(data, times));
        }
        let Self { inputs, .. } = self;
        feed.tick.into_iter().for_each(|tick| inputs.tick(tick));
        all(&mut inputs.evidence, feed.evidence);
        all(&mut inputs.facts, feed.facts);
        all(&mut inputs.belongs, feed.belongs);
        all(&mut inputs.groups, feed.groups);
    }

    /// Computes the open epoch, and gives what this worker says of it.
    pub(super) fn close(&mut self, worker: &mut Worker, epoch: Epoch) -> Outputs {
        self.inputs.advance_to(epoch + 1);
        worker.step_while(|| self.probe.less_than(&(epoch + 1)));
        self.pending.take()
    }
}
