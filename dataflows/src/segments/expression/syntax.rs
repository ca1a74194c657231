//! What an expression says, before anyone knows what its names mean.

use super::problem::Position;
use std::cmp::Ordering;
use std::fmt;
use tributary_model::Value;

/// One node with where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

/// The kinds of nodes. Parentheses are gone; chains of AND, OR and `||` are flat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Literal(Value),
    /// A length of time in milliseconds.
    Interval(i64),
    Path(Vec<Step>),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    All(Vec<Syntax>),
    Any(Vec<Syntax>),
    Concat(Vec<Syntax>),
    Compare(Comparison, Box<(Syntax, Syntax)>),
    Arithmetic(Operator, Box<(Syntax, Syntax)>),
    Is {
        subject: Box<Syntax>,
        what: What,
        negated: bool,
    },
    Distinct {
        pair: Box<(Syntax, Syntax)>,
        negated: bool,
    },
    In {
        subject: Box<Syntax>,
        list: Vec<Syntax>,
        negated: bool,
    },
    Between {
        subject: Box<Syntax>,
        range: Box<(Syntax, Syntax)>,
        negated: bool,
    },
    /// `x = ANY (list)`, or `ALL`.
    Quantified {
        comparison: Comparison,
        pair: Box<(Syntax, Syntax)>,
        all: bool,
    },
    Cast {
        subject: Box<Syntax>,
        to: CastType,
    },
    Like {
        subject: Box<Syntax>,
        pattern: Box<Syntax>,
        escape: Option<char>,
        ignores_case: bool,
        negated: bool,
    },
    Case {
        subject: Option<Box<Syntax>>,
        branches: Vec<(Syntax, Syntax)>,
        otherwise: Option<Box<Syntax>>,
    },
    Call(Call),
}

/// What a value can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CastType {
    Number,
    Integer,
    Text,
    Bool,
    Timestamp,
    /// The begin of a day in UTC.
    Date,
}

impl fmt::Display for CastType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "numeric",
            Self::Integer => "integer",
            Self::Text => "text",
            Self::Bool => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
        })
    }
}

/// One step of a name such as `properties.total`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// As written.
    pub(crate) text: String,
    /// Whether it stood in double quotes.
    pub(crate) quoted: bool,
}

impl Step {
    /// The name that SQL means: in lower case unless it was quoted.
    pub(crate) fn folded(&self) -> String {
        if self.quoted { self.text.clone() } else { self.text.to_lowercase() }
    }
}

/// A function with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) arguments: Arguments,
    /// Whether each value counts once.
    pub(crate) distinct: bool,
    pub(crate) filter: Option<Box<Syntax>>,
}

/// What stands in a function's parentheses.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arguments {
    /// `*`.
    Star,
    List(Vec<Syntax>),
}

/// `=`, `<` and their like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// What holds of the right side and the left one if this holds of the left and the right.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// Whether it holds between two values of that order.
    pub(crate) fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

/// The four operations and the remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        })
    }
}

/// What `IS` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Null,
    True,
    False,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "NULL",
            Self::True => "TRUE",
            Self::False => "FALSE",
        })
    }
}

/// A text literal as SQL writes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// One step of a path as SQL writes it: in double quotes where it is no plain word.
pub(crate) fn step_text(step: &str) -> String {
    let plain = !step.starts_with(|c: char| c.is_ascii_digit())
        && step.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !step.is_empty();
    if plain { step.to_owned() } else { format!("\"{}\"", step.replace('"', "\"\"")) }
}

/// A short name of a node for messages: as it was written where it is short, else its outline.
impl fmt::Display for Syntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Literal(Value::Text(text)) => f.write_str(&quoted(&shortened(text))),
            Kind::Literal(Value::Timestamp(_)) => f.write_str("TIMESTAMP '…'"),
            Kind::Literal(value) => write!(f, "{value}"),
            Kind::Interval(length_ms) => write!(f, "INTERVAL '{}'", super::literal::interval_text(*length_ms)),
            Kind::Path(steps) => {
                let steps: Vec<_> = steps.iter().map(|step| step.text.as_str()).collect();
                f.write_str(&shortened(&steps.join(".")))
            }
            Kind::Call(call) => match &call.arguments {
                Arguments::Star => write!(f, "{}(*)", call.name),
                Arguments::List(list) if list.is_empty() => write!(f, "{}()", call.name),
                Arguments::List(_) => write!(f, "{}(…)", call.name),
            },
            Kind::Not(_) => f.write_str("NOT …"),
            Kind::Negate(_) => f.write_str("-…"),
            Kind::All(_) => f.write_str("… AND …"),
            Kind::Any(_) => f.write_str("… OR …"),
            Kind::Concat(_) => f.write_str("… || …"),
            Kind::Compare(comparison, _) => write!(f, "… {comparison} …"),
            Kind::Arithmetic(operator, _) => write!(f, "… {operator} …"),
            Kind::Is { .. } | Kind::Distinct { .. } => f.write_str("… IS …"),
            Kind::In { .. } => f.write_str("… IN (…)"),
            Kind::Between { .. } => f.write_str("… BETWEEN …"),
            Kind::Quantified { all, .. } => f.write_str(if *all { "… ALL (…)" } else { "… ANY (…)" }),
            Kind::Cast { to, .. } => write!(f, "CAST(… AS {to})"),
            Kind::Like { .. } => f.write_str("… LIKE …"),
            Kind::Case { .. } => f.write_str("CASE …"),
        }
    }
}

/// At most 40 characters of a text.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}
