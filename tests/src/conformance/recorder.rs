//! A conversation of a program that asks for packets, prints their messages and accepts them: hooks, devices, ranges.

use core::net::IpAddr;
use std::io::IoSlice;

use ipq_bridge::Bridge;
use ipq_proto::ip_queue::{MODE, ModeMsg, PacketMsg, VERDICT, VerdictMsg};
use ipq_proto::netlink::{Body, Flags, Framed, HEADER_LEN, Header, MessageType};
use ipq_proto::{EncodeError, HardwareAddress, Hook, Verdict};
use ipq_sim::capture::Timestamp;
use ipq_sim::{Device, Kernel, Match, SocketOptions, Target};
use ipq_sys::{Deadline, IpQueueStatus, Protocol, Received, Transport};
use zerocopy::{Immutable, IntoBytes, LittleEndian};

use super::Arm;
use super::ids::Ids;
use super::probe::counters;
use super::traffic::{completed, loopback, udp};
use super::wanted::{PACKET_HEAD, Wanted, describe, id_at};
use super::{Log, MODEL, Model};
use crate::recording::{self, Conversation, Event, Recorder};

/// More than any datagram of a recording.
const BUFFER_LEN: usize = 100_000;

/// The queue that packets go to where it has a number.
const QUEUE: u16 = 5;

/// What `/proc` says of a queue that nobody has asked anything of yet.
const NEW: &str = "Queue max. length : 1024";

/// Who sent the frames that came in, 02:..:bb in the heading. What came in by the tun device had no frame.
const NEIGHBOUR: [u8; 6] = [2, 0, 0, 0, 0, 0xbb];

/// Replays `conversation` on a machine of its own.
///
/// The program prints a certain number of messages and exits, so whatever follows the last one is after its exit.
pub(super) fn replay(conversation: &Conversation, recorder: &Recorder, arm: Arm, log: &mut Log) {
    let messages: Vec<_> = messages(conversation).collect();
    let kernel = machine(conversation, arm);
    let mut program = None;
    let mut ids = Ids::default();
    let mut printed = 0;
    for item in &conversation.items {
        log.begin(item);
        match &item.event {
            Event::Recorder(_) => program = started(&kernel, recorder, arm, log),
            Event::Receive(wanted) => {
                if printed == 0 {
                    enter(&kernel, conversation, wanted, log);
                }
                printed += 1;
                if let Some(program) = &mut program {
                    program.receive(wanted, &mut ids, log);
                    kernel.run();
                }
                if printed == messages.len()
                    && let Some(mut program) = program.take()
                {
                    program.is_silent(log);
                }
            }
            Event::Counters { counters: wanted, .. } => {
                // Without its program a bridge is gone, and begins anew.
                let status = match (&program, arm.is_bridge()) {
                    (_, false) => kernel.ip_queue_status(recorder.family),
                    (Some(program), true) => program.socket.kernel_status().ip_queues.pop(),
                    (None, true) => IpQueueStatus::parse(recorder.family, NEW).ok(),
                };
                log.compare(&Some(*wanted), &status.map(|status| counters(&status)));
            }
            other => log.differs("a packet message or counters", format!("{other:?}")),
        }
    }
}

/// The packet messages of a conversation.
fn messages(conversation: &Conversation) -> impl Iterator<Item = &recording::Received> {
    conversation.items.iter().filter_map(|item| match &item.event {
        Event::Receive(received) => Some(received),
        _ => None,
    })
}

/// The recording machine: a dummy, a tap and a tun device, a network behind the first of them, and a rule at each hook
/// that the conversation has a message from. Its wall clock stands at the arrival.
fn machine(conversation: &Conversation, arm: Arm) -> Kernel {
    let network = "10.9.0.0/24".parse().expect("a network");
    let builder = Kernel::builder()
        .data_model(MODEL)
        .start_time(arrival(conversation))
        .device(Device::ethernet("dummy0"))
        .device(Device::ethernet("tap0"))
        .device(Device::point_to_point("tun0"))
        .route(network, "dummy0");
    let kernel = builder.build();
    if !arm.is_bridge() {
        kernel.load_ip_queue(conversation.family);
    }
    // With `ip_queue` as the handler, the number makes no difference.
    let is_numbered = conversation.heading.contains("NFQUEUE");
    let target = match (is_numbered, arm.is_bridge()) {
        (_, true) | (true, _) => Target::nfqueue(QUEUE),
        (false, false) => Target::Queue,
    };
    let packets = messages(conversation).filter_map(|received| received.packet.as_ref());
    let mut hooks: Vec<_> = packets.map(|packet| Hook(packet.hook)).collect();
    hooks.sort_unstable();
    hooks.dedup();
    for hook in hooks {
        kernel.rule(hook, Match::any(), target);
    }
    kernel
}

/// When the packet arrived, if it did at all.
fn arrival(conversation: &Conversation) -> Timestamp {
    let links = messages(conversation).filter_map(|received| received.packet.as_ref()?.link);
    let mut times = links.filter_map(|link| {
        let nanoseconds = u32::try_from(link.microseconds).ok()?.checked_mul(1000)?;
        Timestamp::new(link.seconds, nanoseconds)
    });
    times.find(|&time| time != Timestamp::EPOCH).unwrap_or(Timestamp::EPOCH)
}

/// Lets the packet that `first` announces enter the kernel, the way it did.
fn enter(kernel: &Kernel, conversation: &Conversation, first: &recording::Received, log: &mut Log) {
    let Some(packet) = &first.packet else { return log.differs("a packet message", "another") };
    let family = conversation.family;
    let payload = first.bytes.get(PACKET_HEAD..).unwrap_or_default();
    let payload =
        usize::try_from(packet.data_len).ok().and_then(|len| payload.get(..len)).unwrap_or(payload);
    let data = if payload.is_empty() {
        let to = conversation.heading.split([' ', '(', ')']).find_map(address);
        udp(to.unwrap_or_else(|| loopback(family)), b"hello")
    } else {
        completed(family, payload)
    };
    if packet.indev.is_empty() {
        kernel.send_marked(family, &data, u32::try_from(packet.mark).unwrap_or(u32::MAX));
    } else {
        let sender = HardwareAddress::new(&NEIGHBOUR).expect("an Ethernet address");
        kernel.receive_from(&packet.indev, sender, family, &data);
    }
    kernel.run();
}

/// The address in a word of a heading, which may have a port.
fn address(word: &str) -> Option<IpAddr> {
    word.strip_suffix(":9999").unwrap_or(word).parse().ok()
}

/// The program that prints.
struct Program {
    socket: Box<dyn Transport>,
    port_id: u32,
}

/// The program, after it has set its mode.
fn started(kernel: &Kernel, recorder: &Recorder, arm: Arm, log: &mut Log) -> Option<Program> {
    let sizes = (size_of::<PacketMsg<Model>>(), size_of::<VerdictMsg<Model>>());
    log.compare(&(recorder.packet_msg_len, recorder.peer_msg_len), &sizes);
    let port_id = recorder.port_id;
    let mut program = match socket(kernel, recorder, arm) {
        Ok(socket) => Program { socket, port_id },
        Err(error) => {
            log.differs("a socket", error);
            return None;
        }
    };
    program.request(MODE, ModeMsg::<Model>::from_raw(recorder.mode, recorder.range), log);
    Some(program)
}

/// Its socket.
fn socket(kernel: &Kernel, recorder: &Recorder, arm: Arm) -> Result<Box<dyn Transport>, String> {
    let Recorder { family, port_id, .. } = *recorder;
    let options = SocketOptions { port_id: Some(port_id), ..SocketOptions::default() };
    if !arm.is_bridge() {
        let socket = kernel.open_socket(family, options);
        return socket.map(|socket| Box::new(socket) as _).map_err(|error| error.to_string());
    }
    let below = kernel.open_socket_for(Protocol::Netfilter, options);
    let below = below.map_err(|error| error.to_string())?;
    let bridge = Bridge::claim(below, QUEUE, family, ipq_bridge::Options::default());
    bridge.map(|bridge| Box::new(bridge) as _).map_err(|error| error.to_string())
}

impl Program {
    fn request<B: Body<Order = LittleEndian> + Immutable + IntoBytes>(
        &mut self,
        message_type: MessageType,
        body: Result<B, EncodeError>,
        log: &mut Log,
    ) {
        let header = Header::new(message_type, Flags::REQUEST, 0, self.port_id);
        let framed = body.and_then(|body| Framed::new(header, body, 0));
        let sent = match &framed {
            Ok(framed) => self.socket.send(&[IoSlice::new(framed.as_bytes())]),
            Err(error) => return log.differs("a request", error.to_string()),
        };
        if let Err(error) = sent {
            log.differs("a request", error.to_string());
        }
    }

    /// The next message is the `wanted` one; its packet is accepted.
    fn receive(&mut self, wanted: &recording::Received, ids: &mut Ids, log: &mut Log) {
        let mut buffer = vec![0; BUFFER_LEN];
        let found = match self.socket.receive(&mut buffer, Deadline::Immediate) {
            Ok(Received::Datagram { len }) => &buffer[..len],
            other => {
                return log
                    .differs(format!("a datagram of {} bytes", wanted.len), format!("{other:?}"));
            }
        };
        Wanted::compare(wanted, found, ids, log);
        if let (Some(id), Some(packet)) = (id_at(found, HEADER_LEN), &wanted.packet) {
            ids.decided(packet.id);
            self.request(VERDICT, VerdictMsg::<Model>::new(id, Verdict::Accept, 0), log);
        }
    }

    /// There is nothing more to print.
    fn is_silent(&mut self, log: &mut Log) {
        let mut buffer = vec![0; BUFFER_LEN];
        match self.socket.receive(&mut buffer, Deadline::Immediate) {
            Ok(Received::TimedOut) => (),
            Ok(Received::Datagram { len }) => {
                log.differs("no more messages", describe(&buffer[..len]));
            }
            other => log.differs("no more messages", format!("{other:?}")),
        }
    }
}
