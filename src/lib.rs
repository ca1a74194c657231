//! Tributary: a real-time customer data platform on differential dataflow.
//!
//! This crate joins the two others: `connectors`, which move bytes and know no graph, and `dataflows`, which know what
//! is true and do no I/O. Modules stand in the order that data walks through them.

pub mod cli;
pub mod config;
pub mod definitions;
pub mod server;
pub mod tls;
pub mod front;
pub mod engine;
pub mod store;
pub mod backup;
pub mod replay;
pub mod activation;
pub mod api;
pub mod telemetry;
