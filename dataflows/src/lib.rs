//! What is true: pure differential-dataflow graphs from facts to segments.
//!
//! No I/O, no clock, no randomness: collections in, collections out. The engine feeds [`graph::Inputs`] one epoch at
//! a time and commits what comes out; an oracle that recomputes everything from all events is the judge.

mod sequential;
pub mod identity;
pub mod profile;
pub mod segments;
pub mod groups;
pub mod triggers;
pub mod output;
pub mod graph;

pub use graph::{Inputs, build};
pub use output::{Output, SegmentIndex};
pub use segments::membership::Tick;
