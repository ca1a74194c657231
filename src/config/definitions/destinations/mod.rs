//! `destinations`: where triggers go, a file for each way to reach people.

mod policy;
mod reach;
mod feedback;
mod programs;
mod email;
mod sms;
mod push;
mod table;

use super::{Surroundings, template};
use crate::config::decode::Field;
use std::collections::BTreeSet;
use tributary_connectors::destination::{PostgresTarget, target};
use tributary_model::{Destination, DestinationKind as Kind};

#[derive(Clone, Copy)]
enum Type {
    Webhook,
    Kafka,
    Smtp,
    SendGrid,
    Ses,
    Twilio,
    Fcm,
    Apns,
    WebPush,
    Slack,
    Postgres,
}

const TYPES: [(&str, Type); 11] = [
    ("webhook", Type::Webhook),
    ("kafka", Type::Kafka),
    ("smtp", Type::Smtp),
    ("sendgrid", Type::SendGrid),
    ("ses", Type::Ses),
    ("twilio", Type::Twilio),
    ("fcm", Type::Fcm),
    ("apns", Type::Apns),
    ("web_push", Type::WebPush),
    ("slack", Type::Slack),
    ("postgres", Type::Postgres),
];

/// What a destination may refer to.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) templates: template::Known<'a>,
    pub(super) segments: &'a BTreeSet<&'a str>,
}

pub(super) fn decode(field: &Field<'_>, around: Surroundings<'_>, known: Known<'_>) -> Option<Destination> {
    let table = field.table()?;
    // Without its type, which fields a destination has is not known: nothing more can be told of it.
    let kind = table.require("type", "type: webhook")?.one_of(&TYPES)?;
    let policy = policy::decode(&table, kind);
    let variables = around.variables;
    let feedback = feedback::decode(&table, variables, kind);
    let kind = match kind {
        Type::Webhook => programs::webhook(&table, variables).map(Kind::Webhook),
        Type::Kafka => programs::kafka(&table, around.has_cluster).map(Kind::Kafka),
        Type::Slack => programs::slack(&table, variables).map(Kind::Slack),
        Type::Smtp => email::smtp(&table, variables).map(Kind::Smtp),
        Type::SendGrid => email::sendgrid(&table, variables).map(Kind::SendGrid),
        Type::Ses => email::ses(&table, variables).map(Kind::Ses),
        Type::Twilio => sms::twilio(&table, variables).map(Kind::Twilio),
        Type::Fcm => push::fcm(&table, variables).map(Kind::Fcm),
        Type::Apns => push::apns(&table, variables).map(Kind::Apns),
        Type::WebPush => push::web_push(&table, variables).map(Kind::WebPush),
        Type::Postgres => table::postgres(&table, variables, known).map(Kind::Postgres),
    };
    table.finish();
    let destination = Destination { kind: kind?, policy: policy?, feedback: feedback? };
    // Setting it up tells what the fields alone do not: keys and certificates that are none.
    let set_up = match &destination.kind {
        Kind::Kafka(_) => Ok(()),
        Kind::Postgres(settings) => PostgresTarget::check(settings),
        kind => target(kind, &destination.policy).map(drop),
    };
    if let Err(error) = set_up {
        field.wrong(error.to_string());
        return None;
    }
    Some(destination)
}

#[cfg(test)]
mod tests;
