//! A conversation of programs that say everything and print everything: the kernel's rules, one by one.

use ipq_proto::netlink::{self, HEADER_LEN};
use ipq_proto::{DeviceName, Family, Verdict};
use ipq_sys::{IpQueueStatus, Protocol, Received};
use zerocopy::LittleEndian;

use super::Log;
use super::act::Act;
use super::ids::Ids;
use super::traffic::{loopback, udp};
use super::wanted::{ID_OF_VERDICT, Wanted, describe, id_at, verdict_id};
use super::world::World;
use crate::recording::{self, Conversation, Counters, Event, Item, Meaning, Sent};

/// More than any datagram of a recording.
const BUFFER_LEN: usize = 100_000;

/// The maximum length of a queue unless a script sets another.
const MAX_LENGTH: u32 = 1024;

/// The flag of recvmsg(2) that says that a datagram was cut: `MSG_TRUNC`.
const TRUNCATED: u32 = 0x20;

/// Replays `conversation` in the `world` that those before it have left.
pub(super) fn replay(conversation: &Conversation, world: &mut dyn World, log: &mut Log) {
    let family = conversation.family;
    world.network().begin(family);
    let mut replay = Replay {
        world,
        family,
        own: Protocol::ip_queue(family),
        asked: Protocol::ip_queue(family),
        speaker: 0,
        ids: Ids::default(),
        log,
    };
    let mut items = conversation.items.as_slice();
    while let Some((item, following)) = items.split_first() {
        replay.log.begin(item);
        replay.happen(&item.event, following);
        items = following;
    }
}

/// A conversation that is going on.
struct Replay<'l> {
    world: &'l mut dyn World,
    family: Family,
    /// The protocol of `ip_queue`.
    own: Protocol,
    /// The protocol of the last request, which may be `nfnetlink_queue`.
    asked: Protocol,
    /// The port id of the program that spoke of itself last.
    speaker: u32,
    ids: Ids,
    log: &'l mut Log,
}

impl Replay<'_> {
    fn happen(&mut self, event: &Event, following: &[Item]) {
        match event {
            Event::Speaker { port_id, .. } => {
                self.speaker = *port_id;
                self.open(*port_id, true);
            }
            Event::Send(sent) => self.send(sent, following),
            Event::Receive(received) => self.receive(received),
            Event::Silence { .. } => self.is_silent(),
            Event::ReceiveFailed { errno } => {
                let wanted = (*errno == ipq_proto::Errno::ENOBUFS.0).then_some(Received::Overrun);
                let found = self.receive_for(self.own, None, &mut [0; HEADER_LEN]);
                self.log.compare(&wanted, &found.ok());
            }
            Event::Transmit { text, .. } => self.transmit(text),
            Event::Delivered { len, text } => self.is_delivered(*len, text),
            Event::NotDelivered { .. } => {
                if let Some(data) = self.world.network().delivered(self.family, false) {
                    let found = String::from_utf8_lossy(&data);
                    self.log.differs("no delivery", format!("{} bytes {found:?}", data.len()));
                }
            }
            Event::Counters { counters, after_exit } => {
                if *after_exit {
                    self.exit();
                }
                self.has_counters(counters);
            }
            Event::Other(text) => match Act::parse(text) {
                Some(act) => self.act(act),
                None => self.log.differs("a line that is known", format!("{text:?}")),
            },
            Event::Recorder(recorder) => {
                self.log.differs("a program that prints its requests", format!("{recorder:?}"));
            }
        }
    }

    fn open(&mut self, port_id: u32, privileged: bool) {
        if let Err(errno) = self.world.open(self.own, port_id, privileged) {
            self.log.differs(format!("a socket with port id {port_id}"), errno.to_string());
        }
    }

    /// All programs end, and the script puts the sysctl back.
    fn exit(&mut self) {
        for protocol in [self.own, Protocol::Netfilter] {
            for port_id in self.world.port_ids(protocol) {
                self.world.close(protocol, port_id);
            }
        }
        self.ids.flushed();
        self.world.set_max_length(self.family, MAX_LENGTH);
    }

    /// The port id of the program that gets the packets.
    fn peer(&mut self) -> u32 {
        self.world.status(self.family).map_or(0, |status| status.peer_port_id)
    }

    /// What is there for a socket, or for that of the program that gets the packets.
    fn receive_for(
        &mut self,
        protocol: Protocol,
        port_id: Option<u32>,
        buffer: &mut [u8],
    ) -> Result<Received, String> {
        let port_id = port_id.unwrap_or_else(|| self.peer());
        self.world.receive(protocol, port_id, buffer)
    }

    /// Who sent a request: the reply's header has the port id of its socket, and where none came, the request has it.
    fn sender(&self, sent: &Sent, following: &[Item]) -> u32 {
        let mut until_next =
            following.iter().take_while(|item| !matches!(item.event, Event::Send(_)));
        let reply = until_next.find_map(|item| match &item.event {
            Event::Receive(received) if received.error.is_some() => Some(received.header.pid),
            _ => None,
        });
        let claimed = || sent.bytes.get(12..)?.first_chunk().map(|pid| u32::from_le_bytes(*pid));
        reply.or_else(claimed).unwrap_or(self.speaker)
    }

    fn send(&mut self, sent: &Sent, following: &[Item]) {
        let sender = self.sender(sent, following);
        let mut datagram =
            if sent.is_whole() { sent.bytes.clone() } else { rebuilt(sent, self.family, sender) };
        self.translate(&mut datagram);
        let asks_netfilter = sent.description.starts_with("nfnetlink_queue ");
        self.asked = if asks_netfilter { Protocol::Netfilter } else { self.own };
        if let Err(error) = self.world.send(self.asked, sender, &datagram) {
            self.log.differs(format!("{} bytes sent", sent.returned), error);
        }
    }

    /// Puts the ids of the simulated kernel into the verdicts of a datagram. The kernel reads only the first one.
    fn translate(&mut self, datagram: &mut [u8]) {
        let messages = netlink::messages::<LittleEndian>(datagram).map_while(Result::ok);
        let offsets: Vec<_> = messages.map(|message| message.offset).collect();
        for offset in offsets {
            let message = &mut datagram[offset..];
            let Some(recorded) = verdict_id(message) else { continue };
            let here = self.ids.here(recorded);
            message[ID_OF_VERDICT..][..8].copy_from_slice(&here.to_le_bytes());
            let value = message.get(HEADER_LEN..).and_then(|body| body.first_chunk());
            let verdict = value.map(|value| Verdict(u32::from_le_bytes(*value)));
            if offset == 0 && verdict.is_some_and(Verdict::is_allowed) {
                self.ids.decided(recorded);
            }
        }
    }

    /// Replies go to who asked, packets to the peer.
    fn receive(&mut self, wanted: &recording::Received) {
        let mut buffer = vec![0; BUFFER_LEN];
        let found = match wanted.error {
            Some(_) => self.receive_for(self.asked, Some(wanted.header.pid), &mut buffer),
            None => self.receive_for(self.own, None, &mut buffer),
        };
        match found {
            Ok(Received::Datagram { len }) => {
                Wanted::compare(wanted, &buffer[..len], &mut self.ids, self.log);
            }
            other => {
                let wanted = format!("a datagram of {} bytes", wanted.len);
                self.log.differs(wanted, format!("{other:?}"));
            }
        }
    }

    /// Nobody has anything to receive.
    fn is_silent(&mut self) {
        let mut buffer = vec![0; BUFFER_LEN];
        for protocol in [self.own, Protocol::Netfilter] {
            for port_id in self.world.port_ids(protocol) {
                let found = match self.world.receive(protocol, port_id, &mut buffer) {
                    Ok(Received::TimedOut) => continue,
                    Ok(Received::Datagram { len }) => describe(&buffer[..len]),
                    other => format!("{other:?}"),
                };
                self.log.differs("silence", format!("{found} for {port_id}"));
            }
        }
    }

    fn transmit(&mut self, text: &str) {
        // Not every write to the sysctl left a line; the datagram after it says what was written.
        if let Some(length) = text.strip_prefix("maxlen").and_then(|length| length.parse().ok()) {
            self.set_max_length(length);
        }
        self.world.network().transmit(self.family, text.as_bytes());
    }

    /// The next datagram has so many bytes, which begin with `text`: the program printed no more than 60.
    fn is_delivered(&mut self, len: usize, text: &str) {
        let wanted = || format!("{len} bytes {text:?}");
        let Some(data) = self.world.network().delivered(self.family, true) else {
            return self.log.differs(wanted(), "nothing");
        };
        if data.len() != len || !data.starts_with(text.as_bytes()) {
            let found = String::from_utf8_lossy(&data);
            self.log.differs(wanted(), format!("{} bytes {found:?}", data.len()));
        }
    }

    fn has_counters(&mut self, wanted: &Counters) {
        match self.world.status(self.family) {
            Some(status) => self.log.compare(wanted, &counters(&status)),
            None => self.log.differs(format!("{wanted:?}"), "no module"),
        }
    }

    fn set_max_length(&mut self, length: i32) {
        self.world.set_max_length(self.family, length.cast_unsigned());
    }

    fn act(&mut self, act: Act<'_>) {
        match act {
            Act::DropPrivileges => {
                self.world.close(self.own, self.speaker);
                self.open(self.speaker, false);
            }
            Act::SetReceiveBuffer(len) => {
                let set = self.world.set_receive_buffer(self.own, self.speaker, len);
                self.log.compare(&Ok(()), &set);
            }
            Act::IgnoreOverruns => {
                let set = self.world.ignore_overruns(self.own, self.speaker);
                self.log.compare(&Ok(()), &set);
            }
            Act::ReceiveCut { buffer_len, len, flags, message_len } => {
                self.receive_cut(buffer_len, (len, flags, message_len));
            }
            Act::ReceiveNothing => self.is_silent(),
            Act::BindRefused { port_id, errno } => {
                let refused = self.world.open(self.own, port_id, true).err().map(|errno| errno.0);
                self.log.compare(&Some(errno), &refused);
            }
            Act::Bind(port_id) => self.open(port_id, true),
            Act::Close(port_id) => self.close(port_id),
            Act::CloseOwn => self.close(self.speaker),
            Act::CloseOneDescriptor => self.world.replace_descriptor(self.own, self.speaker),
            Act::KillOwner => {
                let peer = self.peer();
                self.close(peer);
            }
            Act::DeviceDown(device) => {
                self.world.network().device_down(DeviceName::new(device).unwrap_or_default());
                self.ids.flushed();
            }
            Act::SetMaxLength(length) => self.set_max_length(length),
            Act::Handler { protocol_family, name } => self.has_handler(protocol_family, name),
            Act::Remark => (),
        }
    }

    fn close(&mut self, port_id: u32) {
        let was_peer = self.peer() == port_id;
        self.world.close(self.own, port_id);
        if was_peer {
            self.ids.flushed();
        }
    }

    /// A message is read into a buffer that is too small for it.
    fn receive_cut(&mut self, buffer_len: usize, wanted: (usize, u32, u32)) {
        let mut buffer = vec![0; buffer_len];
        let (len, flags) = match self.receive_for(self.own, None, &mut buffer) {
            Ok(Received::Truncated { len, .. }) => (len, TRUNCATED),
            Ok(Received::Datagram { len }) => (len, 0),
            other => return self.log.differs(format!("{wanted:?}"), format!("{other:?}")),
        };
        let message_len = buffer.first_chunk().map_or(0, |len| u32::from_le_bytes(*len));
        self.log.compare(&wanted, &(len, flags, message_len));
        if let Some(id) = id_at(&buffer, HEADER_LEN) {
            self.ids.announced_unprinted(id);
        }
    }

    /// The module handles the packets of its protocol family, `PF_INET` or `PF_INET6`.
    fn has_handler(&mut self, protocol_family: u32, name: &str) {
        let modules = [(Family::Ipv4, 2, "ip_queue"), (Family::Ipv6, 10, "ip6_queue")];
        let module = modules.into_iter().find(|(_, number, _)| *number == protocol_family);
        let loaded = module.filter(|(family, ..)| self.world.status(*family).is_some());
        self.log.compare(&Some(name), &loaded.map(|(_, _, name)| name));
    }
}

/// A verdict with a replacement too long to be printed: a datagram of so many bytes of data, all `B`, or where
/// that would be too long for IP, zeros.
fn rebuilt(sent: &Sent, family: Family, sender: u32) -> Vec<u8> {
    let Some(Meaning::Verdict(verdict)) = sent.meaning else { return sent.bytes.clone() };
    let headers = family.header_len() + 8;
    let replacement = match verdict.payload_len {
        len @ 0..=0xffff => udp(loopback(family), &vec![b'B'; len.saturating_sub(headers)]),
        len => vec![0; len],
    };
    let len = u32::try_from(sent.len).unwrap_or(u32::MAX);
    [
        &len.to_le_bytes()[..],
        &ipq_proto::ip_queue::VERDICT.0.to_le_bytes(),
        &verdict.flags.to_le_bytes(),
        &VERDICT_SEQUENCE.to_le_bytes(),
        &sender.to_le_bytes(),
        &u64::from(verdict.value).to_le_bytes(),
        &verdict.id.to_le_bytes(),
        &verdict.data_len.to_le_bytes(),
        &replacement,
    ]
    .concat()
}

/// The sequence number that the program gave to all its verdicts.
const VERDICT_SEQUENCE: u32 = 0x5566_7788;

/// A status as a recording has it.
pub(super) fn counters(status: &IpQueueStatus) -> Counters {
    let &IpQueueStatus {
        peer_port_id,
        copy_mode,
        queue_length,
        queue_max_length,
        queue_dropped,
        netlink_dropped,
        ..
    } = status;
    Counters {
        peer_pid: peer_port_id,
        copy_mode: copy_mode.value(),
        copy_range: copy_mode.range(),
        queue_len: u32::try_from(queue_length).unwrap_or(u32::MAX),
        queue_max_len: queue_max_length,
        queue_dropped,
        netlink_dropped,
    }
}
