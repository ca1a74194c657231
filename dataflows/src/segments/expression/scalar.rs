//! Calls of functions of values: which there are, what they take, and what they give.

use super::apply::Function;
use super::calendar::{Calendar, Part, Unit, Zone};
use super::check::{Checked, Checker, Scope};
use super::problem::suggestion;
use super::syntax::{Arguments, Call, Kind, Syntax};
use super::tree::{Test, Tree};
use super::types::{Type, Typed};
use tributary_model::Value;

/// A function whose arguments and result have types of their own.
struct Signature {
    names: &'static [&'static str],
    takes: &'static [Type],
    /// Arguments that may be left out.
    optional: usize,
    gives: Type,
    function: Function,
    usage: &'static str,
}

const fn signature(
    names: &'static [&'static str],
    (takes, optional): (&'static [Type], usize),
    gives: Type,
    function: Function,
    usage: &'static str,
) -> Signature {
    Signature { names, takes, optional, gives, function, usage }
}

use Type::{Dynamic, Number, Text};

const SIGNATURES: [Signature; 17] = [
    signature(&["lower"], (&[Text], 0), Text, Function::Lower, "lower(text)"),
    signature(&["upper"], (&[Text], 0), Text, Function::Upper, "upper(text)"),
    signature(&["length", "char_length"], (&[Text], 0), Number, Function::Length, "length(text)"),
    signature(&["trim", "btrim"], (&[Text], 0), Text, Function::Trim, "trim(text)"),
    signature(&["ltrim"], (&[Text], 0), Text, Function::TrimStart, "ltrim(text)"),
    signature(&["rtrim"], (&[Text], 0), Text, Function::TrimEnd, "rtrim(text)"),
    signature(&["replace"], (&[Text, Text, Text], 0), Text, Function::Replace, "replace(text, old, new)"),
    signature(
        &["substring", "substr"],
        (&[Text, Number, Number], 1),
        Text,
        Function::Substring,
        "substring(text, from, count)",
    ),
    signature(&["left"], (&[Text, Number], 0), Text, Function::Left, "left(text, count)"),
    signature(&["right"], (&[Text, Number], 0), Text, Function::Right, "right(text, count)"),
    signature(&["strpos", "position"], (&[Text, Text], 0), Number, Function::Position, "strpos(text, sought)"),
    signature(
        &["split_part"],
        (&[Text, Text, Number], 0),
        Text,
        Function::SplitPart,
        "split_part(text, delimiter, place)",
    ),
    signature(&["abs"], (&[Number], 0), Number, Function::Abs, "abs(number)"),
    signature(&["round"], (&[Number, Number], 1), Number, Function::Round, "round(number, places)"),
    signature(&["floor"], (&[Number], 0), Number, Function::Floor, "floor(number)"),
    signature(&["ceil", "ceiling"], (&[Number], 0), Number, Function::Ceil, "ceil(number)"),
    signature(&["cardinality"], (&[Dynamic], 0), Number, Function::Cardinality, "cardinality(properties.tags)"),
];

/// Whether there is a function of values of that name.
pub(super) fn is_scalar(name: &str) -> bool {
    const OTHERS: [&str; 8] =
        ["starts_with", "coalesce", "nullif", "concat", "greatest", "least", "date_trunc", "extract"];
    name == "date_part" || OTHERS.contains(&name) || SIGNATURES.iter().any(|known| known.names.contains(&name))
}

/// Checks a call of a function of values, which must be one.
pub(super) fn call<S: Scope>(checker: &mut Checker<'_, S>, call: &Call) -> Checked<S> {
    let name = call.name.as_str();
    if call.filter.is_some() {
        return Err(format!(
            "FILTER stands behind an aggregate, and {name}(…) is none; put it behind count(*) or sum(…)"
        ));
    }
    let Arguments::List(arguments) = &call.arguments else {
        return Err(format!("`*` stands only in count(*); give {name}(…) a value"));
    };
    if let Some(known) = SIGNATURES.iter().find(|known| known.names.contains(&name)) {
        return plain(checker, name, arguments, known);
    }
    match (name, arguments.as_slice()) {
        ("starts_with", [text, start]) => {
            let (text, start) = (checker.wanted(text, Text, name), checker.wanted(start, Text, name));
            Ok(Typed::new(Tree::test(Test::StartsWith(text, start)), Type::Bool))
        }
        ("nullif", [left, right]) => {
            let (left, right) = checker.alike(left, right)?;
            Ok(Typed::new(Tree::NullIf(Box::new((left.tree, right.tree))), left.is))
        }
        ("coalesce", [_, ..]) => {
            let (choices, is) = alternatives(checker, arguments)?;
            Ok(Typed::new(Tree::Coalesce(choices), is))
        }
        ("greatest" | "least", [_, ..]) => {
            let (choices, is) = alternatives(checker, arguments)?;
            if matches!(is, Type::Bool | Type::Interval) {
                return Err(format!("{name}(…) takes values that have an order, and these are {is}"));
            }
            let function = if name == "greatest" { Function::Greatest } else { Function::Least };
            Ok(Typed::new(Tree::Apply(function, choices), is))
        }
        ("concat", [_, ..]) => {
            let parts = arguments.iter().map(|part| {
                let typed = checker.value(part);
                if typed.is.is_fleeting() {
                    return Err(format!("`{part}` is {}, which concat cannot join; write text", typed.is));
                }
                Ok(typed.tree)
            });
            Ok(Typed::new(Tree::Apply(Function::Concat, parts.collect::<Result<_, String>>()?), Text))
        }
        ("date_trunc", [unit, at, zone @ ..]) if zone.len() < 2 => {
            let units = Unit::NAMES.map(|(name, _)| name);
            let unit = word(unit, "a unit", Unit::named, &units)?;
            let calendar = Calendar { unit, zone: zone_of(zone)? };
            let at = checker.instant(at, name).tree;
            Ok(Typed::new(Tree::Apply(Function::DateTrunc(calendar), vec![at]), Type::Timestamp))
        }
        ("extract" | "date_part", [part, at, zone @ ..]) if zone.len() < 2 => {
            let parts = Part::NAMES.map(|(name, _)| name);
            let part = word(part, "a part of an instant", Part::named, &parts)?;
            let zone = zone_of(zone)?;
            let Typed { tree, is } = checker.instant(at, name);
            if is == Type::Now && part.changes_with().is_none() {
                return Err(format!(
                    "the {} of now() is another one at any time; compare now() itself, as now() - INTERVAL '90 seconds' > \
                     max(timestamp)",
                    part.name()
                ));
            }
            Ok(Typed::new(Tree::Apply(Function::Extract(part, zone), vec![tree]), Number))
        }
        _ => {
            let usage = match name {
                "coalesce" => "coalesce(a, b, …)",
                "nullif" => "nullif(a, b)",
                "starts_with" => "starts_with(text, start)",
                "date_trunc" => "date_trunc('month', timestamp) or date_trunc('day', timestamp, 'Europe/Berlin')",
                "extract" | "date_part" => "extract(hour FROM timestamp AT TIME ZONE 'Europe/Berlin')",
                _ => return Err(format!("{name}(…) takes values; write {name}(a, b, …)")),
            };
            Err(takes_not(name, arguments.len(), usage))
        }
    }
}

fn takes_not(name: &str, count: usize, usage: &str) -> String {
    let values = if count == 1 { "1 value".to_owned() } else { format!("{count} values") };
    format!("{name}(…) does not take {values}; write {usage}")
}

fn plain<S: Scope>(checker: &mut Checker<'_, S>, name: &str, arguments: &[Syntax], known: &Signature) -> Checked<S> {
    if !(known.takes.len() - known.optional..=known.takes.len()).contains(&arguments.len()) {
        return Err(takes_not(name, arguments.len(), known.usage));
    }
    let trees = arguments.iter().zip(known.takes).map(|(argument, takes)| checker.wanted(argument, *takes, name));
    Ok(Typed::new(Tree::Apply(known.function.clone(), trees.collect()), known.gives))
}

/// Values of which one is taken, and their type.
type Alternatives<S> = (Vec<Tree<<S as Scope>::Leaf>>, Type);

fn alternatives<S: Scope>(checker: &mut Checker<'_, S>, arguments: &[Syntax]) -> Result<Alternatives<S>, String> {
    let mut is = Type::Unknown;
    let choices = arguments.iter().map(|choice| checker.alternative(choice, &mut is));
    let choices = choices.collect::<Result<_, _>>()?;
    Ok((choices, is))
}

/// A word that is written out.
fn word<T>(syntax: &Syntax, what: &str, named: fn(&str) -> Option<T>, words: &[&str]) -> Result<T, String> {
    let Kind::Literal(Value::Text(text)) = &syntax.kind else {
        return Err(format!(
            "{what} is written out, and `{syntax}` is no text literal; write one of {}",
            words.join(", ")
        ));
    };
    named(text).ok_or_else(|| format!("'{text}' is not {what}{}", suggestion(text, words.iter().copied())))
}

fn zone_of(zone: &[Syntax]) -> Result<Zone, String> {
    let Some(zone) = zone.first() else { return Ok(Zone::utc()) };
    let Kind::Literal(Value::Text(name)) = &zone.kind else {
        return Err(format!("a time zone is written out, and `{zone}` is no text literal; write 'Europe/Berlin'"));
    };
    Zone::named(name)
        .ok_or_else(|| format!("there is no time zone '{name}'; write one such as 'Europe/Berlin' or 'UTC'"))
}
