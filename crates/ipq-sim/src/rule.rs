//! Which packets go where: [`Match`], [`Target`] and the tables of rules.

use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::ops::RangeInclusive;

use ipnet::IpNet;
use ipq_proto::{Family, Hook};
use rustc_hash::FxHasher;

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
    /// They are handed to a program: by `ip_queue` where it is loaded, else by queue 0 of `nfnetlink_queue`.
    #[doc(alias = "QUEUE")]
    Queue,
    /// The same, by a queue of `nfnetlink_queue`. Where `ip_queue` is loaded it takes these packets too.
    #[doc(alias = "NFQUEUE")]
    Nfqueue {
        /// The first queue.
        #[doc(alias = "--queue-num")]
        first: u16,
        /// The last one. All packets between two addresses go to the same one of several.
        #[doc(alias = "--queue-balance")]
        last: u16,
        /// Whether packets pass this table where no program has the queue, instead of being dropped.
        #[doc(alias = "--queue-bypass")]
        bypass: bool,
    },
    /// They get this netfilter mark, and the next rule looks at them.
    #[doc(alias("MARK", "--set-mark"))]
    Mark(u32),
}

impl Target {
    /// To one queue of `nfnetlink_queue`.
    pub const fn nfqueue(number: u16) -> Self {
        Self::Nfqueue { first: number, last: number, bypass: false }
    }
}

/// Which queue a packet is to wait in, and what becomes of it where there is none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Destination {
    /// The number of the queue, for `nfnetlink_queue`.
    pub(crate) number: u16,
    pub(crate) bypass: bool,
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
    /// The one that is used when none is named.
    #[default]
    Filter,
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
    not_mark: Option<u32>,
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

    /// Only packets with any other netfilter mark.
    #[must_use]
    pub fn not_mark(self, mark: u32) -> Self {
        Self { not_mark: Some(mark), ..self }
    }

    /// Whether the bytes of a packet, from its IP header on, are as wanted: its family, addresses, protocol and ports.
    /// Conditions about devices and marks are not looked at.
    ///
    /// ```
    /// use ipq_sim::{Match, Protocol};
    ///
    /// let ping = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    /// assert!(Match::protocol(Protocol::ICMP).matches_bytes(&ping));
    /// assert!(!Match::any().destination("10.0.1.0/24".parse()?).matches_bytes(&ping));
    /// # Ok::<(), ipnet::AddrParseError>(())
    /// ```
    pub fn matches_bytes(&self, packet: &[u8]) -> bool {
        self.family.is_none_or(|family| Family::of_packet(packet) == Some(family))
            && (!self.looks_inside() || self.matches_headers(&Headers::of(packet)))
    }

    fn matches(&self, packet: &mut Packet, hook: Hook, devices: &Devices) -> bool {
        // A packet that is about to leave has no input device any more, as far as rules go.
        let input = packet.input.filter(|_| hook != Hook::PostRouting);
        let device = |wanted: &Option<String>, index: Option<DeviceIndex>| {
            wanted.as_ref().is_none_or(|name| devices.name(index).as_bytes() == name.as_bytes())
        };
        self.family.is_none_or(|family| family == packet.family)
            && self.mark.is_none_or(|mark| mark == packet.mark)
            && self.not_mark.is_none_or(|mark| mark != packet.mark)
            && device(&self.input_device, input)
            && device(&self.output_device, packet.output)
            && (!self.looks_inside() || self.matches_headers(packet.headers()))
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
#[derive(Debug)]
pub(crate) struct Rules {
    /// Those of each hook, by its number, in the order of their tables.
    at: [Vec<Rule>; Hook::ALL.len()],
    /// Decides which of several queues gets the packets between two addresses.
    seed: u64,
}

#[derive(Debug)]
struct Rule {
    table: Table,
    /// `None` if it is for every packet, so that nothing need be looked at.
    condition: Option<Match>,
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
    Queue(Position, Destination),
}

impl Rules {
    pub(crate) fn new(seed: u64) -> Self {
        Self { at: Default::default(), seed }
    }

    /// Adds a rule behind those that its hook and table have.
    pub(crate) fn add(&mut self, hook: Hook, table: Table, condition: Match, target: Target) {
        // What is no hook no packet comes to.
        let Some(rules) = self.at.get_mut(hook.0 as usize) else { return };
        let place = rules.partition_point(|rule| rule.table <= table);
        let condition = Some(condition).filter(|condition| *condition != Match::any());
        rules.insert(place, Rule { table, condition, target });
    }

    /// Takes `packet` through the functions of its hook, from `position` on.
    #[inline]
    pub(crate) fn decide(
        &self,
        packet: &mut Packet,
        devices: &Devices,
        position: Position,
    ) -> Decision {
        // At most hooks there are no rules, and behind the function of the last one there are none either.
        let rules = self.at.get(position.hook.0 as usize).map_or(&[][..], Vec::as_slice);
        match rules.last() {
            Some(last) if last.table as u8 >= position.function => {
                self.decide_by(rules, packet, devices, position)
            }
            _ => Decision::Pass,
        }
    }

    fn decide_by(
        &self,
        rules: &[Rule],
        packet: &mut Packet,
        devices: &Devices,
        position: Position,
    ) -> Decision {
        let mut function = position.function;
        for rule in rules {
            let own_function = rule.table as u8;
            if own_function < function {
                continue;
            }
            let condition = rule.condition.as_ref();
            if condition.is_some_and(|it| !it.matches(packet, position.hook, devices)) {
                continue;
            }
            let to = match rule.target {
                Target::Accept => {
                    function = own_function + 1;
                    continue;
                }
                Target::Drop => return Decision::Drop,
                Target::Queue => Destination::default(),
                Target::Nfqueue { first, last, bypass } => {
                    Destination { number: self.balance(packet, first, last), bypass }
                }
                Target::Mark(mark) => {
                    packet.mark = mark;
                    continue;
                }
            };
            return Decision::Queue(Position { function: own_function, ..position }, to);
        }
        Decision::Pass
    }

    /// The queue among `first` to `last` that packets between these two addresses go to, in either direction.
    fn balance(&self, packet: &mut Packet, first: u16, last: u16) -> u16 {
        let queues = u64::from(last.saturating_sub(first)) + 1;
        if queues == 1 {
            return first;
        }
        let Headers { source, destination, protocol, .. } = *packet.headers();
        let ends = if source < destination { (source, destination) } else { (destination, source) };
        let mut hasher = FxHasher::default();
        (self.seed, ends, protocol).hash(&mut hasher);
        let number = u16::try_from(hasher.finish() % queues).expect("less than a u16 of queues");
        first + number
    }
}
