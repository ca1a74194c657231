//! Things in a list under small numbers that are used again: half the size of pointers, and nothing moves.

use std::ops::{Index, IndexMut};

/// A place in an [`Arena`].
pub(super) type Place = u32;
/// No place.
pub(super) const NOWHERE: Place = Place::MAX;

/// Things by place.
#[derive(Debug)]
pub(super) struct Arena<T> {
    things: Vec<T>,
    free: Vec<Place>,
}

impl<T> Arena<T> {
    pub(super) const fn new() -> Self {
        Self { things: Vec::new(), free: Vec::new() }
    }

    /// Keeps a thing, where there is room.
    pub(super) fn put(&mut self, thing: T) -> Place {
        if let Some(place) = self.free.pop() {
            self[place] = thing;
            return place;
        }
        if self.things.len() == self.things.capacity() {
            // A quarter more at a time: doubling would leave up to half of a large state empty.
            self.things.reserve_exact(self.things.len() / 4 + 64);
        }
        self.things.push(thing);
        (self.things.len() - 1) as Place
    }

    /// Gives a place to the next thing that comes.
    pub(super) fn free(&mut self, place: Place) {
        self.free.push(place);
    }

    /// Things held.
    pub(super) fn len(&self) -> usize {
        self.things.len() - self.free.len()
    }

    /// Bytes of memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.things.capacity() * size_of::<T>() + self.free.capacity() * size_of::<Place>()
    }
}

impl<T> Index<Place> for Arena<T> {
    type Output = T;
    #[expect(clippy::indexing_slicing, reason = "places are given by the arena, which never shrinks")]
    fn index(&self, place: Place) -> &T {
        &self.things[place as usize]
    }
}

impl<T> IndexMut<Place> for Arena<T> {
    #[expect(clippy::indexing_slicing, reason = "places are given by the arena, which never shrinks")]
    fn index_mut(&mut self, place: Place) -> &mut T {
        &mut self.things[place as usize]
    }
}
