//! From words to a tree: [`expression`].

mod number;
mod primitive;

use super::lex::{Token, tokens};
use super::tree::Expression;
use primitive::Qualifiers;

/// What is wrong, and at which byte.
pub(super) type Problem = (usize, String);

type Parsed<T> = Result<T, Problem>;

/// How deep expressions may lie inside one another.
const DEEPEST: usize = 100;

/// Parses a whole text.
pub(super) fn expression(text: &str) -> Parsed<Expression> {
    let tokens = tokens(text).map_err(|at| (at, "this is no part of a filter".to_owned()))?;
    let mut parser =
        Parser { tokens: &tokens, next: 0, end: text.len(), depth: 0, last: Qualifiers::default() };
    if tokens.is_empty() {
        return parser.fail("a filter is expected, for example 'tcp port 80'");
    }
    let expression = parser.expression()?;
    match parser.peek() {
        None => Ok(expression),
        Some(_) => parser.fail("'and', 'or' or the end is expected here"),
    }
}

/// Where in the words the parser is.
struct Parser<'t> {
    tokens: &'t [(usize, Token<'t>)],
    next: usize,
    end: usize,
    depth: usize,
    /// What was said of the last address or port, which holds for those that follow without.
    last: Qualifiers,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<Token<'t>> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<Token<'t>> {
        self.tokens.get(self.next + ahead).map(|(_, token)| *token)
    }

    fn peek_word(&self) -> Option<&'t str> {
        match self.peek()? {
            Token::Word(word) => Some(word),
            Token::Sign(_) => None,
        }
    }

    /// Where the next word is.
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |(at, _)| *at)
    }

    fn fail<T>(&self, problem: &str) -> Parsed<T> {
        Err((self.at(), problem.to_owned()))
    }

    fn advance(&mut self) {
        self.next += 1;
    }

    /// Goes on behind `sign`, if it is next.
    fn takes(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Sign(next)) if next == sign);
        self.next += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.takes(sign) { Ok(()) } else { self.fail(&format!("'{sign}' is expected here")) }
    }

    /// Goes on behind one of these words, if it is next.
    fn takes_word(&mut self, words: &[&str]) -> bool {
        let is_next = self.peek_word().is_some_and(|word| words.contains(&word));
        self.next += usize::from(is_next);
        is_next
    }

    /// Parses something that may hold others like it.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == DEEPEST {
            return self.fail("this lies too deep inside parentheses and 'not'");
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Terms with `and` and `or` between them, which bind alike: what comes first holds first.
    fn expression(&mut self) -> Parsed<Expression> {
        let mut left = self.term()?;
        loop {
            let is_and = self.takes_word(&["and"]) || self.takes("&&");
            if !is_and && !self.takes_word(&["or"]) && !self.takes("||") {
                return Ok(left);
            }
            let right = Box::new(self.term()?);
            left = if is_and {
                Expression::And(Box::new(left), right)
            } else {
                Expression::Or(Box::new(left), right)
            };
        }
    }

    fn term(&mut self) -> Parsed<Expression> {
        if self.takes_word(&["not"]) || self.takes("!") {
            let inner = self.deeper(Self::term)?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        if self.begins_relation() {
            return self.relation();
        }
        if self.takes("(") {
            return self.parenthesised();
        }
        self.primitive()
    }

    /// What stands in parentheses, the first of which is behind.
    fn parenthesised(&mut self) -> Parsed<Expression> {
        let inner = self.deeper(Self::expression)?;
        self.expect(")")?;
        Ok(inner)
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use crate::filter::Filter;

    fn problem(text: &str) -> String {
        text.parse::<Filter>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        #[rustfmt::skip]
        let all = [
            "tcp prot 80", "port", "port 99999", "host example.org", "net 10.1.2.3/8", "tcp host 10.0.0.1",
            "ip6 host 10.0.0.1", "(tcp", "tcp)", "tcp and", "tcp[13", "tcp[13:3] = 1", "len",
            "portrange 90-80", "ip proto 300", "port http and 10.0.0.1", "tcp # udp", "arp", "ether host 1",
            "icmp port 80", "net 1.2.3.4/33", "10.0.0", "udp[len] = x", "less tcp", "vlan 3", "gateway x",
        ];
        assert_snapshot!(all.map(problem).join("\n"), @"
        this says nothing of one protocol: put 'and' before it
          tcp prot 80
              ^
        an address or a number is expected here
          port
              ^
        a port is expected here: a number up to 65535, or a well-known name
          port 99999
               ^
        an address is expected here: names are not looked up
          host example.org
               ^
        this has bits set outside the mask 255.0.0.0
          net 10.1.2.3/8
              ^
        this says nothing of one protocol: put 'and' before it
          tcp host 10.0.0.1
              ^
        an IPv6 address is expected here
          ip6 host 10.0.0.1
                   ^
        ')' is expected here
          (tcp
              ^
        'and', 'or' or the end is expected here
          tcp)
             ^
        a protocol, an address, a port or a relation is expected here
          tcp and
                 ^
        ']' is expected here
          tcp[13
                ^
        1, 2 or 4 bytes are expected here
          tcp[13:3] = 1
                 ^
        a comparison is expected here, for example '!= 0'
          len
             ^
        the first port is after the last one
          portrange 90-80
                    ^
        a protocol is expected here: a number up to 255, or a name
          ip proto 300
                   ^
        a port is expected here: a number up to 65535, or a well-known name
          port http and 10.0.0.1
                        ^
        this is no part of a filter
          tcp # udp
              ^
        'arp' is not known: packets are looked at from their IP header on
          arp
          ^
        'ether' is not known: packets are looked at from their IP header on
          ether host 1
          ^
        only tcp, udp and sctp have ports
          icmp port 80
                    ^
        a number of bits up to 32 is expected here
          net 1.2.3.4/33
                      ^
        this is no word of the pcap language, and no address
          10.0.0
          ^
        a number is expected here
          udp[len] = x
                     ^
        a length is expected here
          less tcp
               ^
        'vlan' is not known: packets are looked at from their IP header on
          vlan 3
          ^
        'gateway' is not known: packets are looked at from their IP header on
          gateway x
          ^
        ");
    }

    #[test]
    fn what_is_missing_is_pointed_at_behind_the_end() {
        assert_eq!(problem(""), "a filter is expected, for example 'tcp port 80'\n  \n  ^");
        assert_eq!(problem("len > "), "a number is expected here\n  len > \n        ^");
    }

    #[test]
    fn nesting_has_a_bound() {
        for text in ["(".repeat(5000), "not ".repeat(5000), format!("len > {}", "(".repeat(5000))] {
            assert!(problem(&text).starts_with("this lies too deep"));
        }
        let deep = format!("{}tcp{}", "(".repeat(90), ")".repeat(90));
        assert!(deep.parse::<Filter>().is_ok());
        let long = vec!["port 80"; 5000].join(" or ");
        assert!(long.parse::<Filter>().is_ok_and(|filter| !filter.matches(&[0x45; 40], 40)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_filter_or_an_error(text in ".{0,60}", packet in prop::collection::vec(any::<u8>(), 0..80)) {
            match text.parse::<Filter>() {
                Ok(filter) => drop(filter.matches(&packet, packet.len())),
                Err(error) => prop_assert!(error.to_string().lines().count() == 3),
            }
        }
    }
}
