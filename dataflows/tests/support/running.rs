//! The workers' threads: an epoch's changes in, what they say of it out.

use differential_dataflow::difference::IsZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use timely::dataflow::ProbeHandle;
use tributary_dataflows::identity::{Evidence, Rules};
use tributary_dataflows::profile::{Belongs, Change, Features, Plan};
use tributary_dataflows::{Output, Tick, build};
use tributary_model::{GroupId, IdentifierId};

#[derive(Default)]
pub struct Epoch {
    pub evidence: Vec<(Evidence, isize)>,
    pub facts: Vec<(IdentifierId, Features)>,
    pub belongs: Vec<((IdentifierId, Belongs), isize)>,
    pub groups: Vec<(GroupId, Features)>,
    pub tick: Option<Tick>,
}

impl Epoch {
    pub fn take_in(&mut self, id: IdentifierId, change: Change, plan: &Plan) {
        self.belongs.extend(change.belongs.iter().map(|(belongs, times)| ((id, *belongs), *times)));
        self.groups.extend(change.of_groups(plan));
        if !change.features.is_zero() {
            self.facts.push((id, change.features));
        }
    }
}

pub type Outputs = Vec<(Output, isize)>;

/// The workers' threads.
pub struct Running {
    pub inputs: Vec<Sender<Epoch>>,
    pub outputs: Receiver<Outputs>,
    guards: Option<timely::communication::WorkerGuards<()>>,
}

impl Running {
    pub fn start(workers: usize, plan: Arc<Plan>, rules: Arc<Rules>) -> Self {
        let (inputs, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel::<Epoch>()).unzip();
        let (send, outputs) = channel::<Outputs>();
        let shared = Mutex::new((receivers.into_iter().map(Some).collect::<Vec<_>>(), send));
        let config = if workers == 1 { timely::Config::thread() } else { timely::Config::process(workers) };
        let guards = timely::execute(config, move |worker| {
            let (receiver, send) = {
                let mut shared = shared.lock().unwrap();
                (shared.0[worker.index()].take().unwrap(), shared.1.clone())
            };
            let probe = ProbeHandle::new();
            let collected = std::rc::Rc::new(std::cell::RefCell::new(Outputs::new()));
            let mut inputs = worker.dataflow::<u64, _, _>(|scope| {
                let (inputs, outputs) = build(scope, plan.clone(), rules.clone());
                let collected = collected.clone();
                outputs
                    .inspect_batch(move |_, batch| {
                        collected.borrow_mut().extend(batch.iter().map(|(output, _, times)| (output.clone(), *times)));
                    })
                    .probe_with(&probe);
                inputs
            });
            for (epoch, changes) in receiver.into_iter().enumerate() {
                let next = epoch as u64 + 1;
                changes.evidence.into_iter().for_each(|(evidence, times)| inputs.evidence.update(evidence, times));
                changes.facts.into_iter().for_each(|(id, features)| inputs.facts.update(id, features));
                changes.belongs.into_iter().for_each(|(belongs, times)| inputs.belongs.update(belongs, times));
                changes.groups.into_iter().for_each(|(group, features)| inputs.groups.update(group, features));
                changes.tick.into_iter().for_each(|tick| inputs.tick(tick));
                inputs.advance_to(next);
                worker.step_while(|| probe.less_than(&next));
                send.send(collected.take()).unwrap();
            }
        });
        Self { inputs, outputs, guards: Some(guards.unwrap()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inputs.clear();
        drop(self.guards.take());
    }
}
