//! How keys are made, so that their bytes sort as what they stand for. No key byte is ever reused for another meaning.

use tributary_model::Millis;

/// Builds a key from parts of fixed length, and texts that end in a zero byte.
#[derive(Debug, Default)]
pub struct Key(Vec<u8>);

impl Key {
    /// An empty key.
    pub fn new() -> Self {
        Self(Vec::with_capacity(48))
    }

    /// Sixteen bytes of an id.
    pub fn id(mut self, bytes: [u8; 16]) -> Self {
        self.0.extend_from_slice(&bytes);
        self
    }

    /// An instant; earlier ones sort first, those before 1970 too.
    pub fn millis(mut self, at: Millis) -> Self {
        self.0.extend_from_slice(&(at ^ Millis::MIN).to_be_bytes());
        self
    }

    /// A number; smaller ones sort first.
    pub fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// A text that ends in a zero byte. Ids of definitions hold no zero byte.
    pub fn text(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }

    /// The bytes.
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Reads keys back, part by part; `None` where the key is too short, which only damage can cause.
#[derive(Debug)]
pub struct Parts<'a>(pub &'a [u8]);

impl<'a> Parts<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*part)
    }

    /// Sixteen bytes of an id.
    pub fn id(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    /// An instant.
    pub fn millis(&mut self) -> Option<Millis> {
        Some(Millis::from_be_bytes(self.array()?) ^ Millis::MIN)
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text up to its zero byte.
    pub fn text(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let (text, rest) = (self.0.get(..end)?, self.0.get(end + 1..)?);
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

/// The smallest key after all that begin with `prefix`; `None` where there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_sort_as_bytes() {
        let keys = [-5, -1, 0, 1, 1_700_000_000_000].map(|at| Key::new().millis(at).done());
        assert!(keys.is_sorted());
        assert_eq!(keys.first().and_then(|key| Parts(key).millis()), Some(-5));
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(after_prefix(b"a\xff"), Some(b"b".to_vec()));
        assert_eq!(after_prefix(b"\xff"), None);
    }
}
