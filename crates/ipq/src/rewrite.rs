//! Packets that are changed and still arrive: [`Rewrite`] and [`repair`].
//!
//! A kernel repairs nothing in a replacement, and whoever finds a length or a checksum wrong discards the packet
//! silently. Headers and sums are etherparse's.

use core::fmt;

use etherparse::checksum::Sum16BitWords;
use etherparse::{IpNumber, IpSlice, Ipv6ExtensionSlice, TcpHeaderSlice};

use crate::{Packet, SkbInfo};

const IPV6_HEADER_LEN: usize = 40;

/// What a packet carries, to be changed at will: [`finish`](Self::finish) makes a packet of it again.
///
/// ```
/// # let mut packet = Vec::new();
/// # etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(1, 2).write(&mut packet, b"hello").unwrap();
/// let mut rewrite = ipq::Rewrite::of(&packet)?;
/// assert_eq!(rewrite.payload(), b"hello");
/// rewrite.payload_mut().extend(b" world");
/// let rewritten = rewrite.finish()?;
/// assert_eq!(rewritten.len(), packet.len() + 6);
/// # Ok::<(), ipq::RewriteError>(())
/// ```
///
/// In a TCP connection, a payload of another length puts the sequence numbers of both sides out of step: keep the length,
/// or keep books.
#[derive(Clone, Debug)]
pub struct Rewrite {
    headers: Vec<u8>,
    payload: Vec<u8>,
    /// Whether a checksum of 0 is one that nobody has filled in, and not one that nobody wants.
    is_unfinished: bool,
}

/// Why a packet cannot be rewritten.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RewriteError {
    /// Its end is missing: as a replacement it would cut the packet.
    Truncated {
        /// How many bytes of it there are.
        have_len: usize,
        /// How many it has.
        packet_len: usize,
    },
    /// There is nothing of it but its metadata.
    NoPayload,
    /// It is no IP packet, or its headers contradict each other.
    Malformed,
    /// It is a fragment: the checksum covers what is in the others too.
    Fragment,
    /// It has an authentication header, whose key nobody here has.
    Authenticated,
    /// It is on its way by a routing header, and its checksum is for an address that is not in its IP header.
    Routed,
    /// What it carries is not TCP, UDP, ICMP or ICMPv6, and may have checksums of its own.
    Protocol(u8),
    /// It became longer than an IP header can say.
    TooLong {
        /// How long, in bytes.
        len: usize,
    },
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rewriting a packet: ")?;
        match self {
            Self::Truncated { have_len, packet_len } => write!(
                f,
                "only {have_len} of its {packet_len} bytes were copied, and the rest would be cut off; set the copy range \
                 to 0, and without the option GSO no packet is longer than that copies"
            ),
            Self::NoPayload => f.write_str("there is nothing but its metadata; set the copy mode to packet"),
            Self::Malformed => f.write_str("its headers make no sense"),
            Self::Fragment => f.write_str(
                "it is a fragment, and its checksum is about the others too; queue it behind a hook that has connection \
                 tracking, which puts fragments together",
            ),
            Self::Authenticated => f.write_str("it has an authentication header, which would not fit any more"),
            Self::Routed => f.write_str("its checksum is for the last address of its routing header"),
            Self::Protocol(number) => write!(
                f,
                "it carries protocol {number}, and only the checksums of TCP, UDP, ICMP and ICMPv6 can be repaired"
            ),
            Self::TooLong { len } => write!(f, "it has {len} bytes now, more than an IP header can say"),
        }
    }
}

impl core::error::Error for RewriteError {}

impl Packet<'_> {
    /// What the packet carries, to be changed. A checksum that is still unfinished, since the hardware was to fill it in,
    /// is made whole.
    ///
    /// # Errors
    ///
    /// If its payload was not copied, or not all of it; and as [`Rewrite::of`].
    pub fn rewrite(&self) -> Result<Rewrite, RewriteError> {
        let have_len = self.payload().len();
        let packet_len = self.packet_len().map_or(have_len, |len| len as usize);
        match (have_len, packet_len) {
            (0, _) => return Err(RewriteError::NoPayload),
            _ if have_len < packet_len => {
                return Err(RewriteError::Truncated { have_len, packet_len });
            }
            _ => (),
        }
        let mut rewrite = Rewrite::of(self.payload())?;
        let info = self.skb_info();
        rewrite.is_unfinished = info.is_some_and(|info| info.contains(SkbInfo::CHECKSUM_NOT_READY));
        Ok(rewrite)
    }
}

impl Rewrite {
    /// What an IPv4 or IPv6 packet carries.
    ///
    /// # Errors
    ///
    /// If it is cut or makes no sense, is a fragment, or carries what cannot be repaired.
    pub fn of(packet: &[u8]) -> Result<Self, RewriteError> {
        let packet_len = claimed_len(packet).ok_or(RewriteError::Malformed)?;
        let Some(whole) = packet.get(..packet_len) else {
            return Err(RewriteError::Truncated { have_len: packet.len(), packet_len });
        };
        let layout = Layout::of(whole)?;
        let end = layout.datagram_end(whole);
        let datagram = whole.get(..end).ok_or(RewriteError::Malformed)?;
        let (headers, payload) =
            datagram.split_at_checked(layout.payload).ok_or(RewriteError::Malformed)?;
        // With room for what `finish` puts behind them.
        let mut room = Vec::with_capacity(datagram.len());
        room.extend_from_slice(headers);
        Ok(Self { headers: room, payload: payload.to_vec(), is_unfinished: false })
    }

    /// What follows the header of TCP, UDP, or the eight bytes of ICMP's.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The same, of any length that you like.
    pub fn payload_mut(&mut self) -> &mut Vec<u8> {
        &mut self.payload
    }

    /// The headers before it: IP, its extensions or options, and TCP, UDP or ICMP.
    pub fn headers(&self) -> &[u8] {
        &self.headers
    }

    /// The same, so that addresses, ports, a hop limit may be changed; lengths and checksums need no care.
    pub fn headers_mut(&mut self) -> &mut [u8] {
        &mut self.headers
    }

    /// The packet, with lengths and checksums as they must be.
    ///
    /// UDP over IPv4 without a checksum stays without; over IPv6 it always has one.
    ///
    /// # Errors
    ///
    /// If it is too long now, or its headers were changed so that they make no sense.
    pub fn finish(self) -> Result<Vec<u8>, RewriteError> {
        let Self { headers: mut packet, payload, is_unfinished } = self;
        packet.extend_from_slice(&payload);
        repair_in_place(&mut packet, is_unfinished)?;
        Ok(packet)
    }
}

/// Makes the lengths and checksums of a packet right that was changed or made by hand: those of IPv4, IPv6 with extension
/// headers, TCP, UDP, ICMP and ICMPv6. Its length is that of the slice.
///
/// A UDP checksum of 0 over IPv4 says that there is none, and stays.
///
/// # Errors
///
/// If it is too long or makes no sense, is a fragment, or carries what cannot be repaired. Its lengths may have been
/// repaired all the same.
pub fn repair(packet: &mut [u8]) -> Result<(), RewriteError> {
    repair_in_place(packet, false)
}

fn repair_in_place(packet: &mut [u8], is_unfinished: bool) -> Result<(), RewriteError> {
    set_len(packet)?;
    let layout = Layout::of(packet)?;
    if packet[0] >> 4 == 4 {
        let (header, _) = packet.split_at_mut(usize::from(packet[0] & 0xf) * 4);
        header[10..12].fill(0);
        // etherparse sums in the byte order of memory.
        let sum = Sum16BitWords::new().add_slice(header).ones_complement();
        header[10..12].copy_from_slice(&sum.to_be().to_be_bytes());
    }
    layout.repair_transport(packet, is_unfinished)
}

/// How long a packet says it is.
fn claimed_len(packet: &[u8]) -> Option<usize> {
    let word =
        |at: usize| Some(usize::from(u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?])));
    match packet.first()? >> 4 {
        4 => word(2),
        6 => word(4).map(|len| len + IPV6_HEADER_LEN),
        _ => None,
    }
}

/// Has the header of IP say how long the packet is.
fn set_len(packet: &mut [u8]) -> Result<(), RewriteError> {
    let len = packet.len();
    let (at, counted) = match packet.first().map(|first| first >> 4) {
        Some(4) if len >= 20 => (2, len),
        Some(6) if len >= IPV6_HEADER_LEN => (4, len - IPV6_HEADER_LEN),
        _ => return Err(RewriteError::Malformed),
    };
    let counted = u16::try_from(counted).map_err(|_| RewriteError::TooLong { len })?;
    packet[at..at + 2].copy_from_slice(&counted.to_be_bytes());
    Ok(())
}

/// Where things are in a packet.
#[derive(Clone, Debug)]
struct Layout {
    protocol: IpNumber,
    /// Where the header of TCP, UDP or ICMP starts.
    transport: usize,
    /// Where it ends.
    payload: usize,
    /// What the addresses and the protocol add to the checksum.
    pseudo_header: Sum16BitWords,
}

impl Layout {
    /// Of a packet without anything behind its end.
    fn of(packet: &[u8]) -> Result<Self, RewriteError> {
        let ip = IpSlice::from_slice(packet).map_err(|_| RewriteError::Malformed)?;
        let carried = ip.payload();
        if carried.fragmented {
            return Err(RewriteError::Fragment);
        }
        let protocol = carried.ip_number;
        let addresses = match &ip {
            IpSlice::Ipv4(ip) if ip.extensions().auth.is_some() => {
                return Err(RewriteError::Authenticated);
            }
            IpSlice::Ipv4(ip) => Sum16BitWords::new()
                .add_4bytes(ip.header().source())
                .add_4bytes(ip.header().destination()),
            IpSlice::Ipv6(ip) => {
                ip.extensions()
                    .clone()
                    .into_iter()
                    .try_for_each(|header| check_extension(&header))?;
                Sum16BitWords::new()
                    .add_16bytes(ip.header().source())
                    .add_16bytes(ip.header().destination())
            }
        };
        let transport = packet.len() - carried.payload.len();
        let header_len = match protocol {
            IpNumber::UDP | IpNumber::ICMP | IpNumber::IPV6_ICMP => 8,
            IpNumber::TCP => TcpHeaderSlice::from_slice(carried.payload)
                .map_err(|_| RewriteError::Malformed)?
                .slice()
                .len(),
            other => return Err(RewriteError::Protocol(other.0)),
        };
        if header_len > carried.payload.len() {
            return Err(RewriteError::Malformed);
        }
        let pseudo_header = match protocol {
            IpNumber::ICMP => Sum16BitWords::new(),
            protocol => addresses.add_2bytes([0, protocol.0]),
        };
        Ok(Self { protocol, transport, payload: transport + header_len, pseudo_header })
    }

    /// Where the payload ends: UDP has a length of its own, which may be less than what IP carries.
    fn datagram_end(&self, packet: &[u8]) -> usize {
        match (self.protocol, &packet[self.transport..]) {
            (IpNumber::UDP, [_, _, _, _, high, low, ..]) => {
                match u16::from_be_bytes([*high, *low]) {
                    // That of a datagram which has more bytes than the field can say.
                    0 => packet.len(),
                    len => self.transport + usize::from(len),
                }
            }
            _ => packet.len(),
        }
    }

    /// Makes length and checksum of what IP carries right.
    fn repair_transport(&self, packet: &mut [u8], is_unfinished: bool) -> Result<(), RewriteError> {
        let is_ipv4 = packet[0] >> 4 == 4;
        let datagram = &mut packet[self.transport..];
        let len = datagram.len();
        let counted = u16::try_from(len).map_err(|_| RewriteError::TooLong { len })?;
        let at = match self.protocol {
            IpNumber::TCP => 16,
            IpNumber::UDP => {
                datagram[4..6].copy_from_slice(&counted.to_be_bytes());
                if is_ipv4 && datagram[6..8] == [0, 0] && !is_unfinished {
                    return Ok(());
                }
                6
            }
            _ => 2,
        };
        datagram[at..at + 2].fill(0);
        let pseudo_header = match self.protocol {
            IpNumber::ICMP => self.pseudo_header.clone(),
            _ => self.pseudo_header.clone().add_2bytes(counted.to_be_bytes()),
        };
        let sum = pseudo_header.add_slice(datagram);
        let sum = match self.protocol {
            IpNumber::UDP => sum.to_ones_complement_with_no_zero(),
            _ => sum.ones_complement(),
        };
        datagram[at..at + 2].copy_from_slice(&sum.to_be().to_be_bytes());
        Ok(())
    }
}

/// Refuses the extension headers of IPv6 behind which a checksum cannot be known.
fn check_extension(header: &Ipv6ExtensionSlice<'_>) -> Result<(), RewriteError> {
    match header {
        Ipv6ExtensionSlice::Authentication(_) => Err(RewriteError::Authenticated),
        // Byte 3 is how many addresses are still to be visited.
        Ipv6ExtensionSlice::Routing(routing) if routing.slice().get(3) != Some(&0) => {
            Err(RewriteError::Routed)
        }
        _ => Ok(()),
    }
}
