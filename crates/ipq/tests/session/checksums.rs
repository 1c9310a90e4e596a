//! Rewriting against a second implementation: every packet is made here too, byte by byte, with the checksum of RFC 1071
//! as it stands there.
//!
//! `Rewrite` and `repair` sum with etherparse; nothing here does.

use ipq::{Rewrite, RewriteError, repair};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A packet, as far as it is not its payload.
#[derive(Clone, Debug)]
struct Recipe {
    network: Network,
    transport: Transport,
    hops: u8,
    /// The type of service, the identification, the flow: what nobody here looks at.
    rest: [u8; 4],
}

#[derive(Clone, Debug)]
enum Network {
    Ipv4 { options: Vec<u8>, source: [u8; 4], destination: [u8; 4] },
    Ipv6 { extensions: Vec<Extension>, source: [u8; 16], destination: [u8; 16] },
}

/// An extension header, of so many times eight bytes.
#[derive(Clone, Debug)]
enum Extension {
    HopByHop(u8),
    Destination(u8),
    /// A routing header at its last address.
    Routing(u8),
    /// A fragment header in a packet that is whole.
    Fragment,
}

#[derive(Clone, Debug)]
enum Transport {
    Udp {
        ports: [u8; 4],
        has_checksum: bool,
    },
    Tcp {
        ports: [u8; 4],
        middle: [u8; 8],
        window: [u8; 2],
        urgent: [u8; 2],
        options: Vec<u8>,
    },
    /// ICMP or ICMPv6.
    Icmp {
        kind: [u8; 2],
        rest: [u8; 4],
    },
}

/// The sum of 16-bit words with the carries added in, inverted (RFC 1071). A byte that is left over is the upper half of
/// a word.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|word| u32::from(word[0]) * 256 + word.get(1).map_or(0, |&byte| byte.into()));
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn two(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_be_bytes()
}

impl Recipe {
    /// The packet with this payload.
    fn make(&self, payload: &[u8]) -> Vec<u8> {
        let is_ipv4 = matches!(self.network, Network::Ipv4 { .. });
        let (number, mut datagram, at) = match &self.transport {
            Transport::Udp { ports, .. } => {
                let mut header = ports.to_vec();
                header.extend(two(8 + payload.len()));
                header.extend([0, 0]);
                (17, header, 6)
            }
            Transport::Tcp { ports, middle, window, urgent, options } => {
                let words = u8::try_from(5 + options.len() / 4).unwrap();
                let mut header = [&ports[..], middle, &[words << 4, 0x18], window].concat();
                header.extend([0, 0]);
                header.extend(urgent);
                header.extend(options);
                (6, header, 16)
            }
            Transport::Icmp { kind, rest } => {
                let number = if is_ipv4 { 1 } else { 58 };
                (number, [&kind[..], &[0, 0], rest].concat(), 2)
            }
        };
        datagram.extend(payload);
        let addresses = match &self.network {
            Network::Ipv4 { source, destination, .. } => [&source[..], destination].concat(),
            Network::Ipv6 { source, destination, .. } => [&source[..], destination].concat(),
        };
        let pseudo_header = [&addresses[..], &two(datagram.len()), &[0, number]].concat();
        let mut sum = match number {
            1 => checksum(&datagram),
            _ => checksum(&[&pseudo_header[..], &datagram].concat()),
        };
        match self.transport {
            // What says that there is none over IPv4; IPv6 always has one.
            Transport::Udp { has_checksum: false, .. } if is_ipv4 => sum = 0,
            Transport::Udp { .. } if sum == 0 => sum = 0xffff,
            _ => (),
        }
        datagram[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        [self.network_header(number, datagram.len()), datagram].concat()
    }

    /// The payload, changed so that the sum of everything is 0: a checksum that UDP writes differently.
    fn balance(&self, mut payload: Vec<u8>) -> Vec<u8> {
        payload.truncate(payload.len() / 2 * 2);
        payload.extend([0, 0]);
        let packet = self.make(&payload);
        let at = packet.len() - payload.len() - self.transport.checksum_from_end();
        let end = payload.len() - 2;
        payload[end..].copy_from_slice(&packet[at..at + 2]);
        payload
    }

    fn network_header(&self, number: u8, carried: usize) -> Vec<u8> {
        let [first, second, third, fourth] = self.rest;
        match &self.network {
            Network::Ipv4 { options, source, destination } => {
                let len = 20 + options.len();
                let mut header = vec![0x40 + u8::try_from(len / 4).unwrap(), first];
                header.extend(two(len + carried));
                // Not to be fragmented, or perhaps.
                header.extend([second, third, fourth & 0x40, 0, self.hops, number, 0, 0]);
                header.extend(source);
                header.extend(destination);
                header.extend(options);
                let sum = checksum(&header);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                header
            }
            Network::Ipv6 { extensions, source, destination } => {
                let mut numbers = extensions.iter().map(Extension::number).chain([number]);
                let mut header = vec![0x60 + (first & 0xf), second, third, fourth];
                let before: usize = extensions.iter().map(Extension::len).sum();
                header.extend(two(before + carried));
                header.extend([numbers.next().unwrap(), self.hops]);
                header.extend(source);
                header.extend(destination);
                for (extension, next) in extensions.iter().zip(numbers) {
                    header.extend(extension.bytes(next));
                }
                header
            }
        }
    }
}

impl Transport {
    /// How far the checksum is from the end of the header, in bytes.
    fn checksum_from_end(&self) -> usize {
        match self {
            Self::Udp { .. } => 2,
            Self::Tcp { options, .. } => options.len() + 4,
            Self::Icmp { .. } => 6,
        }
    }
}

impl Extension {
    fn number(&self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Destination(_) => 60,
            Self::Routing(_) => 43,
            Self::Fragment => 44,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::HopByHop(more) | Self::Destination(more) | Self::Routing(more) => {
                8 + 8 * usize::from(*more)
            }
            Self::Fragment => 8,
        }
    }

    fn bytes(&self, next: u8) -> Vec<u8> {
        let mut bytes = match self {
            // Options that only pad, which is what the rest is too.
            Self::HopByHop(more) | Self::Destination(more) => vec![next, *more, 1, 4],
            Self::Routing(more) => vec![next, *more, 4, 0],
            Self::Fragment => vec![next, 0, 0, 0, 1, 2, 3, 4],
        };
        bytes.resize(self.len(), 0);
        bytes
    }
}

fn recipe() -> impl Strategy<Value = Recipe> {
    (network(), transport(), any::<u8>(), any::<[u8; 4]>())
        .prop_map(|(network, transport, hops, rest)| Recipe { network, transport, hops, rest })
}

fn words(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<[u8; 4]>(), 0..=most).prop_map(|words| words.concat())
}

fn network() -> impl Strategy<Value = Network> {
    let more = || 0..3_u8;
    // In the order of RFC 8200; each once, but for the destination's options.
    let extensions = (
        proptest::option::of(more().prop_map(Extension::HopByHop)),
        proptest::option::of(more().prop_map(Extension::Destination)),
        proptest::option::of(more().prop_map(Extension::Routing)),
        proptest::option::of(Just(Extension::Fragment)),
        proptest::option::of(more().prop_map(Extension::Destination)),
    );
    let extensions =
        extensions.prop_map(|(a, b, c, d, e)| [a, b, c, d, e].into_iter().flatten().collect());
    prop_oneof![
        (words(10), any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(
            |(options, source, destination)| Network::Ipv4 { options, source, destination }
        ),
        (extensions, any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(
            |(extensions, source, destination)| Network::Ipv6 { extensions, source, destination }
        ),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    let tcp = (any::<[u8; 4]>(), any::<[u8; 8]>(), any::<[u8; 2]>(), any::<[u8; 2]>(), words(10));
    prop_oneof![
        (any::<[u8; 4]>(), any::<bool>())
            .prop_map(|(ports, has_checksum)| Transport::Udp { ports, has_checksum }),
        tcp.prop_map(|(ports, middle, window, urgent, options)| Transport::Tcp {
            ports,
            middle,
            window,
            urgent,
            options
        }),
        (any::<[u8; 2]>(), any::<[u8; 4]>())
            .prop_map(|(kind, rest)| Transport::Icmp { kind, rest }),
    ]
}

/// Text of any length, odd ones as often; sometimes long, sometimes all ones, which add nothing to a sum.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..200),
        1 => vec(any::<u8>(), 1400..3000),
        1 => (0..64_usize).prop_map(|len| vec![0xff; len]),
        1 => (0..64_usize).prop_map(|len| vec![0; len]),
    ]
}

/// Where the lengths and checksums of a packet are.
fn derived_places(packet: &[u8], headers_len: usize, transport: &Transport) -> Vec<usize> {
    let mut places = if packet[0] >> 4 == 4 { vec![2, 3, 10, 11] } else { vec![4, 5] };
    let checksum = headers_len - transport.checksum_from_end();
    places.extend(checksum..checksum + 2);
    if matches!(transport, Transport::Udp { .. }) {
        places.extend(checksum - 2..checksum);
    }
    places
}

proptest! {
    #[test]
    fn what_is_rewritten_is_what_is_made_here(
        recipe in recipe(),
        old in payload(),
        new in payload(),
        is_balanced in any::<bool>(),
    ) {
        let new = if is_balanced { recipe.balance(new) } else { new };
        let mut rewrite = Rewrite::of(&recipe.make(&old)).unwrap();
        prop_assert_eq!(rewrite.payload(), &old[..]);
        *rewrite.payload_mut() = new.clone();
        prop_assert_eq!(rewrite.finish().unwrap(), recipe.make(&new));
    }

    #[test]
    fn whatever_is_wrong_with_lengths_and_checksums_is_repaired(
        recipe in recipe(),
        payload in payload(),
        wrong in vec((any::<Index>(), any::<u8>()), 1..5),
    ) {
        let right = recipe.make(&payload);
        let headers_len = right.len() - payload.len();
        let places = derived_places(&right, headers_len, &recipe.transport);
        let mut packet = right.clone();
        for (at, byte) in wrong {
            packet[*at.get(&places)] = byte;
        }
        let has_no_checksum = |packet: &[u8]| {
            let at = headers_len - 2;
            matches!(recipe.transport, Transport::Udp { .. }) && packet[at..at + 2] == [0, 0]
        };
        let is_ipv4 = right[0] >> 4 == 4;
        // Over IPv4 a checksum of 0 is no wrong one, and any other is to be right.
        let expected = match &recipe.transport {
            Transport::Udp { ports, .. } if is_ipv4 => {
                let has_checksum = !has_no_checksum(&packet);
                let transport = Transport::Udp { ports: *ports, has_checksum };
                Recipe { transport, ..recipe.clone() }.make(&payload)
            }
            _ => right.clone(),
        };
        repair(&mut packet).unwrap();
        prop_assert_eq!(packet, expected);
    }

    #[test]
    fn headers_may_be_changed_and_checksums_follow(
        recipe in recipe(),
        other in recipe(),
        payload in payload(),
    ) {
        // The same shape with the other's numbers.
        let mut wanted = recipe.clone();
        (wanted.hops, wanted.rest) = (other.hops, other.rest);
        match (&mut wanted.network, &other.network) {
            (Network::Ipv4 { source, .. }, Network::Ipv4 { source: other, .. }) => *source = *other,
            (Network::Ipv6 { source, .. }, Network::Ipv6 { source: other, .. }) => *source = *other,
            _ => (),
        }
        match (&mut wanted.transport, &other.transport) {
            (Transport::Udp { ports, .. }, Transport::Udp { ports: other, .. })
            | (Transport::Tcp { ports, .. }, Transport::Tcp { ports: other, .. }) => *ports = *other,
            (Transport::Icmp { kind, .. }, Transport::Icmp { kind: other, .. }) => *kind = *other,
            _ => (),
        }
        let expected = wanted.make(&payload);
        let mut rewrite = Rewrite::of(&recipe.make(&payload)).unwrap();
        let places = derived_places(&expected, rewrite.headers().len(), &recipe.transport);
        for (at, byte) in rewrite.headers_mut().iter_mut().enumerate() {
            if !places.contains(&at) {
                *byte = expected[at];
            }
        }
        prop_assert_eq!(rewrite.finish().unwrap(), expected);
    }

    #[test]
    fn fragments_and_other_protocols_are_refused(
        recipe in recipe(),
        payload in payload(),
        other in select(vec![2_u8, 33, 47, 50, 132, 136]),
        offset in 1_u16..0x2000,
    ) {
        let packet = recipe.make(&payload);
        if packet[0] >> 4 == 4 {
            let mut unknown = packet.clone();
            unknown[9] = other;
            prop_assert_eq!(Rewrite::of(&unknown).unwrap_err(), RewriteError::Protocol(other));
            prop_assert_eq!(repair(&mut unknown), Err(RewriteError::Protocol(other)));
            let mut last = packet.clone();
            last[6..8].copy_from_slice(&offset.to_be_bytes());
            prop_assert_eq!(Rewrite::of(&last).unwrap_err(), RewriteError::Fragment);
            let mut first = packet;
            first[6] |= 0x20;
            prop_assert_eq!(Rewrite::of(&first).unwrap_err(), RewriteError::Fragment);
        } else if let Network::Ipv6 { extensions, .. } = &recipe.network {
            let mut at = 40;
            for extension in extensions {
                if matches!(extension, Extension::Fragment) {
                    let mut first = packet.clone();
                    first[at + 3] |= 1;
                    prop_assert_eq!(Rewrite::of(&first).unwrap_err(), RewriteError::Fragment);
                }
                if matches!(extension, Extension::Routing(_)) {
                    let mut routed = packet.clone();
                    routed[at + 3] = 1;
                    prop_assert_eq!(Rewrite::of(&routed).unwrap_err(), RewriteError::Routed);
                }
                at += extension.len();
            }
        }
    }
}
