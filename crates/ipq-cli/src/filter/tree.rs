//! An expression as a tree: [`Expression`].

use core::net::{Ipv4Addr, Ipv6Addr};

/// Something that is true of a packet or is not.
#[derive(Clone, Debug)]
pub(super) enum Expression {
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
    Test(Test),
}

/// The smallest expression.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Ip,
    Ip6,
    /// The packet carries this protocol, over either of these versions of IP.
    Protocol {
        number: u8,
        over_ip: bool,
        over_ip6: bool,
    },
    /// An address is in a network.
    Net4 {
        ends: Ends,
        network: Ipv4Addr,
        mask: u32,
    },
    Net6 {
        ends: Ends,
        network: Ipv6Addr,
        mask: u128,
    },
    /// A port is in a range, of this protocol or of any that has ports.
    Ports {
        ends: Ends,
        protocol: Option<u8>,
        first: u16,
        last: u16,
    },
    /// A number compares to another.
    Relation(Relation),
}

/// Whose address or port.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Ends {
    #[default]
    Either,
    Source,
    Destination,
    Both,
}

/// Two numbers and how they should compare.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) left: Number,
    pub(super) comparison: Comparison,
    pub(super) right: Number,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A number of 32 bits.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Constant(u32),
    /// The packet's length.
    Len,
    /// Bytes of the packet: 1, 2 or 4 of them, behind the start of a header.
    Load {
        header: HeaderOf,
        offset: Box<Self>,
        size: usize,
    },
    Operation {
        left: Box<Self>,
        operator: Operator,
        right: Box<Self>,
    },
}

/// Where a load counts from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HeaderOf {
    Ip,
    Ip6,
    /// What IPv4 carries, of this protocol and in a first fragment.
    OverIp(u8),
    /// What IPv6 carries, of this protocol.
    OverIp6(u8),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}
