//! `tributary render`: what a trigger would send to a customer now, as a running server has them both.

// What would be sent is what this command is run for; it goes to standard output.
#![allow(clippy::print_stdout)]

use super::RenderArgs;
use super::ask::ask;
use crate::api::render::RenderAnswer;
use anyhow::Context;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Shows it; exit code 1 if the server cannot make it.
pub fn run(args: &RenderArgs) -> ExitCode {
    match rendered(args) {
        Ok(answer) => {
            print!("{}", told(&answer));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn rendered(args: &RenderArgs) -> anyhow::Result<RenderAnswer> {
    let RenderArgs { trigger, profile, event, server } = args;
    let is_id = trigger.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if !is_id {
        anyhow::bail!("`{trigger}` is no id of a trigger; an id is made of a-z, 0-9, `_` and `-`");
    }
    let event = event.as_ref().map(|event| serde_json::from_str::<Value>(event)).transpose();
    let event = event.context("--event is no JSON; write for example '{\"properties\": {\"total\": 5}}'")?;
    let body = json!({ "profile": profile, "event": event }).to_string();
    let text = ask(server, Method::POST, &format!("/v1/triggers/{trigger}/render"), Some(body))?;
    serde_json::from_str(&text).context("this is no answer of a tributary server")
}

fn told(answer: &RenderAnswer) -> String {
    let RenderAnswer { trigger, destination, channel, locale, fields, body, verdict, reason, until } = answer;
    let mut text = format!("{trigger} to {destination} ({channel}), in {locale}\n");
    let fields = fields.iter().flatten().map(|(name, value)| (name.as_str(), value.clone()));
    let body = body.iter().map(|body| ("body", Value::String(body.clone())));
    for (name, value) in fields.chain(body) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // Customers' names and such are in it: none of them speaks to the terminal.
        let value = value.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "\u{fffd}");
        text += &match value.contains('\n') {
            true => format!("{name}:\n  {}\n", value.trim_end().replace('\n', "\n  ")),
            false => format!("{name}: {value}\n"),
        };
    }
    let reason = reason.as_deref().unwrap_or_default();
    text + &match (verdict.as_str(), until) {
        ("send", _) => "it would be sent now\n".to_owned(),
        (_, Some(until)) => format!("it would wait until {until}: {reason}\n"),
        _ => format!("it would be held back: {reason}\n"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(answer: Value, expected: &str) {
        let answer: RenderAnswer = serde_json::from_value(answer).unwrap();
        assert_eq!(told(&answer), expected);
    }

    #[test]
    fn a_message_is_shown_field_by_field() {
        check(
            json!({ "trigger": "welcome", "destination": "mail", "channel": "email", "locale": "de-AT",
                "verdict": "send",
                "fields": { "address": "ada@example.com", "data": { "n": 1 }, "text": "Hallo\nAda\n" } }),
            "welcome to mail (email), in de-AT\naddress: ada@example.com\ndata: {\"n\":1}\ntext:\n  Hallo\n  Ada\n\
             it would be sent now\n",
        );
    }

    #[test]
    fn nobody_speaks_to_the_terminal() {
        check(
            json!({ "trigger": "a", "destination": "b", "channel": "slack", "locale": "en", "verdict": "send",
                "fields": { "text": "Ada\u{1b}[2J\r\tLovelace" } }),
            "a to b (slack), in en\ntext: Ada\u{fffd}[2J\u{fffd}\tLovelace\nit would be sent now\n",
        );
    }

    #[test]
    fn what_is_held_back_says_why() {
        let mut answer = json!({ "trigger": "a", "destination": "b", "channel": "webhook", "locale": "en", "body": "x",
            "verdict": "held", "reason": "no_consent" });
        check(answer.clone(), "a to b (webhook), in en\nbody: x\nit would be held back: no_consent\n");
        let waits = json!({ "verdict": "waiting", "reason": "quiet_hours", "until": "2026-11-28T07:00:00.000Z" });
        answer.as_object_mut().unwrap().extend(waits.as_object().unwrap().clone());
        check(answer, "a to b (webhook), in en\nbody: x\nit would wait until 2026-11-28T07:00:00.000Z: quiet_hours\n");
    }
}
