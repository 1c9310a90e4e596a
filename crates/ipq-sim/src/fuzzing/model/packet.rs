//! Packets as the model knows them: what they are, and the bytes that this makes.

use arbitrary::Arbitrary;
use ipq_proto::{Family, Hook};

use crate::fate::Reason;

/// A UDP datagram that is known by what was asked for, never by its bytes; or bytes of which nothing is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Content {
    Known(Datagram),
    Opaque(Vec<u8>),
}

/// What a UDP datagram is to look like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) struct Datagram {
    pub(in crate::fuzzing) family: Family,
    pub(in crate::fuzzing) to: Destination,
    pub(in crate::fuzzing) flaw: Flaw,
    /// The hop limit.
    pub(in crate::fuzzing) hops: u8,
    /// Bytes behind the UDP header, at least one.
    pub(in crate::fuzzing) payload_len: usize,
    /// What these bytes are.
    pub(in crate::fuzzing) fill: u8,
}

/// Where it is to go.
#[derive(Arbitrary, Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Destination {
    /// To this host itself.
    Here,
    /// To this host, by an address that is not its loopback's.
    Near,
    /// To the network behind `eth1`.
    Beyond,
}

/// What is wrong with it.
#[derive(Arbitrary, Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::fuzzing) enum Flaw {
    Nothing,
    /// The IPv4 header's checksum; IPv6 has none.
    HeaderChecksum,
    /// The checksum of UDP.
    TransportChecksum,
    /// The last byte is missing.
    Cut,
    /// There is more behind its end.
    Trailing,
    /// It is no IP at all, with this many bytes.
    Nonsense(u8),
    /// It is longer than any packet can be. Only a replacement is.
    Huge,
}

/// What lies behind a datagram that has something behind it.
const TRAILER: &[u8] = b"more";

/// The length of the shortest header, in bytes.
const LEAST_HEADER_LEN: usize = 20;

/// Longer than a packet can be.
const HUGE_LEN: usize = 65_536;

impl Content {
    pub(in crate::fuzzing) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Known(datagram) => datagram.bytes(),
            Self::Opaque(bytes) => bytes.clone(),
        }
    }

    /// Whether it is known what its receiver makes of it.
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_)) || self.is_no_packet()
    }

    /// Whether it has too few bytes for any header.
    fn is_no_packet(&self) -> bool {
        matches!(self, Self::Opaque(bytes) if bytes.len() < LEAST_HEADER_LEN)
    }

    /// Whether extension headers follow its IPv6 header, one for fragments perhaps among them. Nothing known has any.
    pub(super) fn has_extension(&self) -> bool {
        const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];
        let Self::Opaque(bytes) = self else { return false };
        bytes.get(6).is_some_and(|next| EXTENSIONS.contains(next))
    }

    /// Where routes take it.
    pub(super) fn is_for_beyond(&self) -> bool {
        let Self::Known(datagram) = self else { return false };
        let has_address = !matches!(datagram.flaw, Flaw::Nonsense(_) | Flaw::Huge);
        datagram.to == Destination::Beyond && has_address
    }

    /// Its IP header is looked at, and what lies behind its end is cut off.
    pub(super) fn check_ip(&mut self) -> Result<(), Reason> {
        if self.is_no_packet() {
            return Err(Reason::Malformed);
        }
        let Self::Known(datagram) = self else { return Ok(()) };
        match (datagram.flaw, datagram.family) {
            (Flaw::HeaderChecksum, Family::Ipv4) => Err(Reason::IpChecksum),
            (Flaw::Cut, _) => Err(Reason::Short),
            (Flaw::Nonsense(_) | Flaw::Huge, _) => Err(Reason::Malformed),
            (Flaw::Trailing, _) => {
                datagram.flaw = Flaw::Nothing;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Its receiver looks at all of it.
    pub(super) fn check_all(&mut self) -> Result<(), Reason> {
        self.check_ip()?;
        match self {
            Self::Known(datagram) if datagram.flaw == Flaw::TransportChecksum => {
                Err(Reason::TransportChecksum)
            }
            _ => Ok(()),
        }
    }

    /// It is forwarded.
    pub(super) fn spend_hop(&mut self) -> Result<(), Reason> {
        let Self::Known(datagram) = self else { panic!("nothing is known of {self:?}") };
        if datagram.hops <= 1 {
            return Err(Reason::HopLimit);
        }
        datagram.hops -= 1;
        Ok(())
    }
}

impl Datagram {
    fn bytes(&self) -> Vec<u8> {
        match self.flaw {
            Flaw::Nonsense(len) => return vec![0xff; usize::from(len)],
            Flaw::Huge => return vec![0xff; HUGE_LEN],
            _ => (),
        }
        let (source, destination) = self.addresses();
        let udp_len = 8 + self.payload_len;
        let mut udp = Vec::with_capacity(udp_len);
        udp.extend([0x9c, 0x40, 0x27, 0x0f]);
        udp.extend(low_half(udp_len));
        udp.extend([0, 0]);
        udp.resize(udp_len, self.fill);
        let pseudo_header = [&source[..], &destination, &[0, 17], &low_half(udp_len)].concat();
        let mut sum = checksum(&[&pseudo_header, &udp]);
        if sum == 0 {
            sum = 0xffff;
        }
        if self.flaw == Flaw::TransportChecksum {
            sum = off_by_a_lot(sum);
        }
        udp[6..8].copy_from_slice(&sum.to_be_bytes());

        let mut packet = match self.family {
            Family::Ipv4 => self.ipv4_header(udp_len, &source, &destination),
            Family::Ipv6 => {
                let mut header = vec![0x60, 0, 0, 0];
                header.extend(low_half(udp_len));
                header.extend([17, self.hops]);
                [&header[..], &source, &destination].concat()
            }
        };
        packet.extend(udp);
        match self.flaw {
            Flaw::Cut => packet.truncate(packet.len() - 1),
            Flaw::Trailing => packet.extend(TRAILER),
            _ => (),
        }
        packet
    }

    fn ipv4_header(&self, udp_len: usize, source: &[u8], destination: &[u8]) -> Vec<u8> {
        let mut header = vec![0x45, 0];
        header.extend(low_half(20 + udp_len));
        header.extend([0, 0, 0x40, 0, self.hops, 17, 0, 0]);
        header.extend(source);
        header.extend(destination);
        let mut sum = checksum(&[&header]);
        if self.flaw == Flaw::HeaderChecksum {
            sum = off_by_a_lot(sum);
        }
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        header
    }

    fn addresses(&self) -> (Vec<u8>, Vec<u8>) {
        let here = self.to == Destination::Here;
        match self.family {
            Family::Ipv4 if here => (vec![127, 0, 0, 1], vec![127, 0, 0, 1]),
            Family::Ipv4 if self.to == Destination::Near => (vec![10, 7, 0, 9], vec![10, 7, 0, 1]),
            Family::Ipv4 => (vec![10, 7, 0, 9], vec![10, 9, 0, 2]),
            Family::Ipv6 if here => (ipv6([0, 0], 1), ipv6([0, 0], 1)),
            Family::Ipv6 if self.to == Destination::Near => {
                (ipv6([0xfd, 7], 9), ipv6([0xfd, 7], 1))
            }
            Family::Ipv6 => (ipv6([0xfd, 7], 9), ipv6([0xfd, 9], 2)),
        }
    }
}

fn ipv6(start: [u8; 2], end: u8) -> Vec<u8> {
    let mut address = vec![0; 16];
    address[..2].copy_from_slice(&start);
    address[15] = end;
    address
}

fn low_half(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("no datagram is that long").to_be_bytes()
}

/// The internet checksum (RFC 1071) over parts that follow one another; all but the last are of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from);
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded")
}

/// A checksum that is wrong, and stays as wrong when the header's hops change.
fn off_by_a_lot(sum: u16) -> u16 {
    let (wrong, carry) = sum.overflowing_add(0x1111);
    wrong + u16::from(carry)
}

/// The devices of the network.
#[derive(Arbitrary, Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(in crate::fuzzing) enum Device {
    Loopback,
    Eth0,
    Eth1,
    /// Without a link-layer header.
    Tunnel,
}

impl Device {
    pub(in crate::fuzzing) fn name(self) -> &'static str {
        match self {
            Self::Loopback => "lo",
            Self::Eth0 => "eth0",
            Self::Eth1 => "eth1",
            Self::Tunnel => "tun0",
        }
    }

    pub(super) fn index(self) -> u32 {
        match self {
            Self::Loopback => 1,
            Self::Eth0 => 2,
            Self::Eth1 => 3,
            Self::Tunnel => 4,
        }
    }

    /// The hardware type and address that a packet has which comes in by it; `None` without a link layer.
    pub(super) fn link(self, sender: &[u8]) -> Option<(u16, Vec<u8>)> {
        match self {
            Self::Loopback => Some((772, sender.to_vec())),
            Self::Eth0 | Self::Eth1 => Some((1, sender.to_vec())),
            Self::Tunnel => None,
        }
    }
}

/// A packet, wherever it is.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) number: u64,
    pub(super) family: Family,
    pub(super) content: Content,
    pub(super) mark: u32,
    pub(super) priority: u32,
    /// When it arrived, in microseconds since the kernel started.
    pub(super) arrived: Option<u64>,
    pub(super) input: Option<Device>,
    pub(super) output: Option<Device>,
    /// The link-layer header that it came in with: hardware type and sender.
    pub(super) link: Option<(u16, Vec<u8>)>,
    /// Whether its protocol is written down where a link layer looks for it.
    pub(super) has_protocol: bool,
    pub(super) owner: Option<(u32, u32)>,
}

/// Where a packet waits: at a hook, in one of its tables.
pub(super) type Place = (Hook, usize);
