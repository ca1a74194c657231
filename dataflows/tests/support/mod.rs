//! What the oracle's test needs: the dataflow with a small driver, and the naive history.

pub mod dataflow;
pub mod definitions;
pub mod naive;
mod naive_groups;
pub mod running;
