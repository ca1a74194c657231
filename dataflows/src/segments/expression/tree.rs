//! An expression with every name resolved and every type known: what is run, and the one text that means it.

use super::apply::Function;
use super::like::Pattern;
use super::literal::interval_text;
use super::syntax::{Comparison, Operator, What, quoted};
use std::fmt::{self, Display};
use tributary_model::Value;

/// A computation whose leaves are read from a customer or from an event.
#[derive(Clone, Debug)]
pub(crate) enum Tree<L> {
    Constant(Value),
    /// A length of time in milliseconds; a number when it is run.
    Interval(i64),
    Leaf(L),
    Negate(Box<Self>),
    Arithmetic(Operator, Box<(Self, Self)>),
    /// An instant so much later, or earlier if `back`.
    Shift {
        at: Box<Self>,
        by: Box<Self>,
        back: bool,
    },
    /// The time between two instants.
    Elapsed(Box<(Self, Self)>),
    Concat(Vec<Self>),
    Apply(Function, Vec<Self>),
    Case {
        subject: Option<Box<Self>>,
        branches: Vec<(Self, Self)>,
        otherwise: Box<Self>,
    },
    Coalesce(Vec<Self>),
    NullIf(Box<(Self, Self)>),
    Test(Box<Test<L>>),
}

/// What is true, false or not known.
#[derive(Clone, Debug)]
pub(crate) enum Test<L> {
    Not(Tree<L>),
    All(Vec<Tree<L>>),
    Any(Vec<Tree<L>>),
    Compare(Comparison, Tree<L>, Tree<L>),
    Is {
        subject: Tree<L>,
        what: What,
        negated: bool,
    },
    Distinct {
        left: Tree<L>,
        right: Tree<L>,
        negated: bool,
    },
    In {
        subject: Tree<L>,
        list: Vec<Tree<L>>,
        negated: bool,
    },
    Between {
        subject: Tree<L>,
        low: Tree<L>,
        high: Tree<L>,
        negated: bool,
    },
    Like {
        subject: Tree<L>,
        pattern: Pattern,
        negated: bool,
    },
    StartsWith(Tree<L>, Tree<L>),
    /// Whether a comparison holds for any value of a list, or for all.
    Quantified {
        comparison: Comparison,
        subject: Tree<L>,
        list: Tree<L>,
        all: bool,
    },
}

/// The trees that a tree is made of, each one step down: to read them, and to change them.
macro_rules! parts {
    ($name:ident, $iter:ident, $as_deref:ident $(, $mutable:tt)?) => {
        pub(crate) fn $name(&$($mutable)? self) -> Vec<&$($mutable)? Self> {
            match self {
                Self::Constant(_) | Self::Interval(_) | Self::Leaf(_) => Vec::new(),
                Self::Negate(inner) => vec![inner],
                Self::Arithmetic(_, pair) | Self::Elapsed(pair) | Self::NullIf(pair) => {
                    vec![&$($mutable)? pair.0, &$($mutable)? pair.1]
                }
                Self::Shift { at, by, .. } => vec![at, by],
                Self::Concat(list) | Self::Coalesce(list) | Self::Apply(_, list) => list.$iter().collect(),
                Self::Case { subject, branches, otherwise } => {
                    let branches = branches.$iter().flat_map(|(when, then)| [when, then]);
                    subject.$as_deref().into_iter().chain(branches).chain([&$($mutable)? **otherwise]).collect()
                }
                Self::Test(test) => match &$($mutable)? **test {
                    Test::Not(inner) | Test::Is { subject: inner, .. } | Test::Like { subject: inner, .. } => {
                        vec![inner]
                    }
                    Test::All(list) | Test::Any(list) => list.$iter().collect(),
                    Test::Compare(_, left, right)
                    | Test::Distinct { left, right, .. }
                    | Test::StartsWith(left, right) => vec![left, right],
                    Test::In { subject, list, .. } => std::iter::once(subject).chain(list.$iter()).collect(),
                    Test::Between { subject, low, high, .. } => vec![subject, low, high],
                    Test::Quantified { subject, list, .. } => vec![subject, list],
                },
            }
        }
    };
}

impl<L> Tree<L> {
    pub(crate) const NULL: Self = Self::Constant(Value::Null);

    pub(crate) fn test(test: Test<L>) -> Self {
        Self::Test(Box::new(test))
    }

    parts!(parts, iter, as_deref);
    parts!(parts_mut, iter_mut, as_deref_mut, mut);

    /// The same tree over other leaves.
    pub(crate) fn map<M>(&self, to: &impl Fn(&L) -> M) -> Tree<M> {
        let one = |tree: &Self| tree.map(to);
        let boxed = |tree: &Self| Box::new(tree.map(to));
        let pair = |pair: &(Self, Self)| Box::new((pair.0.map(to), pair.1.map(to)));
        let list = |list: &[Self]| list.iter().map(one).collect::<Vec<_>>();
        match self {
            Self::Constant(value) => Tree::Constant(value.clone()),
            Self::Interval(length_ms) => Tree::Interval(*length_ms),
            Self::Leaf(leaf) => Tree::Leaf(to(leaf)),
            Self::Negate(inner) => Tree::Negate(boxed(inner)),
            Self::Arithmetic(operator, both) => Tree::Arithmetic(*operator, pair(both)),
            Self::Shift { at, by, back } => Tree::Shift { at: boxed(at), by: boxed(by), back: *back },
            Self::Elapsed(both) => Tree::Elapsed(pair(both)),
            Self::Concat(parts) => Tree::Concat(list(parts)),
            Self::Apply(function, arguments) => Tree::Apply(function.clone(), list(arguments)),
            Self::Case { subject, branches, otherwise } => Tree::Case {
                subject: subject.as_deref().map(boxed),
                branches: branches.iter().map(|(when, then)| (one(when), one(then))).collect(),
                otherwise: boxed(otherwise),
            },
            Self::Coalesce(choices) => Tree::Coalesce(list(choices)),
            Self::NullIf(both) => Tree::NullIf(pair(both)),
            Self::Test(test) => Tree::test(match &**test {
                Test::Not(inner) => Test::Not(one(inner)),
                Test::All(conditions) => Test::All(list(conditions)),
                Test::Any(conditions) => Test::Any(list(conditions)),
                Test::Compare(comparison, left, right) => Test::Compare(*comparison, one(left), one(right)),
                Test::Is { subject, what, negated } => {
                    Test::Is { subject: one(subject), what: *what, negated: *negated }
                }
                Test::Distinct { left, right, negated } => {
                    Test::Distinct { left: one(left), right: one(right), negated: *negated }
                }
                Test::In { subject, list: of, negated } => {
                    Test::In { subject: one(subject), list: list(of), negated: *negated }
                }
                Test::Between { subject, low, high, negated } => {
                    Test::Between { subject: one(subject), low: one(low), high: one(high), negated: *negated }
                }
                Test::Like { subject, pattern, negated } => {
                    Test::Like { subject: one(subject), pattern: pattern.clone(), negated: *negated }
                }
                Test::StartsWith(text, start) => Test::StartsWith(one(text), one(start)),
                Test::Quantified { comparison, subject, list, all } => {
                    Test::Quantified { comparison: *comparison, subject: one(subject), list: one(list), all: *all }
                }
            }),
        }
    }

    /// Shows every leaf.
    pub(crate) fn each_leaf(&self, each: &mut impl FnMut(&L)) {
        let mut open = vec![self];
        while let Some(tree) = open.pop() {
            match tree {
                Self::Leaf(leaf) => each(leaf),
                inner => open.extend(inner.parts()),
            }
        }
    }

    /// Whether it needs no parentheses as part of another one.
    fn stands_alone(&self) -> bool {
        match self {
            Self::Constant(_)
            | Self::Interval(_)
            | Self::Leaf(_)
            | Self::Apply(..)
            | Self::Case { .. }
            | Self::Coalesce(_)
            | Self::NullIf(_) => true,
            Self::Test(test) => matches!(**test, Test::StartsWith(..)),
            _ => false,
        }
    }
}

/// The canonical text: SQL again, the same for all that mean the same tree.
impl<L: Display> Display for Tree<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(Value::Text(text)) => f.write_str(&quoted(text)),
            Self::Constant(at @ Value::Timestamp(_)) => write!(f, "TIMESTAMP '{at}'"),
            Self::Constant(value) => write!(f, "{value}"),
            Self::Interval(length_ms) => write!(f, "INTERVAL '{}'", interval_text(*length_ms)),
            Self::Leaf(leaf) => write!(f, "{leaf}"),
            Self::Negate(number) => write!(f, "-{}", Operand(number)),
            Self::Arithmetic(operator, pair) => write!(f, "{} {operator} {}", Operand(&pair.0), Operand(&pair.1)),
            Self::Shift { at, by, back } => {
                write!(f, "{} {} {}", Operand(at), if *back { "-" } else { "+" }, Operand(by))
            }
            Self::Elapsed(pair) => write!(f, "{} - {}", Operand(&pair.0), Operand(&pair.1)),
            Self::Concat(parts) => joined(f, parts, " || "),
            Self::Apply(function, arguments) => function.write(f, |f| listed(f, arguments)),
            Self::Case { subject, branches, otherwise } => {
                f.write_str("CASE")?;
                if let Some(subject) = subject {
                    write!(f, " {}", Operand(subject))?;
                }
                for (when, then) in branches {
                    write!(f, " WHEN {} THEN {}", Operand(when), Operand(then))?;
                }
                write!(f, " ELSE {} END", Operand(otherwise))
            }
            Self::Coalesce(choices) => {
                f.write_str("coalesce(")?;
                listed(f, choices)?;
                f.write_str(")")
            }
            Self::NullIf(pair) => write!(f, "nullif({}, {})", pair.0, pair.1),
            Self::Test(test) => write!(f, "{test}"),
        }
    }
}

impl<L: Display> Display for Test<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        match self {
            Self::Not(condition) => write!(f, "NOT {}", Operand(condition)),
            Self::All(conditions) => conjoined(f, conditions, " AND "),
            Self::Any(conditions) => conjoined(f, conditions, " OR "),
            Self::Compare(comparison, left, right) => write!(f, "{} {comparison} {}", Operand(left), Operand(right)),
            Self::Is { subject, what, negated } => write!(f, "{} IS {}{what}", Operand(subject), not(negated)),
            Self::Distinct { left, right, negated } => {
                write!(f, "{} IS {}DISTINCT FROM {}", Operand(left), not(negated), Operand(right))
            }
            Self::In { subject, list, negated } => {
                write!(f, "{} {}IN (", Operand(subject), not(negated))?;
                listed(f, list)?;
                f.write_str(")")
            }
            Self::Between { subject, low, high, negated } => {
                write!(f, "{} {}BETWEEN {} AND {}", Operand(subject), not(negated), Operand(low), Operand(high))
            }
            Self::Like { subject, pattern, negated } => {
                write!(f, "{} {}{} {pattern}", Operand(subject), not(negated), pattern.operator())
            }
            Self::StartsWith(text, start) => write!(f, "starts_with({text}, {start})"),
            Self::Quantified { comparison, subject, list, all } => {
                write!(f, "{} {comparison} {} ({list})", Operand(subject), if *all { "ALL" } else { "ANY" })
            }
        }
    }
}

/// In parentheses where it needs them.
struct Operand<'a, L>(&'a Tree<L>);

impl<L: Display> Display for Operand<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.stands_alone() { write!(f, "{}", self.0) } else { write!(f, "({})", self.0) }
    }
}

fn joined<L: Display>(f: &mut fmt::Formatter<'_>, parts: &[Tree<L>], between: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        write!(f, "{}{}", if index == 0 { "" } else { between }, Operand(part))?;
    }
    Ok(())
}

/// Conditions joined by AND or OR, which bind less than all but each other.
pub(crate) fn conjoined<L: Display>(f: &mut fmt::Formatter<'_>, parts: &[Tree<L>], between: &str) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { between })?;
        match part {
            Tree::Test(test) if !matches!(**test, Test::All(_) | Test::Any(_)) => write!(f, "{test}")?,
            other => write!(f, "{}", Operand(other))?,
        }
    }
    Ok(())
}

fn listed<L: Display>(f: &mut fmt::Formatter<'_>, parts: &[Tree<L>]) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        write!(f, "{}{part}", if index == 0 { "" } else { ", " })?;
    }
    Ok(())
}
