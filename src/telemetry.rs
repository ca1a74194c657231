//! Every metric's name in one place, and how logs are written.

use crate::engine::epoch::{Feed, Prepared};
use crate::store::Meta;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;
use std::time::Duration;
use tributary_dataflows::segments::Program;

const EVENTS: &str = "tributary_events_total";
const REJECTED: &str = "tributary_rejected_total";
const DUPLICATES: &str = "tributary_duplicates_total";
const DROPPED: &str = "tributary_dropped_total";
const ESTIMATED: &str = "tributary_distinct_estimates_total";
const DEFINITIONS: &str = "tributary_definitions";
const AGGREGATES: &str = "tributary_aggregates";
const VALUES_MAX: &str = "tributary_values_per_identifier_max";
const REDEFINED: &str = "tributary_redefinition_progress";
const EPOCHS: &str = "tributary_epochs_total";
const FIRED: &str = "tributary_triggers_fired_total";
const HELD_BACK: &str = "tributary_triggers_held_back_total";
const RETRACTED: &str = "tributary_triggers_retracted_total";
const RENDER_FAILED: &str = "tributary_render_failures_total";
const CHANGES: &str = "tributary_dataflow_changes_total";
const LAG: &str = "tributary_log_lag_records";
const STATE_HEALTHY: &str = "tributary_state_healthy";
const CONNECTIONS: &str = "tributary_http_connections";
const SOURCE_UP: &str = "tributary_source_up";
const EPOCH: &str = "tributary_epoch";
const PREPARE_SECONDS: &str = "tributary_prepare_seconds";
const COMMIT_SECONDS: &str = "tributary_commit_seconds";
const EPOCH_SECONDS: &str = "tributary_epoch_seconds";
const EPOCH_EVENTS: &str = "tributary_epoch_events";
const PROFILES: &str = "tributary_profiles";
const SEGMENT_MEMBERS: &str = "tributary_segment_members";
const IDENTITY_CONFLICTS: &str = "tributary_identity_conflicts";
const IDENTITY_SUGGESTIONS: &str = "tributary_identity_suggestions";
const COMPARISON_SECONDS: &str = "tributary_identity_comparison_seconds";
const REQUESTS: &str = "tributary_http_requests_total";
const REQUEST_SECONDS: &str = "tributary_http_request_seconds";
const RATE_LIMITED: &str = "tributary_rate_limited_total";
const INGESTED: &str = "tributary_ingested_events_total";
const DELIVERIES: &str = "tributary_deliveries_total";
const DELIVERY_SECONDS: &str = "tributary_delivery_seconds";
const CIRCUIT_OPEN: &str = "tributary_destination_circuit_open";
const IN_FLIGHT: &str = "tributary_deliveries_in_flight";
const QUEUE: &str = "tributary_queue_depth";
const LOG_HEALTHY: &str = "tributary_log_healthy";

const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The process's recorder. The first call installs it; each further one gives the same.
///
/// # Errors
/// If another recorder is installed.
pub fn recorder() -> Result<PrometheusHandle, String> {
    static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    RECORDER.get_or_init(install).clone()
}

fn install() -> Result<PrometheusHandle, String> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(|builder| {
            let sizes = [1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0];
            builder.set_buckets_for_metric(Matcher::Full(EPOCH_EVENTS.to_owned()), &sizes)
        });
    let handle = builder.and_then(PrometheusBuilder::install_recorder).map_err(|error| error.to_string())?;
    describe_counter!(EVENTS, "Events that were applied.");
    describe_counter!(REJECTED, "Events that could not be taken in, by code of the reason.");
    describe_counter!(DUPLICATES, "Events whose message id had been seen before.");
    describe_counter!(DROPPED, "Traits and groups left aside because their identifier had as many as it may have.");
    describe_counter!(EPOCHS, "Epochs committed.");
    describe_counter!(FIRED, "Messages made, by trigger.");
    describe_counter!(HELD_BACK, "Messages that were not sent, by trigger and reason.");
    describe_counter!(RETRACTED, "Messages that take back an earlier one, by trigger.");
    describe_counter!(RENDER_FAILED, "Messages whose template failed on the customer's values, by trigger.");
    describe_counter!(CHANGES, "Changes fed to the dataflow, by input.");
    describe_counter!(ESTIMATED, "Counts of different values of an identifier that have become estimates.");
    describe_gauge!(DEFINITIONS, "Computed traits and segments, by kind.");
    describe_gauge!(AGGREGATES, "Aggregates that definitions read, each once.");
    describe_gauge!(VALUES_MAX, "The most values that are kept of one identifier for all definitions.");
    describe_gauge!(REDEFINED, "How much of a stage of changing definitions is done; 1 while none change.");
    describe_gauge!(LAG, "Records of a stream that are not read yet.");
    describe_gauge!(STATE_HEALTHY, "1 while epochs can be committed.");
    describe_gauge!(CONNECTIONS, "Connections open.");
    describe_gauge!(SOURCE_UP, "1 while a stream can be read.");
    describe_gauge!(EPOCH, "The last committed epoch.");
    describe_histogram!(PREPARE_SECONDS, Unit::Seconds, "Time to make base facts of an epoch's events.");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time to write an epoch.");
    describe_histogram!(EPOCH_SECONDS, Unit::Seconds, "From an epoch's earliest event received to its commit.");
    describe_histogram!(EPOCH_EVENTS, "Events in an epoch.");
    describe_gauge!(PROFILES, "Customers there are.");
    describe_gauge!(SEGMENT_MEMBERS, "Members of each segment.");
    describe_gauge!(IDENTITY_CONFLICTS, "Shared, tangled, split and large identities, by kind.");
    describe_gauge!(IDENTITY_SUGGESTIONS, "Pairs of customers who may be one person, by the last comparison.");
    describe_histogram!(COMPARISON_SECONDS, Unit::Seconds, "Time to compare all customers for suggestions.");
    describe_counter!(REQUESTS, "HTTP requests, by route, method and status.");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time to answer an HTTP request, by route.");
    describe_counter!(RATE_LIMITED, "Requests that were more than their key or token may have, by its name.");
    describe_counter!(INGESTED, "Events made durable in the log by HTTP.");
    describe_counter!(DELIVERIES, "Attempts to deliver, by destination and outcome.");
    describe_histogram!(DELIVERY_SECONDS, Unit::Seconds, "From a message's epoch to its delivery, by destination.");
    describe_gauge!(CIRCUIT_OPEN, "1 while a destination is left alone because all fails there.");
    describe_gauge!(IN_FLIGHT, "Deliveries under way, by destination.");
    describe_gauge!(QUEUE, "Entries waiting in a bounded queue.");
    describe_gauge!(LOG_HEALTHY, "1 while the last append to the log could be made durable, else 0.");
    Ok(handle)
}

/// An epoch's events have become base facts.
pub fn prepared(feed: &Feed, took: Duration) {
    histogram!(PREPARE_SECONDS).record(took.as_secs_f64());
    counter!(CHANGES, "input" => "evidence").increment(feed.evidence.len() as u64);
    counter!(CHANGES, "input" => "facts").increment(feed.facts.len() as u64);
}

/// Events were dropped because their message had been seen.
pub fn duplicates(count: usize) {
    counter!(DUPLICATES).increment(count as u64);
}

/// Traits and groups were left aside because their identifier had as many as it may have.
pub fn dropped(count: u64) {
    counter!(DROPPED).increment(count);
}

/// Counts of different values have become estimates.
pub fn estimated(count: u64) {
    counter!(ESTIMATED).increment(count);
}

/// What is defined, by which all customers are told of.
pub fn defined(program: &Program) {
    gauge!(DEFINITIONS, "kind" => "segment").set(program.segments.len() as f64);
    gauge!(DEFINITIONS, "kind" => "trait").set(program.computed.len() as f64);
    gauge!(AGGREGATES).set(program.aggregates.len() as f64);
    gauge!(VALUES_MAX).set(program.most_values_of_all() as f64);
}

/// How far the engine is with definitions that change, from 0 to 1; 1 while none do.
pub fn redefined(done: f64) {
    gauge!(REDEFINED).set(done);
}

/// An epoch has been committed.
pub fn committed(prepared: &Prepared, took: Duration) {
    counter!(EPOCHS).increment(1);
    counter!(EVENTS).increment(prepared.events.len() as u64);
    for rejected in &prepared.rejected {
        counter!(REJECTED, "code" => rejected.code.clone()).increment(1);
    }
    gauge!(EPOCH).set(prepared.epoch as f64);
    histogram!(COMMIT_SECONDS).record(took.as_secs_f64());
    histogram!(EPOCH_EVENTS).record(prepared.events.len() as f64);
    if let Some(earliest) = prepared.earliest {
        let since = crate::engine::clock::now().saturating_sub(earliest).max(0);
        histogram!(EPOCH_SECONDS).record(since as f64 / 1000.0);
    }
}

/// How many customers there are, in which segments, and with which conflicts of identity.
pub fn population(meta: &Meta) {
    gauge!(PROFILES).set(meta.profiles as f64);
    for (segment, count) in &meta.counts {
        gauge!(SEGMENT_MEMBERS, "segment" => segment.clone()).set(*count as f64);
    }
    for (kind, count) in &meta.conflicts {
        gauge!(IDENTITY_CONFLICTS, "kind" => kind.clone()).set(*count as f64);
    }
}

/// A segment is no longer defined.
pub fn segment_gone(id: &str) {
    gauge!(SEGMENT_MEMBERS, "segment" => id.to_owned()).set(0.0);
}

/// Customers were compared.
pub fn suggested(suggestions: usize, took: Duration) {
    gauge!(IDENTITY_SUGGESTIONS).set(suggestions as f64);
    histogram!(COMPARISON_SECONDS).record(took.as_secs_f64());
}

/// A trigger has made a message.
pub fn fired(trigger: &str) {
    counter!(FIRED, "trigger" => trigger.to_owned()).increment(1);
}

/// A message was held back.
pub fn held_back(trigger: &str, reason: &'static str) {
    counter!(HELD_BACK, "trigger" => trigger.to_owned(), "reason" => reason).increment(1);
}

/// A message takes back an earlier one.
pub fn retracted(trigger: &str) {
    counter!(RETRACTED, "trigger" => trigger.to_owned()).increment(1);
}

/// A message could not be made of the customer's values.
pub fn render_failed(trigger: &str) {
    counter!(RENDER_FAILED, "trigger" => trigger.to_owned()).increment(1);
}

/// How far behind a stream's end the engine is.
pub fn lag(stream: &str, records: i64) {
    gauge!(LAG, "stream" => stream.to_owned()).set(records as f64);
}

/// Whether the last epoch could be committed.
pub fn state_health(is_well: bool) {
    gauge!(STATE_HEALTHY).set(f64::from(u8::from(is_well)));
}

/// So many connections are open.
pub fn connections(open: usize) {
    gauge!(CONNECTIONS).set(open as f64);
}

/// Whether a stream can be read.
pub fn source_up(stream: &str, is_up: bool) {
    gauge!(SOURCE_UP, "stream" => stream.to_owned()).set(f64::from(u8::from(is_up)));
}

/// An HTTP request was answered.
pub fn request(route: &str, method: &str, status: u16, took: Duration) {
    let labels = [("route", route.to_owned()), ("method", method.to_owned()), ("status", status.to_string())];
    counter!(REQUESTS, &labels).increment(1);
    histogram!(REQUEST_SECONDS, "route" => route.to_owned()).record(took.as_secs_f64());
}

/// Events were made durable.
pub fn ingested(events: usize) {
    counter!(INGESTED).increment(events as u64);
}

/// Somebody has asked for too much.
pub fn rate_limited(who: &str) {
    counter!(RATE_LIMITED, "who" => who.to_owned()).increment(1);
}

/// A destination was tried.
pub fn delivery(destination: &str, outcome: &'static str, since_epoch: Option<Duration>) {
    counter!(DELIVERIES, "destination" => destination.to_owned(), "outcome" => outcome).increment(1);
    if let Some(since) = since_epoch {
        histogram!(DELIVERY_SECONDS, "destination" => destination.to_owned()).record(since.as_secs_f64());
    }
}

/// How many deliveries are under way.
pub fn in_flight(destination: &str, count: usize) {
    gauge!(IN_FLIGHT, "destination" => destination.to_owned()).set(count as f64);
}

/// Whether a destination is left alone because all fails there.
pub fn circuit(destination: &str, is_open: bool) {
    gauge!(CIRCUIT_OPEN, "destination" => destination.to_owned()).set(f64::from(u8::from(is_open)));
}

/// How full a bounded queue is.
pub fn queue(name: &'static str, depth: usize) {
    gauge!(QUEUE, "queue" => name).set(depth as f64);
}

/// Whether the last append to the log could be made durable.
pub fn log_health(is_healthy: bool) {
    gauge!(LOG_HEALTHY).set(if is_healthy { 1.0 } else { 0.0 });
}
