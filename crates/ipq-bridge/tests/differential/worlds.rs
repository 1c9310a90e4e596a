//! The two worlds: a kernel with `ip_queue`, and the same one with a bridge over `nfnetlink_queue`.

use std::collections::BTreeMap;
use std::io::IoSlice;

use ipq_bridge::{Bridge, Options};
use ipq_proto::abi::AbiVisitor;
use ipq_proto::ip_queue::{self, VerdictMsg};
use ipq_proto::netlink::{ErrorMsg, HEADER_LEN, Message, MessageType, RawHeader};
use ipq_proto::{Abi, DataModel, Family, Hook};
use ipq_sim::capture::Timestamp;
use ipq_sim::{Builder, Device, Fate, Kernel, Match, Reason, Socket, SocketOptions, Target};
use ipq_sys::{Deadline, IpQueueStatus, Protocol, Received, Transport};

/// The queue that the bridge has. Not the first one, so that mixing them up shows.
const QUEUE: u16 = 7;

/// The port id of the program.
pub(crate) const PORT: u32 = 4711;

/// Both kernels, and a program with a socket of each.
pub(crate) struct Worlds {
    pub(crate) family: Family,
    pub(crate) model: DataModel,
    old: (Kernel, Socket),
    new: (Kernel, Bridge<Socket>),
    /// The ids of all packets that were announced, here and there, in that order.
    pub(crate) announced: Vec<(u64, u64)>,
    /// What the ids there name last.
    names: BTreeMap<u64, u64>,
    /// Those that surely wait and got no verdict.
    pub(crate) waiting: Vec<(u64, u64)>,
}

/// A router: `eth0` towards us, `eth1` towards the remote networks, a tunnel `tun0`.
fn router() -> Builder {
    let builder = Kernel::builder()
        .start_time(Timestamp::new(1_795_429_884, 481_597_000).unwrap())
        .device(Device::ethernet("eth0"))
        .device(Device::ethernet("eth1"))
        .device(Device::point_to_point("tun0"));
    let routes = ["10.9.0.0/16", "fd00:9::/32"];
    routes.iter().fold(builder, |builder, net| builder.route(net.parse().unwrap(), "eth1"))
}

impl Worlds {
    /// All packets are queued at these hooks.
    pub(crate) fn new(model: DataModel, family: Family, hooks: &[Hook]) -> Self {
        let [old, new] = [(), ()].map(|()| router().data_model(model).build());
        for &hook in hooks {
            old.rule(hook, Match::any(), Target::Queue);
            new.rule(hook, Match::any(), Target::nfqueue(QUEUE));
        }
        let options = SocketOptions { port_id: Some(PORT), ..SocketOptions::default() };
        let socket = old.open_socket(family, options).unwrap();
        let below = new.open_socket_for(Protocol::Netfilter, options).unwrap();
        let bridge = Bridge::claim(below, QUEUE, family, Options::default()).unwrap();
        Self {
            family,
            model,
            old: (old, socket),
            new: (new, bridge),
            announced: Vec::new(),
            names: BTreeMap::new(),
            waiting: Vec::new(),
        }
    }

    /// Does the same to both kernels, and lets them run.
    pub(crate) fn both(&mut self, act: impl Fn(&Kernel)) {
        for kernel in [&self.old.0, &self.new.0] {
            act(kernel);
            kernel.run();
        }
    }

    pub(crate) fn set_max_length(&mut self, packets: u32) {
        self.old.0.set_queue_max_length(self.family, packets);
        self.new.1.set_max_length(packets).unwrap();
    }

    /// A device goes down, and the packets that touch it are gone.
    pub(crate) fn device_down(&mut self, name: &str) {
        self.waiting.clear();
        self.both(|kernel| kernel.device_down(name));
        self.both(|kernel| kernel.device_up(name));
    }

    /// Sends a datagram to both queues, made with the id that a packet has there.
    pub(crate) fn send(&mut self, datagram: impl Fn(u64) -> Vec<u8>, ids: (u64, u64)) {
        self.waiting.retain(|&waiting| waiting != ids);
        let (old, new) = (datagram(ids.0), datagram(ids.1));
        self.old.1.send(&[IoSlice::new(&old)]).unwrap();
        let (head, tail) = new.split_at(new.len() / 2);
        self.new.1.send(&[IoSlice::new(head), IoSlice::new(tail)]).unwrap();
        self.both(|_| ());
    }

    /// Sends several datagrams to both queues.
    pub(crate) fn send_many(&mut self, old: &[Vec<u8>], new: &[Vec<u8>]) {
        let slices = |datagrams: &'_ [Vec<u8>]| -> Vec<IoSlice<'static>> {
            datagrams.iter().map(|datagram| IoSlice::new(datagram.clone().leak())).collect()
        };
        assert_eq!(self.old.1.send_many(&slices(old)), Ok(old.len()));
        assert_eq!(self.new.1.send_many(&slices(new)), Ok(new.len()));
        self.both(|_| ());
    }

    /// The ids of a packet that was announced, unless its old one may name another packet by now: an address is used again
    /// at once, and a number is not.
    pub(crate) fn ids(&self, index: usize) -> Option<(u64, u64)> {
        let &(old, new) = self.announced.get(index)?;
        let is_current = self.names.get(&old) == Some(&new);
        is_current.then_some((old, new))
    }

    /// Both say the same next; returns whether it was something.
    pub(crate) fn compare_next(&mut self, buffer_len: usize) -> bool {
        let [mut old, mut new] = [(); 2].map(|()| vec![0xa5; buffer_len]);
        let said = self.old.1.receive(&mut old, Deadline::Immediate).unwrap();
        let also = self.new.1.receive(&mut new, Deadline::Immediate).unwrap();
        assert_eq!(said, also, "\n{}\n{}", self.show(&old, said), self.show(&new, also));
        let len = said.len_in_buffer();
        if len == 0 {
            let is_something = said != Received::TimedOut;
            if is_something {
                // A packet may have been announced unread, under any old id.
                self.names.clear();
            }
            return is_something;
        }
        self.model.with(Masked { old: &mut old[..len], new: &mut new[..len], worlds: self });
        let differing = old[..len].iter().zip(&new[..len]).position(|(old, new)| old != new);
        assert_eq!(differing, None, "\n{}\n{}", self.show(&old, said), self.show(&new, also));
        true
    }

    fn show(&self, buffer: &[u8], received: Received) -> String {
        let message = ip_queue::datagram(self.model, &buffer[..received.len_in_buffer()]);
        message.map_or_else(|error| error.to_string(), |(_, message)| format!("{message:?}"))
    }

    /// Both have the same state, and as many packets ended the same way.
    pub(crate) fn compare_state(&mut self) {
        let mut old: IpQueueStatus = self.old.0.ip_queue_status(self.family).unwrap();
        let is_absent = ![0, PORT].contains(&old.peer_port_id);
        if is_absent {
            // What a peer that is not there did not get is not counted.
            let new = self.new.1.status();
            (old.queue_dropped, old.netlink_dropped) = (new.queue_dropped, new.netlink_dropped);
        }
        assert_eq!(old.to_string(), self.new.1.status().to_string());
        let [old, new] = [&self.old.0, &self.new.0].map(|kernel| {
            let outcomes = kernel.take_outcomes().into_iter();
            outcomes.map(|it| (ending(it.fate, is_absent), it.data)).collect::<Vec<_>>()
        });
        assert_eq!(old, new);
    }
}

/// How a packet ended, without what is called otherwise in the other queue. For a peer that is absent no queue is full.
fn ending(fate: Fate, is_absent: bool) -> Fate {
    match fate {
        Fate::Dropped(Reason::QueueFull) if is_absent => Fate::Dropped(Reason::CopyModeNone),
        Fate::Dropped(Reason::NoPeer | Reason::ReceiveBufferFull) => {
            Fate::Dropped(Reason::CopyModeNone)
        }
        Fate::Dropped(Reason::ReplacementTooLong) => Fate::Dropped(Reason::Verdict),
        fate => fate,
    }
}

/// Takes the ids out of two datagrams that are to be the same otherwise, and learns them.
struct Masked<'m> {
    old: &'m mut [u8],
    new: &'m mut [u8],
    worlds: &'m mut Worlds,
}

impl AbiVisitor for Masked<'_> {
    type Output = ();

    fn visit<A: Abi>(self) {
        let Self { old, new, worlds } = self;
        let word_len = size_of::<A::UnsignedLong>();
        let read = |bytes: &[u8]| match (worlds.model.is_big_endian(), word_len) {
            (false, 4) => u32::from_le_bytes(bytes.try_into().unwrap()).into(),
            (true, 4) => u32::from_be_bytes(bytes.try_into().unwrap()).into(),
            (false, _) => u64::from_le_bytes(bytes.try_into().unwrap()),
            (true, _) => u64::from_be_bytes(bytes.try_into().unwrap()),
        };
        let message_type = |bytes: &[u8]| {
            let pair = bytes.get(4..6).map(|pair| [pair[0], pair[1]])?;
            let number = if worlds.model.is_big_endian() {
                u16::from_be_bytes(pair)
            } else {
                u16::from_le_bytes(pair)
            };
            Some(MessageType(number))
        };
        let request_at =
            HEADER_LEN + size_of::<ErrorMsg<A::Order>>() - size_of::<RawHeader<A::Order>>();
        let id_in_verdict = request_at + HEADER_LEN + (size_of::<VerdictMsg<A>>() - 2 * word_len);
        let at = match message_type(old) {
            Some(ip_queue::PACKET) => HEADER_LEN,
            Some(MessageType::ERROR) => id_in_verdict,
            _ => {
                worlds.names.clear();
                return;
            }
        };
        if at == HEADER_LEN {
            mask_departure::<A>(old, new);
        }
        let place = at..at + word_len;
        // Without the padding, which may look like the end of an id.
        let header = Message::decode_cut::<A::Order>(old).map(|message| message.header);
        let end = header.map_or(0, |header| header.len as usize);
        let whole = |bytes: &[u8]| bytes.get(..end.min(bytes.len()))?.get(place.clone()).map(&read);
        let (Some(before), Some(after)) = (whole(old), whole(new)) else {
            // What there is of an id that was cut.
            for bytes in [old, new] {
                bytes.iter_mut().skip(at).for_each(|byte| *byte = 0);
            }
            worlds.names.clear();
            return;
        };
        let ids = (before, after);
        if at == HEADER_LEN {
            worlds.announced.push(ids);
            worlds.names.insert(ids.0, ids.1);
            worlds.waiting.push(ids);
        } else if !worlds.announced.contains(&ids) {
            return;
        }
        for bytes in [old, new] {
            bytes[at..at + word_len].fill(0);
        }
    }
}

/// When a forwarded packet arrived, nobody knows any more once it is on its way out. It was not after now.
fn mask_departure<A: Abi>(old: &mut [u8], new: &mut [u8]) {
    let word_len = size_of::<A::UnsignedLong>();
    let times = 2 * word_len..4 * word_len;
    let out = |bytes: &[u8]| {
        let message = Message::decode_cut::<A::Order>(bytes).ok()?;
        let packet = ip_queue::Packet::decode_cut::<A>(message.body).ok()?;
        Some((packet.hook == Hook::PostRouting, packet.timestamp))
    };
    let is_to_mask = match (out(old), out(new)) {
        (Some((true, before)), Some((true, after))) => {
            assert!(before <= after && before.is_none() == after.is_none(), "{before} {after}");
            true
        }
        (Some((false, _)), _) => false,
        // Cut before the hook.
        _ => true,
    };
    for bytes in [old, new].into_iter().filter(|_| is_to_mask) {
        let time = bytes.iter_mut().skip(HEADER_LEN).take(times.end).skip(times.start);
        time.for_each(|byte| *byte = 0);
    }
}
