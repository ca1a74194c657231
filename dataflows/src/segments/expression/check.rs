//! Syntax to tree: every name resolved in a scope, every type checked as far as it is known.
//!
//! A mistake is noted and stands as NULL of unknown type, which goes with everything: so one run tells all mistakes
//! and each of them once.

use super::apply::Function;
use super::functions;
use super::like::Pattern;
use super::problem::{Position, Problem};
use super::scalar;
use super::syntax::{Call, CastType, Comparison, Kind, Operator, Step, Syntax, What};
use super::tree::{Test, Tree};
use super::types::{Type, Typed};
use tributary_model::Value;

/// What names and functions mean in a place.
pub(crate) trait Scope {
    type Leaf;

    /// The value that a name such as `traits.country` stands for.
    fn column(&mut self, steps: &[Step]) -> Result<Typed<Self::Leaf>, String>;

    /// A function that only this place has; `None` if it is not one.
    fn call(
        &mut self,
        call: &Call,
        at: Position,
        problems: &mut Vec<Problem>,
    ) -> Option<Result<Typed<Self::Leaf>, String>>;
}

/// Checks an expression that is to be true or false.
pub(crate) fn condition<S: Scope>(scope: &mut S, syntax: &Syntax, problems: &mut Vec<Problem>) -> Tree<S::Leaf> {
    Checker { scope, problems }.condition(syntax)
}

/// Checks an expression of any type.
pub(crate) fn value<S: Scope>(scope: &mut S, syntax: &Syntax, problems: &mut Vec<Problem>) -> Typed<S::Leaf> {
    Checker { scope, problems }.value(syntax)
}

pub(super) struct Checker<'a, S> {
    scope: &'a mut S,
    problems: &'a mut Vec<Problem>,
}

pub(super) type Of<S> = Typed<<S as Scope>::Leaf>;
pub(super) type Checked<S> = Result<Of<S>, String>;

impl<S: Scope> Checker<'_, S> {
    pub(super) fn value(&mut self, syntax: &Syntax) -> Typed<S::Leaf> {
        self.typed(syntax).unwrap_or_else(|message| {
            self.problems.push(Problem::new(syntax.at, message));
            Typed::mistaken()
        })
    }

    fn condition(&mut self, syntax: &Syntax) -> Tree<S::Leaf> {
        let Typed { tree, is } = self.value(syntax);
        if !is.may_be(Type::Bool) {
            let mend = if is == Type::Number { "> 0" } else { "= …" };
            let message =
                format!("`{syntax}` is {is}, and a condition is true or false; compare it, as `{syntax} {mend}`");
            self.problems.push(Problem::new(syntax.at, message));
        }
        tree
    }

    fn conditions(&mut self, list: &[Syntax]) -> Vec<Tree<S::Leaf>> {
        list.iter().map(|condition| self.condition(condition)).collect()
    }

    /// A value of the wanted type, for what `user` says.
    pub(super) fn wanted(&mut self, syntax: &Syntax, wanted: Type, user: &str) -> Tree<S::Leaf> {
        let Typed { tree, is } = self.value(syntax);
        if !is.may_be(wanted) {
            let message = format!("`{syntax}` is {is}, and {user} takes {wanted}; write {wanted}");
            self.problems.push(Problem::new(syntax.at, message));
        }
        tree
    }

    /// An instant, which may be that of now.
    pub(super) fn instant(&mut self, syntax: &Syntax, user: &str) -> Of<S> {
        let typed = self.value(syntax);
        if typed.is != Type::Now && !typed.is.may_be(Type::Timestamp) {
            let message = format!("`{syntax}` is {}, and {user} takes an instant; write one", typed.is);
            self.problems.push(Problem::new(syntax.at, message));
        }
        typed
    }

    fn typed(&mut self, syntax: &Syntax) -> Checked<S> {
        let test = |test| Ok(Typed::new(Tree::test(test), Type::Bool));
        match &syntax.kind {
            Kind::Literal(value) => Ok(Typed::new(Tree::Constant(value.clone()), literal_type(value))),
            Kind::Interval(length_ms) => Ok(Typed::new(Tree::Interval(*length_ms), Type::Interval)),
            Kind::Path(steps) => self.scope.column(steps),
            Kind::Not(inner) => test(Test::Not(self.condition(inner))),
            Kind::All(list) => test(Test::All(self.conditions(list))),
            Kind::Any(list) => test(Test::Any(self.conditions(list))),
            Kind::Negate(number) => {
                let number = self.wanted(number, Type::Number, "a minus");
                Ok(Typed::new(Tree::Negate(Box::new(number)), Type::Number))
            }
            Kind::Concat(list) => self.concat(list),
            Kind::Compare(comparison, pair) => self.compare(*comparison, pair),
            Kind::Arithmetic(operator, pair) => self.arithmetic(*operator, pair),
            Kind::Is { subject, what, negated } => {
                let tree = match what {
                    What::Null => self.value(subject).tree,
                    _ => self.condition(subject),
                };
                test(Test::Is { subject: tree, what: *what, negated: *negated })
            }
            Kind::Distinct { pair, negated } => {
                let (left, right) = self.alike(&pair.0, &pair.1)?;
                test(Test::Distinct { left: left.tree, right: right.tree, negated: *negated })
            }
            Kind::In { subject, list, negated } => self.in_list(subject, list, *negated),
            Kind::Between { subject, range, negated } => {
                let checked = self.value(subject);
                let low = self.value(&range.0);
                let high = self.value(&range.1);
                self.compares(subject, checked.is, &range.0, low.is)?;
                self.compares(subject, checked.is, &range.1, high.is)?;
                let (low, high) = (low.tree, high.tree);
                test(Test::Between { subject: checked.tree, low, high, negated: *negated })
            }
            Kind::Like { subject, pattern, escape, ignores_case, negated } => {
                let subject = self.wanted(subject, Type::Text, "LIKE");
                let pattern = like_pattern(pattern, *escape, *ignores_case)?;
                test(Test::Like { subject, pattern, negated: *negated })
            }
            Kind::Case { subject, branches, otherwise } => {
                self.case(subject.as_deref(), branches, otherwise.as_deref())
            }
            Kind::Quantified { comparison, pair, all } => self.quantified(*comparison, pair, *all),
            Kind::Cast { subject, to } => self.cast(subject, *to),
            Kind::Call(call) => self.call(call, syntax.at),
        }
    }

    /// Two values of one type.
    pub(super) fn alike(&mut self, left: &Syntax, right: &Syntax) -> Result<(Of<S>, Of<S>), String> {
        let (one, other) = (self.value(left), self.value(right));
        self.same(left, one.is, right, other.is)?;
        Ok((one, other))
    }

    fn compares(&self, left: &Syntax, one: Type, right: &Syntax, other: Type) -> Result<(), String> {
        if one.compares(other) { Ok(()) } else { Err(mismatch(left, one, right, other)) }
    }

    fn same(&self, left: &Syntax, one: Type, right: &Syntax, other: Type) -> Result<(), String> {
        if one.common(other).is_some() { Ok(()) } else { Err(mismatch(left, one, right, other)) }
    }

    fn compare(&mut self, comparison: Comparison, pair: &(Syntax, Syntax)) -> Checked<S> {
        let (left, right) = (self.value(&pair.0), self.value(&pair.1));
        self.compares(&pair.0, left.is, &pair.1, right.is)?;
        Ok(Typed::new(Tree::test(Test::Compare(comparison, left.tree, right.tree)), Type::Bool))
    }

    fn in_list(&mut self, subject: &Syntax, list: &[Syntax], negated: bool) -> Checked<S> {
        let checked = self.value(subject);
        let mut items = Vec::with_capacity(list.len());
        let mut of = Type::Unknown;
        for item in list {
            let typed = self.value(item);
            self.same(subject, checked.is, item, typed.is)?;
            of = of.common(typed.is).ok_or_else(|| {
                format!("`{item}` is {}, and another value of the list is {of}; write values of one type", typed.is)
            })?;
            items.push(typed.tree);
        }
        let test = Test::In { subject: checked.tree, list: items, negated };
        Ok(Typed::new(Tree::test(test), Type::Bool))
    }

    fn arithmetic(&mut self, operator: Operator, pair: &(Syntax, Syntax)) -> Checked<S> {
        let (left, right) = (self.value(&pair.0), self.value(&pair.1));
        let is_instant = |is: Type| is != Type::Interval && is.may_be(Type::Timestamp);
        let shift_of = |at, by, back, is| Ok(Typed::new(Tree::Shift { at: Box::new(at), by: Box::new(by), back }, is));
        let shift = |at, by, back| shift_of(at, by, back, Type::Timestamp);
        match (operator, left.is, right.is) {
            (Operator::Add, Type::Now, Type::Interval) => return shift_of(left.tree, right.tree, false, Type::Now),
            (Operator::Subtract, Type::Now, Type::Interval) => return shift_of(left.tree, right.tree, true, Type::Now),
            (Operator::Add, Type::Interval, Type::Now) => return shift_of(right.tree, left.tree, false, Type::Now),
            (Operator::Subtract, one, other) if (one == Type::Now || other == Type::Now) && one.compares(other) => {
                return Ok(Typed::new(Tree::Elapsed(Box::new((left.tree, right.tree))), Type::SinceNow));
            }
            (Operator::Add, at, Type::Interval) if is_instant(at) => return shift(left.tree, right.tree, false),
            (Operator::Subtract, at, Type::Interval) if is_instant(at) => return shift(left.tree, right.tree, true),
            (Operator::Add, Type::Interval, at) if is_instant(at) => return shift(right.tree, left.tree, false),
            (Operator::Add, Type::Timestamp, Type::Unknown) => return shift(left.tree, right.tree, false),
            (Operator::Subtract, Type::Timestamp, Type::Unknown) => return shift(left.tree, right.tree, true),
            (Operator::Add, Type::Unknown, Type::Timestamp) => return shift(right.tree, left.tree, false),
            (Operator::Subtract, Type::Timestamp, Type::Timestamp) => {
                return Ok(Typed::new(Tree::Elapsed(Box::new((left.tree, right.tree))), Type::Interval));
            }
            _ => {}
        }
        for (syntax, is) in [(&pair.0, left.is), (&pair.1, right.is)] {
            if is == Type::Timestamp || is.is_fleeting() {
                return Err(format!(
                    "`{syntax}` is {is}; to an instant add a length of time, as `timestamp + INTERVAL '30 days'`, or \
                     take one instant from another"
                ));
            }
            if !is.may_be(Type::Number) {
                let mend = if is == Type::Text { "join texts by ||" } else { "write a number" };
                return Err(format!("`{syntax}` is {is}, and `{operator}` takes numbers; {mend}"));
            }
        }
        Ok(Typed::new(Tree::Arithmetic(operator, Box::new((left.tree, right.tree))), Type::Number))
    }

    fn concat(&mut self, list: &[Syntax]) -> Checked<S> {
        let mut parts = Vec::with_capacity(list.len());
        let mut has_text = false;
        for syntax in list {
            let typed = self.value(syntax);
            if typed.is.is_fleeting() {
                return Err(format!("`{syntax}` is {}, which || cannot join; write text", typed.is));
            }
            has_text = has_text || typed.is.may_be(Type::Text);
            parts.push(typed.tree);
        }
        if !has_text {
            return Err(
                "|| joins texts and none of these is one; write + between numbers, OR between conditions".to_owned()
            );
        }
        Ok(Typed::new(Tree::Concat(parts), Type::Text))
    }

    /// Adds a value of which one is the result, and finds the type that all have.
    pub(super) fn alternative(&mut self, syntax: &Syntax, common: &mut Type) -> Result<Tree<S::Leaf>, String> {
        let typed = self.value(syntax);
        if matches!(typed.is, Type::Now | Type::SinceNow) {
            return Err(format!("`{syntax}` is {}, which is no result; compare it with an instant", typed.is));
        }
        *common = common.common(typed.is).ok_or_else(|| {
            format!("`{syntax}` is {}, and another result is {common}; give all results one type", typed.is)
        })?;
        Ok(typed.tree)
    }

    fn case(
        &mut self,
        subject: Option<&Syntax>,
        branches: &[(Syntax, Syntax)],
        otherwise: Option<&Syntax>,
    ) -> Checked<S> {
        let mut whens = Vec::with_capacity(branches.len());
        let checked = subject.map(|subject| self.value(subject));
        for (when, _) in branches {
            whens.push(match (&checked, subject) {
                (Some(checked), Some(subject)) => {
                    let typed = self.value(when);
                    self.same(subject, checked.is, when, typed.is)?;
                    typed.tree
                }
                _ => self.condition(when),
            });
        }
        let mut is = Type::Unknown;
        let mut arms = Vec::with_capacity(branches.len());
        for (when, (_, then)) in whens.into_iter().zip(branches) {
            arms.push((when, self.alternative(then, &mut is)?));
        }
        let otherwise = otherwise.map(|otherwise| self.alternative(otherwise, &mut is)).transpose()?;
        let subject = checked.map(|subject| Box::new(subject.tree));
        let otherwise = Box::new(otherwise.unwrap_or(Tree::NULL));
        Ok(Typed::new(Tree::Case { subject, branches: arms, otherwise }, is))
    }

    fn call(&mut self, call: &Call, at: Position) -> Checked<S> {
        if let Some(typed) = self.scope.call(call, at, self.problems) {
            return typed;
        }
        if scalar::is_scalar(&call.name) { scalar::call(self, call) } else { Err(functions::unknown(&call.name)) }
    }

    fn quantified(&mut self, comparison: Comparison, pair: &(Syntax, Syntax), all: bool) -> Checked<S> {
        let (subject, list) = (self.value(&pair.0), self.value(&pair.1));
        if subject.is.is_fleeting() {
            return Err(format!("`{}` is {}, which no list holds; compare it with an instant", pair.0, subject.is));
        }
        if !matches!(list.is, Type::Dynamic | Type::Unknown) {
            return Err(format!(
                "`{}` is {}, and {} takes a list of the JSON; write x = ANY (properties.tags), or x IN ('a', 'b')",
                pair.1,
                list.is,
                if all { "ALL" } else { "ANY" }
            ));
        }
        let test = Test::Quantified { comparison, subject: subject.tree, list: list.tree, all };
        Ok(Typed::new(Tree::test(test), Type::Bool))
    }

    fn cast(&mut self, subject: &Syntax, to: CastType) -> Checked<S> {
        let typed = self.value(subject);
        let is = match to {
            CastType::Number | CastType::Integer => Type::Number,
            CastType::Text => Type::Text,
            CastType::Bool => Type::Bool,
            CastType::Timestamp | CastType::Date => Type::Timestamp,
        };
        let is_day_of_now = typed.is == Type::Now && to == CastType::Date;
        if typed.is.is_fleeting() && !is_day_of_now {
            return Err(format!("`{subject}` is {}, which cannot be cast; compare it", typed.is));
        }
        Ok(Typed::new(Tree::Apply(Function::Cast(to), vec![typed.tree]), is))
    }
}

fn literal_type(value: &Value) -> Type {
    match value {
        Value::Null => Type::Unknown,
        Value::Bool(_) => Type::Bool,
        Value::Number(_) => Type::Number,
        Value::Timestamp(_) => Type::Timestamp,
        Value::Text(_) => Type::Text,
        Value::List(_) => Type::Dynamic,
    }
}

fn like_pattern(pattern: &Syntax, escape: Option<char>, ignores_case: bool) -> Result<Pattern, String> {
    let Kind::Literal(Value::Text(text)) = &pattern.kind else {
        return Err(format!(
            "the pattern of LIKE is written out, and `{pattern}` is no text literal; write x LIKE 'a%', or \
             starts_with(x, y)"
        ));
    };
    Pattern::new(text, escape, ignores_case).ok_or_else(|| {
        format!("the pattern {pattern} ends in its escape character, which then escapes nothing; write it twice")
    })
}

/// Why two values are never equal, and what was meant.
fn mismatch(left: &Syntax, one: Type, right: &Syntax, other: Type) -> String {
    let literal = |syntax: &Syntax| match &syntax.kind {
        Kind::Literal(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let text = literal(left).or_else(|| literal(right));
    let has = |is| one == is || other == is;
    let mend = match text {
        Some(text) if has(Type::Number) && super::literal::number(&text).is_some() => {
            format!("write {text} without quotes")
        }
        Some(text) if has(Type::Timestamp) => format!("write TIMESTAMP '{text}'"),
        Some(text) if has(Type::Interval) => format!("write INTERVAL '{text}'"),
        Some(text) if has(Type::Bool) && matches!(text.to_lowercase().as_str(), "true" | "false") => {
            format!("write {} without quotes", text.to_uppercase())
        }
        _ if has(Type::Now) => {
            "compare now() with an instant, as now() - INTERVAL '30 days' > max(timestamp)".to_owned()
        }
        _ if has(Type::Interval) || has(Type::SinceNow) => "compare a length of time with INTERVAL '…'".to_owned(),
        _ => "compare values of one type".to_owned(),
    };
    format!("`{left}` is {one} and `{right}` is {other}, so they never compare; {mend}")
}
