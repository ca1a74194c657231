//! What is known of a customer: facts per identifier, and their sum.

pub mod windows;
pub mod aggregates;
pub mod features;
pub mod plan;
pub mod facts;

pub use facts::{IdentifierFacts, TraitFact, merged_traits};
pub use features::{FeatureValues, Features, Slots};
pub use plan::Plan;
