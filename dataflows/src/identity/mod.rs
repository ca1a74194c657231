//! Who is one customer: from links between identifiers to the profile that owns each.

pub mod links;
pub mod shared;
pub mod components;
pub mod split;
pub mod explain;

pub use links::{Endpoint, Evidence, Link, Node, Rules};
