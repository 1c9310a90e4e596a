//! What a packet is, in the words of tcpdump: [`Dissection`].

use core::fmt::{self, Write};

use etherparse::{
    Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, IpNumber, Ipv4HeaderSlice, Ipv6HeaderSlice,
    LaxIpPayloadSlice, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};
use ipq::{Family, Packet};

/// One line about the payload of a packet, as far as it can be made out.
#[derive(Debug)]
pub(crate) struct Dissection<'b> {
    family: Family,
    payload: &'b [u8],
}

impl<'b> Dissection<'b> {
    /// Of this packet.
    pub(crate) fn of(packet: &Packet<'b>) -> Self {
        Self::of_bytes(packet.family(), packet.payload())
    }

    /// Of these bytes from the IP header on.
    pub(crate) const fn of_bytes(family: Family, payload: &'b [u8]) -> Self {
        Self { family, payload }
    }
}

impl fmt::Display for Dissection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.family {
            Family::Ipv4 => "IP",
            Family::Ipv6 => "IP6",
        })?;
        if self.payload.is_empty() {
            return f.write_str(" (no payload)");
        }
        let len = self.payload.len();
        match LaxSlicedPacket::from_ip(self.payload) {
            Ok(sliced) => write_packet(f, &sliced),
            Err(_) if len < self.family.header_len() => write!(f, " length {len} [cut]"),
            Err(_) => write!(f, " malformed, {len} bytes"),
        }
    }
}

fn write_packet(f: &mut fmt::Formatter<'_>, sliced: &LaxSlicedPacket<'_>) -> fmt::Result {
    let (source, destination, payload): (&dyn fmt::Display, &dyn fmt::Display, _) =
        match &sliced.net {
            Some(LaxNetSlice::Ipv4(ipv4)) => {
                let header = ipv4.header();
                (&header.source_addr(), &header.destination_addr(), ipv4.payload())
            }
            Some(LaxNetSlice::Ipv6(ipv6)) => {
                let header = ipv6.header();
                (&header.source_addr(), &header.destination_addr(), ipv6.payload())
            }
            _ => return f.write_str(" malformed"),
        };
    let ports = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
        Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
        _ => None,
    };
    match ports {
        Some((from, to)) => write!(f, " {source}.{from} > {destination}.{to}: ")?,
        None => write!(f, " {source} > {destination}: ")?,
    }
    match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => write_tcp(f, tcp),
        Some(TransportSlice::Udp(udp)) => write_udp(f, udp),
        Some(TransportSlice::Icmpv4(icmp)) => write_icmp(f, icmp),
        Some(TransportSlice::Icmpv6(icmp)) => write_icmp6(f, icmp),
        Some(TransportSlice::Igmp(_)) | None => write_other(f, payload),
    }?;
    match &sliced.net {
        Some(LaxNetSlice::Ipv4(ipv4)) if payload.fragmented => write_fragment(f, &ipv4.header()),
        _ if payload.fragmented => f.write_str(" (fragment)"),
        _ if payload.incomplete => f.write_str(" [cut]"),
        _ => Ok(()),
    }
}

fn write_tcp(f: &mut fmt::Formatter<'_>, tcp: &TcpSlice<'_>) -> fmt::Result {
    f.write_str("Flags [")?;
    write_flags(f, tcp)?;
    write!(f, "], seq {}", tcp.sequence_number())?;
    if tcp.ack() {
        write!(f, ", ack {}", tcp.acknowledgment_number())?;
    }
    write!(f, ", win {}, length {}", tcp.window_size(), tcp.payload().len())
}

/// The letters of the flags that are set, as tcpdump has them.
fn write_flags(f: &mut fmt::Formatter<'_>, tcp: &TcpSlice<'_>) -> fmt::Result {
    let flags = [
        (tcp.fin(), 'F'),
        (tcp.syn(), 'S'),
        (tcp.rst(), 'R'),
        (tcp.psh(), 'P'),
        (tcp.ack(), '.'),
        (tcp.urg(), 'U'),
        (tcp.ece(), 'E'),
        (tcp.cwr(), 'W'),
    ];
    let mut shown =
        flags.iter().filter(|(is_set, _)| *is_set).map(|&(_, letter)| letter).peekable();
    if shown.peek().is_none() {
        return f.write_str("none");
    }
    shown.try_for_each(|letter| f.write_char(letter))
}

fn write_udp(f: &mut fmt::Formatter<'_>, udp: &UdpSlice<'_>) -> fmt::Result {
    write!(f, "UDP, length {}", udp.payload().len())
}

fn write_icmp(f: &mut fmt::Formatter<'_>, icmp: &Icmpv4Slice<'_>) -> fmt::Result {
    let len = icmp.slice().len();
    match icmp.icmp_type() {
        Icmpv4Type::EchoRequest(echo) => {
            write!(f, "ICMP echo request, id {}, seq {}, length {len}", echo.id, echo.seq)
        }
        Icmpv4Type::EchoReply(echo) => {
            write!(f, "ICMP echo reply, id {}, seq {}, length {len}", echo.id, echo.seq)
        }
        _ => write!(f, "ICMP type {} code {}, length {len}", icmp.type_u8(), icmp.code_u8()),
    }
}

fn write_icmp6(f: &mut fmt::Formatter<'_>, icmp: &Icmpv6Slice<'_>) -> fmt::Result {
    let len = icmp.slice().len();
    match icmp.icmp_type() {
        Icmpv6Type::EchoRequest(echo) => {
            write!(f, "ICMP6, echo request, id {}, seq {}, length {len}", echo.id, echo.seq)
        }
        Icmpv6Type::EchoReply(echo) => {
            write!(f, "ICMP6, echo reply, id {}, seq {}, length {len}", echo.id, echo.seq)
        }
        _ => write!(f, "ICMP6, type {} code {}, length {len}", icmp.type_u8(), icmp.code_u8()),
    }
}

fn write_other(f: &mut fmt::Formatter<'_>, payload: &LaxIpPayloadSlice<'_>) -> fmt::Result {
    match payload.ip_number.keyword_str() {
        Some(name) => f.write_str(name)?,
        None => write!(f, "ip-proto-{}", payload.ip_number.0)?,
    }
    write!(f, ", length {}", payload.payload.len())
}

/// `(frag 4711:1480@2960+)`: identification, length, offset and whether more follow.
fn write_fragment(f: &mut fmt::Formatter<'_>, header: &Ipv4HeaderSlice<'_>) -> fmt::Result {
    let len = usize::from(header.total_len()).saturating_sub(header.slice().len());
    let offset = header.fragments_offset().byte_offset();
    let more = if header.more_fragments() { "+" } else { "" };
    write!(f, " (frag {}:{len}@{offset}{more})", header.identification())
}

/// The IP header in the words of `tcpdump -v`.
pub(crate) enum Headers<'b> {
    Ipv4(Ipv4HeaderSlice<'b>),
    Ipv6(Ipv6HeaderSlice<'b>),
}

impl<'b> Headers<'b> {
    /// Of a packet, if the header is there.
    pub(crate) fn of(packet: &Packet<'b>) -> Option<Self> {
        let payload = packet.payload();
        match packet.family() {
            Family::Ipv4 => Ipv4HeaderSlice::from_slice(payload).ok().map(Self::Ipv4),
            Family::Ipv6 => Ipv6HeaderSlice::from_slice(payload).ok().map(Self::Ipv6),
        }
    }
}

impl fmt::Display for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ipv4(header) => {
                let tos = header.dcp().value() << 2 | header.ecn().value();
                let (ttl, id) = (header.ttl(), header.identification());
                let offset = header.fragments_offset().byte_offset();
                let flags = match (header.dont_fragment(), header.more_fragments()) {
                    (true, true) => "+, DF",
                    (true, false) => "DF",
                    (false, true) => "+",
                    (false, false) => "none",
                };
                write!(
                    f,
                    "(tos {tos:#x}, ttl {ttl}, id {id}, offset {offset}, flags [{flags}], proto "
                )?;
                write_protocol(f, header.protocol())?;
                write!(f, ", length {})", header.total_len())
            }
            Self::Ipv6(header) => {
                let (label, hops) = (header.flow_label().value(), header.hop_limit());
                write!(f, "(flowlabel {label:#07x}, hlim {hops}, next-header ")?;
                write_protocol(f, header.next_header())?;
                write!(f, ", payload length {})", header.payload_length())
            }
        }
    }
}

/// `UDP (17)`.
fn write_protocol(f: &mut fmt::Formatter<'_>, number: IpNumber) -> fmt::Result {
    match number.keyword_str() {
        Some(name) => write!(f, "{name} ({})", number.0),
        None => write!(f, "unknown ({})", number.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn line(family: Family, payload: &[u8]) -> String {
        Dissection { family, payload }.to_string()
    }

    /// Headers that lead into one another: version, protocol and next headers are often believable.
    fn payload() -> impl Strategy<Value = Vec<u8>> {
        let protocol = prop_oneof![
            4 => prop::sample::select(vec![0, 1, 2, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 135]),
            1 => any::<u8>(),
        ];
        (vec(any::<u8>(), 0..120), any::<bool>(), vec(protocol, 4)).prop_map(
            |(mut bytes, is_ipv4, protocols)| {
                let places = if is_ipv4 { [0, 9, 20, 24] } else { [0, 6, 40, 48] };
                for (place, protocol) in places.into_iter().zip(protocols) {
                    bytes.get_mut(place).into_iter().for_each(|byte| *byte = protocol);
                }
                let first = if is_ipv4 { 0x45 } else { 0x60 };
                bytes.first_mut().into_iter().for_each(|byte| *byte = first);
                bytes
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn any_payload_is_one_line(payload in payload(), is_ipv4 in any::<bool>()) {
            let family = if is_ipv4 { Family::Ipv4 } else { Family::Ipv6 };
            for len in [payload.len(), payload.len() / 2] {
                let line = line(family, &payload[..len]);
                prop_assert!(line.starts_with("IP"), "{}", line);
                prop_assert!(!line.contains(char::is_control), "{}", line);
            }
        }
    }

    #[test]
    fn less_than_a_header_is_cut_and_not_malformed() {
        assert_eq!(line(Family::Ipv4, &[]), "IP (no payload)");
        assert_eq!(line(Family::Ipv4, &[0x45]), "IP length 1 [cut]");
        assert_eq!(line(Family::Ipv4, &[0x45; 19]), "IP length 19 [cut]");
        assert_eq!(line(Family::Ipv6, &[0x60; 39]), "IP6 length 39 [cut]");
        assert_eq!(line(Family::Ipv4, &[0x4f; 20]), "IP malformed, 20 bytes");
        assert_eq!(line(Family::Ipv6, &[0x10; 40]), "IP6 malformed, 40 bytes");
    }
}
