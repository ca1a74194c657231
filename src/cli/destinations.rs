//! `tributary destinations`: whether one takes messages, and what becomes of those that it did not take.

// What these commands find is what they are run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::ask::ask;
use super::check::count;
use super::configured::with_configuration;
use super::{DeadArgs, DestinationsCommand, ReplayDeadArgs, TestArgs};
use crate::activation::content::{ADDRESS, Content, FieldRule, Form};
use crate::config::Configuration;
use crate::engine::clock;
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use tributary_connectors::destination::{Message, Outcome, PostgresTarget, target};
use tributary_model::{Destination, DestinationKind, IdentifierId, ProfileId};

/// Does what is asked; exit code 1 if it cannot, or the destination does not take the message.
pub fn run(command: &DestinationsCommand) -> ExitCode {
    let done = match command {
        DestinationsCommand::Test(args) => return with_configuration(&args.files, |found| test(args, &found)),
        DestinationsCommand::Dead(args) => dead(args),
        DestinationsCommand::Replay(args) => replay(args),
    };
    done.map_or_else(
        |error| {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn test(args: &TestArgs, configuration: &Configuration) -> anyhow::Result<ExitCode> {
    let destinations = &configuration.loaded.definitions.destinations;
    let id = &args.destination;
    let Some(destination) = destinations.get(id) else {
        let known: Vec<&str> = destinations.keys().map(String::as_str).collect();
        bail!("there is no destination `{id}`; there are: {}", known.join(", "));
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match &destination.kind {
        DestinationKind::Kafka(settings) => {
            // Messages are for programs, who would take a test for a customer's.
            let kafka = &configuration.server.log.kafka;
            let servers = settings.bootstrap_servers.clone().or_else(|| kafka.bootstrap_servers.clone());
            crate::server::kafka_config(&configuration.server, settings.topic.clone(), servers.unwrap_or_default())
                .create_topic()?;
            println!("the topic {} is there; no message was sent", settings.topic);
            Ok(ExitCode::SUCCESS)
        }
        DestinationKind::Postgres(settings) => {
            let target = PostgresTarget {
                postgres: settings.clone(),
                policy: destination.policy.clone(),
                destination: id.clone(),
                state_id: String::new(),
            };
            let is_there = target.try_out(runtime.handle())?;
            let table = if is_there { "is there" } else { "will be made" };
            println!("the server lets us in, and the table {} {table}; nothing was written", settings.table);
            Ok(ExitCode::SUCCESS)
        }
        kind => {
            let target = target(kind, &destination.policy)?;
            let message = message(id, destination, args.address.as_deref())?;
            let outcome = runtime.block_on(target.send(&message));
            let (words, code) = told(&outcome);
            println!("{words}");
            Ok(code)
        }
    }
}

fn told(outcome: &Outcome) -> (String, ExitCode) {
    match outcome {
        Outcome::Delivered => ("delivered".to_owned(), ExitCode::SUCCESS),
        Outcome::Retry { reason, .. } => (format!("not delivered, would be tried again: {reason}"), ExitCode::FAILURE),
        Outcome::MaybeSent { reason } => (format!("maybe sent: {reason}"), ExitCode::FAILURE),
        Outcome::Dead { reason } => (format!("not delivered: {reason}"), ExitCode::FAILURE),
        Outcome::Unreachable { reason } => (format!("nothing reaches this address: {reason}"), ExitCode::FAILURE),
    }
}

/// A message that says that it is a test.
fn message(id: &str, destination: &Destination, address: Option<&str>) -> anyhow::Result<Message> {
    let text = |rule: &FieldRule| match rule.name {
        "subject" | "title" => "Test".to_owned(),
        _ => format!("This is a test of the destination {id}."),
    };
    let body = match Content::of(&destination.kind) {
        Content::Fields(rules) => {
            let mut fields = Map::new();
            for rule in rules {
                let value = match (rule.name, rule.form) {
                    (ADDRESS, _) => Value::from(address.context("this destination needs --address")?),
                    (_, Form::Text) if rule.is_required || matches!(rule.name, "text" | "title") => text(rule).into(),
                    _ => continue,
                };
                fields.insert(rule.name.to_owned(), value);
            }
            Value::Object(fields)
        }
        _ => json!({ "type": "test", "destination": id }),
    };
    Ok(Message {
        sequence: 0,
        id: format!("msg_{:032x}", rand::random::<u128>()),
        trigger: "test".to_owned(),
        destination: id.to_owned(),
        profile: ProfileId(0),
        about: IdentifierId(0),
        body: body.to_string().into(),
        created_at: clock::now(),
        attempts: 0,
    })
}

fn dead(args: &DeadArgs) -> anyhow::Result<()> {
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/dead_letters?destination={}&limit=1000{cursor}", args.destination);
        let answer: Value = serde_json::from_str(&ask(&args.server, Method::GET, &path, None)?)?;
        let letters = answer.get("dead_letters").and_then(Value::as_array);
        letters.context("this is no answer of a tributary server")?.iter().for_each(|letter| println!("{letter}"));
        match answer.get("next").and_then(Value::as_u64) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(()),
        }
    }
}

fn replay(args: &ReplayDeadArgs) -> anyhow::Result<()> {
    let ids = (!args.messages.is_empty()).then_some(&args.messages);
    let body = json!({ "destination": args.destination, "ids": ids });
    let text = ask(&args.server, Method::POST, "/v1/dead_letters/replay", Some(body.to_string()))?;
    let answer: Value = serde_json::from_str(&text)?;
    let replayed = answer.get("replayed").and_then(Value::as_u64).context("this is no answer of a tributary server")?;
    println!("{} sent again", count(usize::try_from(replayed)?, "message"));
    Ok(())
}
