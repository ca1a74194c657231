//! What to write instead of the SQL that is not of the language.

use super::functions;
use sqlparser::ast::{BinaryOperator, Expr};

pub(super) fn operator_mend(operator: &BinaryOperator) -> String {
    let mend = match operator {
        BinaryOperator::PGOverlap => "write AND",
        BinaryOperator::BitwiseOr => "write OR between conditions, || between texts",
        BinaryOperator::Xor => "write <> between the two conditions",
        BinaryOperator::Arrow
        | BinaryOperator::LongArrow
        | BinaryOperator::HashArrow
        | BinaryOperator::HashLongArrow => "write a path with dots, as properties.address.city",
        BinaryOperator::PGLikeMatch
        | BinaryOperator::PGILikeMatch
        | BinaryOperator::PGNotLikeMatch
        | BinaryOperator::PGNotILikeMatch => "write [NOT] LIKE or ILIKE",
        BinaryOperator::PGRegexMatch
        | BinaryOperator::PGRegexIMatch
        | BinaryOperator::PGRegexNotMatch
        | BinaryOperator::PGRegexNotIMatch => "regular expressions are not available; write LIKE with % and _",
        BinaryOperator::PGStartsWith => "write starts_with(text, start)",
        BinaryOperator::Custom(_) => "put spaces around each operator, or remove it",
        _ => "there are = <> < <= > >= + - * / % ||, AND, OR, NOT, IN, BETWEEN, LIKE and IS",
    };
    format!("the operator `{operator}` is not available; {mend}")
}

pub(super) fn not_of_the_language(expression: &Expr) -> String {
    let function = match expression {
        Expr::Convert { .. } => return "write CAST(x AS numeric), or x::numeric".to_owned(),
        Expr::CompoundFieldAccess { .. } | Expr::JsonAccess { .. } => {
            return "`[…]` cannot be read; write a path with dots, as properties.address.city".to_owned();
        }
        Expr::In { .. } | Expr::Array(_) | Expr::Tuple(_) => {
            return "a list stands only behind IN; write x IN ('a', 'b')".to_owned();
        }
        Expr::Like { .. } | Expr::ILike { .. } => {
            return "LIKE ANY is not available; write x LIKE 'a%' OR x LIKE 'b%'".to_owned();
        }
        Expr::SimilarTo { .. } | Expr::RLike { .. } => {
            return "regular expressions are not available; write LIKE with % and _".to_owned();
        }
        Expr::AtTimeZone { .. } => {
            return "a time zone stands in date_trunc and extract; write date_trunc('day', x, 'Europe/Berlin') or \
                    extract(hour FROM x AT TIME ZONE 'Europe/Berlin')"
                .to_owned();
        }
        Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
            return "`*` stands only in count(*); write the name of one value".to_owned();
        }
        Expr::Exists { .. } | Expr::Subquery(_) => {
            return "a query cannot stand in an expression; write count(*) FILTER (WHERE …) > 0".to_owned();
        }
        Expr::Ceil { .. } | Expr::Floor { .. } => {
            return "ceil and floor give whole numbers; write round(x, 2)".to_owned();
        }
        Expr::Overlay { .. } => "overlay",
        _ => {
            return "this part of SQL is not available; write conditions with AND, OR, NOT, comparisons, IN, BETWEEN, \
                    LIKE, IS, CASE and functions"
                .to_owned();
        }
    };
    functions::unknown(function)
}
