//! The dataflow on the caller's own thread: an epoch is computed when it is closed.

use super::epoch::Feed;
use super::worker::{Dataflow, Outputs, Share, WorkerError};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::cell::RefCell;
use std::sync::Arc;
use timely::WorkerConfig;
use timely::communication::Allocator;
use timely::communication::allocator::thread::Thread;
use timely::worker::Worker;
use tributary_dataflows::identity::Rules;
use tributary_dataflows::profile::Plan;
use tributary_model::Epoch;

/// A dataflow of one worker, which works only when it is asked to.
pub(super) struct Inline {
    worker: RefCell<Worker>,
    share: RefCell<Share>,
    output: Sender<(Epoch, Outputs)>,
    outputs: Receiver<(Epoch, Outputs)>,
}

impl Inline {
    pub(super) fn new(plan: Arc<Plan>, rules: Arc<Rules>) -> Self {
        let mut worker = Worker::new(WorkerConfig::default(), Allocator::Thread(Thread::default()), None);
        let share = RefCell::new(Share::build(&mut worker, plan, rules));
        // Never more in it than epochs under way, of which there are few.
        let (output, outputs) = unbounded();
        Self { worker: RefCell::new(worker), share, output, outputs }
    }
}

impl Dataflow for Inline {
    fn feed(&self, feed: Feed) -> Result<(), WorkerError> {
        self.share.borrow_mut().take_in(feed);
        Ok(())
    }

    fn close(&self, epoch: Epoch) -> Result<(), WorkerError> {
        let outputs = self.share.borrow_mut().close(&mut self.worker.borrow_mut(), epoch);
        self.output.send((epoch, outputs)).map_err(|_| WorkerError("nobody listens any more".to_owned()))
    }

    fn outputs(&self) -> Receiver<(Epoch, Outputs)> {
        self.outputs.clone()
    }

    fn stop(self) {
        drop(self.share);
        let mut worker = self.worker.into_inner();
        while worker.has_dataflows() {
            worker.step();
        }
    }
}
