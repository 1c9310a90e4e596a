//! What the messages say.

use ipq_proto::ip_queue as ipq;
use ipq_proto::nfqueue as nfq;
use ipq_proto::{DeviceName, EtherType, HardwareAddress, HardwareType, Hook, Verdict};

use super::Message;

/// What requests say.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The number of the queue.
    pub queue: u16,
    /// The number of the packet in its queue.
    pub id: u32,
    /// How `ip_queue` names it.
    pub address: u64,
    /// What becomes of it.
    pub verdict: Verdict,
    /// How many bytes of packets are wanted.
    pub range: u32,
    /// The number of the request.
    pub sequence: u32,
    /// What takes the packet's place.
    pub replacement: [u8; 84],
}

/// What they say here. `c/codec.c` has the same.
pub const WANTED: Wanted = Wanted {
    queue: 3,
    id: 0x0102_0304,
    address: 0xffff_8800_1234_5660,
    verdict: Verdict::Accept,
    range: 0xffff,
    sequence: 7,
    replacement: PAYLOAD,
};

/// The netfilter mark of packets.
const MARK: u32 = 0x11;

/// The packet itself.
pub const PAYLOAD: [u8; 84] = *b"E\0\0T\0\x01@\0@\x01<\xa6\x7f\0\0\x01\x7f\0\0\x01\
    0123456789012345678901234567890123456789012345678901234567890123";

/// A packet of `ip_queue`.
pub fn ip_queue_packet(payload: &[u8]) -> ipq::Packet<'_> {
    ipq::Packet {
        id: WANTED.address,
        mark: MARK.into(),
        timestamp: ipq::Timestamp { seconds: 1_795_429_884, microseconds: 481_597 },
        hook: Hook::LocalIn,
        input_device: DeviceName::new("eth0").unwrap_or_default(),
        output_device: DeviceName::NONE,
        hw_protocol: EtherType(0x0800),
        hw_type: HardwareType(1),
        hw_address: hardware_address(),
        payload,
    }
}

/// A packet of `nfnetlink_queue`.
pub fn nfqueue_packet(payload: &[u8]) -> nfq::Packet<'_> {
    nfq::Packet {
        family: 2,
        queue: WANTED.queue,
        id: WANTED.id,
        hw_protocol: EtherType(0x0800),
        hook: Hook::LocalIn,
        mark: Some(MARK),
        timestamp: Some(nfq::Timestamp { seconds: 1_795_429_884, microseconds: 481_597 }),
        input_device: Some(2),
        output_device: Some(1),
        hw_address: Some(hardware_address()),
        skb_info: Some(nfq::SkbInfo::CHECKSUM_NOT_VERIFIED),
        uid: Some(1000),
        gid: Some(1000),
        payload: Some(payload),
        ..nfq::Packet::default()
    }
}

fn hardware_address() -> HardwareAddress {
    HardwareAddress::from_wire(6, [2, 0, 0, 0, 0, 0xbb, 0, 0])
}

impl Message {
    /// Whether its attributes are those of `nfnetlink_queue`.
    pub const fn is_nfqueue(self) -> bool {
        !matches!(self, Self::IpQueuePacket | Self::IpQueueVerdict | Self::IpQueueMode)
    }

    /// The message as it is sent.
    ///
    /// # Panics
    ///
    /// Never: `ipq-proto` writes them all.
    pub fn bytes(self) -> Vec<u8> {
        let mut buffer = vec![0; 512];
        let len = super::ours::write(self, &mut buffer);
        buffer.truncate(len);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::codec::{Direction, Implementation, ours};

    #[test]
    fn all_read_and_write_the_same() {
        for direction in [Direction::Decode, Direction::Encode] {
            for &message in Message::value_variants() {
                let ours = ours::run(direction, message, 1).digest;
                assert!(ours.is_some(), "{direction:?} {message:?}");
                for implementation in Implementation::value_variants() {
                    let measured = implementation.run(direction, message, 1);
                    if let Some(digest) = measured.and_then(|measured| measured.digest) {
                        assert_eq!(
                            Some(digest),
                            ours,
                            "{direction:?} {message:?}, {implementation:?}"
                        );
                    }
                }
            }
        }
    }
}
