//! What a definition says, down to all that it refers to: two programs that say the same of something compute the same.

use super::expression::{CustomerColumn, GroupColumn};
use super::program::{Program, Step};
use std::collections::{BTreeMap, BTreeSet};

/// How memberships by one program differ from those by another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Redefined {
    /// Segments of which the two do not say the same, by index before and now; `None` where there is no such one.
    pub(super) segments: Vec<(Option<usize>, Option<usize>)>,
    /// Whether other things than before change with time alone.
    pub(super) clocked: bool,
}

impl Program {
    /// What of groups an expression says; the first line is its text.
    pub(crate) fn meaning_of_group(&self, expression: usize) -> String {
        let mut steps = Vec::new();
        if let Some(tree) = self.groups.expression(expression) {
            tree.each_leaf(&mut |leaf| {
                if let CustomerColumn::Group(GroupColumn::Computed(index)) = leaf {
                    steps.push(Step::Computed(*index));
                }
            });
        }
        format!("{}\n{}", self.of_group(expression), self.meaning(&steps))
    }

    /// What some definitions say.
    fn meaning(&self, steps: &[Step]) -> String {
        let needed: BTreeSet<Step> = steps.iter().flat_map(|step| self.needed_by(*step)).collect();
        // By name: indexes are others in other programs.
        let mut said: Vec<(&str, &str, &str)> = needed.into_iter().filter_map(|step| self.said(step)).collect();
        said.sort_unstable();
        said.into_iter().map(|(kind, name, text)| format!("{kind} {name}: {text}\n")).collect()
    }

    fn said(&self, step: Step) -> Option<(&str, &str, &str)> {
        match step {
            Step::Computed(index) => {
                self.computed.get(index).map(|computed| ("trait", computed.name.as_str(), computed.text.as_str()))
            }
            Step::Segment(index) => {
                self.segments.get(index).map(|segment| ("segment", segment.id.as_str(), segment.text.as_str()))
            }
        }
    }

    /// The ids of the segments of which another program does not say the same.
    pub fn redefined_segments(&self, before: &Self) -> BTreeSet<String> {
        let id = |program: &Self, at: usize| program.segments.get(at).map(|segment| segment.id.clone());
        let redefined = self.redefined_since(before).segments.into_iter();
        redefined.filter_map(|(was, is)| is.and_then(|at| id(self, at)).or(was.and_then(|at| id(before, at)))).collect()
    }

    /// How memberships differ from those by another program.
    pub(super) fn redefined_since(&self, before: &Self) -> Redefined {
        let by_id = |program: &Self| -> BTreeMap<String, (usize, String)> {
            let segments = program.segments.iter().enumerate();
            segments.map(|(at, segment)| (segment.id.clone(), (at, program.meaning(&[Step::Segment(at)])))).collect()
        };
        let (was, is) = (by_id(before), by_id(self));
        let ids: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let both = ids.into_iter().map(|id| (was.get(id), is.get(id)));
        let differing = both.filter(|(was, is)| was.map(|(_, meaning)| meaning) != is.map(|(_, meaning)| meaning));
        let index = |found: Option<&(usize, String)>| found.map(|(index, _)| *index);
        let segments = differing.map(|(was, is)| (index(was), index(is))).collect();
        let clocked = |program: &Self| program.clocked().map(|step| program.meaning(&[step])).collect::<BTreeSet<_>>();
        Redefined { segments, clocked: clocked(before) != clocked(self) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use tributary_model::{ComputedTrait, Definitions, Segment};

    fn program(traits: &[(&str, &str)], segments: &[(&str, &str)]) -> Program {
        let computed =
            |(name, text): &(&str, &str)| ((*name).to_owned(), ComputedTrait { expression: (*text).to_owned() });
        let segment = |(id, text): &(&str, &str)| {
            ((*id).to_owned(), Segment { name: (*id).to_owned(), condition: (*text).to_owned() })
        };
        Program::compile(&Definitions {
            traits: traits.iter().map(computed).collect(),
            segments: segments.iter().map(segment).collect(),
            ..Definitions::default()
        })
        .unwrap()
    }

    #[test]
    fn what_refers_to_something_else_is_something_else() {
        let orders = "count(*) FILTER (WHERE event = 'Order Completed')";
        let before = program(&[("orders", orders)], &[("all", "TRUE"), ("loyal", "orders > 2"), ("vip", "orders > 9")]);
        let same = program(
            &[("orders", orders), ("a", "1")],
            &[("all", "TRUE"), ("loyal", "orders > 2"), ("vip", "orders > 9")],
        );
        assert_eq!(same.redefined_since(&before), Redefined::default());

        let other =
            program(&[("orders", "count(*)")], &[("a", "orders > 2"), ("all", "TRUE"), ("loyal", "orders > 2")]);
        let found = other.redefined_since(&before);
        let named = found.segments.iter().map(|(was, is)| {
            (was.map(|at| before.segments[at].id.as_str()), is.map(|at| other.segments[at].id.as_str()))
        });
        let expected = [(None, Some("a")), (Some("loyal"), Some("loyal")), (Some("vip"), None)];
        assert_eq!(named.collect::<Vec<_>>(), expected);
        assert!(!found.clocked);
    }

    #[test]
    fn what_changes_with_time_alone_is_told() {
        let before = program(&[], &[("lapsed", "max(timestamp) < now() - INTERVAL '1 day'")]);
        let other = program(&[], &[("lapsed", "max(timestamp) < now() - INTERVAL '2 days'")]);
        assert!(other.redefined_since(&before).clocked);
        assert!(program(&[], &[]).redefined_since(&before).clocked);
    }

    #[test]
    fn what_is_said_of_groups_is_known_by_its_text_and_all_it_needs() {
        let meaning = |ltv: &str| program(&[("ltv", ltv)], &[("big", "group.ltv > 50")]).meaning_of_group(0);
        assert_eq!(meaning("sum(properties.total)").lines().next(), Some("group.ltv > 50"));
        assert_ne!(meaning("sum(properties.total)"), meaning("sum(properties.price)"));
    }
}
