//! What the tests of sessions share: kernels, packets, and a transport that follows a script.

mod script;

pub(crate) use script::*;

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use etherparse::PacketBuilder;
use ipq::{CopyMode, Event, Families, Family, Hook, Packet, PacketId, Queue};
use ipq_proto::DataModel;
use ipq_sim::capture::{CapturedPacket, Entry, Timestamp};
use ipq_sim::{Device, Kernel, Match, SocketOptions, Target};

pub(crate) const WHOLE: CopyMode = CopyMode::Packet { range: 0 };
pub(crate) const MS: Duration = Duration::from_millis(1);

/// A datagram from this host to itself.
pub(crate) fn udp(family: Family, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    let step = match family {
        Family::Ipv4 => {
            let address = Ipv4Addr::LOCALHOST.octets();
            PacketBuilder::ipv4(address, address, 64)
        }
        Family::Ipv6 => {
            let address = Ipv6Addr::LOCALHOST.octets();
            PacketBuilder::ipv6(address, address, 64)
        }
    };
    step.udp(40_000, 9999).write(&mut packet, payload).unwrap();
    packet
}

/// A kernel that queues what this host sends, and what comes in by `eth0`.
pub(crate) fn kernel(model: DataModel) -> Kernel {
    let kernel = Kernel::builder().data_model(model).device(Device::ethernet("eth0")).build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    kernel.rule(Hook::PreRouting, Match::any().input_device("eth0"), Target::Queue);
    kernel
}

pub(crate) fn native() -> Kernel {
    kernel(DataModel::NATIVE)
}

/// This host sends a datagram, which is queued at once.
pub(crate) fn send(kernel: &Kernel, family: Family, payload: &[u8]) {
    kernel.send(family, &udp(family, payload));
    kernel.run();
}

/// Datagrams that come in by `eth0` at these times, in milliseconds.
pub(crate) fn replay(kernel: &Kernel, family: Family, times: &[u64]) {
    let start = Timestamp::new(1_795_429_884, 0).unwrap();
    let entries: Vec<_> = times
        .iter()
        .map(|&ms| {
            Ok(Entry::Packet(CapturedPacket {
                number: 1,
                timestamp: start.saturating_add(Duration::from_millis(ms)),
                family,
                hardware_type: ipq::HardwareType::ETHERNET,
                hardware_address: ipq::HardwareAddress::NONE,
                data: udp(family, &ms.to_be_bytes()),
                cut: None,
            }))
        })
        .collect();
    kernel.replay("eth0", entries.into_iter());
}

/// A session that has asked for whole packets.
#[track_caller]
pub(crate) fn session(kernel: &Kernel, families: impl Into<Families>) -> Queue {
    session_with(kernel, families, SocketOptions::default())
}

#[track_caller]
pub(crate) fn session_with(
    kernel: &Kernel,
    families: impl Into<Families>,
    options: SocketOptions,
) -> Queue {
    let mut queue = quiet_session(kernel, families, options);
    queue.set_mode(WHOLE).unwrap();
    queue
}

/// A session that has asked for nothing yet.
#[track_caller]
pub(crate) fn quiet_session(
    kernel: &Kernel,
    families: impl Into<Families>,
    options: SocketOptions,
) -> Queue {
    let sockets = families.into().iter().map(|family| kernel.open_socket(family, options).unwrap());
    Queue::with_sockets(sockets).unwrap()
}

/// The next event, which must be a packet: its id, and what follows its UDP header.
#[track_caller]
pub(crate) fn next_packet(queue: &mut Queue) -> (PacketId, Vec<u8>) {
    let mut buffer = vec![0; queue.buffer_len()];
    match queue.read(&mut buffer, None).unwrap() {
        Some(Event::Packet(packet)) => (packet.id(), udp_payload(&packet)),
        other => panic!("no packet but {other:?}"),
    }
}

pub(crate) fn udp_payload(packet: &Packet<'_>) -> Vec<u8> {
    packet.payload()[packet.family().header_len() + 8..].to_vec()
}

/// That nothing comes any more.
#[track_caller]
pub(crate) fn hears_nothing(queue: &mut Queue) {
    let mut buffer = vec![0; queue.buffer_len()];
    let event = queue.read(&mut buffer, Some(Duration::ZERO)).unwrap();
    assert!(event.is_none(), "{event:?}");
}

/// Runs `body` on kernels of every word size and byte order, for each family and for both.
pub(crate) fn everywhere(body: impl Fn(DataModel, Families)) {
    for model in DataModel::ALL {
        for families in [Families::Ipv4, Families::Ipv6, Families::Both] {
            body(model, families);
        }
    }
}
