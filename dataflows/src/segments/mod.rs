//! Segments are SQL: text to a total function of one customer, and who is in which segment.

mod expression;
mod order;
mod program;
mod group;
mod run;
mod explain;
mod meaning;
mod cost;
mod profiles;
pub mod membership;

pub use explain::Explained;
pub use expression::aggregate::{Aggregate, AggregateFunction, Window};
pub(crate) use expression::event::{EventColumn, Found};
pub use group::{GroupEvaluation, GroupProgram, GroupValues};
pub use program::{
    CompiledSegment, Computed, DefinitionError, Evaluation, EventCondition, Place, ProfileValues, Program,
};
pub(crate) use run::Read;
