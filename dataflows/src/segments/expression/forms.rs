//! Functions that SQL writes in forms of their own, as `EXTRACT(hour FROM x)`: converted to plain calls.

use super::convert::Converter;
use super::syntax::{Arguments, Call, CastType, Kind, Syntax};
use sqlparser::ast::{CeilFloorKind, DataType, DateTimeField, Expr, TrimWhereField};
use tributary_model::Value;

/// The call, or the cast, that an expression is; `None` if it is neither.
pub(super) fn form(converter: &mut Converter<'_>, expression: &Expr) -> Option<Result<Kind, String>> {
    let converted = match expression {
        Expr::Cast { expr, data_type, .. } => {
            cast_type(data_type).map(|to| Kind::Cast { subject: converter.boxed(expr), to })
        }
        Expr::Extract { field, expr, .. } => Ok(extract(converter, field, expr)),
        Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            Ok(call("ceil", vec![converter.convert(expr)]))
        }
        Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
            Ok(call("floor", vec![converter.convert(expr)]))
        }
        Expr::Position { expr, r#in } => Ok(call("strpos", vec![converter.convert(r#in), converter.convert(expr)])),
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let mut arguments = vec![converter.convert(expr)];
            match substring_from {
                Some(from) => arguments.push(converter.convert(from)),
                None => arguments.push(literal(arguments.first(), Value::Number(1.into()))),
            }
            arguments.extend(substring_for.as_ref().map(|count| converter.convert(count)));
            Ok(call("substring", arguments))
        }
        Expr::Trim { trim_where, trim_what: None, expr, trim_characters: None } => {
            let name = match trim_where {
                Some(TrimWhereField::Leading) => "ltrim",
                Some(TrimWhereField::Trailing) => "rtrim",
                Some(TrimWhereField::Both) | None => "trim",
            };
            Ok(call(name, vec![converter.convert(expr)]))
        }
        Expr::Trim { .. } => Err("trim takes spaces away; write trim(text), or replace(text, 'x', '')".to_owned()),
        _ => return None,
    };
    Some(converted)
}

fn call(name: &str, arguments: Vec<Syntax>) -> Kind {
    Kind::Call(Call { name: name.to_owned(), arguments: Arguments::List(arguments), distinct: false, filter: None })
}

fn literal(beside: Option<&Syntax>, value: Value) -> Syntax {
    Syntax { at: beside.map(|syntax| syntax.at).unwrap_or_default(), kind: Kind::Literal(value) }
}

/// `EXTRACT(hour FROM x)`, where `x` may be `… AT TIME ZONE 'Europe/Berlin'`.
fn extract(converter: &mut Converter<'_>, field: &DateTimeField, from: &Expr) -> Kind {
    let mut from = from;
    while let Expr::Nested(inner) = from {
        from = inner;
    }
    let (at, zone) = match from {
        Expr::AtTimeZone { timestamp, time_zone } => (timestamp.as_ref(), Some(time_zone)),
        other => (other, None),
    };
    let at = converter.convert(at);
    let field = match field {
        DateTimeField::Week(None) => "week".to_owned(),
        field => field.to_string().to_lowercase(),
    };
    let mut arguments = vec![literal(Some(&at), Value::text(field)), at];
    arguments.extend(zone.map(|zone| converter.convert(zone)));
    call("extract", arguments)
}

fn cast_type(to: &DataType) -> Result<CastType, String> {
    Ok(match to {
        DataType::Int(_)
        | DataType::Integer(_)
        | DataType::BigInt(_)
        | DataType::SmallInt(_)
        | DataType::TinyInt(_) => CastType::Integer,
        DataType::Int2(_) | DataType::Int4(_) | DataType::Int8(_) | DataType::Int64 => CastType::Integer,
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => CastType::Number,
        DataType::Real | DataType::Float(_) | DataType::Double(_) | DataType::DoublePrecision => CastType::Number,
        DataType::Float4 | DataType::Float8 | DataType::Float64 => CastType::Number,
        DataType::Text | DataType::Varchar(_) | DataType::String(_) | DataType::CharacterVarying(_) => CastType::Text,
        DataType::Char(_) | DataType::Character(_) => CastType::Text,
        DataType::Bool | DataType::Boolean => CastType::Bool,
        DataType::Timestamp(..) => CastType::Timestamp,
        DataType::Date => CastType::Date,
        other => {
            return Err(format!(
                "`{other}` is no type to cast to; write one of integer, numeric, text, boolean, timestamp, date"
            ));
        }
    })
}
