//! What the folder says joins what was defined before: what was said last holds.

use super::{Said, named};
use crate::store::definitions::{Kept, Named};
use std::collections::BTreeMap;
use tributary_model::Definitions;

/// What is defined after a start with a folder. What the folder has not changed since it was last read stays as it was
/// defined since; what it no longer has is gone.
pub(super) fn join(before: &BTreeMap<Named, Kept>, folder: &Definitions) -> Said {
    let mut said: Said = BTreeMap::new();
    for (name, kept) in before {
        let gone_from_folder = kept.folder.is_some();
        said.insert(name.clone(), (kept.says.clone().filter(|_| !gone_from_folder), None));
    }
    for (name, says) in named(folder) {
        let kept = before.get(&name);
        let is_unchanged = kept.is_some_and(|kept| kept.folder.as_ref() == Some(&says));
        let holds = match kept.filter(|_| is_unchanged) {
            Some(kept) => kept.says.clone(),
            None => Some(says.clone()),
        };
        said.insert(name, (holds, Some(says)));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::definitions::{Definition, Kind};
    use tributary_model::ComputedTrait;

    fn says(text: &str) -> Definition {
        Definition::Trait(ComputedTrait { expression: text.to_owned() })
    }

    /// What is defined and what the folder said before, and what it says now; what is defined then.
    #[track_caller]
    fn check(before: Option<(Option<&str>, Option<&str>)>, folder: Option<&str>, expected: Option<&str>) {
        let name = (Kind::Trait, "ltv".to_owned());
        let kept = before.map(|(now, folder)| Kept {
            says: now.map(says),
            version: 1,
            change: 1,
            at: 0,
            folder: folder.map(says),
        });
        let before = kept.into_iter().map(|kept| (name.clone(), kept)).collect();
        let mut definitions = Definitions::default();
        let computed = |text: &str| ComputedTrait { expression: text.to_owned() };
        definitions.traits.extend(folder.map(|text| ("ltv".to_owned(), computed(text))));
        let joined = join(&before, &definitions);
        let (now, from_folder) = joined.get(&name).cloned().unwrap_or_default();
        assert_eq!((now, from_folder), (expected.map(says), folder.map(says)));
    }

    #[test]
    fn what_was_said_last_holds() {
        check(None, Some("1"), Some("1"));
        // The folder says what it said.
        check(Some((Some("1"), Some("1"))), Some("1"), Some("1"));
        // It was changed, deleted or made over HTTP since.
        check(Some((Some("2"), Some("1"))), Some("1"), Some("2"));
        check(Some((None, Some("1"))), Some("1"), None);
        check(Some((Some("2"), None)), None, Some("2"));
        // The folder says something else now, or nothing.
        check(Some((Some("2"), Some("1"))), Some("3"), Some("3"));
        check(Some((None, Some("1"))), Some("3"), Some("3"));
        check(Some((Some("2"), None)), Some("3"), Some("3"));
        check(Some((Some("1"), Some("1"))), None, None);
        check(Some((Some("2"), Some("1"))), None, None);
    }
}
