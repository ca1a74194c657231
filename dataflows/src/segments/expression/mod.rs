//! The language of segments and computed traits: SQL text in, total functions out.
//!
//! `text → syntax → tree`: [`parse`] reads SQL into a small [`syntax`] with positions; [`check`] resolves names in a
//! scope ([`customer`] or [`event`]), finds every type, and gives a [`tree`] that [`evaluate`] can run on anything
//! without failing. What is not of the language is an error here, with the place and the mend; afterwards nothing
//! fails: what cannot be computed is NULL.

mod problem;
mod like;
mod literal;
mod syntax;
mod place;
mod mends;
mod convert;
mod forms;
pub(super) mod parse;
mod calendar;
mod datum;
mod apply;
mod tree;
mod evaluate;
mod types;
mod check;
mod scalar;
mod functions;
mod window;
mod moving;
pub(crate) mod event;
mod group;
mod sequence;
mod customer;
pub(super) mod references;

pub(super) mod aggregate;

pub(super) use check::{condition, value};
pub(super) use customer::{Customer, CustomerColumn, CustomerScope, CustomerTree, Registry};
pub(super) use event::{EventScope, EventTree, OneEvent};
pub(super) use group::{Group, GroupColumn, NoGroup, take_out};
pub(super) use problem::{Position, Problem};
pub(super) use syntax::Syntax;
pub(super) use tree::{Test, Tree};

#[cfg(test)]
mod tests;
