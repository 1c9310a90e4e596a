//! The network namespace everything happens in: [`Namespace`].

use std::fs;
use std::process::Command;

use ipq_bench::{TCP_PORT, UDP_PORT};

use crate::Outcome;

/// Programs that can add the rules, best first: the old one needs a lock file that a user namespace may not have.
const IPTABLES: [&str; 3] = ["iptables-legacy", "iptables-nft", "iptables"];

/// The queue that is measured.
pub(crate) const QUEUE: u16 = 0;

/// A network namespace with nothing but a loopback, and rules that queue what is sent over it.
#[derive(Debug)]
pub(crate) struct Namespace {
    /// What the rules were added with.
    pub(crate) iptables: &'static str,
}

impl Namespace {
    /// Sets up the namespace this program runs in, unless it is the one `outside`.
    pub(crate) fn enter(outside: &str) -> Outcome<Self> {
        let inside = fs::read_link("/proc/self/ns/net")
            .map_err(|error| format!("cannot tell the network namespace: {error}"))?;
        if inside.as_os_str() == outside {
            return Err("this is the machine's own network namespace".into());
        }
        call("ip", "link set lo up")?;
        let queued = |protocol, port| {
            format!("-A OUTPUT -p {protocol} --dport {port} -j NFQUEUE --queue-num {QUEUE}")
        };
        let mut errors = Vec::new();
        for iptables in IPTABLES {
            let added = call(iptables, &queued("udp", UDP_PORT))
                .and_then(|()| call(iptables, &queued("tcp", TCP_PORT)));
            match added {
                Ok(()) => return Ok(Self { iptables }),
                Err(error) => errors.push(error),
            }
        }
        Err(errors.join("\n"))
    }

    /// Sets the MTU of the loopback.
    #[expect(clippy::unused_self, reason = "there must be a namespace")]
    pub(crate) fn set_mtu(&self, mtu: u32) -> Outcome<()> {
        call("ip", &format!("link set lo mtu {mtu}"))
    }

    /// What the kernel has counted, where it tells: not in a user namespace.
    #[expect(clippy::unused_self, reason = "there must be a namespace")]
    pub(crate) fn counters(&self) -> Option<Counters> {
        let text = fs::read_to_string("/proc/net/netfilter/nfnetlink_queue").ok()?;
        text.lines().find_map(Counters::parse)
    }
}

/// The kernel's counters of the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Counters {
    /// Packets without a verdict.
    pub(crate) waiting: u64,
    /// Packets dropped because the queue was full.
    pub(crate) queue_dropped: u64,
    /// Packets dropped because the socket was.
    pub(crate) user_dropped: u64,
    /// Packets that got a number, those dropped because of the socket among them.
    pub(crate) numbered: u64,
}

impl Counters {
    fn parse(line: &str) -> Option<Self> {
        let columns: Vec<u64> =
            line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        match *columns.as_slice() {
            [queue, _, waiting, _, _, queue_dropped, user_dropped, numbered, ..]
                if queue == u64::from(QUEUE) =>
            {
                Some(Self { waiting, queue_dropped, user_dropped, numbered })
            }
            _ => None,
        }
    }
}

/// Runs `program`; what it says on stderr is the error if it fails.
fn call(program: &str, line: &str) -> Outcome<()> {
    let output = Command::new(program)
        .args(line.split(' '))
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {line}: {}", said.trim()))
}
