//! The recorded conversations, replayed against the simulated kernel: what it answers, in which order, what its counters
//! say and what the network delivers must be what the real one did.
//!
//! Packet ids are addresses, so they are mapped; pad bytes after a payload are rubbish in the recording and not compared.
//! Conversations in which more than one program speaks are not replayed here, and listed as such.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use core::net::{Ipv4Addr, Ipv6Addr};

use etherparse::PacketBuilder;
use ipq_proto::ip_queue::{Message, datagram};
use ipq_proto::{DataModel, Family, Hook};
use ipq_sim::{Fate, IpQueueStatus, Kernel, Match, Outcome, Socket, SocketOptions, Target};
use ipq_sys::{Deadline, Received, Transport};
use ipq_tests::recording::{self, Conversation, Counters, Event, Meaning, Sent};

/// What the recorded programs run against, instead of Linux 3.4.
struct Replay {
    kernel: Kernel,
    family: Family,
    socket: Option<Socket>,
    port_id: u32,
    /// The id here of a packet that the recording knows by another.
    ids: BTreeMap<u64, u64>,
    /// The packet whose message was cut, so that its recorded id was not printed.
    cut: Option<u64>,
    delivered: VecDeque<Outcome>,
    /// The two counters of dropped packets before the conversation: recorded, and here.
    before: [(u32, u32); 2],
}

/// Whether a conversation can be replayed with one program; if not, why.
fn is_one_program(conversation: &Conversation) -> Result<(), &'static str> {
    let heading = conversation.heading.as_str();
    if heading.contains("nfnetlink_queue") {
        return Err("it is with nfnetlink_queue");
    }
    let several = ["second process", "killed", "nlmsg_pid", "close, dup"];
    if several.iter().any(|part| heading.contains(part)) {
        return Err("several programs or sockets speak in it");
    }
    Ok(())
}

#[test]
fn the_simulated_kernel_says_what_the_real_one_said() {
    let probe = recording::probe().unwrap();
    let (mut conversations, mut exchanges) = (0, 0);
    let mut ends = BTreeMap::new();
    let mut kernels = Family::ALL.map(|family| (family, kernel()));
    for conversation in &probe.conversations {
        let name = format!("{} {}", conversation.family, conversation.heading);
        let end = ends.entry(conversation.family as u8).or_insert((0, 0));
        match is_one_program(conversation) {
            Ok(()) => {
                let kernel =
                    &mut kernels.iter_mut().find(|of| of.0 == conversation.family).unwrap().1;
                exchanges +=
                    Replay::new(kernel.clone(), conversation.family, *end).play(conversation);
                conversations += 1;
            }
            Err(why) => eprintln!("not replayed: {name}: {why}"),
        }
        let mut counters = conversation.items.iter().filter_map(|item| match &item.event {
            Event::Counters { counters, .. } => Some(counters),
            _ => None,
        });
        if let Some(last) = counters.next_back() {
            *end = (last.queue_dropped, last.netlink_dropped);
        }
    }
    eprintln!("{conversations} conversations, {exchanges} exchanges");
    assert_eq!((conversations, exchanges), (40, 808));
}

fn kernel() -> Kernel {
    let kernel = Kernel::builder().data_model(DataModel::Lp64Little).build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    Family::ALL.map(|family| kernel.load_ip_queue(family));
    kernel
}

impl Replay {
    fn new(kernel: Kernel, family: Family, recorded: (u32, u32)) -> Self {
        let status = kernel.ip_queue_status(family).unwrap();
        kernel.device_up("lo");
        kernel.set_queue_max_length(family, 1024);
        kernel.take_outcomes();
        Self {
            kernel,
            family,
            socket: None,
            port_id: 0,
            ids: BTreeMap::new(),
            cut: None,
            delivered: VecDeque::new(),
            before: [(recorded.0, status.queue_dropped), (recorded.1, status.netlink_dropped)],
        }
    }

    /// Replays a conversation and returns how many of its lines were compared or acted upon.
    fn play(mut self, conversation: &Conversation) -> usize {
        let mut exchanges = 0;
        for item in &conversation.items {
            let line =
                format!("probe.txt:{} ({}): {:?}", item.line, conversation.heading, item.event);
            self.happen(&item.event, &line);
            exchanges += 1;
        }
        exchanges
    }

    fn happen(&mut self, event: &Event, line: &str) {
        match event {
            Event::Speaker { port_id, .. } => {
                self.port_id = *port_id;
                self.socket = Some(self.open(true));
            }
            Event::Send(sent) => self.send(sent),
            Event::Receive(expected) => self.receive(expected, line),
            Event::Silence { .. } => {
                assert_eq!(self.next(&mut [0; 256]), Received::TimedOut, "{line}");
            }
            Event::ReceiveFailed { errno } => {
                assert_eq!(*errno, 105, "{line}");
                assert_eq!(self.next(&mut [0; 256]), Received::Overrun, "{line}");
            }
            Event::Transmit { text, .. } => {
                // Not every write to the sysctl left a line; the datagram after it says what was written.
                if let Some(length) = text.strip_prefix("maxlen") {
                    let length = length.parse::<i32>().unwrap().cast_unsigned();
                    self.kernel.set_queue_max_length(self.family, length);
                }
                self.kernel.send(self.family, &udp(self.family, text.as_bytes()));
                self.kernel.run();
            }
            Event::Delivered { len, text } => {
                self.collect();
                let outcome =
                    self.delivered.pop_front().unwrap_or_else(|| panic!("nothing came: {line}"));
                let data = udp_data(self.family, &outcome.data);
                assert_eq!(data.len(), *len, "{line}");
                let start = &text.as_bytes()[..text.len().min(20)];
                assert!(data.starts_with(start), "{line}");
            }
            Event::NotDelivered { .. } => {
                self.collect();
                assert_eq!(self.delivered, [], "{line}");
            }
            Event::Counters { counters, after_exit } => {
                if *after_exit {
                    self.socket = None;
                    self.kernel.set_queue_max_length(self.family, 1024);
                }
                self.compare_counters(counters, line);
            }
            Event::Other(text) => self.act(text, line),
            other => panic!("not in a probe: {other:?}"),
        }
    }

    fn open(&self, privileged: bool) -> Socket {
        let options =
            SocketOptions { port_id: Some(self.port_id), privileged, ..SocketOptions::default() };
        self.kernel.open_socket(self.family, options).unwrap()
    }

    fn socket(&mut self) -> &mut Socket {
        self.socket.as_mut().expect("a program speaks")
    }

    fn next(&mut self, buffer: &mut [u8]) -> Received {
        self.socket().receive(buffer, Deadline::Immediate).unwrap()
    }

    fn send(&mut self, sent: &Sent) {
        let mut bytes = if sent.is_whole() { sent.bytes.clone() } else { self.rebuilt(sent) };
        for at in (0..bytes.len().saturating_sub(39)).step_by(40).take(2) {
            self.map_id(&mut bytes, at);
        }
        self.socket().send(&[IoSlice::new(&bytes)]).unwrap();
        self.kernel.run();
    }

    /// Puts our id into the verdict at `at`, if there is one.
    fn map_id(&self, bytes: &mut [u8], at: usize) {
        if bytes[at + 4..at + 6] == [0x12, 0] {
            let field = &mut bytes[at + 24..at + 32];
            let recorded = u64::from_le_bytes(field.try_into().unwrap());
            let ours = self.ids.get(&recorded).copied();
            // Small numbers are made up; an address that was never printed is that of the message that was cut.
            let unseen = self.cut.filter(|_| recorded > 0xffff_0000_0000_0000);
            if let Some(id) = ours.or(unseen) {
                field.copy_from_slice(&id.to_le_bytes());
            }
        }
    }

    /// A verdict with a replacement too long to be printed: so many bytes of data, all `B`.
    fn rebuilt(&self, sent: &Sent) -> Vec<u8> {
        let Some(Meaning::Verdict(verdict)) = sent.meaning else { panic!("{sent:?}") };
        let headers = self.family.header_len() + 8;
        let data = vec![b'B'; verdict.payload_len - headers];
        let replacement = match verdict.payload_len {
            0..=0xffff => udp(self.family, &data),
            len => vec![0; len],
        };
        let mut bytes = sent.bytes.clone();
        bytes.truncate(40);
        if bytes.is_empty() {
            bytes.extend(u32::try_from(sent.len).unwrap().to_le_bytes());
            bytes.extend([0x12, 0]);
            bytes.extend(verdict.flags.to_le_bytes());
            bytes.extend(0x5566_7788_u32.to_le_bytes());
            bytes.extend(self.port_id.to_le_bytes());
            bytes.extend(u64::from(verdict.value).to_le_bytes());
            bytes.extend(verdict.id.to_le_bytes());
            bytes.extend(verdict.data_len.to_le_bytes());
        }
        bytes.extend(replacement);
        bytes
    }

    fn receive(&mut self, expected: &recording::Received, line: &str) {
        let mut buffer = vec![0; 100_000];
        let received = self.next(&mut buffer);
        assert_eq!(received, Received::Datagram { len: expected.len }, "{line}");
        let bytes = &buffer[..expected.len];
        let (header, message) = datagram(DataModel::Lp64Little, bytes).unwrap();
        let found =
            (header.len, header.message_type.0, header.flags.0, header.sequence, header.port_id);
        let printed = &expected.header;
        let wanted = (printed.len, printed.message_type, printed.flags, printed.seq, printed.pid);
        assert_eq!(found, wanted, "{line}");
        match (message, &expected.packet) {
            (Message::Packet(packet), Some(wanted)) => {
                self.ids.insert(wanted.id, packet.id);
                let found = (packet.mark, packet.hook.0, packet.payload.len() as u64);
                assert_eq!(found, (wanted.mark, wanted.hook, wanted.data_len), "{line}");
                let devices =
                    [packet.input_device, packet.output_device].map(|name| name.to_string());
                assert_eq!(devices, [wanted.indev.clone(), wanted.outdev.clone()], "{line}");
            }
            (Message::Reply(reply), None) => {
                let (code, _) = expected.error.as_ref().unwrap();
                assert_eq!(reply.code, *code, "{line}");
                if expected.is_whole() {
                    let mut wanted = expected.bytes.clone();
                    if wanted.len() >= 60 {
                        self.map_id(&mut wanted, 20);
                    }
                    let len = header.len as usize;
                    assert_eq!(bytes[..len], wanted[..len], "{line}");
                }
            }
            (message, _) => panic!("{message}: {line}"),
        }
    }

    fn collect(&mut self) {
        let outcomes = self.kernel.take_outcomes().into_iter();
        self.delivered.extend(outcomes.filter(|outcome| outcome.fate == Fate::Delivered));
    }

    fn compare_counters(&self, wanted: &Counters, line: &str) {
        let IpQueueStatus {
            peer_port_id,
            copy_mode,
            queue_length,
            queue_max_length,
            queue_dropped,
            netlink_dropped,
            ..
        } = self.kernel.ip_queue_status(self.family).unwrap();
        let [(recorded_queue, our_queue), (recorded_netlink, our_netlink)] = self.before;
        let found = Counters {
            peer_pid: peer_port_id,
            copy_mode: copy_mode.value(),
            copy_range: copy_mode.range(),
            queue_len: u32::try_from(queue_length).unwrap(),
            queue_max_len: queue_max_length,
            queue_dropped: queue_dropped - our_queue + recorded_queue,
            netlink_dropped: netlink_dropped - our_netlink + recorded_netlink,
        };
        assert_eq!(found, *wanted, "{line}");
    }

    /// Does what a line without a form of its own says was done.
    fn act(&mut self, text: &str, line: &str) {
        match text {
            "setuid 65534: 0" => {
                self.socket = None;
                self.socket = Some(self.open(false));
            }
            "SO_RCVBUF now 2240" => self.socket().set_receive_buffer(2240).unwrap(),
            "with NETLINK_NO_ENOBUFS" => self.socket().report_overruns(false).unwrap(),
            "lo down" => self.kernel.device_down("lo"),
            "4" => {
                self.kernel.set_queue_max_length(self.family, 4);
            }
            text if text.starts_with("recvmsg with a 50-byte buffer") => {
                let mut buffer = [0; 50];
                let datagram_len = text.rsplit(' ').next().unwrap().parse().unwrap();
                let cut = Received::Truncated { len: 50, datagram_len };
                assert_eq!(self.next(&mut buffer), cut, "{line}");
                self.cut = Some(u64::from_le_bytes(buffer[16..24].try_into().unwrap()));
            }
            text if text.starts_with("nonblocking recv on empty") => {
                assert_eq!(self.next(&mut [0; 50]), Received::TimedOut, "{line}");
            }
            // Remarks.
            "4 messages received" | "-- reversed order" | "## IPv6" | "## dmesg" | "-1" => (),
            text if text.starts_with("old id ") => (),
            other => panic!("what is this: {other:?} at {line}"),
        }
    }
}

/// A UDP datagram over the loopback, as the recording program sent them.
fn udp(family: Family, data: &[u8]) -> Vec<u8> {
    let builder = match family {
        Family::Ipv4 => {
            let local = Ipv4Addr::LOCALHOST.octets();
            PacketBuilder::ipv4(local, local, 64)
        }
        Family::Ipv6 => {
            let local = Ipv6Addr::LOCALHOST.octets();
            PacketBuilder::ipv6(local, local, 64)
        }
    };
    let builder = builder.udp(40_000, 9999);
    let mut packet = Vec::with_capacity(builder.size(data.len()));
    builder.write(&mut packet, data).unwrap();
    packet
}

/// The data of a UDP datagram, by its own length.
fn udp_data(family: Family, packet: &[u8]) -> &[u8] {
    let udp = &packet[family.header_len()..];
    &udp[8..usize::from(u16::from_be_bytes([udp[4], udp[5]]))]
}
