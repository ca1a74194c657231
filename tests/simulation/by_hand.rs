//! What a test does to a world by hand.

use super::world::World;

impl World {
    pub(super) fn fail_writes(&mut self, writes: usize) {
        self.disk.fail(writes);
    }

    /// Why the last epoch could not be committed, if it could not.
    pub(super) fn trouble(&self) -> Option<String> {
        self.process.as_ref()?.engine.committed().borrow().trouble.clone()
    }

    /// Lets go of what runs.
    pub(super) fn end(&mut self) {
        self.process.take().into_iter().for_each(|process| process.engine.end());
    }
}
