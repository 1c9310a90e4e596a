//! Packets as the recording programs sent them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use etherparse::PacketBuilder;
use ipq_proto::Family;

/// The port that the programs sent to.
pub(super) const PORT: u16 = 9999;

/// How long to wait for what must arrive. Only a conversation that differs waits so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What the programs filled long datagrams with.
const FILL: u8 = b'A';

/// A UDP datagram to port 9999 at `destination`.
pub(super) fn udp(destination: IpAddr, data: &[u8]) -> Vec<u8> {
    let builder = match destination {
        IpAddr::V4(to) => PacketBuilder::ipv4(to.octets(), to.octets(), 64),
        IpAddr::V6(to) => PacketBuilder::ipv6(to.octets(), to.octets(), 64),
    };
    let builder = builder.udp(40_000, PORT);
    let mut packet = Vec::with_capacity(builder.size(data.len()));
    builder.write(&mut packet, data).expect("a datagram that fits");
    packet
}

/// This host, to itself.
pub(super) fn loopback(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    }
}

/// The data of a UDP datagram, by its own length; `None` if `packet` is too short for it.
pub(super) fn udp_data(family: Family, packet: &[u8]) -> Option<&[u8]> {
    let udp = packet.get(family.header_len()..)?;
    let len = u16::from_be_bytes(*udp.get(4..)?.first_chunk()?);
    udp.get(8..usize::from(len))
}

/// A packet of which `beginning` is known, up to the length that its header gives.
pub(super) fn completed(family: Family, beginning: &[u8]) -> Vec<u8> {
    let len = match (family, beginning) {
        (Family::Ipv4, [_, _, high, low, ..]) => u16::from_be_bytes([*high, *low]).into(),
        (Family::Ipv6, [_, _, _, _, high, low, ..]) => {
            family.header_len() + usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => beginning.len(),
    };
    let mut packet = beginning.to_vec();
    packet.resize(len.max(beginning.len()), FILL);
    packet
}
