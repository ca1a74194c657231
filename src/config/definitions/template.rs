//! Checks message templates before the first message: syntax, bounds, variables, filters, texts.

use crate::activation::filters::Mistaken;
use crate::activation::templates::{ARGUMENTS, Refusal, VARIABLES, check, environment, mentions, render, trial};
use crate::config::decode::Field;
use crate::config::mistake::suggestion;
use minijinja::{Environment, Error, ErrorKind, Template, context};
use std::collections::BTreeSet;
use std::error::Error as _;

/// What templates may refer to.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Names of computed traits.
    pub(super) traits: &'a BTreeSet<&'a str>,
    /// Keys of texts.
    pub(super) texts: &'a BTreeSet<String>,
    /// Whether messages can have links to this server.
    pub(super) has_links: bool,
}

/// What there is in variables of which that is known.
const MEMBERS: [(&str, &[&str]); 6] = [
    ("profile", &["id", "identifiers"]),
    ("group", &["id"]),
    ("segment", &["id", "name", "entered"]),
    ("event", &["type", "event", "name", "timestamp", "properties", "traits", "context"]),
    ("trigger", &["id"]),
    ("message", &["id", "created_at", "unsubscribe_url", "preferences_url"]),
];

/// The text of a template that compiles, speaks of nothing unknown, and applies filters as they are meant.
pub(super) fn decode(field: &Field<'_>, known: Known<'_>) -> Option<String> {
    checked(field, known, &VARIABLES)
}

/// The same of a text that templates ask for, which is told something too.
pub(super) fn decode_text(field: &Field<'_>, known: Known<'_>) -> Option<String> {
    let variables: Vec<&str> = VARIABLES.into_iter().chain([ARGUMENTS]).collect();
    checked(field, known, &variables)
}

fn checked(field: &Field<'_>, known: Known<'_>, variables: &[&str]) -> Option<String> {
    let body = field.text()?;
    if let Err(Refusal { at, message }) = check(body) {
        field.wrong_at(&field.node.location_of_byte(at), message);
        return None;
    }
    let environment = trial();
    let template = match environment.template_from_str(body) {
        Ok(template) => template,
        Err(error) => {
            note(field, body, &error);
            return None;
        }
    };
    let mut good = check_variables(field, body, &environment, &template, known, variables);
    good &= check_texts(field, body, known);
    if let Err(error) = render(&template, example())
        && is_of_the_template(&error)
    {
        note(field, body, &error);
        good = false;
    }
    good.then(|| body.to_owned())
}

/// Whether something is wrong that no value could mend: values are made up here.
fn is_of_the_template(error: &Error) -> bool {
    let is_of_its_kind = matches!(
        error.kind(),
        ErrorKind::UnknownFilter
            | ErrorKind::UnknownFunction
            | ErrorKind::UnknownTest
            | ErrorKind::UnknownMethod
            | ErrorKind::MissingArgument
            | ErrorKind::TooManyArguments
    );
    is_of_its_kind || error.source().is_some_and(|source| source.is::<Mistaken>())
}

/// The computed traits that a template, which compiles, speaks of.
pub(crate) fn computed_in_template(body: &str) -> BTreeSet<String> {
    let environment = environment();
    let Ok(template) = environment.template_from_str(body) else { return BTreeSet::new() };
    let paths = template.undeclared_variables(true).into_iter();
    let name = |path: String| path.strip_prefix("computed.")?.split('.').next().map(str::to_owned);
    paths.filter_map(name).collect()
}

fn note(field: &Field<'_>, body: &str, error: &Error) {
    let at = match (error.range(), error.line()) {
        (Some(range), _) if range.start <= body.len() => field.node.location_of_byte(range.start),
        (_, Some(line)) => field.node.location_of(line, 1),
        _ => field.node.location.clone(),
    };
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    field.wrong_at(&at, format!("this is no valid template: {reason}"));
}

fn check_variables(
    field: &Field<'_>,
    body: &str,
    environment: &Environment<'_>,
    template: &Template<'_, '_>,
    known: Known<'_>,
    variables: &[&str],
) -> bool {
    let functions: BTreeSet<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    // In the order of the alphabet, so that mistakes come out the same each time.
    let paths: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
    let mut good = true;
    for path in paths {
        let mut parts = path.split('.');
        let root = parts.next().unwrap_or_default();
        let members = MEMBERS.iter().find(|(name, _)| *name == root).map(|(_, members)| *members);
        let message = match (root, parts.next(), members) {
            ("message", Some(link @ ("unsubscribe_url" | "preferences_url")), _) if !known.has_links => {
                let mend = "set [http] public_url to the address of this server as customers reach it";
                format!("`message.{link}` leads nowhere; {mend}")
            }
            ("computed", Some(name), _) if !known.traits.contains(name) => {
                format!("there is no computed trait `{name}`{}", suggestion(name, known.traits.iter().copied()))
            }
            (_, Some(name), Some(members)) if !members.contains(&name) => {
                format!("`{root}` has no `{name}`{}", suggestion(name, members.iter().copied()))
            }
            _ if variables.contains(&root) || functions.contains(root) => continue,
            _ => format!("there is no variable `{root}`{}", suggestion(root, variables.iter().copied())),
        };
        let at = body.find(&path).or_else(|| body.find(root)).unwrap_or(0);
        field.wrong_at(&field.node.location_of_byte(at), message);
        good = false;
    }
    good
}

/// Whether there are the texts that a template asks for by name.
fn check_texts(field: &Field<'_>, body: &str, known: Known<'_>) -> bool {
    let mentions = mentions(body);
    let unknown = mentions.iter().filter(|mention| !known.texts.contains(mention.key));
    let unknown = unknown.inspect(|mention| {
        let mend = suggestion(mention.key, known.texts.iter().map(String::as_str));
        let at = field.node.location_of_byte(mention.at);
        field.wrong_at(&at, format!("there is no text `{}`{mend}", mention.key));
    });
    unknown.count() == 0
}

/// Something for every variable, so that a trial rendering walks as far as it can.
fn example() -> minijinja::Value {
    let identifier = context! { namespace => "user_id", value => "example" };
    context! {
        profile => context! { id => "0", identifiers => [identifier] },
        traits => context! {},
        computed => context! {},
        segment => context! { id => "example", name => "Example", entered => true },
        event => context! { event => "Example", type => "track", timestamp => "2026-01-01T00:00:00.000Z",
            properties => context! {}, context => context! {} },
        trigger => context! { id => "example" },
        message => context! { id => "msg_0", created_at => "2026-01-01T00:00:00.000Z" },
        locale => "en",
    }
}
