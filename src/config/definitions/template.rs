//! Checks message templates before the first message: syntax, variables, filters.

use crate::activation::messages::{check_size, environment, render};
use crate::config::decode::Field;
use crate::config::mistake::suggestion;
use minijinja::{Environment, Error, ErrorKind, Template, context};
use std::collections::BTreeSet;

/// What a template may speak of.
const VARIABLES: [&str; 8] = ["profile", "group", "traits", "computed", "segment", "event", "trigger", "message"];

/// The text of a template that compiles, speaks of nothing unknown and uses known filters only.
pub(super) fn decode(field: &Field<'_>, traits: &BTreeSet<&str>) -> Option<String> {
    let body = field.text()?;
    if let Err(too_large) = check_size(body) {
        field.wrong(too_large);
        return None;
    }
    let environment = environment();
    let template = match environment.template_from_str(body) {
        Ok(template) => template,
        Err(error) => {
            note(field, body, &error);
            return None;
        }
    };
    let mut good = check_variables(field, body, &environment, &template, traits);
    if let Err(error) = render(&template, example()) {
        // Values are made up here, so only what no value could mend counts.
        let unknown = matches!(
            error.kind(),
            ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::UnknownMethod
        );
        if unknown {
            note(field, body, &error);
            good = false;
        }
    }
    good.then(|| body.to_owned())
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
    traits: &BTreeSet<&str>,
) -> bool {
    let functions: BTreeSet<String> = environment.globals().map(|(name, _)| name.to_owned()).collect();
    // In the order of the alphabet, so that mistakes come out the same each time.
    let paths: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
    let mut good = true;
    for path in paths {
        let mut parts = path.split('.');
        let root = parts.next().unwrap_or_default();
        let message = match (root, parts.next()) {
            ("computed", Some(name)) if !traits.contains(name) => {
                format!("there is no computed trait `{name}`{}", suggestion(name, traits.iter().copied()))
            }
            _ if VARIABLES.contains(&root) || functions.contains(root) => continue,
            _ => format!("there is no variable `{root}`{}", suggestion(root, VARIABLES)),
        };
        let at = body.find(&path).or_else(|| body.find(root)).unwrap_or(0);
        field.wrong_at(&field.node.location_of_byte(at), message);
        good = false;
    }
    good
}

/// Something for every variable, so that a trial rendering walks as far as it can.
fn example() -> minijinja::Value {
    let identifier = context! { namespace => "user_id", value => "example" };
    context! {
        profile => context! { id => "0", identifiers => [identifier] },
        traits => context! {},
        computed => context! {},
        segment => context! { id => "example", name => "Example" },
        event => context! { event => "Example", type => "track", timestamp => "2026-01-01T00:00:00.000Z",
            properties => context! {}, context => context! {} },
        trigger => context! { id => "example" },
        message => context! { id => "msg_0" },
    }
}
