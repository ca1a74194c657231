//! Who is one customer: from links between identifiers to the profile that owns each.

pub mod links;
pub mod shared;
pub mod components;

pub use links::{Endpoint, Link, Node, Rules};
