//! Where in its text an expression of the SQL parser begins.

use super::parse::position;
use super::problem::Position;
use sqlparser::ast::Expr;
use sqlparser::tokenizer::Span;

/// Where an expression begins: that of its leftmost part that knows its place.
pub(super) fn start(expression: &Expr) -> Option<Position> {
    let mut expression = expression;
    loop {
        expression = match expression {
            Expr::Identifier(name) => return place(name.span),
            Expr::CompoundIdentifier(names) => return names.first().and_then(|name| place(name.span)),
            Expr::Value(value) => return place(value.span),
            Expr::TypedString(typed) => return place(typed.value.span),
            Expr::Case { case_token, .. } => return place(case_token.0.span),
            Expr::Wildcard(token) => return place(token.0.span),
            Expr::Function(function) => {
                return function.name.0.first().and_then(|part| place(part.as_ident()?.span));
            }
            Expr::Interval(interval) => &interval.value,
            Expr::Tuple(list) => list.first()?,
            Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::IsDistinctFrom(inner, _)
            | Expr::IsNotDistinctFrom(inner, _)
            | Expr::Nested(inner)
            | Expr::BinaryOp { left: inner, .. }
            | Expr::AnyOp { left: inner, .. }
            | Expr::AllOp { left: inner, .. }
            | Expr::UnaryOp { expr: inner, .. }
            | Expr::In { expr: inner, .. }
            | Expr::Between { expr: inner, .. }
            | Expr::Like { expr: inner, .. }
            | Expr::ILike { expr: inner, .. }
            | Expr::SimilarTo { expr: inner, .. }
            | Expr::RLike { expr: inner, .. }
            | Expr::Cast { expr: inner, .. }
            | Expr::Collate { expr: inner, .. }
            | Expr::AtTimeZone { timestamp: inner, .. }
            | Expr::Extract { expr: inner, .. }
            | Expr::Ceil { expr: inner, .. }
            | Expr::Floor { expr: inner, .. }
            | Expr::Position { expr: inner, .. }
            | Expr::Substring { expr: inner, .. }
            | Expr::Trim { expr: inner, .. }
            | Expr::Overlay { expr: inner, .. }
            | Expr::CompoundFieldAccess { root: inner, .. }
            | Expr::JsonAccess { value: inner, .. } => inner,
            _ => return None,
        };
    }
}

fn place(span: Span) -> Option<Position> {
    (span.start.line > 0).then(|| position(span.start))
}
