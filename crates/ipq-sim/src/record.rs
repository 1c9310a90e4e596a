//! What happened in a kernel, as captures that Wireshark shows: [`write_conversation`] and [`write_traffic`].

use std::collections::BTreeMap;
use std::io;

use ipq_proto::DeviceName;
use ipq_sys::{Clock, Protocol};

use crate::capture::{
    CaptureError, Interface, LinkType, PcapngWriter, Precision, Timestamp, Writer,
};
use crate::fate::Outcome;
use crate::trace::{TraceEntry, TraceEvent};

/// A datagram between a program and a simulated kernel, as [`Kernel::take_conversation`](crate::Kernel::take_conversation)
/// gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Datagram {
    /// When it was sent: the simulated time since the kernel started.
    pub time: Clock,
    /// Whether the program sent it, and not the kernel.
    pub is_request: bool,
    /// The netlink protocol.
    pub protocol: Protocol,
    /// The port id of the program's socket.
    pub port_id: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// What packets of [`LinkType::NETLINK`] begin with, after the type of the packet: the hardware type of netlink devices.
#[doc(alias = "ARPHRD_NETLINK")]
const HARDWARE_TYPE: u16 = 824;

/// The type of a packet that goes to user space (`PACKET_USER`), and of one that goes to the kernel (`PACKET_KERNEL`).
const PACKET_TYPES: [u16; 2] = [6, 7];

/// Writes datagrams as a pcap file of netlink messages, as a capture on an nlmon device of a real kernel is one. The clock
/// of the kernel started at `start`: [`Kernel::start_time`](crate::Kernel::start_time).
///
/// ```
/// use ipq_proto::Family;
/// use ipq_sim::{Kernel, QueueId, write_conversation};
/// use ipq_sys::Transport;
///
/// let kernel = Kernel::builder().record().build();
/// let mut socket = kernel.socket(Family::Ipv4);
/// let _ = socket.send(&[std::io::IoSlice::new(&[0; 16])]);
/// let conversation = kernel.take_conversation();
/// assert!(conversation[0].is_request);
/// let file = write_conversation(Vec::new(), &conversation, kernel.start_time())?;
/// assert!(!file.is_empty());
/// # Ok::<(), ipq_sim::capture::CaptureError>(())
/// ```
///
/// # Errors
///
/// If `out` cannot be written.
pub fn write_conversation<W: io::Write>(
    out: W,
    conversation: &[Datagram],
    start: Timestamp,
) -> Result<W, CaptureError> {
    let mut writer = Writer::of_link_type(out, Precision::Nanoseconds, LinkType::NETLINK)?;
    let mut packet = Vec::new();
    for datagram in conversation {
        let packet_type = PACKET_TYPES[usize::from(datagram.is_request)];
        packet.clear();
        packet.extend(packet_type.to_be_bytes());
        packet.extend(HARDWARE_TYPE.to_be_bytes());
        packet.extend([0; 10]);
        packet.extend(datagram.protocol.number().to_be_bytes().iter().skip(2));
        packet.extend(&datagram.bytes);
        writer.write(start.saturating_add(datagram.time), &packet)?;
    }
    writer.finish()
}

/// What is told of a packet.
#[derive(Debug, Default)]
struct Story {
    entered: Clock,
    comment: String,
}

/// Writes packets as a pcapng file, each as it was at its end, at the time it entered, with what became of it in its
/// comment: where it was queued, the verdict, its fate.
///
/// It takes all of `outcomes` and all of the `trace` of a kernel that was built to [trace](crate::Builder::trace) and whose
/// clock started at `start`.
///
/// # Errors
///
/// If `out` cannot be written.
pub fn write_traffic<W: io::Write>(
    out: W,
    outcomes: &[Outcome],
    trace: &[TraceEntry],
    start: Timestamp,
) -> Result<W, CaptureError> {
    let stories = stories(trace);
    let mut packets: Vec<&Outcome> = outcomes.iter().collect();
    packets.sort_by_key(|outcome| outcome.number);
    let mut writer = PcapngWriter::new(out)?;
    let mut interfaces: Vec<(DeviceName, Interface)> = Vec::new();
    for outcome in packets {
        let device = match outcome.input_device {
            DeviceName::NONE => outcome.output_device,
            device => device,
        };
        if !interfaces.iter().any(|(name, _)| *name == device) {
            let interface = writer.add_interface(&device.to_string(), LinkType::RAW)?;
            interfaces.push((device, interface));
        }
        let known = interfaces.iter().find(|(name, _)| *name == device);
        let Some(&(_, interface)) = known else { continue };
        let untold = Story { entered: Clock::ZERO, comment: outcome.fate.to_string() };
        let Story { entered, comment } = stories.get(&outcome.number).unwrap_or(&untold);
        writer.write(interface, start.saturating_add(*entered), &outcome.data, comment)?;
    }
    writer.finish()
}

/// What the trace tells of each packet, by number.
fn stories(trace: &[TraceEntry]) -> BTreeMap<u64, Story> {
    let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
    for TraceEntry { time, event } in trace {
        let Some(number) = event.packet() else { continue };
        let story = stories.entry(number).or_default();
        let text = event.to_string();
        let text = text.split_once(": ").map_or(text.as_str(), |(_, text)| text);
        match event {
            TraceEvent::Entered { .. } => {
                story.entered = *time;
                story.comment = format!("packet {number}: {text}");
            }
            TraceEvent::Hook { .. } => (),
            _ => {
                story.comment.push_str("; ");
                story.comment.push_str(text);
            }
        }
    }
    stories
}
