//! Which texts a template asks for by name, told without rendering it.

use super::bounds::{code, tags};
use super::texts::FUNCTION;

/// A text that a template asks for: `t("welcome")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mention<'a> {
    /// Its key.
    pub key: &'a str,
    /// The byte of the template at which the key begins.
    pub at: usize,
}

/// The texts that a template asks for. Those whose key is worked out when it is rendered are not told.
pub fn mentions(body: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    for (begin, tag) in tags(body) {
        for (at, _) in code(tag) {
            let key = call(tag, at).and_then(|behind| literal(tag, behind));
            found.extend(key.map(|(place, key)| Mention { key, at: begin + place }));
        }
    }
    found
}

/// What follows the function's name, if that stands here and is no part of a longer one.
fn call(tag: &str, at: usize) -> Option<&str> {
    let behind = tag.get(at..)?.strip_prefix(FUNCTION)?;
    let before = at.checked_sub(1).and_then(|before| tag.as_bytes().get(before));
    let is_longer = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    (!is_longer).then_some(behind)
}

/// The text that is the first argument of a call, and where in the tag it stands.
fn literal<'a>(tag: &str, behind: &'a str) -> Option<(usize, &'a str)> {
    let inside = behind.trim_start().strip_prefix('(')?.trim_start();
    let quote = inside.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (key, rest) = inside.get(1..)?.split_once(quote)?;
    let is_whole = rest.trim_start().starts_with([',', ')']) && !key.contains('\\');
    is_whole.then(|| (tag.len() - inside.len() + 1, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &[&str]) {
        let found = mentions(body);
        assert_eq!(found.iter().map(|mention| mention.key).collect::<Vec<_>>(), expected, "{body}");
        for Mention { key, at } in found {
            assert!(body.get(at..).is_some_and(|rest| rest.starts_with(key)), "{key} stands at {at} of {body}");
        }
    }

    #[test]
    fn keys_are_told_where_they_are_written_out() {
        check("{{ t(\"welcome\") }} and {% if t ( 'vip', name=traits.name ) %}", &["welcome", "vip"]);
        check("t(\"no\") {{ list(\"no\") }} {{ a.t(\"no\") }} {{ at(\"no\") }} {{ \"t('no')\" }}", &[]);
        check("{{ t(\"a\" ~ traits.plan) }} {{ t(key) }} {{ t('a' if b else 'c') }}", &[]);
        check("{{ t('ä') ~ t(\"b\") }}", &["ä", "b"]);
    }
}
