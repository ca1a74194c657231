//! Who is one customer: from links between identifiers to the profile that owns each.
//!
//! ```text
//! evidence ─► operator ─► resolver ─► adjacency ─► components ─► split ─► owners, conflicts
//! ```

pub mod evidence;
pub mod rules;
mod arena;
mod adjacency;
mod components;
mod split;
pub mod resolver;
pub mod operator;
pub mod explain;
pub mod matching;

pub use evidence::{Conflict, Ends, Evidence, Link, Node, Resolved, Stated, ends};
pub use resolver::Resolver;
pub use rules::{NamespaceIndex, Rules};
