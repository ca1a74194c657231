//! Filters of templates: numbers, money, times and plurals, each as the language of the message has them.
//!
//! The language is that of the variable `locale`, or of the argument. What a filter cannot read fails the message, and
//! says which filter and what it was given: half a sentence is not sent.

mod argument;
mod number;
mod money;
mod moment;
mod plural;
mod slack;
#[cfg(test)]
mod tests;

pub use argument::Mistaken;

use minijinja::Environment;

/// Has templates know all filters.
pub(super) fn add_to(environment: &mut Environment<'_>) {
    environment.add_filter("number", number::number);
    environment.add_filter("percent", number::percent);
    environment.add_filter("times", number::times);
    environment.add_filter("money", money::money);
    environment.add_filter("date", moment::date);
    environment.add_filter("time", moment::time);
    environment.add_filter("datetime", moment::datetime);
    environment.add_filter("plural", plural::plural);
    environment.add_filter("slack", slack::slack);
}
