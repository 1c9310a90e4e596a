//! Clients that lie: each loses its connection, and nobody else notices.

use std::os::fd::{AsRawFd, OwnedFd};

use ipq_proto::{Errno, Family};
use ipq_sys::Protocol;
use ipq_sys::unix::{
    Call, Greeting, Item, ItemKind, MAX_FRAME_LEN, Opening, Request, Server, ServerOptions, Welcome,
};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket,
    sockopt,
};
use proptest::prelude::*;

use super::World;

/// A connection that says what it likes.
struct Liar(OwnedFd);

impl Liar {
    fn new(world: &World) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let descriptor = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
        setsockopt(&descriptor, sockopt::SndBuf, &(4 * MAX_FRAME_LEN)).unwrap();
        connect(descriptor.as_raw_fd(), &UnixAddr::new(world.path()).unwrap()).unwrap();
        Self(descriptor)
    }

    /// One that has been let in.
    fn greeted(world: &World, opening: Opening<'_>) -> Self {
        let liar = Self::new(world);
        liar.say(Greeting::new(opening).as_frame());
        assert!(matches!(Welcome::parse(&liar.hear()), Ok(Ok(_))));
        liar
    }

    fn say(&self, frame: &[u8]) {
        // Where the server has already ended the connection, there is nobody to say it to.
        let _ = send(self.0.as_raw_fd(), frame, MsgFlags::MSG_NOSIGNAL);
    }

    /// The next frame; empty at the end of the connection.
    fn hear(&self) -> Vec<u8> {
        let mut buffer = vec![0; MAX_FRAME_LEN];
        let len = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap_or(0);
        buffer.truncate(len);
        buffer
    }

    #[track_caller]
    fn is_hung_up_on(&self) {
        assert_eq!(self.hear(), b"", "the server still talks");
    }
}

fn data() -> Opening<'static> {
    let (protocol, cookie) = (Protocol::Firewall, 0x1234);
    Opening::Data { protocol, cookie, process: 1, privileged: true, tells_end: false }
}

fn request(call: Call, arguments: [u32; 2], rest: &[u8]) -> Vec<u8> {
    [Request::new(call, 0x1234, arguments, 1).as_head(), rest].concat()
}

#[test]
fn whoever_talks_nonsense_is_hung_up_on_and_counted() {
    let world = World::new();
    let datagram = {
        let mut item = Vec::new();
        let kind = ItemKind::Datagram;
        Item { kind, port_id: 0, datagram_len: 3, bytes: b"abc" }.write(&mut item);
        item
    };
    let greeting = Greeting::new(Opening::Control);
    let mut wrong_version = greeting.as_frame().to_vec();
    wrong_version[16] ^= 1;
    let greetings: [&[u8]; 5] = [
        b"x",
        &greeting.as_frame()[1..],
        &[greeting.as_frame(), b"more"].concat(),
        &wrong_version,
        &vec![0; MAX_FRAME_LEN + 1],
    ];
    for frame in greetings {
        let liar = Liar::new(&world);
        liar.say(frame);
        liar.is_hung_up_on();
    }
    let _netlink = Liar::greeted(&world, data());
    let mut lies = datagram.clone();
    lies[12] = 9;
    let requests = [
        b"short".to_vec(),
        request(Call(0), [0, 0], &[]),
        request(Call(u32::MAX), [0, 0], &[]),
        request(Call::SEND, [1, 0], &lies),
        request(Call::SEND, [1, 0], &datagram[..datagram.len() - 1]),
        request(Call::SEND, [1, 0], b"no item"),
        request(Call::READ_FILE, [0, 0], b"\xff"),
        request(Call::WRITE_FILE, [99, 0], b"shorter"),
        vec![0; MAX_FRAME_LEN + 1],
    ];
    for frame in &requests {
        let liar = Liar::greeted(&world, Opening::Control);
        liar.say(frame);
        liar.is_hung_up_on();
    }
    // A cookie that another one has, and a word where none is to be said.
    let liar = Liar::new(&world);
    liar.say(Greeting::new(data()).as_frame());
    liar.is_hung_up_on();
    let opening = match data() {
        Opening::Data { protocol, process, privileged, tells_end, .. } => {
            Opening::Data { protocol, cookie: 2, process, privileged, tells_end }
        }
        other => other,
    };
    let liar = Liar::greeted(&world, opening);
    liar.say(b"a word");
    liar.is_hung_up_on();

    let n_liars = greetings.len() + requests.len() + 2;
    assert_eq!(world.client().read_file("/proc/net/ip6_queue"), Err(Errno(2)), "it still serves");
    let statistics = world.server.stop().unwrap();
    assert_eq!(statistics.broken, u64::try_from(n_liars).unwrap());
}

#[test]
fn a_client_that_reads_no_answers_keeps_nobody_waiting() {
    let world = World::new();
    let _netlink = Liar::greeted(&world, data());
    let deaf = Liar::greeted(&world, Opening::Control);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let frame = request(Call::READ_FILE, [0, 0], b"/proc/net/ip_queue");
    // Until the server has stopped reading from it, and its own buffer is full.
    let mut client = world.client();
    let mut n_refused = 0;
    while n_refused < 3 {
        if send(deaf.0.as_raw_fd(), &frame, flags).is_err() {
            n_refused += 1;
        }
        client.read_file("/proc/net/ip_queue").unwrap();
    }
    let mut program = world.program(Family::Ipv4);
    program.hears_nothing();
}

#[test]
fn a_client_too_many_is_told_so() {
    let kernel = crate::common::builder().build();
    let options = ServerOptions { max_connections: 2, ..ServerOptions::default() };
    let server = Server::spawn(ipq_sim::Served::from(kernel.clone()), options).unwrap();
    let world = World { kernel, server };
    let first = world.client();
    let _second = world.client();
    let third = ipq_sys::unix::Client::connect(world.path());
    assert_eq!(third.unwrap_err(), Errno::EMFILE);
    drop(first);
    // Its end was there before this one came.
    let fourth = (0..1000).find_map(|_| ipq_sys::unix::Client::connect(world.path()).ok());
    assert!(fourth.is_some(), "there is room again");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a client says, the server answers it or hangs up, and serves the others.
    #[test]
    fn any_frames_are_survived(
        frames in prop::collection::vec(
            (0_u32..16, any::<[u32; 2]>(), prop::collection::vec(any::<u8>(), 0..80), any::<bool>()),
            1..20,
        ),
    ) {
        let world = World::new();
        let _netlink = Liar::greeted(&world, data());
        for (call, arguments, rest, is_raw) in frames {
            let liar = Liar::greeted(&world, Opening::Control);
            if is_raw {
                liar.say(&rest);
            } else {
                liar.say(&request(Call(call), arguments, &rest));
            }
            // A request without an answer is followed by one that has one, or by the end.
            liar.say(&request(Call::DESCRIBE, [0, 0], &[]));
            liar.hear();
        }
        prop_assert!(world.client().read_file("/proc/net/ip_queue").is_ok());
    }
}
