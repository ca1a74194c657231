//! The SQL parser's tree to ours: the part of SQL that is the language, and a mend for the rest.

use super::forms;
use super::functions;
use super::literal::{self, IntervalError};
use super::mends::{not_of_the_language, operator_mend};
use super::parse::{PARSE_DEPTH, too_deep};
use super::place::start;
use super::problem::{Position, Problem};
use super::syntax::{Arguments, Call, Comparison, Kind, Operator, Step, Syntax, What, shortened};
use sqlparser::ast::{
    BinaryOperator, DataType, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    InTarget, Interval, UnaryOperator, Value as Literal,
};
use tributary_model::Value;

/// Levels of the tree. An operator chain such as `a + b + c` adds levels that are not nesting to the parser.
const DEPTH: usize = 2 * PARSE_DEPTH;

/// Converts one expression and collects what is not of the language.
#[derive(Debug)]
pub(super) struct Converter<'a> {
    problems: &'a mut Vec<Problem>,
    depth: usize,
    told_depth: bool,
    near: Position,
}

impl<'a> Converter<'a> {
    pub(super) fn new(problems: &'a mut Vec<Problem>) -> Self {
        Self { problems, depth: 0, told_depth: false, near: Position::default() }
    }

    pub(super) fn convert(&mut self, expression: &Expr) -> Syntax {
        let mut expression = expression;
        while let Expr::Nested(inner) = expression {
            expression = inner;
        }
        let at = start(expression).unwrap_or(self.near);
        if self.depth >= DEPTH {
            if !std::mem::replace(&mut self.told_depth, true) {
                self.problems.push(Problem::new(at, too_deep()));
            }
            return Syntax { at, kind: Kind::Literal(Value::Null) };
        }
        let outside = std::mem::replace(&mut self.near, at);
        self.depth += 1;
        let kind = self.kind(expression).unwrap_or_else(|message| {
            self.problems.push(Problem::new(at, message));
            Kind::Literal(Value::Null)
        });
        self.depth -= 1;
        self.near = outside;
        Syntax { at, kind }
    }

    pub(super) fn boxed(&mut self, expression: &Expr) -> Box<Syntax> {
        Box::new(self.convert(expression))
    }

    fn pair(&mut self, left: &Expr, right: &Expr) -> Box<(Syntax, Syntax)> {
        Box::new((self.convert(left), self.convert(right)))
    }

    fn list<'e>(&mut self, list: impl IntoIterator<Item = &'e Expr>) -> Vec<Syntax> {
        list.into_iter().map(|expression| self.convert(expression)).collect()
    }

    fn kind(&mut self, expression: &Expr) -> Result<Kind, String> {
        let is =
            |this: &mut Self, subject: &Expr, what, negated| Kind::Is { subject: this.boxed(subject), what, negated };
        Ok(match expression {
            Expr::Identifier(name) => Kind::Path(vec![step(name)]),
            Expr::CompoundIdentifier(names) => Kind::Path(names.iter().map(step).collect()),
            Expr::Value(value) => Kind::Literal(literal_value(&value.value)?),
            Expr::TypedString(typed) => typed_literal(&typed.data_type, &typed.value.value)?,
            Expr::Interval(interval) => Kind::Interval(interval_ms(interval)?),
            Expr::IsNull(subject) => is(self, subject, What::Null, false),
            Expr::IsNotNull(subject) => is(self, subject, What::Null, true),
            Expr::IsTrue(subject) => is(self, subject, What::True, false),
            Expr::IsNotTrue(subject) => is(self, subject, What::True, true),
            Expr::IsFalse(subject) => is(self, subject, What::False, false),
            Expr::IsNotFalse(subject) => is(self, subject, What::False, true),
            Expr::IsUnknown(subject) => is(self, subject, What::Null, false),
            Expr::IsNotUnknown(subject) => is(self, subject, What::Null, true),
            Expr::IsDistinctFrom(left, right) => Kind::Distinct { pair: self.pair(left, right), negated: false },
            Expr::IsNotDistinctFrom(left, right) => Kind::Distinct { pair: self.pair(left, right), negated: true },
            Expr::In { expr, target: InTarget::List(list), negated, global: false } => {
                Kind::In { subject: self.boxed(expr), list: self.list(list), negated: *negated }
            }
            Expr::Between { expr, negated, low, high } => {
                Kind::Between { subject: self.boxed(expr), range: self.pair(low, high), negated: *negated }
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), false, *negated)?
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), true, *negated)?
            }
            Expr::BinaryOp { op, left, right } => self.binary(expression, op, left, right)?,
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => Kind::Not(self.boxed(expr)),
            Expr::UnaryOp { op: UnaryOperator::Plus, expr } => self.convert(expr).kind,
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match self.convert(expr) {
                Syntax { kind: Kind::Literal(Value::Number(number)), .. } => Kind::Literal(Value::Number(-number)),
                other => Kind::Negate(Box::new(other)),
            },
            Expr::Case { operand, conditions, else_result, .. } => {
                let branches =
                    conditions.iter().map(|when| (self.convert(&when.condition), self.convert(&when.result)));
                let branches = branches.collect();
                let subject = operand.as_deref().map(|operand| self.boxed(operand));
                Kind::Case { subject, branches, otherwise: else_result.as_deref().map(|value| self.boxed(value)) }
            }
            Expr::Function(function) => Kind::Call(self.call(function)?),
            Expr::AnyOp { left, compare_op, right, .. } => self.quantified(left, compare_op, right, false)?,
            Expr::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, true)?,
            other => return forms::form(self, other).unwrap_or_else(|| Err(not_of_the_language(other))),
        })
    }

    fn quantified(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr, all: bool) -> Result<Kind, String> {
        let mut list = right;
        while let Expr::Nested(inner) = list {
            list = inner;
        }
        if matches!(list, Expr::Subquery(_) | Expr::Array(_) | Expr::Tuple(_)) {
            return Err(not_of_the_language(list));
        }
        let Some(comparison) = comparison(op) else { return Err(operator_mend(op)) };
        Ok(Kind::Quantified { comparison, pair: self.pair(left, list), all })
    }

    fn binary(&mut self, whole: &Expr, op: &BinaryOperator, left: &Expr, right: &Expr) -> Result<Kind, String> {
        if let Some(comparison) = comparison(op) {
            return Ok(Kind::Compare(comparison, self.pair(left, right)));
        }
        let arithmetic = |this: &mut Self, operator| Ok(Kind::Arithmetic(operator, this.pair(left, right)));
        match op {
            BinaryOperator::And => Ok(Kind::All(self.chain(whole, op))),
            BinaryOperator::Or => Ok(Kind::Any(self.chain(whole, op))),
            BinaryOperator::StringConcat => Ok(Kind::Concat(self.chain(whole, op))),
            BinaryOperator::Plus => arithmetic(self, Operator::Add),
            BinaryOperator::Minus => arithmetic(self, Operator::Subtract),
            BinaryOperator::Multiply => arithmetic(self, Operator::Multiply),
            BinaryOperator::Divide => arithmetic(self, Operator::Divide),
            BinaryOperator::Modulo => arithmetic(self, Operator::Remainder),
            other => Err(operator_mend(other)),
        }
    }

    /// The operands of a chain of one operator, which the parser nests to the left; also those in parentheses.
    fn chain(&mut self, whole: &Expr, op: &BinaryOperator) -> Vec<Syntax> {
        let mut operands = Vec::new();
        let mut waiting = vec![whole];
        while let Some(expression) = waiting.pop() {
            match expression {
                Expr::Nested(inner) => waiting.push(inner),
                Expr::BinaryOp { left, op: inner, right } if inner == op => {
                    waiting.push(right);
                    waiting.push(left);
                }
                operand => operands.push(self.convert(operand)),
            }
        }
        operands
    }

    fn like(
        &mut self,
        subject: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        ignores_case: bool,
        negated: bool,
    ) -> Result<Kind, String> {
        let escape = match escape.map(|escape| self.convert(escape).kind) {
            None => Some('\\'),
            Some(Kind::Literal(Value::Text(text))) if text.is_empty() => None,
            Some(Kind::Literal(Value::Text(text))) if text.chars().count() == 1 => text.chars().next(),
            Some(_) => return Err("ESCAPE takes one character; write it as ESCAPE '!'".to_owned()),
        };
        let (subject, pattern) = (self.boxed(subject), self.boxed(pattern));
        Ok(Kind::Like { subject, pattern, escape, ignores_case, negated })
    }

    fn call(&mut self, function: &Function) -> Result<Call, String> {
        let name = match function.name.0.as_slice() {
            [part] => part.as_ident().map(|ident| step(ident).folded()),
            _ => None,
        };
        let Some(name) = name else {
            return Err(functions::unknown(&function.name.to_string()));
        };
        if function.over.is_some() {
            return Err(format!(
                "OVER has no place here: an expression sees all events of one customer; write {name}(…) FILTER (WHERE …)"
            ));
        }
        if !function.within_group.is_empty() || !matches!(function.parameters, FunctionArguments::None) {
            return Err(format!("{name}(…) is followed by FILTER (WHERE …) or by nothing; remove what follows it"));
        }
        if function.null_treatment.is_some() {
            return Err(format!("{name}(x) leaves NULLs out by itself; remove IGNORE NULLS or RESPECT NULLS"));
        }
        let mut distinct = false;
        let arguments = match &function.args {
            FunctionArguments::None => Arguments::List(Vec::new()),
            FunctionArguments::Subquery(_) => return Err("a query cannot stand in an expression; remove it".to_owned()),
            FunctionArguments::List(list) => {
                distinct = list.duplicate_treatment.is_some_and(|treatment| treatment.to_string() == "DISTINCT");
                if distinct && !matches!(name.as_str(), "count" | "min" | "max") {
                    return Err(format!(
                        "DISTINCT stands in count(DISTINCT x); write {name}(x), which takes each event"
                    ));
                }
                if !list.clauses.is_empty() {
                    return Err(format!(
                        "{name}(…) takes values only; first(x) and last(x) are by event time, conditions stand in \
                         FILTER (WHERE …) behind it"
                    ));
                }
                self.arguments(&name, &list.args)?
            }
        };
        let filter = function.filter.as_deref().map(|filter| self.boxed(filter));
        Ok(Call { name, arguments, distinct, filter })
    }

    fn arguments(&mut self, name: &str, list: &[FunctionArg]) -> Result<Arguments, String> {
        if let [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] = list {
            return Ok(Arguments::Star);
        }
        let mut arguments = Vec::new();
        for argument in list {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => arguments.push(self.convert(expression)),
                _ => return Err(format!("{name}(…) takes plain values; write them one after the other, with commas")),
            }
        }
        Ok(Arguments::List(arguments))
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn step(name: &Ident) -> Step {
    Step { text: name.value.clone(), quoted: name.quote_style.is_some() }
}

fn literal_value(literal: &Literal) -> Result<Value, String> {
    Ok(match literal {
        Literal::Number(text, _) => Value::Number(literal::number(text).ok_or_else(|| {
            format!("`{}` is no number of at most 28 digits; write one such as 19.99", shortened(text))
        })?),
        Literal::SingleQuotedString(text)
        | Literal::EscapedStringLiteral(text)
        | Literal::UnicodeStringLiteral(text)
        | Literal::NationalStringLiteral(text) => Value::text(text),
        Literal::DollarQuotedString(text) => Value::text(&text.value),
        Literal::Boolean(bool) => Value::Bool(*bool),
        Literal::Null => Value::Null,
        Literal::Placeholder(name) => {
            return Err(format!("`{name}` stands for a value that nobody gives; write the value"));
        }
        _ => return Err("bytes cannot be compared with anything here; write text in '…'".to_owned()),
    })
}

fn typed_literal(data_type: &DataType, literal: &Literal) -> Result<Kind, String> {
    let Value::Text(text) = literal_value(literal)? else {
        return Err("a TIMESTAMP is written with text, as TIMESTAMP '2026-03-01 12:00:00'".to_owned());
    };
    match data_type {
        DataType::Timestamp(None, _) => {
            let at = if text.trim().eq_ignore_ascii_case("epoch") { Some(0) } else { literal::timestamp(&text) };
            let at = at.ok_or_else(|| {
                format!(
                    "'{}' is no instant; write TIMESTAMP '2026-03-01', TIMESTAMP '2026-03-01 12:00:00' (both in UTC), \
                     TIMESTAMP '2026-03-01T12:00:00+02:00' or TIMESTAMP 'epoch'",
                    shortened(&text)
                )
            })?;
            Ok(Kind::Literal(Value::Timestamp(at)))
        }
        DataType::Date | DataType::Datetime(_) => Err(format!("write TIMESTAMP '{}'", shortened(&text))),
        DataType::Custom(name, _) => {
            let (name, text) = (name.to_string(), shortened(&text));
            Err(format!(
                "`{name}` and '{text}' stand side by side; write an operator between them, as {name} = '{text}'"
            ))
        }
        other => {
            Err(format!("`{other}` is no type that a literal can have; write the text, the number or TIMESTAMP '…'"))
        }
    }
}

fn interval_ms(interval: &Interval) -> Result<i64, String> {
    let mend = "write it as INTERVAL '30 days', in weeks, days, hours, minutes, seconds";
    let unit = match &interval.leading_field {
        None => None,
        Some(DateTimeField::Week(None)) => Some("week".to_owned()),
        Some(field) => Some(field.to_string()),
    };
    let is_plain = interval.last_field.is_none()
        && interval.leading_precision.is_none()
        && interval.fractional_seconds_precision.is_none();
    let text = match interval.value.as_ref() {
        Expr::Value(value) if is_plain => match &value.value {
            Literal::SingleQuotedString(text) => text,
            Literal::Number(text, _) if unit.is_some() => text,
            _ => return Err(format!("this is no length of time; {mend}")),
        },
        _ => return Err(format!("this is no length of time; {mend}")),
    };
    literal::interval(text, unit.as_deref()).map_err(|error| match error {
        IntervalError::Calendar => {
            "months and years have no fixed length; write days, as INTERVAL '30 days' or INTERVAL '365 days'".to_owned()
        }
        IntervalError::Malformed => format!("'{}' is no length of time; {mend}", shortened(text)),
    })
}
