//! Relations between numbers: `tcp[tcpflags] & tcp-syn != 0`.

use super::{Parsed, Parser};
use crate::filter::lex::Token;
use crate::filter::names;
use crate::filter::tree::{Comparison, Expression, HeaderOf, Number, Operator, Relation, Test};

/// The operators, those that bind least first; those of a row bind alike.
const OPERATORS: [&[(&str, Operator)]; 5] = [
    &[("^", Operator::Xor)],
    &[("|", Operator::Or), ("&", Operator::And)],
    &[("<<", Operator::ShiftLeft), (">>", Operator::ShiftRight)],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

const COMPARISONS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("=", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    ("<", Comparison::Less),
    (">=", Comparison::GreaterOrEqual),
    (">", Comparison::Greater),
];

impl Parser<'_> {
    /// Whether what comes is a relation. In front of a parenthesis, what is behind it tells.
    pub(super) fn begins_relation(&self) -> bool {
        let is_arithmetic = |ahead| match self.peek_at(ahead) {
            Some(Token::Sign(sign)) => {
                COMPARISONS.iter().any(|(known, _)| *known == sign)
                    || OPERATORS.iter().copied().flatten().any(|(known, _)| *known == sign)
            }
            _ => false,
        };
        match self.peek() {
            Some(Token::Word("len") | Token::Sign("-")) => true,
            Some(Token::Word(word)) => {
                // `10/8` behind `net` is no division.
                let is_network = self.peek_at(1) == Some(Token::Sign("/"))
                    && matches!(self.peek_at(2), Some(Token::Word(bits)) if constant(bits).is_some())
                    && !is_arithmetic(3);
                self.peek_at(1) == Some(Token::Sign("["))
                    || (names::number(word).is_some() && is_arithmetic(1))
                    || (constant(word).is_some() && is_arithmetic(1) && !is_network)
            }
            Some(Token::Sign("(")) => self.behind_parenthesis().is_some_and(is_arithmetic),
            _ => false,
        }
    }

    /// How far ahead what follows the parenthesis is that opens here.
    fn behind_parenthesis(&self) -> Option<usize> {
        let mut open = 0_usize;
        for ahead in 0.. {
            match self.peek_at(ahead)? {
                Token::Sign("(") => open += 1,
                Token::Sign(")") => open = open.saturating_sub(1),
                _ => (),
            }
            if open == 0 {
                return Some(ahead + 1);
            }
        }
        None
    }

    pub(super) fn relation(&mut self) -> Parsed<Expression> {
        let left = self.number()?;
        let Some((_, comparison)) = COMPARISONS.iter().find(|(sign, _)| self.takes(sign)) else {
            return self.fail("a comparison is expected here, for example '!= 0'");
        };
        let right = self.number()?;
        let relation = Relation { left, comparison: *comparison, right };
        Ok(Expression::Test(Test::Relation(relation)))
    }

    fn number(&mut self) -> Parsed<Number> {
        self.operation(&OPERATORS)
    }

    /// Operands with the operators of the first row between them.
    fn operation(&mut self, rows: &[&[(&'static str, Operator)]]) -> Parsed<Number> {
        let Some((row, tighter)) = rows.split_first() else { return self.operand() };
        let mut left = self.operation(tighter)?;
        while let Some((_, operator)) = row.iter().find(|(sign, _)| self.takes(sign)) {
            let at = self.at();
            let right = Box::new(self.operation(tighter)?);
            match (*operator, &*right) {
                (Operator::Divide | Operator::Remainder, Number::Constant(0)) => {
                    return Err((at, "nothing can be divided by 0".to_owned()));
                }
                (Operator::ShiftLeft | Operator::ShiftRight, Number::Constant(32..)) => {
                    return Err((at, "a number has 32 bits: shift by fewer".to_owned()));
                }
                _ => (),
            }
            left = Number::Operation { left: Box::new(left), operator: *operator, right };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Parsed<Number> {
        if self.takes("-") {
            let right = Box::new(self.deeper(Self::operand)?);
            let left = Box::new(Number::Constant(0));
            return Ok(Number::Operation { left, operator: Operator::Subtract, right });
        }
        if self.takes("(") {
            let inner = self.deeper(Self::number)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let Some(word) = self.peek_word() else {
            return self.fail("a number is expected here");
        };
        if word == "len" {
            self.advance();
            return Ok(Number::Len);
        }
        if self.peek_at(1) == Some(Token::Sign("[")) {
            return self.load(word);
        }
        match constant(word).or_else(|| names::number(word)) {
            Some(number) => {
                self.advance();
                Ok(Number::Constant(number))
            }
            None => self.fail("a number is expected here"),
        }
    }

    /// `ip[6:2]`: two bytes from the seventh on.
    fn load(&mut self, word: &str) -> Parsed<Number> {
        let header = match (word, names::protocol(word)) {
            ("ip", _) => HeaderOf::Ip,
            ("ip6", _) => HeaderOf::Ip6,
            (_, Some((number, true, _))) => HeaderOf::OverIp(number),
            (_, Some((number, false, _))) => HeaderOf::OverIp6(number),
            _ => return self.fail("only protocols have bytes, for example ip[0] or tcp[13]"),
        };
        self.advance();
        self.expect("[")?;
        let offset = Box::new(self.deeper(Self::number)?);
        let size = if self.takes(":") {
            let size = self.peek_word().and_then(constant);
            let Some(size @ (1 | 2 | 4)) = size else {
                return self.fail("1, 2 or 4 bytes are expected here");
            };
            self.advance();
            usize::try_from(size).unwrap_or(1)
        } else {
            1
        };
        self.expect("]")?;
        Ok(Number::Load { header, offset, size })
    }
}

/// A number, decimal, or hexadecimal behind 0x, or octal behind 0.
pub(super) fn constant(word: &str) -> Option<u32> {
    let is = |digits: &str, radix| {
        let all = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
        all.then(|| u32::from_str_radix(digits, radix).ok()).flatten()
    };
    match (word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")), word.strip_prefix('0')) {
        (Some(digits), _) => is(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => is(digits, 8),
        _ => is(word, 10),
    }
}
