//! From text to words: [`tokens`].

use winnow::ascii::multispace0;
use winnow::combinator::{alt, opt};
use winnow::error::ContextError;
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{one_of, take_while};

/// A word of an expression.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token<'t> {
    /// A name, a number or an address.
    Word(&'t str),
    /// A sign.
    Sign(&'static str),
}

/// Signs, those that others begin with last.
const SIGNS: [&str; 24] = [
    "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "(", ")", "[", "]", "<", ">", "=", "!", "&",
    "|", "^", "+", "-", "*", "/", "%",
];

type Input<'t> = LocatingSlice<&'t str>;

/// The words of `text`, each with where it starts; or where something is that can be in none.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, usize> {
    let mut input = LocatingSlice::new(text);
    let mut tokens = Vec::new();
    let mut brackets = 0_usize;
    loop {
        let blanks: Result<&str, ContextError> = multispace0.parse_next(&mut input);
        if blanks.is_err() || input.is_empty() {
            return Ok(tokens);
        }
        let at = input.current_token_start();
        let token = match brackets {
            0 => alt((word, sign)).parse_next(&mut input),
            _ => alt((sign, colon, number)).parse_next(&mut input),
        };
        match token {
            Ok(Token::Sign("[")) => brackets += 1,
            Ok(Token::Sign("]")) => brackets = brackets.saturating_sub(1),
            Ok(_) => (),
            Err(ContextError { .. }) => return Err(at),
        }
        tokens.extend(token.map(|token| (at, token)));
    }
}

/// A name, number or address: it may have colons in it, and a backslash before it, which says that it is no keyword.
fn word<'t>(input: &mut Input<'t>) -> Result<Token<'t>, ContextError> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '_' | '-');
    let start = one_of(|c: char| c.is_ascii_alphanumeric() || c == ':');
    (opt('\\'), start, take_while(0.., is_inner)).take().map(Token::Word).parse_next(input)
}

/// A name or number between brackets, where a colon is a sign, and so is a minus.
fn number<'t>(input: &mut Input<'t>) -> Result<Token<'t>, ContextError> {
    let name = (
        one_of(|c: char| c.is_ascii_alphabetic()),
        take_while(0.., |c: char| c.is_ascii_alphanumeric() || c == '-'),
    );
    let digits = take_while(1.., |c: char| c.is_ascii_alphanumeric());
    alt((name.take(), digits)).map(Token::Word).parse_next(input)
}

fn colon<'t>(input: &mut Input<'t>) -> Result<Token<'t>, ContextError> {
    ':'.value(Token::Sign(":")).parse_next(input)
}

fn sign<'t>(input: &mut Input<'t>) -> Result<Token<'t>, ContextError> {
    let found = SIGNS.iter().find(|sign| input.as_ref().starts_with(**sign));
    match found {
        Some(sign) => (*sign).value(Token::Sign(sign)).parse_next(input),
        None => Err(ContextError::new()),
    }
}
