//! The busiest flows in a bounded memory: [`Flows`].

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use std::collections::HashMap;

use etherparse::{IpNumber, LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// Where packets come from and go to.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Key {
    from: IpAddr,
    to: IpAddr,
    /// Where there are ports.
    ports: Option<(u16, u16)>,
    protocol: u8,
}

impl Key {
    /// Of a packet from its IP header on, as far as that is there.
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let sliced = LaxSlicedPacket::from_ip(packet).ok()?;
        let (from, to, protocol): (IpAddr, IpAddr, IpNumber) = match &sliced.net? {
            LaxNetSlice::Ipv4(ipv4) => {
                let header = ipv4.header();
                let payload = ipv4.payload();
                (header.source_addr().into(), header.destination_addr().into(), payload.ip_number)
            }
            LaxNetSlice::Ipv6(ipv6) => {
                let header = ipv6.header();
                let payload = ipv6.payload();
                (header.source_addr().into(), header.destination_addr().into(), payload.ip_number)
            }
            LaxNetSlice::Arp(_) => return None,
        };
        let ports = match &sliced.transport {
            Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
            Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
            _ => None,
        };
        Some(Self { from, to, ports, protocol: protocol.0 })
    }
}

/// `tcp 192.0.2.1:40000 > [2001:db8::2]:22`.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            1 => f.write_str("icmp")?,
            6 => f.write_str("tcp")?,
            17 => f.write_str("udp")?,
            58 => f.write_str("icmp6")?,
            other => match IpNumber(other).keyword_str() {
                Some(name) => f.write_str(name)?,
                None => write!(f, "proto-{other}")?,
            },
        }
        match self.ports {
            Some((from, to)) => {
                write!(
                    f,
                    " {} > {}",
                    SocketAddr::new(self.from, from),
                    SocketAddr::new(self.to, to)
                )
            }
            None => write!(f, " {} > {}", self.from, self.to),
        }
    }
}

/// A flow and what it sent: never less than it did, and by [`most_over`](Self::most_over) more at most.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    pub(super) key: Key,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    /// By how many packets and bytes the counts may be too high: those of the flow whose place it took.
    pub(super) most_over: (u64, u64),
}

/// How many flows are told apart at once.
const MOST: usize = 1024;

/// The flows with the most packets, by the space-saving algorithm (Metwally, Agrawal and El Abbadi, 2005): when all places
/// are taken, a new flow takes that of the smallest one, and its counts with it. So every flow with more than one packet in
/// [`MOST`] is there, and no count is too low.
#[derive(Debug)]
pub(super) struct Flows {
    places: HashMap<Key, usize>,
    all: Vec<Flow>,
    /// The fewest packets that a flow had when that was looked for, and the places of those that had so few: counts only
    /// grow, so that these are the smallest until none of them is left.
    least: u64,
    smallest: Vec<usize>,
    /// How often a flow lost its place to another.
    replaced: u64,
    /// Packets that show no flow.
    unknown: u64,
}

impl Flows {
    pub(super) fn new() -> Self {
        Self {
            places: HashMap::with_capacity(2 * MOST),
            all: Vec::with_capacity(MOST),
            least: 0,
            smallest: Vec::with_capacity(MOST),
            replaced: 0,
            unknown: 0,
        }
    }

    /// A packet, from its IP header on, that is this long.
    pub(super) fn packet(&mut self, packet: &[u8], bytes: u64) {
        match Key::of(packet) {
            Some(key) => self.count(key, bytes),
            None => self.unknown += 1,
        }
    }

    fn count(&mut self, key: Key, bytes: u64) {
        let place = self.places.get(&key).copied().unwrap_or_else(|| self.place_for(key));
        let flow = &mut self.all[place];
        flow.packets += 1;
        flow.bytes = flow.bytes.saturating_add(bytes);
    }

    /// A place for a new flow.
    fn place_for(&mut self, key: Key) -> usize {
        let new = Flow { key, packets: 0, bytes: 0, most_over: (0, 0) };
        let place = if self.all.len() < MOST {
            self.all.push(new);
            self.all.len() - 1
        } else {
            let place = self.smallest_place();
            let smallest = self.all[place];
            self.places.remove(&smallest.key);
            self.replaced += 1;
            let Flow { packets, bytes, .. } = smallest;
            self.all[place] = Flow { key, packets, bytes, most_over: (packets, bytes) };
            place
        };
        self.places.insert(key, place);
        place
    }

    /// The place of a flow with the fewest packets, where all are taken.
    fn smallest_place(&mut self) -> usize {
        while let Some(place) = self.smallest.pop() {
            if self.all[place].packets == self.least {
                return place;
            }
        }
        self.least = self.all.iter().map(|flow| flow.packets).min().unwrap_or(0);
        let places = self.all.iter().enumerate();
        let smallest = places.filter(|(_, flow)| flow.packets == self.least);
        self.smallest.extend(smallest.map(|(place, _)| place));
        self.smallest.pop().unwrap_or(0)
    }

    /// The flows in no order, and how many lost their place.
    pub(super) fn picture(&self) -> FlowsPicture {
        let Self { all, replaced, unknown, .. } = self;
        FlowsPicture { all: all.clone(), replaced: *replaced, unknown: *unknown }
    }
}

/// The flows at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowsPicture {
    all: Vec<Flow>,
    pub(super) replaced: u64,
    pub(super) unknown: u64,
}

/// What the busiest is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Order {
    #[default]
    Packets,
    Bytes,
}

impl FlowsPicture {
    /// The busiest, at most `n`.
    pub(super) fn busiest(&self, n: usize, order: Order) -> Vec<Flow> {
        let mut flows = self.all.clone();
        flows.sort_unstable_by_key(|flow| {
            let size = match order {
                Order::Packets => (flow.packets, flow.bytes),
                Order::Bytes => (flow.bytes, flow.packets),
            };
            (core::cmp::Reverse(size), flow.key)
        });
        flows.truncate(n);
        flows
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

    fn key(number: u16) -> Key {
        let [high, low] = number.to_be_bytes();
        let (from, to) = ([10, 0, high, low].into(), [10, 1, 0, 1].into());
        Key { from, to, ports: Some((number, 53)), protocol: 17 }
    }

    #[test]
    fn packets_are_told_apart_by_addresses_ports_and_protocol() {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64)
            .udp(40_000, 53)
            .write(&mut packet, b"abc")
            .unwrap();
        assert_eq!(Key::of(&packet).unwrap().to_string(), "udp 192.0.2.1:40000 > 192.0.2.2:53");
        // Without the ports it is still the addresses.
        assert_eq!(Key::of(&packet[..20]).unwrap().to_string(), "udp 192.0.2.1 > 192.0.2.2");
        let mut packet = Vec::new();
        let [mut from, to] = [[0xfd; 16]; 2];
        from[15] = 1;
        PacketBuilder::ipv6(from, to, 64).tcp(1, 2, 3, 4).write(&mut packet, b"").unwrap();
        let text = Key::of(&packet).unwrap().to_string();
        assert!(text.starts_with("tcp [fdfd:") && text.ends_with("]:2"), "{text}");
        assert_eq!(Key::of(b""), None);
        assert_eq!(Key::of(b"\x05"), None);
    }

    #[test]
    fn memory_is_bounded_and_the_busiest_stay() {
        let mut flows = Flows::new();
        for number in 0..60_000 {
            flows.count(key(number), 10);
            for heavy in [60_001, 60_002, 60_002] {
                flows.count(key(heavy), 100);
            }
        }
        let picture = flows.picture();
        assert_eq!((picture.len(), flows.places.len()), (MOST, MOST));
        assert_eq!(picture.replaced, 60_002 - MOST as u64);
        let busiest = picture.busiest(3, Order::Packets);
        assert_eq!((busiest[0].key, busiest[0].packets), (key(60_002), 120_000));
        assert_eq!((busiest[1].key, busiest[1].packets), (key(60_001), 60_000));
        assert_eq!(busiest[1].most_over, (0, 0));
        assert!(busiest[2].most_over.0 > 0, "{:?}", busiest[2]);
    }

    #[test]
    fn the_order_is_by_what_is_asked_for() {
        let mut flows = Flows::new();
        flows.count(key(1), 1000);
        flows.count(key(2), 10);
        flows.count(key(2), 10);
        flows.packet(b"no packet", 9);
        let picture = flows.picture();
        let first = |order| picture.busiest(1, order)[0].key;
        assert_eq!((first(Order::Packets), first(Order::Bytes)), (key(2), key(1)));
        assert_eq!(picture.unknown, 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn no_count_is_too_low_or_further_off_than_it_says(
            numbers in prop::collection::vec(prop_oneof![0_u16..3000, 0_u16..20], 2000..6000),
        ) {
            let (mut flows, mut exact) = (Flows::new(), BTreeMap::<_, u64>::new());
            for &number in &numbers {
                flows.count(key(number), 1);
                *exact.entry(key(number)).or_default() += 1;
            }
            let all = flows.picture().busiest(MOST, Order::Packets);
            for flow in &all {
                let exact = exact[&flow.key];
                prop_assert!(flow.packets >= exact && flow.packets - flow.most_over.0 <= exact);
            }
            let kept: u64 = all.iter().map(|flow| flow.packets).sum();
            prop_assert_eq!(kept, numbers.len() as u64);
        }
    }
}
