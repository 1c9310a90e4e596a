//! The hops that a packet may still take.

use ipq_proto::Family;

use crate::fate::Reason;

/// Takes one hop from a packet that is about to be forwarded, and repairs the checksum of an IPv4 header.
///
/// # Errors
///
/// If it was its last one.
pub(crate) fn spend_hop(family: Family, packet: &mut [u8]) -> Result<(), Reason> {
    match family {
        Family::Ipv4 => {
            let Some([_, _, _, _, _, _, _, _, hops, _, sum_high, sum_low, ..]) =
                packet.first_chunk_mut::<20>()
            else {
                return Err(Reason::Malformed);
            };
            *hops = one_less(*hops)?;
            // The word with the hops in its upper half became smaller, so its complement grows (RFC 1141).
            let sum = u16::from_be_bytes([*sum_high, *sum_low]);
            let (repaired, carry) = sum.overflowing_add(0x0100);
            [*sum_high, *sum_low] = (repaired + u16::from(carry)).to_be_bytes();
        }
        Family::Ipv6 => {
            let Some([_, _, _, _, _, _, _, hops, ..]) = packet.first_chunk_mut::<40>() else {
                return Err(Reason::Malformed);
            };
            *hops = one_less(*hops)?;
        }
    }
    Ok(())
}

fn one_less(hops: u8) -> Result<u8, Reason> {
    match hops {
        0 | 1 => Err(Reason::HopLimit),
        hops => Ok(hops - 1),
    }
}
