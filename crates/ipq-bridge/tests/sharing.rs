//! Both families on one queue of `nfnetlink_queue`: each is as if it had one of its own.

use etherparse::PacketBuilder;
use ipq_bridge::{BridgedKernel, Options};
use ipq_proto::ip_queue::{self, MODE, Message, ModeMsg, VERDICT, VerdictMsg};
use ipq_proto::netlink::{Body, Flags, Framed, Header, MessageType};
use ipq_proto::{CopyMode, DataModel, Errno, Family, Hook, Native, Verdict};
use ipq_sim::{Kernel, Match, Socket, SocketOptions, Target};
use ipq_sys::unix::{Opener, ServedKernel, SocketId};
use ipq_sys::{IpQueueStatus, Protocol};
use zerocopy::{Immutable, IntoBytes};

/// The queue, which is not the first one, so that a forgotten number shows.
const QUEUE: u16 = 7;

/// A kernel all of whose own packets are queued there.
struct World {
    kernel: Kernel,
    bridged: BridgedKernel<Socket>,
}

impl World {
    fn new() -> Self {
        let kernel = Kernel::builder().build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(QUEUE));
        let own = kernel.clone();
        let open = move |_| {
            let socket = own.open_socket_for(Protocol::Netfilter, SocketOptions::default())?;
            Ok((socket, QUEUE, Options::default()))
        };
        Self { bridged: BridgedKernel::on_one_queue(DataModel::NATIVE, open), kernel }
    }

    /// A program's socket.
    fn open(&mut self, family: Family, port_id: u32) -> SocketId {
        let opener = Opener { process: port_id, privileged: true };
        let socket =
            self.bridged.open(Protocol::ip_queue(family), opener).expect("it is well-formed");
        self.bridged.bind(socket, port_id).expect("it is well-formed");
        socket
    }

    /// The same, of one who wants packets.
    fn peer(&mut self, family: Family, mode: CopyMode) -> SocketId {
        let socket = self.open(family, 4711);
        self.ask(socket, MODE, ModeMsg::<Native>::new(mode), Flags::REQUEST);
        socket
    }

    fn ask<B: Body + IntoBytes + Immutable>(
        &mut self,
        socket: SocketId,
        message_type: MessageType,
        body: B,
        flags: Flags,
    ) {
        let port_id = self.bridged.port_id(socket);
        let framed = Framed::new(Header::new(message_type, flags, 1, port_id), body, 0)
            .expect("it is well-formed");
        self.bridged.send(socket, 0, framed.as_bytes()).expect("it is well-formed");
        self.kernel.run();
    }

    fn accept(&mut self, socket: SocketId, id: u64) {
        let verdict = VerdictMsg::<Native>::new(id, Verdict::Accept, 0).expect("it is well-formed");
        self.ask(socket, VERDICT, verdict, Flags::REQUEST);
    }

    /// Sends a packet with this text to oneself.
    fn transmit(&self, family: Family, text: &str) {
        let builder = match family {
            Family::Ipv4 => PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64),
            Family::Ipv6 => {
                let here = core::net::Ipv6Addr::LOCALHOST.octets();
                PacketBuilder::ipv6(here, here, 64)
            }
        };
        let mut packet = Vec::new();
        builder.udp(1, 2).write(&mut packet, text.as_bytes()).expect("it is well-formed");
        self.kernel.send(family, &packet);
        self.kernel.run();
    }

    fn transmit_both(&self, text: &str) {
        for family in Family::ALL {
            self.transmit(family, text);
        }
    }

    fn next(&mut self, socket: SocketId) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 1 << 17];
        let is_readable = self.bridged.is_readable(socket);
        match self.bridged.receive(socket, &mut buffer, false) {
            Ok(datagram) => {
                assert!(is_readable);
                buffer.truncate(datagram.len);
                Some(buffer)
            }
            Err(errno) => {
                assert_eq!((errno, is_readable), (Errno::EAGAIN, false));
                None
            }
        }
    }

    /// The id of the next packet, and its text as far as it was copied.
    #[track_caller]
    fn packet(&mut self, socket: SocketId) -> (u64, String) {
        let bytes = self.next(socket).expect("a packet");
        match ip_queue::datagram(DataModel::NATIVE, &bytes) {
            Ok((_, Message::Packet(packet))) => {
                let is_ipv6 = packet.payload.first().is_some_and(|first| first >> 4 == 6);
                let text = packet.payload.get(if is_ipv6 { 48 } else { 28 }..).unwrap_or_default();
                (packet.id, String::from_utf8(text.to_vec()).expect("it is ASCII"))
            }
            other => panic!("no packet but {other:?}"),
        }
    }

    /// The error of the next reply, `None` for an acknowledgement.
    #[track_caller]
    fn reply(&mut self, socket: SocketId) -> Option<Errno> {
        let bytes = self.next(socket).expect("a reply");
        match ip_queue::datagram(DataModel::NATIVE, &bytes) {
            Ok((_, Message::Reply(reply))) => reply.errno(),
            other => panic!("no reply but {other:?}"),
        }
    }

    fn status(&mut self, family: Family) -> IpQueueStatus {
        self.bridged.status(family).expect("a program has asked for the family")
    }

    fn set_max_length(&mut self, packets: u32) {
        let name = "/proc/sys/net/ipv4/ip_queue_maxlen";
        self.bridged
            .write_file(name, format!("{packets}\n").as_bytes())
            .expect("it is well-formed");
    }
}

const WHOLE: CopyMode = CopyMode::Packet { range: 0 };
const ACK: Flags = Flags(5);

#[test]
fn packets_go_to_the_program_of_their_family() {
    let mut world = World::new();
    let sockets = Family::ALL.map(|family| world.peer(family, WHOLE));
    for text in ["one", "two"] {
        world.transmit_both(text);
    }
    // The second family looks first.
    for socket in sockets.into_iter().rev() {
        for text in ["one", "two"] {
            let (id, said) = world.packet(socket);
            assert_eq!(said, text);
            world.accept(socket, id);
        }
        assert_eq!(world.next(socket), None);
    }
    assert_eq!(world.kernel.delivered().len(), 4);
    assert_eq!(Family::ALL.map(|family| world.status(family).queue_length), [0, 0]);
}

#[test]
fn answers_go_to_who_asked() {
    let mut world = World::new();
    let [v4, v6] = Family::ALL.map(|family| world.peer(family, WHOLE));
    let stranger = world.open(Family::Ipv6, 9);
    for (socket, other) in [(v4, v6), (v6, v4)] {
        let unknown = VerdictMsg::<Native>::new(77, Verdict::Accept, 0).expect("it is well-formed");
        world.ask(socket, VERDICT, unknown, Flags::REQUEST);
        world.ask(socket, MODE, ModeMsg::<Native>::new(WHOLE), ACK);
        world.ask(socket, MODE, ModeMsg::<Native>::from_raw(9, 0).unwrap(), Flags::REQUEST);
        assert_eq!(world.next(other), None);
        assert_eq!(world.reply(socket), Some(Errno::ENOENT));
        assert_eq!(world.reply(socket), None, "the acknowledgement");
        assert_eq!(world.reply(socket), Some(Errno::EINVAL));
    }
    // It is not the peer, and takes nothing of what is the peer's.
    world.transmit(Family::Ipv6, "mine");
    world.ask(stranger, MODE, ModeMsg::<Native>::new(WHOLE), ACK);
    assert_eq!(world.reply(stranger), Some(Errno::EBUSY));
    assert_eq!(world.packet(v6).1, "mine");
}

#[test]
fn no_family_decides_over_packets_of_the_other() {
    let mut world = World::new();
    let [v4, v6] = Family::ALL.map(|family| world.peer(family, WHOLE));
    world.transmit(Family::Ipv6, "mine");
    let (id, _) = world.packet(v6);
    world.accept(v4, id);
    assert_eq!(world.reply(v4), Some(Errno::ENOENT));
    assert_eq!(world.status(Family::Ipv6).queue_length, 1);
    world.accept(v6, id);
    assert_eq!(world.kernel.delivered().len(), 1);
}

#[test]
fn each_has_its_copy_mode() {
    let mut world = World::new();
    let v4 = world.peer(Family::Ipv4, CopyMode::Metadata);
    let v6 = world.peer(Family::Ipv6, WHOLE);
    world.transmit_both("text");
    assert_eq!(world.packet(v4).1, "");
    assert_eq!(world.packet(v6).1, "text");
    // What is there was copied in the mode that was.
    world.transmit_both("before");
    world.ask(v6, MODE, ModeMsg::<Native>::new(CopyMode::Packet { range: 50 }), Flags::REQUEST);
    world.ask(v4, MODE, ModeMsg::<Native>::new(WHOLE), Flags::REQUEST);
    world.transmit_both("after");
    assert_eq!([(); 2].map(|()| world.packet(v4).1), ["", "after"]);
    assert_eq!([(); 2].map(|()| world.packet(v6).1), ["before", "af"]);
}

#[test]
fn each_has_its_maximum_length() {
    let mut world = World::new();
    let [v4, v6] = Family::ALL.map(|family| world.peer(family, WHOLE));
    world.set_max_length(2);
    for text in ["one", "two", "three"] {
        world.transmit_both(text);
    }
    let [old, new] = Family::ALL.map(|family| world.status(family));
    assert_eq!((old.queue_length, old.queue_max_length, old.queue_dropped), (2, 2, 1));
    assert_eq!((new.queue_length, new.queue_max_length, new.queue_dropped), (3, 1024, 0));
    let (id, _) = world.packet(v4);
    world.accept(v4, id);
    world.transmit(Family::Ipv4, "four");
    assert_eq!([(); 2].map(|()| world.packet(v4).1), ["two", "four"]);
    assert_eq!([(); 3].map(|()| world.packet(v6).1), ["one", "two", "three"]);
}

#[test]
fn who_goes_takes_only_packets_of_its_family_along() {
    for leaving in Family::ALL {
        let staying =
            Family::ALL.into_iter().find(|&family| family != leaving).expect("it is well-formed");
        let mut world = World::new();
        let [gone, here] = [leaving, staying].map(|family| world.peer(family, WHOLE));
        for text in ["read", "unread"] {
            world.transmit_both(text);
        }
        let ((_, _), (read, _)) = (world.packet(gone), world.packet(here));
        world.bridged.close(gone);
        world.kernel.run();
        assert_eq!(world.kernel.totals().dropped, 2, "those that waited for it");
        let status = world.status(leaving);
        assert_eq!((status.peer_port_id, status.queue_length), (0, 0));
        assert_eq!(status.copy_mode, CopyMode::None);

        world.transmit(leaving, "late");
        let (unread, text) = world.packet(here);
        assert_eq!(text, "unread");
        world.accept(here, read);
        world.accept(here, unread);
        assert_eq!(world.kernel.delivered().len(), 2);
        assert_eq!(world.next(here), None);
        assert_eq!(world.bridged.statistics(leaving).unwanted, 1);

        let back = world.peer(leaving, WHOLE);
        world.transmit(leaving, "again");
        assert_eq!(world.packet(back).1, "again");
    }
}

#[test]
fn a_family_that_nobody_has_is_dropped_and_counted() {
    let mut world = World::new();
    let v6 = world.peer(Family::Ipv6, WHOLE);
    world.transmit(Family::Ipv4, "nobody");
    world.transmit(Family::Ipv6, "mine");
    let (id, text) = world.packet(v6);
    assert_eq!(text, "mine");
    world.accept(v6, id);
    assert_eq!(world.bridged.statistics(Family::Ipv4).unwanted, 1);
    assert_eq!(world.kernel.totals().dropped, 1);
}
