//! End-to-end tests: the real program in its own process, real clients, a real broker. One binary, since each one more
//! links the storage engine and the Kafka client again.
//!
//! A module tells a story. What takes minutes is in modules named `slow_…`; all of them run with `make test`, and
//! `make test FILTER=http` runs one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

mod tidy;
mod http;
mod bad_input;
mod fuzz;
mod hostile;
mod queries;
mod identity;
mod identity_statements;
mod identity_rules;
mod suggestions;
mod groups;
mod segments;
mod definitions;
mod warehouse;
mod clock;
mod stepped_clock;
mod simulation;
mod triggers;
mod render;
mod destinations;
mod dead_letters;
mod retractions;
mod consent;
mod feedback;
mod check;
mod restart;
mod data_folder;
mod golden;
mod backup;
mod replay;
mod access;
mod sdk;
mod kafka;
mod kafka_faults;
mod slow_demo;
mod slow_crash;
mod slow_broker;
mod slow_disk;
mod slow_openapi;
mod slow_crash_places;
mod slow_destinations;
