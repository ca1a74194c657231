//! Which computed traits and segments an expression needs before it can be run.

use super::customer::segment_named;
use super::functions;
use super::problem::Position;
use super::syntax::{Arguments, Call, Kind, Syntax};

/// Something that an expression refers to by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// A bare name, which may be a computed trait's.
    Name(String),
    /// The argument of `in_segment`.
    Segment(String),
}

/// All names that an expression refers to, in the order of the text.
pub(crate) fn references(syntax: &Syntax) -> Vec<(Position, Reference)> {
    let mut found = Vec::new();
    let mut waiting = vec![syntax];
    while let Some(syntax) = waiting.pop() {
        match &syntax.kind {
            Kind::Path(steps) => {
                let name = match steps.as_slice() {
                    [name] => Some(name),
                    [group, name] if group.folded() == "group" => Some(name),
                    _ => None,
                };
                found.extend(name.map(|name| (syntax.at, Reference::Name(name.folded()))));
            }
            Kind::Call(call) if call.name == "in_segment" => {
                found.extend(segment_named(call).map(|id| (syntax.at, Reference::Segment(id.to_owned()))));
            }
            // Within aggregates names are those of one event.
            Kind::Call(call) if functions::is_aggregate(&call.name) => {}
            _ => {
                let parts = parts(&syntax.kind);
                waiting.extend(parts.into_iter().rev());
            }
        }
    }
    found
}

fn parts(kind: &Kind) -> Vec<&Syntax> {
    match kind {
        Kind::Literal(_) | Kind::Interval(_) | Kind::Path(_) => Vec::new(),
        Kind::Not(inner) | Kind::Negate(inner) => vec![inner],
        Kind::All(list) | Kind::Any(list) | Kind::Concat(list) => list.iter().collect(),
        Kind::Compare(_, pair) | Kind::Arithmetic(_, pair) | Kind::Distinct { pair, .. } => vec![&pair.0, &pair.1],
        Kind::Is { subject, .. } => vec![subject],
        Kind::In { subject, list, .. } => std::iter::once(&**subject).chain(list).collect(),
        Kind::Between { subject, range, .. } => vec![subject, &range.0, &range.1],
        Kind::Like { subject, pattern, .. } => vec![subject, pattern],
        Kind::Quantified { pair, .. } => vec![&pair.0, &pair.1],
        Kind::Cast { subject, .. } => vec![subject],
        Kind::Case { subject, branches, otherwise } => {
            let branches = branches.iter().flat_map(|(when, then)| [when, then]);
            subject.as_deref().into_iter().chain(branches).chain(otherwise.as_deref()).collect()
        }
        Kind::Call(Call { arguments, .. }) => match arguments {
            Arguments::Star => Vec::new(),
            Arguments::List(list) => list.iter().collect(),
        },
    }
}
