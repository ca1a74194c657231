//! What is known of a customer: facts per identifier, and their sum.

pub mod windows;
pub mod distinct;
pub mod aggregates;
pub mod features;
pub mod slots;
pub mod values;
mod touched;
pub mod plan;
pub mod groups;
pub mod facts;

pub use facts::{Change, IdentifierFacts, TraitFact, merged_traits};
pub use features::Features;
pub use groups::{Belongs, GroupFacts, GroupTrait, merged_groups};
pub use plan::Plan;
pub use slots::{NotOfGroups, Slots};
pub use values::FeatureValues;
