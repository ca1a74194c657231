//! The engine without threads: nothing happens but what the caller has happen, in the order that the caller chooses. So a
//! simulation decides what a scheduler, a disk and a clock decide elsewhere, and can decide the same again.

use super::commit::{Committer, UnderWay};
use super::driver::{Driver, Step};
use super::inline::Inline;
use super::{Committed, EngineError, EngineParts, Works, assemble, gather};
use crate::store::StoreError;
use tokio::sync::watch;

/// An engine that is taken from step to step.
pub struct Stepped {
    driver: Driver<Inline>,
    committer: Committer,
    works: Works,
    under_way: Option<UnderWay>,
    has_begun: bool,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stepped engine with {:?}", self.committer)
    }
}

impl Stepped {
    /// An engine that has not yet done anything but to count the start. It has one worker, whatever its parts say.
    ///
    /// # Errors
    /// If the state cannot be read or written.
    pub fn start(parts: EngineParts) -> Result<Self, EngineError> {
        let parts = EngineParts { workers: 1, ..parts };
        let dataflow = Inline::new(parts.plan.clone(), parts.rules.clone());
        let (driver, committer, works) = assemble(parts, dataflow, gather::at_once)?;
        Ok(Self { driver, committer, works, under_way: None, has_begun: false })
    }

    /// Whether there is room for another epoch.
    pub fn has_room(&self) -> bool {
        !self.works.incoming.is_full()
    }

    /// Feeds the dataflow anew, the first time; closes an epoch if there is anything for one, from then on. Only where there
    /// [is room](Self::has_room).
    ///
    /// # Errors
    /// Those that end a driver.
    pub fn drive(&mut self) -> Result<Step, EngineError> {
        if self.has_begun {
            return self.driver.step();
        }
        self.has_begun = true;
        self.driver.begin()?;
        Ok(Step::Done)
    }

    /// Takes up what the driver has handed on, or tries once to commit what is taken up; false if there is nothing.
    ///
    /// # Errors
    /// Those that end a committer.
    pub fn commit(&mut self) -> Result<bool, StoreError> {
        if let Some(mut under_way) = self.under_way.take() {
            if self.committer.try_on(&mut under_way)?.is_some() {
                self.under_way = Some(under_way);
            }
            return Ok(true);
        }
        self.under_way = self.works.incoming.try_recv().ok().and_then(|work| self.committer.begin(work));
        Ok(self.under_way.is_some())
    }

    /// The last committed epoch, as it changes.
    pub fn committed(&self) -> watch::Receiver<Committed> {
        self.works.committed.clone()
    }

    /// Whether definitions are being taken over.
    pub fn is_redefining(&self) -> bool {
        self.works.progress.borrow().is_some()
    }

    /// Lets go of everything; what is not committed is lost, as when a process is killed.
    pub fn end(self) {
        self.driver.end();
    }
}
