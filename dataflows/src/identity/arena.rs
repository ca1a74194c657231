//! Things in a list under small numbers that are used again: half the size of pointers, and nothing moves.

use std::ops::{Index, IndexMut};

/// A place in an [`Arena`].
pub(super) type Place = u32;
/// No place.
pub(super) const NOWHERE: Place = Place::MAX;

/// Things that stand together: few enough that taking room for them holds nobody up.
const CHUNK: usize = 1 << 12;

/// Things by place. They never move: an arena that is full takes another chunk, and copies nothing.
#[derive(Debug)]
pub(super) struct Arena<T> {
    chunks: Vec<Vec<T>>,
    free: Vec<Place>,
}

impl<T> Arena<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new() }
    }

    /// Keeps a thing, where there is room.
    pub(super) fn put(&mut self, thing: T) -> Place {
        if let Some(place) = self.free.pop() {
            self[place] = thing;
            return place;
        }
        let place = self.places();
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => chunk.push(thing),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(thing);
                self.chunks.push(chunk);
            }
        }
        place as Place
    }

    /// Gives a place to the next thing that comes.
    pub(super) fn free(&mut self, place: Place) {
        self.free.push(place);
    }

    /// Things held.
    pub(super) fn len(&self) -> usize {
        self.places() - self.free.len()
    }

    fn places(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    /// Bytes of memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>() + self.free.capacity() * size_of::<Place>()
    }
}

impl<T> Index<Place> for Arena<T> {
    type Output = T;
    #[expect(clippy::indexing_slicing, reason = "places are given by the arena, which never shrinks")]
    fn index(&self, place: Place) -> &T {
        &self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }
}

impl<T> IndexMut<Place> for Arena<T> {
    #[expect(clippy::indexing_slicing, reason = "places are given by the arena, which never shrinks")]
    fn index_mut(&mut self, place: Place) -> &mut T {
        &mut self.chunks[place as usize / CHUNK][place as usize % CHUNK]
    }
}
