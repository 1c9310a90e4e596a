//! Which packets go where: [`Match`], [`Target`] and the tables of rules.

use core::net::IpAddr;
use core::ops::RangeInclusive;

use ipnet::IpNet;
use ipq_proto::{Family, Hook};

use crate::device::{DeviceIndex, Devices};
use crate::headers::Headers;
use crate::packet::{Packet, Position};

/// What a rule does with the packets that it matches.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Target {
    /// They pass this table.
    #[doc(alias = "ACCEPT")]
    Accept,
    /// They are discarded.
    #[doc(alias = "DROP")]
    Drop,
    /// They are handed to a program.
    #[doc(alias = "QUEUE")]
    Queue,
}

/// A table of rules: one function at each hook. Packets pass the tables in this order.
///
/// The difference shows in two verdicts: a packet that is accepted goes on with the next table, one that is
/// stopped leaves the hook.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// The first one.
    Raw,
    /// The second one.
    Mangle,
    /// The one that is meant when none is named.
    #[default]
    Filter,
}

impl Table {
    /// All tables, in the order that packets pass them.
    const ALL: [Self; 3] = [Self::Raw, Self::Mangle, Self::Filter];
}

/// The number of an IP protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Protocol(pub u8);

impl Protocol {
    /// ICMP.
    #[doc(alias = "IPPROTO_ICMP")]
    pub const ICMP: Self = Self(1);
    /// TCP.
    #[doc(alias = "IPPROTO_TCP")]
    pub const TCP: Self = Self(6);
    /// UDP.
    #[doc(alias = "IPPROTO_UDP")]
    pub const UDP: Self = Self(17);
    /// ICMP for IPv6.
    #[doc(alias = "IPPROTO_ICMPV6")]
    pub const ICMPV6: Self = Self(58);
}

/// Which packets a rule is for: those that meet every condition given. Without conditions, all.
///
/// ```
/// use ipq_proto::Family;
/// use ipq_sim::{Match, Protocol};
///
/// let dns = Match::protocol(Protocol::UDP).destination_port(53).family(Family::Ipv4);
/// let private = Match::any().source("10.0.0.0/8".parse()?).input_device("eth0");
/// # let _ = (dns, private);
/// # Ok::<(), ipnet::AddrParseError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Match {
    family: Option<Family>,
    protocol: Option<Protocol>,
    source: Option<IpNet>,
    destination: Option<IpNet>,
    source_ports: Option<RangeInclusive<u16>>,
    destination_ports: Option<RangeInclusive<u16>>,
    input_device: Option<String>,
    output_device: Option<String>,
    mark: Option<u32>,
}

impl Match {
    /// Every packet of either family.
    pub fn any() -> Self {
        Self::default()
    }

    /// Packets of this IP protocol, behind any extension headers.
    pub fn protocol(protocol: Protocol) -> Self {
        Self { protocol: Some(protocol), ..Self::default() }
    }

    /// Only packets of this family.
    #[must_use]
    pub fn family(self, family: Family) -> Self {
        Self { family: Some(family), ..self }
    }

    /// Only packets from these addresses.
    #[must_use]
    pub fn source(self, addresses: IpNet) -> Self {
        Self { source: Some(addresses), ..self }
    }

    /// Only packets to these addresses.
    #[must_use]
    pub fn destination(self, addresses: IpNet) -> Self {
        Self { destination: Some(addresses), ..self }
    }

    /// Only packets of TCP or UDP from this port.
    #[must_use]
    pub fn source_port(self, port: u16) -> Self {
        self.source_ports(port..=port)
    }

    /// Only packets of TCP or UDP from these ports.
    #[must_use]
    pub fn source_ports(self, ports: RangeInclusive<u16>) -> Self {
        Self { source_ports: Some(ports), ..self }
    }

    /// Only packets of TCP or UDP to this port.
    #[must_use]
    pub fn destination_port(self, port: u16) -> Self {
        self.destination_ports(port..=port)
    }

    /// Only packets of TCP or UDP to these ports.
    #[must_use]
    pub fn destination_ports(self, ports: RangeInclusive<u16>) -> Self {
        Self { destination_ports: Some(ports), ..self }
    }

    /// Only packets that came in by this device.
    #[must_use]
    pub fn input_device(self, name: &str) -> Self {
        Self { input_device: Some(name.to_owned()), ..self }
    }

    /// Only packets that are to leave by this device.
    #[must_use]
    pub fn output_device(self, name: &str) -> Self {
        Self { output_device: Some(name.to_owned()), ..self }
    }

    /// Only packets with this netfilter mark.
    #[must_use]
    pub fn mark(self, mark: u32) -> Self {
        Self { mark: Some(mark), ..self }
    }

    fn matches(&self, packet: &Packet, devices: &Devices) -> bool {
        let device = |wanted: &Option<String>, index: Option<DeviceIndex>| {
            wanted.as_ref().is_none_or(|name| devices.name(index).as_bytes() == name.as_bytes())
        };
        self.family.is_none_or(|family| family == packet.family)
            && self.mark.is_none_or(|mark| mark == packet.mark)
            && device(&self.input_device, packet.input)
            && device(&self.output_device, packet.output)
            && (!self.looks_inside() || self.matches_headers(&Headers::of(&packet.data)))
    }

    /// Whether the packet's headers matter at all: most rules do without the work of reading them.
    fn looks_inside(&self) -> bool {
        let Self { source, destination, protocol, source_ports, destination_ports, .. } = self;
        source.is_some()
            || destination.is_some()
            || protocol.is_some()
            || source_ports.is_some()
            || destination_ports.is_some()
    }

    fn matches_headers(&self, headers: &Headers) -> bool {
        let address = |wanted: Option<IpNet>, found: Option<IpAddr>| {
            wanted.is_none_or(|net| found.is_some_and(|address| net.contains(&address)))
        };
        let port = |wanted: &Option<RangeInclusive<u16>>, found: Option<u16>| {
            wanted.as_ref().is_none_or(|ports| found.is_some_and(|port| ports.contains(&port)))
        };
        self.protocol.is_none_or(|protocol| headers.protocol == Some(protocol.0))
            && address(self.source, headers.source)
            && address(self.destination, headers.destination)
            && port(&self.source_ports, headers.ports.map(|(source, _)| source))
            && port(&self.destination_ports, headers.ports.map(|(_, destination)| destination))
    }
}

/// All rules of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    hook: Hook,
    table: Table,
    condition: Match,
    target: Target,
}

/// What the rules say of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// It has passed all functions of the hook.
    Pass,
    /// It is discarded.
    Drop,
    /// The function at this position wants it queued.
    Queue(Position),
}

impl Rules {
    /// Adds a rule behind those that its hook and table have.
    pub(crate) fn add(&mut self, hook: Hook, table: Table, condition: Match, target: Target) {
        self.0.push(Rule { hook, table, condition, target });
    }

    /// Takes `packet` through the functions of its hook, from `position` on.
    pub(crate) fn decide(
        &self,
        packet: &Packet,
        devices: &Devices,
        position: Position,
    ) -> Decision {
        let mut position = position;
        while let Some(&table) = Table::ALL.get(position.function) {
            let mut rules =
                self.0.iter().filter(|rule| rule.hook == position.hook && rule.table == table);
            match rules.find(|rule| rule.condition.matches(packet, devices)) {
                Some(Rule { target: Target::Drop, .. }) => return Decision::Drop,
                Some(Rule { target: Target::Queue, .. }) => return Decision::Queue(position),
                Some(Rule { target: Target::Accept, .. }) | None => (),
            }
            position = position.next_function();
        }
        Decision::Pass
    }
}
