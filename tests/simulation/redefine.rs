//! Definitions that change while all else goes on.

use super::judge::EXTRA;
use super::world::{BEGIN, World};
use rand::RngExt;
use tributary::definitions::{Edit, Expects};
use tributary::store::definitions::{Definition, Kind};
use tributary_model::Segment;

impl World {
    /// Somebody defines a segment, or deletes one.
    pub(super) fn redefine(&mut self) {
        let which = self.rng.random_range(0..EXTRA.len());
        self.redefine_one(which);
    }

    fn redefine_one(&mut self, which: usize) {
        let (name, condition, _) = EXTRA[which];
        let is_on = !self.extra[which];
        let Some(process) = self.process.as_mut() else { return };
        let says =
            is_on.then(|| Definition::Segment(Segment { name: name.to_owned(), condition: condition.to_owned() }));
        let edit = Edit { name: (Kind::Segment, name.to_owned()), says, expects: Expects::Anything };
        let changed = process.definer.change(vec![edit], false, BEGIN).is_ok();
        if changed {
            self.extra[which] = is_on;
        }
        self.note(format!("redefine {name} {is_on} {changed}"));
    }

    /// Somebody defines a segment, takes it back, and so on, while it is being taken over; and the process may not see the end.
    pub(super) fn waver(&mut self) -> Result<(), String> {
        let which = self.rng.random_range(0..EXTRA.len());
        for _ in 0..self.rng.random_range(2..5) {
            self.redefine_one(which);
            for _ in 0..self.rng.random_range(0..6) {
                self.drive()?;
                self.commit()?;
            }
            if self.rng.random_bool(0.2) {
                self.kill(false);
                self.start()?;
            }
        }
        Ok(())
    }
}
