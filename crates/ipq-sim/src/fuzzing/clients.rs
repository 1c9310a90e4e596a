//! A server whose clients say anything.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use arbitrary::Arbitrary;
use ipq_proto::{Family, Hook};
use ipq_sys::Protocol;
use ipq_sys::fuzzing::{Bytes, Peer, end, in_words, round, structure};
use ipq_sys::unix::{
    Answer, Call, Greeting, Item, ItemKind, Listener, Opening, Request, Server, ServerOptions,
    Welcome,
};

use crate::{Kernel, Match, Served, Target};

/// How many connections the server takes.
const MOST_CONNECTIONS: usize = 8;

/// How many rounds of its loop the server has to answer somebody.
const PATIENCE: usize = 8;

/// What its clients do.
#[derive(Arbitrary, Debug)]
struct Input {
    starts_now: bool,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Connect,
    Greet(u8, Greets),
    Ask(u8, Asks),
    /// Says what may be no frame at all.
    Say(u8, Bytes),
    Hear(u8),
    HangUp(u8),
    /// The host of the kernel sends a packet.
    Packet(Bytes),
}

#[derive(Arbitrary, Debug)]
enum Greets {
    Control,
    File(Name),
    Data { protocol: u8, cookie: u8, process: u8, privileged: bool, tells_end: bool },
}

/// A name of a file, one that there is or another.
#[derive(Arbitrary, Debug)]
enum Name {
    Known(u8),
    Other(String),
}

#[derive(Arbitrary, Debug)]
struct Asks {
    call: u8,
    cookie: u8,
    arguments: [u32; 2],
    rest: Rest,
}

/// What follows the head of a request.
#[derive(Arbitrary, Debug)]
enum Rest {
    Datagrams(Vec<Bytes>),
    File(Name, Bytes),
    Any(Bytes),
}

const FILES: [&str; 4] = [
    "/proc/net/ip_queue",
    "/proc/net/netfilter/nfnetlink_queue",
    "/proc/sys/net/ipv4/ip_queue_maxlen",
    "/proc/sys/net/ipv6/ip6_queue_maxlen",
];

/// What the clients do, in words.
pub fn served_clients_in_words(data: &[u8]) -> Option<Vec<String>> {
    let Input { starts_now, steps } = structure(data)?;
    Some(in_words(format!("starts_now: {starts_now}"), &steps))
}

/// Serves a simulated kernel to the clients that `data` describes, round by round.
///
/// # Panics
///
/// If serving does, or if another client does not get its answer, whatever these do.
pub fn served_clients(data: &[u8]) {
    let Some(input) = structure::<Input>(data) else { return };
    let place = Place::new();
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
    let options = ServerOptions {
        starts_now: input.starts_now,
        keeps_on: true,
        patience: Duration::ZERO,
        max_connections: MOST_CONNECTIONS,
        ..ServerOptions::default()
    };
    let listener = Listener::bind(&place.socket).expect("a folder of its own");
    let mut server = Server::new(Served::from(kernel.clone()), listener, options);
    let mut peers: Vec<Peer> = Vec::new();
    for step in &input.steps {
        take(step, &mut peers, &kernel, &place.socket);
        assert!(round(&mut server).expect("poll(2) works"), "it goes on for ever");
    }
    // There is room for one more.
    peers.truncate(MOST_CONNECTIONS - 1);
    is_served(&mut server, &place.socket);
    drop(peers);
    let (kernel, _) = end(server);
    core::hint::black_box(kernel.finish());
}

/// A folder for a socket.
struct Place {
    folder: PathBuf,
    socket: PathBuf,
}

impl Place {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("ipq-fuzz-{}-{count}", process::id()));
        fs::create_dir(&folder).expect("temporary files can be made");
        Self { socket: folder.join("socket"), folder }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // If it cannot be removed, it does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn take(step: &Step, peers: &mut Vec<Peer>, kernel: &Kernel, socket: &Path) {
    let chosen = |which: &u8| peers.get(usize::from(*which) % peers.len().max(1));
    match step {
        Step::Connect => peers.extend(Peer::connect(socket)),
        Step::Greet(which, greets) => {
            if let Some(peer) = chosen(which) {
                peer.say(&greeting(greets));
            }
        }
        Step::Ask(which, asks) => {
            if let Some(peer) = chosen(which) {
                peer.say(&request(asks));
            }
        }
        Step::Say(which, bytes) => {
            if let Some(peer) = chosen(which) {
                peer.say(bytes);
            }
        }
        Step::Hear(which) => {
            let _ = chosen(which).and_then(Peer::hear);
        }
        Step::HangUp(which) if usize::from(*which) < peers.len() => {
            peers.swap_remove((*which).into());
        }
        Step::HangUp(_) => (),
        Step::Packet(packet) => kernel.send(Family::Ipv4, packet),
    }
}

fn greeting(greets: &Greets) -> Vec<u8> {
    match greets {
        Greets::Control => Greeting::new(Opening::Control).as_frame().to_vec(),
        Greets::File(name) => {
            let name = name.text();
            [Greeting::new(Opening::File { name }).as_frame(), name.as_bytes()].concat()
        }
        &Greets::Data { protocol, cookie, process, privileged, tells_end } => {
            let all = [Protocol::Firewall, Protocol::Ip6Firewall, Protocol::Netfilter];
            let protocol = all[usize::from(protocol) % all.len()];
            let (cookie, process) = (cookie.into(), process.into());
            let opening = Opening::Data { protocol, cookie, process, privileged, tells_end };
            Greeting::new(opening).as_frame().to_vec()
        }
    }
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Self::Known(which) => FILES[usize::from(*which) % FILES.len()],
            Self::Other(name) => name,
        }
    }
}

fn request(asks: &Asks) -> Vec<u8> {
    let Asks { call, cookie, mut arguments, ref rest } = *asks;
    let mut behind = Vec::new();
    match rest {
        Rest::Datagrams(datagrams) => {
            for bytes in datagrams {
                let datagram_len = u32::try_from(bytes.len()).expect("two bytes of length");
                Item { kind: ItemKind::Datagram, port_id: 0, datagram_len, bytes }
                    .write(&mut behind);
            }
        }
        Rest::File(name, contents) => {
            let name = name.text();
            arguments[0] = u32::try_from(name.len()).unwrap_or(0);
            behind.extend(name.as_bytes().iter().chain(&contents.0));
        }
        Rest::Any(bytes) => behind.extend(&bytes.0),
    }
    let head = Request::new(Call(call.into()), cookie.into(), arguments, 1);
    [head.as_head(), &behind].concat()
}

/// Whether a client that behaves itself gets what it asks for.
fn is_served(server: &mut Server<Served>, socket: &Path) {
    let mut serve = || {
        for _ in 0..PATIENCE {
            round(server).expect("poll(2) works");
        }
    };
    // Those that were dropped are seen to be gone.
    serve();
    let peer = Peer::connect(socket).expect("the server listens");
    peer.say(Greeting::new(Opening::Control).as_frame());
    serve();
    let welcome = peer.hear().expect("a welcome");
    assert!(matches!(Welcome::parse(&welcome), Ok(Ok(_))), "{welcome:?}");
    let head = Request::new(Call::READ_FILE, 0, [0, 0], 7);
    peer.say(&[head.as_head(), FILES[0].as_bytes()].concat());
    serve();
    let answer = peer.hear().expect("an answer");
    let (answer, _) = Answer::parse(&answer).expect("a whole one");
    assert_eq!(answer.sequence(), 7);
}
