//! The network of a simulated kernel, served by this process to the programs. Simulated time passes as time does, so that
//! packets can be sent when a program wants them.

use core::time::Duration;

use ipq_proto::{Family, Hook};
use ipq_sim::{Action, Host, Kernel, Match, Protocol, Served, Target, UdpSocket};
use ipq_sys::unix::{Client, Server, ServerOptions, Spawned, Speed};
use ipq_tests::namespace::Outcome;

use crate::network::Network;

/// A simulated kernel, and who serves it.
struct Simulated {
    from: [UdpSocket; 2],
    to: [UdpSocket; 2],
    /// By whom the server is told that there is something to do.
    client: Client,
    server: Spawned,
}

/// When the last thing happens: as long as something is to happen, no program is told that nothing will.
const END: Duration = Duration::from_hours(24);

/// Runs `body` on a simulated kernel.
pub(crate) fn run(path: &str, body: impl FnOnce(&mut dyn Network) -> Outcome) {
    if let Err(reason) = body(&mut Simulated::new()) {
        eprintln!("skipped: {path}: {reason}");
    }
}

impl Simulated {
    fn new() -> Self {
        let kernel = Kernel::builder().seed(7).build();
        kernel.rule(Hook::LocalOut, Match::protocol(Protocol::UDP), Target::Queue);
        let here = kernel.local_host();
        let (from, to) = (sockets(&here), sockets(&here));
        kernel.at(END, Action::KillAll);
        let options = ServerOptions { speed: Speed::Times(1.0), ..ServerOptions::default() };
        let server = Server::spawn(Served::from(kernel), options).unwrap();
        let client = Client::connect(server.path()).unwrap();
        Self { from, to, client, server }
    }
}

fn sockets(host: &Host) -> [UdpSocket; 2] {
    ["127.0.0.1:0", "[::1]:0"].map(|address| host.udp(address.parse().unwrap()))
}

impl Network for Simulated {
    fn transport(&self) -> String {
        format!("unix:{}", self.server.path().display())
    }

    fn send(&mut self, family: Family, text: &str) {
        let index = family as usize;
        assert!(self.from[index].send(self.to[index].address(), text.as_bytes()));
        self.client.read_file("/proc/net/ip_queue").unwrap();
    }

    fn receive(&mut self) -> Option<String> {
        self.client.read_file("/proc/net/ip_queue").unwrap();
        let text = self.to.iter().find_map(UdpSocket::receive)?.0;
        Some(String::from_utf8(text).unwrap())
    }

    fn has_marks(&self) -> bool {
        false
    }

    fn has_receive_buffer(&self) -> bool {
        false
    }
}
