//! Packets to the program that has a queue.

use ipq_proto::abi::AbiVisitor;
use ipq_proto::nfqueue::{self as wire, QueueFlags, SkbInfo};
use ipq_proto::{Abi, CopyMode, DataModel, Family, Hook};

use super::{Nfqueue, Refusal};
use crate::fate::Reason;
use crate::machine::Machine;
use crate::packet::{Checksums, Packet, Position};
use crate::queueing::NotQueued;
use crate::rule::Destination;
use crate::trace::{QueueId, TraceEvent};

/// Room for everything in a message that is of a fixed size, some 180 bytes, and for the headers and padding of the rest,
/// 28 at most, in bytes.
const HEAD_LEN: usize = 256;

impl Machine {
    /// Lets a packet wait in a queue of `nfnetlink_queue`.
    pub(crate) fn enter_nfqueue(
        &mut self,
        packet: Packet,
        position: Position,
        to: Destination,
    ) -> Result<(), NotQueued> {
        let passes = to.bypass;
        let Some(queues) = self.nfqueues.as_mut() else {
            return Err(NotQueued { packet, reason: Reason::NoQueue, passes });
        };
        let Some(queue) = queues.get(to.number) else {
            return Err(NotQueued { packet, reason: Reason::NoPeer, passes });
        };
        let passes = queue.fails_open();
        let mode = match queue.admit() {
            Ok(mode) => mode,
            Err(Refusal::CopyModeNone) => {
                return Err(NotQueued::dropped(packet, Reason::CopyModeNone));
            }
            Err(Refusal::Full) => {
                return Err(NotQueued { packet, reason: Reason::QueueFull, passes });
            }
        };
        let id = queue.waiting.take_id();
        let mut message = describe(&packet, position, (to.number, id), (mode, queue.flags));
        if !self.has_arrival_times {
            message.timestamp = None;
        }
        let mut buffer = self.memory.messages.take();
        encode(self.model, &message, &mut buffer);
        let owner = queue.owner;
        if !self.sockets.is_open(owner.socket, owner.port_id) {
            self.violated("a queue belongs to a closed socket");
        }
        let is_sent = self.send_to(owner.socket, buffer);
        let Some(queue) = self.nfqueues.as_mut().and_then(|queues| queues.get(to.number)) else {
            return Err(NotQueued::dropped(packet, Reason::NoQueue));
        };
        if !is_sent {
            queue.count_lost_message();
            return Err(NotQueued { packet, reason: Reason::ReceiveBufferFull, passes });
        }
        let number = packet.number;
        if !queue.waiting.insert(id, packet, position) {
            self.violated("an id is given out twice");
        }
        self.totals.queued += 1;
        let queue = QueueId::Nfqueue(to.number);
        self.note(TraceEvent::Queued { packet: number, queue, id: id.into(), hook: position.hook });
        Ok(())
    }
}

impl Nfqueue {
    /// Counts a message that its reader's buffer had no room for, unless its packet passes.
    fn count_lost_message(&mut self) {
        if !self.fails_open() {
            self.user_dropped = self.user_dropped.wrapping_add(1);
        }
    }
}

/// What the program is told of a packet.
fn describe(
    packet: &Packet,
    position: Position,
    (queue, id): (u16, u32),
    (mode, flags): (CopyMode, QueueFlags),
) -> wire::Packet<'_> {
    let (payload, packet_len) = match mode {
        CopyMode::Packet { range } => {
            let data = packet.data();
            let payload = data.get(..range as usize).unwrap_or(data);
            let is_cut = payload.len() < data.len();
            (Some(payload), is_cut.then(|| u32::try_from(data.len()).unwrap_or(u32::MAX)))
        }
        CopyMode::None | CopyMode::Metadata => (None, None),
    };
    let rare = packet.rare.as_deref();
    let owner = packet.owner.filter(|_| flags.contains(QueueFlags::UID_GID));
    let security_context = rare.and_then(|rare| rare.security_context.as_deref());
    let conntrack = rare.and_then(|rare| rare.conntrack.as_ref());
    let conntrack = conntrack.filter(|_| flags.contains(QueueFlags::CONNTRACK));
    // Of what comes from outside nobody has looked at the checksums yet.
    let is_unverified = packet.input.is_some() && packet.checksums == Checksums::Unverified;
    wire::Packet {
        family: address_family(packet.family),
        queue,
        id,
        hw_protocol: packet.family.ether_type(),
        hook: position.hook,
        mark: Some(packet.mark).filter(|&mark| mark != 0),
        priority: Some(packet.priority).filter(|&priority| priority != 0),
        timestamp: arrival(packet, position.hook),
        input_device: packet.input,
        output_device: packet.output,
        physical_input_device: rare.and_then(|rare| rare.bridge_input),
        physical_output_device: rare.and_then(|rare| rare.bridge_output),
        vlan: rare.and_then(|rare| rare.vlan),
        link_header: rare.and_then(|rare| rare.link_header.as_deref()),
        security_context: security_context.filter(|_| flags.contains(QueueFlags::SECURITY_CONTEXT)),
        conntrack: conntrack.map(|(attributes, _)| attributes.as_slice()),
        conntrack_info: conntrack.map(|(_, state)| *state),
        hw_address: Some(packet.link.address).filter(|address| !address.is_empty()),
        packet_len,
        skb_info: is_unverified.then_some(SkbInfo::CHECKSUM_NOT_VERIFIED),
        uid: owner.map(|(uid, _)| uid),
        gid: owner.map(|(_, gid)| gid),
        payload,
    }
}

/// When a packet arrived. Once it is forwarded the time is that of its departure, which is not known yet.
fn arrival(packet: &Packet, hook: Hook) -> Option<wire::Timestamp> {
    let is_known = packet.input.is_some() && hook != Hook::PostRouting;
    let time = packet.timestamp.filter(|_| is_known)?;
    let seconds = u64::try_from(time.seconds()).ok()?;
    let microseconds = u64::from(time.nanoseconds() / 1000);
    Some(wire::Timestamp { seconds, microseconds })
}

/// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
const fn address_family(family: Family) -> u8 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
}

/// Writes the message into `buffer`, which is empty.
fn encode(model: DataModel, packet: &wire::Packet<'_>, buffer: &mut Vec<u8>) {
    struct Encode<'p, 'b>(&'p wire::Packet<'p>, &'b mut Vec<u8>);
    impl AbiVisitor for Encode<'_, '_> {
        type Output = ();

        fn visit<A: Abi>(self) {
            let Self(packet, buffer) = self;
            let wire::Packet { payload, link_header, security_context, conntrack, .. } = packet;
            let data = [payload, link_header, security_context, conntrack];
            let len: usize = data.into_iter().flatten().map(|data| data.len()).sum();
            buffer.resize(HEAD_LEN + len, 0);
            let len = packet.encode::<A::Order>(buffer).expect("there is room for every attribute");
            buffer.truncate(len);
        }
    }
    model.with(Encode(packet, buffer));
}
