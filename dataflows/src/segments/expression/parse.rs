//! SQL text to syntax: PostgreSQL's words and precedence, read by `sqlparser`, bounded before they are read.

use super::convert::Converter;
use super::problem::{Position, Problem};
use super::syntax::{Syntax, shortened};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError, Word};

/// The longest expression in bytes: room for a list of some thousand ids, and nobody reads more.
pub(super) const TEXT_BYTES: usize = 64 * 1024;
/// The most words and signs besides commas, parentheses that close, and literals. Each may make the tree one level
/// deeper, and a tree is dropped level by level on the stack.
pub(super) const WORDS: usize = 4_000;
/// The levels of parentheses, calls and operators in one another that are read. The parser's own bound.
pub(super) const PARSE_DEPTH: usize = 50;

/// Reads an expression.
pub(crate) fn parse(text: &str) -> Result<Syntax, Vec<Problem>> {
    let tokens = tokens(text).map_err(|problem| vec![problem])?;
    let end = tokens.iter().rev().find(|token| !is_space(token)).map(|token| position(token.span.end));
    let Some(end) = end else {
        return Err(vec![Problem::new(
            Position::default(),
            "there is no expression; write one, as `traits.country = 'DE'`",
        )]);
    };
    let mut parser =
        Parser::new(&PostgreSqlDialect {}).with_recursion_limit(PARSE_DEPTH).with_tokens_with_locations(tokens);
    let expression = parser.parse_expr().map_err(|error| vec![parser_problem(error, end)])?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        return Err(vec![left_over(&next)]);
    }
    let mut problems = Vec::new();
    let syntax = Converter::new(&mut problems).convert(&expression);
    if problems.is_empty() { Ok(syntax) } else { Err(problems) }
}

pub(super) fn position(location: Location) -> Position {
    let number = |of: u64| usize::try_from(of).unwrap_or(usize::MAX).max(1);
    Position { line: number(location.line), column: number(location.column) }
}

/// What is said of nesting that is too deep.
pub(super) fn too_deep() -> String {
    format!(
        "this is nested deeper than {PARSE_DEPTH} levels; give a part of it a name under `traits` and write the name here"
    )
}

fn is_space(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_) | Token::EOF)
}

fn tokens(text: &str) -> Result<Vec<TokenWithSpan>, Problem> {
    if text.len() > TEXT_BYTES {
        let message = format!(
            "the expression has {} bytes and at most {TEXT_BYTES} are read; give parts of it names under `traits`",
            text.len()
        );
        return Err(Problem::new(Position::default(), message));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location().map_err(tokenizer_problem)?;
    let words: Vec<&TokenWithSpan> = tokens.iter().filter(|token| !is_space(token)).collect();
    let is = |token: Option<&&TokenWithSpan>, wanted: &Token| token.is_some_and(|token| token.token == *wanted);
    let mut deepening = 0;
    for (index, token) in words.iter().enumerate() {
        let at = position(token.span.start);
        let before = index.checked_sub(1).and_then(|index| words.get(index));
        if !is(before, &Token::Period) && is_query(&token.token) {
            let message = format!(
                "a query (`{}`) cannot stand in an expression; it sees one customer by traits.…, by aggregates such as \
                 count(*) FILTER (WHERE event = 'Order Completed'), and by in_segment('…')",
                token.token
            );
            return Err(Problem::new(at, message));
        }
        // The parser reads over a FILTER that is not whole.
        if is(before, &Token::RParen) && is_keyword(&token.token, Keyword::FILTER) {
            let opens = is(words.get(index + 1), &Token::LParen);
            let has_where = words.get(index + 2).is_some_and(|token| is_keyword(&token.token, Keyword::WHERE));
            if !(opens && has_where) {
                let message = "a filter is written FILTER (WHERE event = 'Order Completed'); write it so, or remove it";
                return Err(Problem::new(at, message));
            }
        }
        deepening += usize::from(deepens(&token.token));
        if deepening > WORDS {
            let message = format!(
                "the expression has more than {WORDS} words and signs; give parts of it names under `traits`, \
                 and write long lists as x IN ('a', 'b', …)"
            );
            return Err(Problem::new(at, message));
        }
    }
    Ok(tokens)
}

fn deepens(token: &Token) -> bool {
    !matches!(token, Token::Comma | Token::RParen | Token::SingleQuotedString(_) | Token::Number(..))
}

fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.keyword == keyword)
}

/// Words that begin what only a query can have. With them gone, the parser never leaves expressions.
fn is_query(token: &Token) -> bool {
    let Token::Word(word) = token else { return false };
    matches!(
        word.keyword,
        Keyword::SELECT
            | Keyword::INSERT
            | Keyword::UPDATE
            | Keyword::DELETE
            | Keyword::MERGE
            | Keyword::VALUES
            | Keyword::TABLE
            | Keyword::JOIN
    )
}

fn tokenizer_problem(error: TokenizerError) -> Problem {
    let at = position(error.location);
    let message = match error.message.as_str() {
        "Unterminated string literal" => {
            "this text has no end; close it with ', and write a ' within it twice, as 'it''s'".to_owned()
        }
        other if other.contains("delimited identifier") || other.starts_with("Expected close delimiter") => {
            "this quoted name has no end; close it with \"".to_owned()
        }
        other => format!("this cannot be read: {other}; text stands in '…', a name with spaces in \"…\""),
    };
    Problem::new(at, message)
}

fn parser_problem(error: ParserError, end: Position) -> Problem {
    let text = match error {
        ParserError::RecursionLimitExceeded => return Problem::new(Position::default(), too_deep()),
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    let (text, at) = match text.rsplit_once(" at Line: ") {
        Some((text, place)) => {
            let numbers = place.split_once(", Column: ");
            let at = numbers.and_then(|(line, column)| {
                Some(Position { line: line.trim().parse().ok()?, column: column.trim().parse().ok()? })
            });
            (text, at.unwrap_or(end))
        }
        None => (text.as_str(), end),
    };
    let split = text.strip_prefix("Expected: ").and_then(|text| text.rsplit_once(", found: "));
    let message = match split {
        Some(("an expression", "EOF")) => {
            "the text ends where a value should follow; write one, or remove what waits for it".to_owned()
        }
        Some((expected, "EOF")) => format!("the text ends where {expected} should follow; write {expected}"),
        Some(("an expression", found)) => {
            format!("`{}` stands where a value should; write a value before it, or remove it", shortened(found))
        }
        Some((expected, found)) => format!("`{}` stands where {expected} should; write {expected}", shortened(found)),
        None => format!("this is no SQL expression: {text}; write a condition, as `traits.country = 'DE'`"),
    };
    Problem::new(at, message)
}

fn left_over(next: &TokenWithSpan) -> Problem {
    let message = match &next.token {
        Token::SemiColon => "an expression has no semicolon; remove the `;`".to_owned(),
        Token::RParen => "this `)` closes nothing; remove it, or write the `(` that it should close".to_owned(),
        Token::Word(Word { keyword: Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::END, .. }) => {
            "this belongs to a CASE that is not whole; write CASE WHEN condition THEN value ELSE value END".to_owned()
        }
        Token::Comma => "a `,` separates values in a list only; join conditions by AND or OR".to_owned(),
        token => format!(
            "`{}` is not expected here; join conditions by AND or OR, write text in '…' and a name with spaces in \"…\"",
            shortened(&token.to_string())
        ),
    };
    Problem::new(position(next.span.start), message)
}
