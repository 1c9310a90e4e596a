//! The two kernels: [`Kernels`].

use core::fmt::Write;
use core::time::Duration;
use std::fs;
use std::io::IoSlice;

use ipq_proto::netlink::{messages, padding};
use ipq_proto::nfqueue::Message;
use ipq_sim::{Builder, Kernel, Socket};
use ipq_sys::{Deadline, NetlinkSocket, Protocol, Received, Transport};
use ipq_tests::namespace::{Skipped, tool};
use zerocopy::NativeEndian;

use crate::arrival_times;
use crate::request::Request;

/// How long the real kernel may take to say what the simulated one has said. Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A real kernel in an own network and a simulated one, with the same sockets to each, under the same port ids.
///
/// Whatever is sent goes to both, and whatever comes back is compared.
#[derive(Debug)]
pub(crate) struct Kernels {
    pub(crate) simulated: Kernel,
    real_sockets: Vec<NetlinkSocket>,
    simulated_sockets: Vec<Socket>,
    sequence: u32,
}

/// What came out of a socket.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    Message(Vec<u8>),
    Overrun,
}

impl Kernels {
    /// With this many sockets.
    pub(crate) fn new(sockets: usize) -> Result<Self, Skipped> {
        Self::of(Kernel::builder(), sockets)
    }

    pub(crate) fn of(builder: Builder, sockets: usize) -> Result<Self, Skipped> {
        tool("ip", &["link", "set", "lo", "up"])?;
        Self::without_network(builder, sockets, true)
    }

    /// In a network that is left as it is, by a program with or without privileges.
    pub(crate) fn without_network(
        builder: Builder,
        sockets: usize,
        privileged: bool,
    ) -> Result<Self, Skipped> {
        let mut kernels = Self {
            simulated: builder.build(),
            real_sockets: Vec::new(),
            simulated_sockets: Vec::new(),
            sequence: 0,
        };
        for _ in 0..sockets {
            let real = NetlinkSocket::open(Protocol::Netfilter, ipq_sys::SocketOptions::default());
            let real = real.map_err(|error| Skipped(error.to_string()))?;
            let options = ipq_sim::SocketOptions {
                port_id: Some(real.port_id()),
                privileged,
                ..ipq_sim::SocketOptions::default()
            };
            let simulated = kernels.simulated.open_socket_for(Protocol::Netfilter, options);
            kernels.simulated_sockets.push(simulated.unwrap());
            kernels.real_sockets.push(real);
        }
        Ok(kernels)
    }

    /// Has the socket `who` send `request`; both kernels answer the same, which is returned.
    #[track_caller]
    pub(crate) fn tell(&mut self, who: usize, request: &Request) -> Vec<Heard> {
        self.tell_all(who, core::slice::from_ref(request))
    }

    /// The same, with several messages in one datagram.
    #[track_caller]
    pub(crate) fn tell_all(&mut self, who: usize, requests: &[Request]) -> Vec<Heard> {
        let datagram = self.datagram(requests);
        self.say(who, &datagram);
        self.listen(who, &format!("after {requests:?}"))
    }

    /// Messages as one datagram, each with the next number.
    pub(crate) fn datagram(&mut self, requests: &[Request]) -> Vec<u8> {
        let mut datagram = Vec::new();
        for request in requests {
            datagram.extend(padding(datagram.len()));
            self.sequence += 1;
            datagram.extend(request.bytes(self.sequence));
        }
        datagram
    }

    /// The same, with any bytes.
    #[track_caller]
    pub(crate) fn tell_bytes(&mut self, who: usize, datagram: &[u8]) -> Vec<Heard> {
        self.say(who, datagram);
        self.listen(who, &format!("after the bytes {}", hex(datagram)))
    }

    /// Sends, and compares only whether that could be done.
    #[track_caller]
    fn say(&mut self, who: usize, datagram: &[u8]) {
        let part = [IoSlice::new(datagram)];
        let real = self.real_sockets[who].send(&part).map_err(|error| error.errno);
        let simulated = self.simulated_sockets[who].send(&part).map_err(|error| error.errno);
        assert_eq!(simulated, real, "simulated and real, sending {}", hex(datagram));
        self.simulated.run();
    }

    /// That all sockets hear the same now.
    #[track_caller]
    pub(crate) fn listen_all(&mut self, when: &str) {
        for who in 0..self.real_sockets.len() {
            self.listen(who, when);
        }
    }

    /// All that the socket `who` hears now.
    #[track_caller]
    pub(crate) fn listen(&mut self, who: usize, when: &str) -> Vec<Heard> {
        let simulated =
            core::iter::from_fn(|| hear(&mut self.simulated_sockets[who], Duration::ZERO));
        let simulated: Vec<_> = simulated.collect();
        let socket = &mut self.real_sockets[who];
        let mut real: Vec<_> = simulated.iter().map_while(|_| hear(socket, PATIENCE)).collect();
        real.extend(core::iter::from_fn(|| hear(socket, Duration::ZERO)));
        assert!(
            simulated == real,
            "{when}\nsimulated:\n{}real:\n{}",
            describe(&simulated),
            describe(&real)
        );
        real
    }

    /// That both kernels say the same of their queues; returns it.
    #[track_caller]
    pub(crate) fn status(&self) -> String {
        let [(_, simulated), (_, real)] = self.statuses();
        assert_eq!(simulated, real, "simulated and real");
        real
    }

    /// What each kernel says of its queues.
    pub(crate) fn statuses(&self) -> [(&'static str, String); 2] {
        let mut simulated = String::new();
        for queue in self.simulated.nfqueue_status() {
            let _ = writeln!(simulated, "{queue}");
        }
        let real = fs::read_to_string("/proc/net/netfilter/nfnetlink_queue").unwrap();
        [("simulated", simulated), ("real", real)]
    }

    /// Gives the first socket to each kernel a receive buffer of this many bytes.
    pub(crate) fn set_receive_buffers(&mut self, bytes: usize) {
        self.real_sockets[0].set_receive_buffer(bytes).unwrap();
        self.simulated_sockets[0].set_receive_buffer(bytes).unwrap();
    }

    /// That the first socket to each kernel hears of a full receive buffer first and only then, and of each packet that
    /// waits.
    #[track_caller]
    pub(crate) fn overruns_are_told_once(&mut self) {
        let statuses = self.statuses();
        let sockets: [&mut dyn Transport; 2] =
            [&mut self.simulated_sockets[0], &mut self.real_sockets[0]];
        for (socket, (kernel, status)) in sockets.into_iter().zip(statuses) {
            let heard: Vec<_> = core::iter::from_fn(|| hear(socket, Duration::ZERO)).collect();
            assert_eq!(heard[0], Heard::Overrun, "{kernel}");
            assert!(!heard[1..].contains(&Heard::Overrun), "{kernel}");
            let waiting = status.split_ascii_whitespace().nth(2).unwrap();
            assert_eq!((heard.len() - 1).to_string(), waiting, "{kernel}");
        }
    }

    /// Closes the socket `who`, as the last one.
    pub(crate) fn close_last(&mut self) {
        self.real_sockets.pop();
        self.simulated_sockets.pop();
    }
}

/// What comes out of a socket next.
fn hear(socket: &mut dyn Transport, patience: Duration) -> Option<Heard> {
    let mut buffer = vec![0; 1 << 17];
    let deadline = match patience {
        Duration::ZERO => Deadline::Immediate,
        patience => Deadline::At(socket.now() + patience),
    };
    match socket.receive(&mut buffer, deadline).unwrap() {
        Received::Datagram { len } => {
            let mut message = buffer[..len].to_vec();
            if let Some(time) = arrival_times::place(&message) {
                message[time].fill(0xff);
            }
            Some(Heard::Message(message))
        }
        Received::Overrun => Some(Heard::Overrun),
        Received::TimedOut | Received::Ended => None,
        other => panic!("a kernel never says {other:?}"),
    }
}

/// Each message on a line, and its bytes on the next.
fn describe(heard: &[Heard]) -> String {
    let mut text = String::new();
    for heard in heard {
        let Heard::Message(bytes) = heard else {
            text += "  overrun\n";
            continue;
        };
        for message in messages::<NativeEndian>(bytes) {
            let _ = match message.map(|message| Message::decode::<NativeEndian>(&message)) {
                Ok(Ok(message)) => writeln!(text, "  {message}"),
                Ok(Err(error)) | Err(error) => writeln!(text, "  {error}"),
            };
        }
        let _ = writeln!(text, "    {}", hex(bytes));
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        let space = if at % 4 == 0 && at > 0 { " " } else { "" };
        let _ = write!(text, "{space}{byte:02x}");
    }
    text
}
