//! What a packet is, in the words of tcpdump: [`Dissection`].

use core::fmt;

use etherparse::{
    Icmpv4Slice, Icmpv4Type, Icmpv6Slice, Icmpv6Type, IpNumber, Ipv4HeaderSlice, LaxIpPayloadSlice,
    LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
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
        Self { family: packet.family(), payload: packet.payload() }
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
        match LaxSlicedPacket::from_ip(self.payload) {
            Ok(sliced) => write_packet(f, &sliced),
            Err(_) => write!(f, " malformed, {} bytes", self.payload.len()),
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
    let shown: String =
        flags.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect();
    let flags = if shown.is_empty() { "none" } else { &shown };
    let len = tcp.payload().len();
    write!(f, "Flags [{flags}], seq {}", tcp.sequence_number())?;
    if tcp.ack() {
        write!(f, ", ack {}", tcp.acknowledgment_number())?;
    }
    write!(f, ", win {}, length {len}", tcp.window_size())
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
    match payload.ip_number {
        number @ (IpNumber::TCP | IpNumber::UDP | IpNumber::ICMP | IpNumber::IPV6_ICMP) => {
            write!(f, "{}", number.keyword_str().unwrap_or("?"))?;
        }
        number => match number.keyword_str() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "ip-proto-{}", number.0)?,
        },
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
