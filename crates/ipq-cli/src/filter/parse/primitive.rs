//! Protocols, addresses and ports.

use core::net::{Ipv4Addr, Ipv6Addr};

use super::{Parsed, Parser};
use crate::filter::lex::Token;
use crate::filter::names;
use crate::filter::tree::{Comparison, Ends, Expression, Number, Relation, Test};

/// What an address or port is of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Qualifiers {
    protocol: Option<Over>,
    ends: Ends,
    kind: Kind,
}

/// The protocol that was said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Over {
    Ip,
    Ip6,
    Protocol { number: u8, over_ip: bool, over_ip6: bool },
}

/// What a name or number is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kind {
    /// Not said: a host.
    #[default]
    Unsaid,
    Host,
    Net,
    Port,
    PortRange,
    Protocol,
}

/// Words of the language that are no part of what is read here.
const FOREIGN: [&str; 22] = [
    "arp",
    "rarp",
    "ether",
    "vlan",
    "mpls",
    "pppoed",
    "pppoes",
    "wlan",
    "link",
    "atalk",
    "decnet",
    "gateway",
    "broadcast",
    "multicast",
    "inbound",
    "outbound",
    "ifname",
    "on",
    "protochain",
    "stp",
    "ipx",
    "netbeui",
];

impl Parser<'_> {
    /// A test of a protocol, an address, a port or the length.
    pub(super) fn primitive(&mut self) -> Parsed<Expression> {
        let Some(word) = self.peek_word() else {
            return self.fail("a protocol, an address, a port or a relation is expected here");
        };
        if FOREIGN.contains(&word) {
            return self.fail(&format!(
                "'{word}' is not known: packets are looked at from their IP header on"
            ));
        }
        for (name, comparison) in
            [("less", Comparison::LessOrEqual), ("greater", Comparison::GreaterOrEqual)]
        {
            if self.takes_word(&[name]) {
                let Some(len) = self.peek_word().and_then(super::number::constant) else {
                    return self.fail("a length is expected here");
                };
                self.advance();
                let (left, right) = (Number::Len, Number::Constant(len));
                return Ok(test(Test::Relation(Relation { left, comparison, right })));
            }
        }
        let Some(qualifiers) = self.qualifiers()? else { return self.identifier() };
        let is_alone = qualifiers.kind == Kind::Unsaid && qualifiers.ends == Ends::Either;
        match (qualifiers.protocol, self.peek()) {
            (_, Some(Token::Sign("("))) if !is_alone => {
                self.last = qualifiers;
                self.advance();
                self.parenthesised()
            }
            (_, Some(Token::Word(word))) if !is_alone || !is_joint(word) => {
                self.last = qualifiers;
                self.identifier()
            }
            (Some(protocol), _) if is_alone => Ok(protocol.alone()),
            _ => self.fail("an address or a number is expected here"),
        }
    }

    /// `tcp src or dst port`: whatever of it is there, and `None` if nothing is.
    fn qualifiers(&mut self) -> Parsed<Option<Qualifiers>> {
        let start = self.next;
        let mut qualifiers = Qualifiers::default();
        let over =
            match self.peek_word() {
                Some("ip") => Some(Over::Ip),
                Some("ip6") => Some(Over::Ip6),
                Some(word) => names::protocol(word).map(|(number, over_ip, over_ip6)| {
                    Over::Protocol { number, over_ip, over_ip6 }
                }),
                None => None,
            };
        if over.is_some() {
            qualifiers.protocol = over;
            self.advance();
        }
        qualifiers.ends = self.ends();
        let kind = match self.peek_word() {
            Some("host") => Kind::Host,
            Some("net") => Kind::Net,
            Some("port") => Kind::Port,
            Some("portrange") => Kind::PortRange,
            Some("proto") => Kind::Protocol,
            _ => Kind::Unsaid,
        };
        if kind != Kind::Unsaid {
            let is_of_protocol = matches!(qualifiers.protocol, Some(Over::Protocol { .. }));
            if is_of_protocol && !matches!(kind, Kind::Port | Kind::PortRange) {
                return self.fail("this says nothing of one protocol: put 'and' before it");
            }
            qualifiers.kind = kind;
            self.advance();
        }
        Ok((self.next > start).then_some(qualifiers))
    }

    /// `src`, `dst`, `src or dst`, `src and dst`.
    fn ends(&mut self) -> Ends {
        let end = |word: Option<Token<'_>>| match word {
            Some(Token::Word("src")) => Some(Ends::Source),
            Some(Token::Word("dst")) => Some(Ends::Destination),
            _ => None,
        };
        let Some(first) = end(self.peek()) else { return Ends::Either };
        self.advance();
        let is_and = matches!(self.peek(), Some(Token::Word("and") | Token::Sign("&&")));
        let is_or = matches!(self.peek(), Some(Token::Word("or") | Token::Sign("||")));
        match end(self.peek_at(1)) {
            Some(second) if (is_and || is_or) && second != first => {
                self.next += 2;
                if is_and { Ends::Both } else { Ends::Either }
            }
            _ => first,
        }
    }

    /// A name or number, of which the last qualifiers hold.
    fn identifier(&mut self) -> Parsed<Expression> {
        let Some(word) = self.peek_word() else {
            return self.fail("an address or a number is expected here");
        };
        let Qualifiers { protocol, ends, kind } = self.last;
        let found = match kind {
            Kind::Unsaid | Kind::Host => self.host(word, protocol, ends, kind),
            Kind::Net => self.network(word, protocol, ends),
            Kind::Port => self.ports(word, word, protocol, ends),
            Kind::PortRange => {
                let (first, last) = word.split_once('-').unwrap_or((word, word));
                self.ports(first, last, protocol, ends)
            }
            Kind::Protocol => self.protocol(word, protocol),
        };
        found.map(test)
    }

    fn host(&mut self, word: &str, over: Option<Over>, ends: Ends, kind: Kind) -> Parsed<Test> {
        if let Some(Over::Protocol { .. }) = over {
            return self.fail("this says nothing of one protocol: put 'and' before it");
        }
        if kind == Kind::Unsaid && self.peek_at(1) == Some(Token::Sign("/")) {
            return self.network(word, over, ends);
        }
        if let (Ok(network), None | Some(Over::Ip)) = (word.parse::<Ipv4Addr>(), over) {
            self.advance();
            return Ok(Test::Net4 { ends, network, mask: u32::MAX });
        }
        if let (Ok(network), None | Some(Over::Ip6)) = (word.parse::<Ipv6Addr>(), over) {
            self.advance();
            return Ok(Test::Net6 { ends, network, mask: u128::MAX });
        }
        self.fail(match over {
            Some(Over::Ip) => "an IPv4 address is expected here",
            Some(Over::Ip6) => "an IPv6 address is expected here",
            _ if kind == Kind::Unsaid => "this is no word of the pcap language, and no address",
            _ => "an address is expected here: names are not looked up",
        })
    }

    /// `10.1`, `10.0.0.0/8`, `10.0.0.0 mask 255.0.0.0`, `2001:db8::/32`.
    fn network(&mut self, word: &str, over: Option<Over>, ends: Ends) -> Parsed<Test> {
        let at = self.at();
        if let (Ok(network), None | Some(Over::Ip6)) = (word.parse::<Ipv6Addr>(), over) {
            self.advance();
            let bits = self.prefix(128)?.unwrap_or(128);
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            if network.to_bits() & !mask != 0 {
                return Err((at, format!("this has bits set behind the first {bits}")));
            }
            return Ok(Test::Net6 { ends, network, mask });
        }
        let Some((network, whole)) = partial_address(word).filter(|_| over != Some(Over::Ip6))
        else {
            return self.fail("a network is expected here, for example 10.0.0.0/8");
        };
        self.advance();
        let mask = match self.prefix(32)? {
            Some(bits) => u32::MAX.checked_shl(32 - bits).unwrap_or(0),
            None if self.takes_word(&["mask"]) => {
                let Some(mask) = self.peek_word().and_then(|word| word.parse::<Ipv4Addr>().ok())
                else {
                    return self.fail("a mask is expected here, for example 255.0.0.0");
                };
                self.advance();
                mask.to_bits()
            }
            None => whole,
        };
        if network.to_bits() & !mask != 0 {
            return Err((
                at,
                format!("this has bits set outside the mask {}", Ipv4Addr::from_bits(mask)),
            ));
        }
        Ok(Test::Net4 { ends, network, mask })
    }

    /// The length behind a slash, if there is one.
    fn prefix(&mut self, longest: u32) -> Parsed<Option<u32>> {
        if !self.takes("/") {
            return Ok(None);
        }
        let bits = self.peek_word().and_then(|word| word.parse().ok());
        match bits.filter(|bits| *bits <= longest) {
            Some(bits) => {
                self.advance();
                Ok(Some(bits))
            }
            None => self.fail(&format!("a number of bits up to {longest} is expected here")),
        }
    }

    fn ports(&mut self, first: &str, last: &str, over: Option<Over>, ends: Ends) -> Parsed<Test> {
        const WITH_PORTS: [u8; 3] = [6, 17, 132];
        let protocol = match over {
            Some(Over::Protocol { number, .. }) if !WITH_PORTS.contains(&number) => {
                return self.fail("only tcp, udp and sctp have ports");
            }
            Some(Over::Protocol { number, .. }) => Some(number),
            Some(Over::Ip | Over::Ip6) => {
                return self.fail("ports belong to no IP version: put 'and' before 'port'");
            }
            None => None,
        };
        let port = |word: &str| word.parse().ok().or_else(|| names::port(word));
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return self
                .fail("a port is expected here: a number up to 65535, or a well-known name");
        };
        if first > last {
            return self.fail("the first port is after the last one");
        }
        self.advance();
        Ok(Test::Ports { ends, protocol, first, last })
    }

    fn protocol(&mut self, word: &str, over: Option<Over>) -> Parsed<Test> {
        let word = word.strip_prefix('\\').unwrap_or(word);
        let number = names::protocol(word).map(|(number, ..)| number).or_else(|| word.parse().ok());
        let Some(number) = number else {
            return self.fail("a protocol is expected here: a number up to 255, or a name");
        };
        self.advance();
        let (over_ip, over_ip6) = (over != Some(Over::Ip6), over != Some(Over::Ip));
        Ok(Test::Protocol { number, over_ip, over_ip6 })
    }
}

impl Over {
    /// The test that the name alone is.
    fn alone(self) -> Expression {
        test(match self {
            Self::Ip => Test::Ip,
            Self::Ip6 => Test::Ip6,
            Self::Protocol { number, over_ip, over_ip6 } => {
                Test::Protocol { number, over_ip, over_ip6 }
            }
        })
    }
}

/// Whether a word joins expressions.
fn is_joint(word: &str) -> bool {
    matches!(word, "and" | "or")
}

fn test(test: Test) -> Expression {
    Expression::Test(test)
}

/// The first one to four bytes of an address, and the mask of as many.
fn partial_address(word: &str) -> Option<(Ipv4Addr, u32)> {
    let mut octets = [0; 4];
    let mut n_octets = 0;
    for part in word.split('.') {
        let digits = Some(part).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *octets.get_mut(n_octets)? = digits.parse().ok()?;
        n_octets += 1;
    }
    let mask = u32::MAX.checked_shl(32 - 8 * u32::try_from(n_octets).ok()?).unwrap_or(0);
    Some((Ipv4Addr::from_octets(octets), mask))
}
