//! A packet of `nfnetlink_queue` as `ip_queue` tells of it.

use ipq_proto::ip_queue::{self, PacketMsg, Timestamp};
use ipq_proto::netlink::{Flags, Framed, Header, padding};
use ipq_proto::{Abi, DeviceName, EtherType, Family, HardwareAddress, HardwareType, Hook, nfqueue};
use ipq_sys::{Devices, Transport};
use zerocopy::IntoBytes;

use crate::cut::Cut;

/// What the module says of a packet that came from `transport`.
///
/// The kernels that had it knew less at some hooks than those of today, and told more at others.
pub(crate) fn describe<'b, T: Transport + ?Sized>(
    family: Family,
    packet: &nfqueue::Packet<'b>,
    devices: &mut Devices,
    transport: &T,
) -> ip_queue::Packet<'b> {
    let payload = packet.payload.unwrap_or_default();
    // They forgot how a forwarded packet came in once it was routed.
    let input = packet.input_device.filter(|_| packet.hook != Hook::PostRouting);
    let input = input.and_then(|index| devices.info(index, transport));
    let output = packet.output_device.and_then(|index| devices.info(index, transport));
    // Without a link-layer header there is neither an address nor a type.
    let link = input.zip(packet.hw_address).filter(|_| packet.hook != Hook::PostRouting);
    ip_queue::Packet {
        id: packet.id.into(),
        mark: packet.mark.unwrap_or(0).into(),
        timestamp: arrival(packet, transport),
        hook: packet.hook,
        input_device: input.map_or(DeviceName::NONE, |device| device.name),
        output_device: output.map_or(DeviceName::NONE, |device| device.name),
        hw_protocol: hw_protocol(family, packet),
        hw_type: link.map_or(HardwareType::NONE, |(device, _)| device.hw_type),
        hw_address: link.map_or(HardwareAddress::NONE, |(_, address)| address),
        payload,
    }
}

/// When the packet arrived: now, where the kernel does not say. One that was made on this host did not arrive.
fn arrival<T: Transport + ?Sized>(packet: &nfqueue::Packet<'_>, transport: &T) -> Timestamp {
    let is_own = match packet.hook {
        Hook::LocalOut => true,
        Hook::PostRouting => packet.input_device.is_none(),
        _ => false,
    };
    if is_own {
        return Timestamp::NONE;
    }
    let known = packet.timestamp.and_then(|time| {
        let seconds = i64::try_from(time.seconds).ok()?;
        let microseconds = i64::try_from(time.microseconds).ok()?;
        Some(Timestamp { seconds, microseconds })
    });
    let time = known.unwrap_or_else(|| transport.wall_clock());
    let long = |value| transport.data_model().cut_to_long(value);
    Timestamp { seconds: long(time.seconds), microseconds: long(time.microseconds) }
}

/// The protocol as the link layer has it. It was not yet known at `LOCAL_OUT`, but of fragments.
fn hw_protocol(family: Family, packet: &nfqueue::Packet<'_>) -> EtherType {
    let is_fragment = || packet.payload.is_some_and(|packet| is_fragment(family, packet));
    if packet.hook == Hook::LocalOut && !is_fragment() {
        EtherType::NONE
    } else {
        packet.hw_protocol
    }
}

/// Whether a packet is one of several fragments, by its header.
fn is_fragment(family: Family, packet: &[u8]) -> bool {
    if Family::of_packet(packet) != Some(family) {
        return false;
    }
    match family {
        Family::Ipv4 => {
            const MORE_AND_OFFSET: u16 = 0x3fff;
            let field = packet.get(6..).and_then(<[u8]>::first_chunk);
            field.is_some_and(|field| u16::from_be_bytes(*field) & MORE_AND_OFFSET != 0)
        }
        Family::Ipv6 => is_ipv6_fragment(packet),
    }
}

/// Whether there is a fragment header among those at the start of an IPv6 packet (RFC 8200, 4).
fn is_ipv6_fragment(packet: &[u8]) -> bool {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const DESTINATION: u8 = 60;
    let Some(&(mut next)) = packet.get(6) else { return false };
    let mut rest = packet.get(Family::Ipv6.header_len()..).unwrap_or_default();
    // Each header is at least 8 bytes long, so that this ends.
    while let (HOP_BY_HOP | ROUTING | DESTINATION, [following, units, ..]) = (next, rest) {
        next = *following;
        rest = rest.get(8 + 8 * usize::from(*units)..).unwrap_or_default();
    }
    next == FRAGMENT
}

/// Writes the message that tells of a packet, which has `payload_len` bytes of payload although not all may be there.
pub(crate) fn write<A: Abi>(packet: &ip_queue::Packet<'_>, payload_len: usize, to: &mut Cut<'_>) {
    let pad = padding(payload_len);
    let header = Header::new(ip_queue::PACKET, Flags::NONE, 0, 0);
    // Every number was made to fit, and packets are far below 4 GiB.
    let Ok(message) = PacketMsg::<A>::with_payload_len(packet, payload_len) else { return };
    let Ok(framed) = Framed::new(header, message, payload_len + pad.len()) else { return };
    to.put(framed.as_bytes());
    to.put(packet.payload);
    to.skip(payload_len - packet.payload.len());
    to.put(pad);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of an IPv4 header with this field of flags and offset.
    fn ipv4(field: u16) -> Vec<u8> {
        let mut header = vec![0x45, 0, 0, 20, 0, 0, 0, 0];
        header[6..8].copy_from_slice(&field.to_be_bytes());
        header
    }

    #[test]
    fn knows_a_fragment_of_ipv4_by_its_offset_or_by_what_is_to_follow() {
        for (field, expected) in [(0, false), (0x4000, false), (0x2000, true), (1, true)] {
            assert_eq!(is_fragment(Family::Ipv4, &ipv4(field)), expected, "{field:#x}");
        }
        assert!(!is_fragment(Family::Ipv6, &ipv4(1)), "it is no IPv6");
    }

    #[test]
    fn knows_a_fragment_of_ipv6_by_a_header_behind_others() {
        let packet = |next: &[u8]| {
            let mut packet = vec![0; 40];
            packet[0] = 0x60;
            packet[6] = next[0];
            // Each extension header is 8 bytes long, but for the second one, which has 16.
            for (position, &next) in next[1..].iter().enumerate() {
                let units = u8::from(position == 1);
                packet.extend([next, units]);
                packet.resize(packet.len() + 6 + 8 * usize::from(units), 0xff);
            }
            packet
        };
        for (headers, expected) in [
            (&[17][..], false),
            (&[44, 17], true),
            (&[0, 60, 44, 17], true),
            (&[0, 60, 43, 6], false),
            (&[58], false),
        ] {
            assert_eq!(is_fragment(Family::Ipv6, &packet(headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn looks_no_further_than_there_are_bytes() {
        let whole = [&[0x60, 0, 0, 0, 0, 0, 0][..], &[0; 33], &[60, 255], &[0; 30]].concat();
        for len in 0..whole.len() {
            assert!(!is_fragment(Family::Ipv6, &whole[..len]));
            assert!(!is_fragment(Family::Ipv4, &ipv4(1)[..len.min(7)]));
        }
    }
}
