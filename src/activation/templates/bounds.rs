//! What no template may have, told before it is compiled: more than the stack has room for, and what no fuel bounds.

use tributary_model::limits;

/// Why a text is no template, and the byte at which that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A byte of the text.
    pub at: usize,
    /// What is wrong, in words.
    pub message: String,
}

/// Whether a text may be a template. Compiling one goes as deep as its expressions are long. And `*` repeats a list as
/// often as a number says: where both come from a customer's data, a hundred million times, and it takes no fuel.
///
/// # Errors
/// The first thing that is too large, or must not be there.
pub fn check(body: &str) -> Result<(), Refusal> {
    let refused = |at, message: String| Err(Refusal { at, message });
    let bytes = body.len();
    if bytes > limits::TEMPLATE_BYTES {
        return refused(0, format!("a template has at most {} bytes; this one has {bytes}", limits::TEMPLATE_BYTES));
    }
    for (count, (at, tag)) in tags(body).enumerate() {
        if tag.len() > limits::TAG_BYTES {
            return refused(at, format!("what stands between braces has at most {} bytes", limits::TAG_BYTES));
        }
        if count == limits::TEMPLATE_TAGS {
            let most = limits::TEMPLATE_TAGS;
            return refused(at, format!("a template has at most {most} expressions and statements"));
        }
        if let Some((place, _)) = code(tag).find(|(_, byte)| *byte == b'*') {
            let message = "`*` repeats lists and texts too, as often as a customer's data says; write `a | times(b)`";
            return refused(at + place, message.to_owned());
        }
    }
    Ok(())
}

/// What stands between braces, each with the byte at which it begins.
pub(super) fn tags(body: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let rest = body.get(from..)?;
        let begin = rest.find("{{").into_iter().chain(rest.find("{%")).min()?;
        let at = from + begin + 2;
        let tag = body.get(at..)?;
        let length = end_of_tag(tag);
        from = at + length;
        Some((at, tag.get(..length)?))
    })
}

/// Where a tag ends: at the first closing braces that are neither in a text nor within brackets.
fn end_of_tag(tag: &str) -> usize {
    let bytes = tag.as_bytes();
    let mut open = 0usize;
    for (at, byte) in code(tag) {
        match byte {
            b'}' | b'%' if open == 0 && bytes.get(at + 1) == Some(&b'}') => return at,
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    bytes.len()
}

/// The bytes of a tag that are not within texts, each with its place.
pub(super) fn code(tag: &str) -> impl Iterator<Item = (usize, u8)> {
    let (mut quote, mut escaped) = (None, false);
    tag.bytes().enumerate().filter(move |(_, byte)| {
        match (quote, *byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(begun), byte) if begun == byte => quote = None,
            (Some(_), _) => {}
            (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
            (None, _) => return true,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refusal(body: &str, expected: Option<(usize, &str)>) {
        let refusal = check(body).err();
        let told = refusal.as_ref().map(|refusal| (refusal.at, refusal.message.as_str()));
        match (told, expected) {
            (Some((at, message)), Some((expected_at, part))) => {
                assert_eq!(at, expected_at, "{message}");
                assert!(message.contains(part), "{message}");
            }
            (told, expected) => assert_eq!(told, expected, "{body}"),
        }
    }

    #[test]
    fn multiplying_is_a_filter() {
        check_refusal("{{ price | times(3) }} and *this* is text, {{ \"as * is\" }}, {{ '\\'*' }}", None);
        check_refusal("total: {{ price * count }}", Some((16, "write `a | times(b)`")));
        check_refusal("{% if \"}}\" and 2 ** 3 %}", Some((17, "write `a | times(b)`")));
    }

    #[test]
    fn what_is_deeper_than_the_stack_is_refused() {
        check_refusal(&format!("ab {{{{ {} }}}}", "1 + ".repeat(100) + "1"), None);
        check_refusal(&format!("ab {{{{ {} }}}}", "1 + ".repeat(500) + "1"), Some((5, "between braces")));
        check_refusal(&"{{ 1 }}".repeat(500), None);
        check_refusal(&"{{ 1 }}".repeat(501), Some((3_502, "at most 500 expressions")));
        check_refusal(&"x".repeat(40_000), Some((0, "this one has 40000")));
    }
}
