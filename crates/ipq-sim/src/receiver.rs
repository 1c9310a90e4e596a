//! What whoever receives a packet checks: lengths and checksums.
//!
//! `ip_queue` repairs nothing, so a packet that a program replaced is looked at here, in full, before it is
//! delivered (spec/ip_queue-kernel.md, "A verdict takes effect").

use core::cmp::Ordering;
use core::net::IpAddr;

use etherparse::IpNumber;
use etherparse::checksum::Sum16BitWords;
use ipq_proto::Family;

use crate::fate::Reason;
use crate::headers::Headers;
use crate::packet::{Checksums, Packet};

/// Checks the IP header of `packet`, and cuts off what lies behind the length it gives.
#[inline]
pub(crate) fn check_ip(packet: &mut Packet) -> Result<(), Reason> {
    if packet.checksums == Checksums::Verified || packet.is_sound() {
        return Ok(());
    }
    check_ip_header(packet)
}

fn check_ip_header(packet: &mut Packet) -> Result<(), Reason> {
    let len = match packet.family {
        Family::Ipv4 => ipv4_len(packet.data())?,
        Family::Ipv6 => ipv6_len(packet.data())?,
    };
    match packet.data().len().cmp(&len) {
        Ordering::Less => return Err(Reason::Short),
        Ordering::Equal => (),
        Ordering::Greater => packet.data_mut().truncate(len),
    }
    packet.set_sound();
    Ok(())
}

/// Checks the transport header of `packet`, whose IP header has been checked.
///
/// A fragment is not checked: its checksum covers the whole.
pub(crate) fn check_transport(packet: &mut Packet) -> Result<(), Reason> {
    if packet.checksums == Checksums::Verified {
        return Ok(());
    }
    let Headers { source, destination, protocol, is_fragment, payload_at, .. } = *packet.headers();
    let (Some(source), Some(destination), Some(protocol)) = (source, destination, protocol) else {
        return Err(Reason::Malformed);
    };
    if is_fragment {
        return Ok(());
    }
    // Nothing lies behind the length that the IP header gives any more.
    let payload = packet.data().get(payload_at..).ok_or(Reason::Short)?;
    let addresses = add_address(add_address(Sum16BitWords::new(), source), destination);
    check_payload(packet.family, IpNumber(protocol), payload, addresses)
}

fn add_address(mut sum: Sum16BitWords, address: IpAddr) -> Sum16BitWords {
    match address {
        IpAddr::V4(address) => sum.add_4bytes(address.octets()),
        IpAddr::V6(address) => sum.add_16bytes(address.octets()),
    }
}

fn check_payload(
    family: Family,
    protocol: IpNumber,
    bytes: &[u8],
    addresses: Sum16BitWords,
) -> Result<(), Reason> {
    let with_pseudo_header = |bytes: &[u8]| {
        // A length above 65,535 is a jumbogram's; its upper half belongs to the sum as well.
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut sum = addresses;
        sum = sum.add_4bytes(len).add_2bytes([0, protocol.0]);
        verify(&sum.add_slice(bytes))
    };
    match (protocol, family) {
        (IpNumber::UDP, _) => match (udp_datagram(family, bytes)?, family) {
            ((_, [0, 0]), Family::Ipv4) => Ok(()),
            ((_, [0, 0]), Family::Ipv6) => Err(Reason::TransportChecksum),
            ((datagram, _), _) => with_pseudo_header(datagram),
        },
        (IpNumber::TCP, _) if bytes.len() < 20 => Err(Reason::Short),
        (IpNumber::ICMP, Family::Ipv4) | (IpNumber::IPV6_ICMP, Family::Ipv6) if bytes.len() < 8 => {
            Err(Reason::Short)
        }
        (IpNumber::TCP, _) | (IpNumber::IPV6_ICMP, Family::Ipv6) => with_pseudo_header(bytes),
        (IpNumber::ICMP, Family::Ipv4) => verify(&Sum16BitWords::new().add_slice(bytes)),
        _ => Ok(()),
    }
}

/// The UDP datagram in `bytes` by its own length, and its checksum field. A jumbogram's length is 0: it has all
/// there is (RFC 2675).
fn udp_datagram(family: Family, bytes: &[u8]) -> Result<(&[u8], [u8; 2]), Reason> {
    let Some(&[_, _, _, _, len_high, len_low, sum_high, sum_low]) = bytes.first_chunk() else {
        return Err(Reason::Short);
    };
    let len = match (usize::from(u16::from_be_bytes([len_high, len_low])), family) {
        (0, Family::Ipv6) => bytes.len(),
        (len, _) => len,
    };
    let datagram = bytes.get(..len).filter(|datagram| datagram.len() >= 8).ok_or(Reason::Short)?;
    Ok((datagram, [sum_high, sum_low]))
}

fn verify(sum: &Sum16BitWords) -> Result<(), Reason> {
    if sum.ones_complement() == 0 { Ok(()) } else { Err(Reason::TransportChecksum) }
}

/// The total length that an IPv4 header gives, in bytes.
fn ipv4_len(data: &[u8]) -> Result<usize, Reason> {
    let Some(&[version_and_len, _, total_high, total_low, ..]) = data.first_chunk::<20>() else {
        return Err(Reason::Malformed);
    };
    let header_len = usize::from(version_and_len & 0xf) * 4;
    let header = data.get(..header_len).filter(|header| header.len() >= 20);
    let header = header.filter(|_| version_and_len >> 4 == 4).ok_or(Reason::Malformed)?;
    if Sum16BitWords::new().add_slice(header).ones_complement() != 0 {
        return Err(Reason::IpChecksum);
    }
    let total_len = usize::from(u16::from_be_bytes([total_high, total_low]));
    if total_len < header_len { Err(Reason::Malformed) } else { Ok(total_len) }
}

/// The length that an IPv6 header gives, itself included, in bytes. A jumbogram, whose length is in a hop-by-hop
/// option, gives none there: it has all there is (RFC 2675).
fn ipv6_len(data: &[u8]) -> Result<usize, Reason> {
    const HOP_BY_HOP: u8 = IpNumber::IPV6_HEADER_HOP_BY_HOP.0;
    let Some(&[version_and_class, _, _, _, len_high, len_low, next_header, ..]) =
        data.first_chunk::<40>()
    else {
        return Err(Reason::Malformed);
    };
    if version_and_class >> 4 != 6 {
        return Err(Reason::Malformed);
    }
    match (u16::from_be_bytes([len_high, len_low]), next_header) {
        (0, HOP_BY_HOP) => Ok(data.len()),
        (payload_len, _) => Ok(40 + usize::from(payload_len)),
    }
}
