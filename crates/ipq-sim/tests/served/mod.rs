//! A simulated kernel that programs in other processes use: what is true of its sockets is true of theirs.

mod clients;
mod descriptors;
mod hostile;
mod readiness;
mod time;

use core::time::Duration;
use std::path::Path;

use ipq_proto::{CopyMode, Family, Hook};
use ipq_sim::{Builder, Kernel, Match, Served, Target};
use ipq_sys::unix::{Client, Opened, Server, ServerOptions, Spawned, UnixSocket};
use ipq_sys::{Deadline, Protocol, SocketOptions, Transport};

use crate::common::{Heard, Program, udp};

/// Longer than anything takes in a test that does not fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server beside the test, with a kernel whose packets are queued at `LOCAL_OUT`.
struct World {
    kernel: Kernel,
    server: Spawned,
}

impl World {
    fn new() -> Self {
        Self::of(crate::common::builder())
    }

    /// The server waits as long as it has to for a program that is at work: no test depends on how fast it is.
    fn of(builder: Builder) -> Self {
        let kernel = builder.build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
        let options = ServerOptions { patience: PATIENCE, ..ServerOptions::default() };
        let server = Server::spawn(Served::from(kernel.clone()), options).unwrap();
        Self { kernel, server }
    }

    fn path(&self) -> &Path {
        self.server.path()
    }

    /// This host is to send itself a datagram.
    fn send(&self, family: Family, payload: &[u8]) {
        self.kernel.send(family, &udp(family, payload));
    }

    fn open(&self, protocol: Protocol) -> UnixSocket {
        UnixSocket::open(self.path(), protocol, SocketOptions::default()).unwrap()
    }

    /// A program that has said nothing yet.
    fn silent(&self, family: Family) -> Program<UnixSocket> {
        Program::on(self.open(Protocol::ip_queue(family)))
    }

    /// A program that gets all packets.
    fn program(&self, family: Family) -> Program<UnixSocket> {
        let mut program = self.silent(family);
        program.set_mode(CopyMode::Packet { range: 0 });
        program
    }

    fn client(&self) -> Client {
        Client::connect(self.path()).unwrap()
    }
}

/// A netlink socket that is bound, for calls of a client.
fn bound(client: &mut Client, protocol: Protocol) -> Opened {
    let opened = client.open(protocol, true, false).unwrap();
    client.bind(opened.cookie, 0).unwrap();
    opened
}

/// What comes next, however long that takes; `None` at the end.
#[track_caller]
fn next(program: &mut Program<UnixSocket>) -> Option<Heard> {
    let end = program.socket.now() + PATIENCE;
    let heard = program.hear_until(Deadline::At(end));
    assert!(program.socket.now() < end, "nothing came, and no end");
    heard
}

/// The packet that comes next.
#[track_caller]
fn packet(program: &mut Program<UnixSocket>) -> crate::common::Announced {
    match next(program) {
        Some(Heard::Packet(packet)) => packet,
        other => panic!("no packet but {other:?}"),
    }
}
