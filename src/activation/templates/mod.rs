//! Templates of messages: Jinja that knows languages, within bounds of time, depth and size.
//!
//! Time and memory are bounded by fuel. Each instruction costs one, and so do each 64 bytes that are made, written or
//! gone through: a text that is joined to itself again and again ends with the fuel, after some six megabytes in all.
//! What costs more than an instruction says so itself (`filters`).

mod bounds;
mod keys;
pub mod locale;
mod texts;
#[cfg(test)]
mod tests;

pub use bounds::{Refusal, check};
pub use keys::{Mention, mentions};
pub use texts::{Languages, NoText, add_texts};

use super::filters;
use minijinja::{AutoEscape, Environment, Error, State, Template, UndefinedBehavior, Value};
use std::io;
use tributary_model::limits;

/// What a template may speak of.
pub const VARIABLES: [&str; 9] =
    ["profile", "group", "traits", "computed", "segment", "event", "trigger", "message", "locale"];
/// What a text is told by whoever asks for it: `{{ t("cart", items=3) }}` is `args.items`.
pub const ARGUMENTS: &str = "args";

/// What rendering a template may cost.
const FUEL: u64 = 100_000;
/// How deep macros and loops may go: a text within a text takes the stack as often again.
const DEPTH: usize = 100;
/// Is there in trials only. No template can speak of it, since no name has brackets.
const TRIAL: &str = "(trial)";

/// The rendering environment of every template: a field that is not there is empty, as campaign tools have it, and what
/// goes into HTML is escaped.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_auto_escape_callback(|name| match name.rsplit('/').next() {
        Some("html") => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    filters::add_to(&mut environment);
    environment
}

/// The environment of a trial on values that are made up: what is missing there is no fault of the template, and texts
/// are tried by themselves.
pub fn trial() -> Environment<'static> {
    let mut environment = environment();
    environment.add_global(TRIAL, true);
    environment.add_global(texts::FUNCTION, Value::from_object(texts::Untold));
    environment
}

/// Whether this is only a trial.
pub(super) fn is_trial(state: &State<'_, '_>) -> bool {
    state.lookup(TRIAL).is_some()
}

/// What a template makes of some values, if that is no more than a message may have.
///
/// # Errors
/// If it is more, or the template fails.
pub fn render(template: &Template<'_, '_>, values: Value) -> Result<String, Error> {
    let mut written = Bounded::default();
    template.render_captured_to(values, &mut written)?;
    Ok(written.into_text())
}

/// Takes no more than a message may have.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Bounded {
    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > limits::MESSAGE_BYTES {
            return Err(io::Error::other(format!("the message has more than {} bytes", limits::MESSAGE_BYTES)));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
