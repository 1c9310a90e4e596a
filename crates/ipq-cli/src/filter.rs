//! Which packets match: a [`Filter`], in the language of pcap.
//!
//! What libpcap compiles to instructions is evaluated here as it is, with the same outcome for every packet, of which
//! the tests ask tcpdump. docs/filters.md says what there is of the language.

mod evaluate;
mod lex;
mod names;
mod parse;
mod tree;

use core::fmt;
use core::str::FromStr;

use ipq::Packet;
use tree::Expression;

/// An expression of the pcap language about IP packets.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    expression: Expression,
}

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FilterError {
    text: String,
    /// The byte of the text that the word which is wrong starts at.
    at: usize,
    problem: String,
}

impl Filter {
    /// Whether a packet matches: these bytes of it, from the IP header on, and its length. One that ends before a byte
    /// which the expression asks for does not match, whatever the expression says around it.
    pub fn matches(&self, bytes: &[u8], len: usize) -> bool {
        self.expression.is_true_of(bytes, len)
    }

    /// Whether a queued packet matches.
    pub(crate) fn matches_packet(&self, packet: &Packet<'_>) -> bool {
        let payload = packet.payload();
        let len = packet.packet_len().and_then(|len| usize::try_from(len).ok());
        self.matches(payload, len.unwrap_or(payload.len()))
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let expression = parse::expression(text).map_err(|(at, problem)| FilterError {
            text: text.to_owned(),
            at,
            problem,
        })?;
        Ok(Self { text: text.to_owned(), expression })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One line, and below it the expression with a caret.
impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, at, problem } = self;
        let column = text.get(..*at).unwrap_or(text).chars().count();
        let shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        write!(f, "{problem}\n  {shown}\n  {:column$}^", "")
    }
}

impl core::error::Error for FilterError {}
