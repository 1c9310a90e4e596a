//! What is true of a packet.

use core::net::Ipv4Addr;
use core::ops::RangeInclusive;

use super::tree::{Comparison, Ends, Expression, HeaderOf, Number, Operator, Relation, Test};

/// A byte that is not there, or a division by zero: either ends the whole expression, which is then not true.
struct Ended;

type Truth = Result<bool, Ended>;

impl Expression {
    pub(super) fn is_true_of(&self, bytes: &[u8], len: usize) -> bool {
        self.evaluate(&Subject { bytes, len }).unwrap_or(false)
    }

    fn evaluate(&self, packet: &Subject<'_>) -> Truth {
        match self {
            Self::And(left, right) => Ok(left.evaluate(packet)? && right.evaluate(packet)?),
            Self::Or(left, right) => Ok(left.evaluate(packet)? || right.evaluate(packet)?),
            Self::Not(inner) => Ok(!inner.evaluate(packet)?),
            Self::Test(test) => test.evaluate(packet),
        }
    }
}

/// Protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const SCTP: u8 = 132;

/// Where things are in the headers, in bytes.
const IP_PROTOCOL: usize = 9;
const IP6_NEXT_HEADER: usize = 6;
const IP6_HEADER_LEN: usize = 40;

/// A packet.
struct Subject<'p> {
    bytes: &'p [u8],
    len: usize,
}

impl Subject<'_> {
    fn load<const N: usize>(&self, offset: usize) -> Result<[u8; N], Ended> {
        self.bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().ok_or(Ended)
    }

    fn byte(&self, offset: usize) -> Result<u8, Ended> {
        self.load::<1>(offset).map(|[byte]| byte)
    }

    fn u16(&self, offset: usize) -> Result<u16, Ended> {
        self.load(offset).map(u16::from_be_bytes)
    }

    fn is_version(&self, version: u8) -> Truth {
        Ok(self.byte(0)? >> 4 == version)
    }

    fn carries_over_ip(&self, protocol: u8) -> Truth {
        Ok(self.is_version(4)? && self.byte(IP_PROTOCOL)? == protocol)
    }

    /// A fragment's protocol counts; other extension headers hide what they carry.
    fn carries_over_ip6(&self, protocol: u8) -> Truth {
        if !self.is_version(6)? {
            return Ok(false);
        }
        let next = self.byte(IP6_NEXT_HEADER)?;
        Ok(next == protocol || (next == FRAGMENT && self.byte(IP6_HEADER_LEN)? == protocol))
    }

    fn is_first_fragment(&self) -> Truth {
        const OFFSET: u16 = 0x1fff;
        Ok(self.u16(6)? & OFFSET == 0)
    }

    /// Where what IPv4 carries starts.
    fn ip_payload(&self) -> Result<usize, Ended> {
        Ok(usize::from(self.byte(0)? & 0x0f) * 4)
    }
}

impl Test {
    fn evaluate(&self, packet: &Subject<'_>) -> Truth {
        match *self {
            Self::Ip => packet.is_version(4),
            Self::Ip6 => packet.is_version(6),
            Self::Protocol { number, over_ip, over_ip6 } => Ok((over_ip
                && packet.carries_over_ip(number)?)
                || (over_ip6 && packet.carries_over_ip6(number)?)),
            Self::Net4 { ends, network, mask } => {
                let is_in = |offset| {
                    let address = Ipv4Addr::from_octets(packet.load(offset)?);
                    Ok(address.to_bits() & mask == network.to_bits())
                };
                Ok(packet.is_version(4)? && ends.hold(|| is_in(12), || is_in(16))?)
            }
            Self::Net6 { ends, network, mask } => {
                // Word by word: the first that differs decides, whether or not the next is there.
                let words: [[u32; 2]; 4] = [96, 64, 32, 0].map(|shift| {
                    [network.to_bits(), mask].map(|bits| {
                        u32::try_from(bits >> shift & u128::from(u32::MAX)).unwrap_or_default()
                    })
                });
                let is_in = |offset| {
                    for (word, [network, mask]) in words.into_iter().enumerate() {
                        let found = u32::from_be_bytes(packet.load(offset + 4 * word)?);
                        if found & mask != network {
                            return Ok(false);
                        }
                    }
                    Ok(true)
                };
                Ok(packet.is_version(6)? && ends.hold(|| is_in(8), || is_in(24))?)
            }
            Self::Ports { ends, protocol, first, last } => {
                has_ports(packet, ends, protocol, &(first..=last))
            }
            Self::Relation(ref relation) => relation.evaluate(packet),
        }
    }
}

impl Ends {
    fn hold(self, source: impl FnOnce() -> Truth, destination: impl FnOnce() -> Truth) -> Truth {
        match self {
            Self::Either => Ok(source()? || destination()?),
            Self::Both => Ok(source()? && destination()?),
            Self::Source => source(),
            Self::Destination => destination(),
        }
    }
}

/// Whether ports are among these, of this protocol or of any that has ports.
fn has_ports(
    packet: &Subject<'_>,
    ends: Ends,
    protocol: Option<u8>,
    ports: &RangeInclusive<u16>,
) -> Truth {
    let is_meant = |number: u8| match protocol {
        Some(protocol) => number == protocol,
        None => matches!(number, TCP | UDP | SCTP),
    };
    let at = |start: usize| {
        let is_in = |offset| Ok(ports.contains(&packet.u16(offset)?));
        ends.hold(|| is_in(start), || is_in(start + 2))
    };
    if packet.is_version(4)? {
        return Ok(is_meant(packet.byte(IP_PROTOCOL)?)
            && packet.is_first_fragment()?
            && at(packet.ip_payload()?)?);
    }
    Ok(packet.is_version(6)? && is_meant(packet.byte(IP6_NEXT_HEADER)?) && at(IP6_HEADER_LEN)?)
}

impl Relation {
    fn evaluate(&self, packet: &Subject<'_>) -> Truth {
        let Self { left, comparison, right } = self;
        if !left.applies(packet)? || !right.applies(packet)? {
            return Ok(false);
        }
        let (left, right) = (left.evaluate(packet)?, right.evaluate(packet)?);
        Ok(match comparison {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
        })
    }
}

impl Number {
    /// Whether the packet has the headers that are asked for.
    fn applies(&self, packet: &Subject<'_>) -> Truth {
        match self {
            Self::Constant(_) | Self::Len => Ok(true),
            Self::Load { header, offset, .. } => {
                let is_there = match *header {
                    HeaderOf::Ip => packet.is_version(4)?,
                    HeaderOf::Ip6 => packet.is_version(6)?,
                    HeaderOf::OverIp(protocol) => {
                        packet.carries_over_ip(protocol)? && packet.is_first_fragment()?
                    }
                    HeaderOf::OverIp6(protocol) => {
                        packet.is_version(6)? && packet.byte(IP6_NEXT_HEADER)? == protocol
                    }
                };
                Ok(is_there && offset.applies(packet)?)
            }
            Self::Operation { left, right, .. } => {
                Ok(left.applies(packet)? && right.applies(packet)?)
            }
        }
    }

    fn evaluate(&self, packet: &Subject<'_>) -> Result<u32, Ended> {
        Ok(match self {
            Self::Constant(number) => *number,
            Self::Len => u32::try_from(packet.len).unwrap_or(u32::MAX),
            Self::Load { header, offset, size } => {
                let start = match header {
                    HeaderOf::Ip | HeaderOf::Ip6 => 0,
                    HeaderOf::OverIp(_) => packet.ip_payload()?,
                    HeaderOf::OverIp6(_) => IP6_HEADER_LEN,
                };
                let offset = usize::try_from(offset.evaluate(packet)?).map_err(|_| Ended)?;
                let at = start.checked_add(offset).ok_or(Ended)?;
                match size {
                    1 => packet.byte(at)?.into(),
                    2 => packet.u16(at)?.into(),
                    _ => packet.load(at).map(u32::from_be_bytes)?,
                }
            }
            Self::Operation { left, operator, right } => {
                operator.of(left.evaluate(packet)?, right.evaluate(packet)?)?
            }
        })
    }
}

impl Operator {
    fn of(self, left: u32, right: u32) -> Result<u32, Ended> {
        Ok(match self {
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide => left.checked_div(right).ok_or(Ended)?,
            Self::Remainder => left.checked_rem(right).ok_or(Ended)?,
            Self::And => left & right,
            Self::Or => left | right,
            Self::Xor => left ^ right,
            Self::ShiftLeft => left.checked_shl(right).unwrap_or(0),
            Self::ShiftRight => left.checked_shr(right).unwrap_or(0),
        })
    }
}
