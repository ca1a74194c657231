//! Who newly qualifies.

pub mod qualify;

pub use qualify::{Changes, Membership, Prior, Qualified, Transition, qualify};
