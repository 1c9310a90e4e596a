//! A program that talks to a simulated kernel over a faulty socket.

use core::time::Duration;
use std::io::IoSlice;

use ipq_proto::ip_queue::{Message, datagram};
use ipq_proto::{CopyMode, Errno, Family, Verdict};
use ipq_sim::fault::{FaultPlan, Faults, Faulty, PlannedFault};
use ipq_sim::{Fate, Kernel, Socket};
use ipq_sys::{Deadline, Error, Received, Transport};

use crate::common::{ACK, MODEL, REQUEST, VERDICT, World, message, udp, verdict_body};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// The conversation, after the program has asked for packets: the faults see none of that.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) kernel: Kernel,
    pub(crate) socket: Faulty<Socket>,
    pub(crate) faults: Faults,
    family: Family,
    sequence: u32,
}

/// What the program received.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Heard {
    /// A packet, with its id and what it says.
    Packet(u64, String),
    /// The answer to a request.
    Answer(Option<Errno>),
    /// Bytes that are no message of a kernel.
    Nonsense(Vec<u8>),
    /// Anything else.
    Other(Received),
}

impl Conversation {
    pub(crate) fn new(faults: impl IntoIterator<Item = PlannedFault>) -> Self {
        let mut plan = FaultPlan::new(7);
        plan.extend(faults);
        Self::with(&plan, Family::Ipv4)
    }

    pub(crate) fn with(plan: &FaultPlan, family: Family) -> Self {
        let World { kernel, mut program, .. } = World::silent(family);
        program.set_mode(CopyMode::Packet { range: 0 });
        let socket = Faulty::new(program.socket, plan);
        let faults = socket.faults();
        Self { kernel, socket, faults, family, sequence: 0 }
    }

    /// Has packets queued that say this.
    pub(crate) fn queue(&self, texts: &[&str]) {
        for text in texts {
            self.kernel.send(self.family, &udp(self.family, text.as_bytes()));
        }
        self.kernel.run();
    }

    /// What comes now, or by the time that the deadline says.
    pub(crate) fn hear_until(&mut self, deadline: Deadline) -> Heard {
        let mut buffer = [0; 4096];
        match self.socket.receive(&mut buffer, deadline).unwrap() {
            Received::Datagram { len } => understand(&buffer[..len]),
            other => Heard::Other(other),
        }
    }

    pub(crate) fn hear(&mut self) -> Heard {
        self.hear_until(Deadline::Immediate)
    }

    /// All that comes now.
    pub(crate) fn hear_all(&mut self) -> Vec<Heard> {
        let nothing = Heard::Other(Received::TimedOut);
        core::iter::from_fn(|| Some(self.hear()).filter(|heard| *heard != nothing)).collect()
    }

    /// What the packets say that come now; nothing else may come.
    #[track_caller]
    pub(crate) fn texts(&mut self) -> Vec<String> {
        let text = |heard| match heard {
            Heard::Packet(_, text) => text,
            other => panic!("no packet but {other:?}"),
        };
        self.hear_all().into_iter().map(text).collect()
    }

    /// The id of the packet that comes now.
    #[track_caller]
    pub(crate) fn id(&mut self) -> u64 {
        match self.hear() {
            Heard::Packet(id, _) => id,
            other => panic!("no packet but {other:?}"),
        }
    }

    /// Sends a verdict that asks for an answer.
    pub(crate) fn accept(&mut self, id: u64) -> Result<(), Error> {
        self.sequence += 1;
        let body = verdict_body(MODEL, Verdict::Accept.0, id, 0);
        let port_id = self.socket.port_id();
        let verdict = message(MODEL, VERDICT, REQUEST | ACK, self.sequence, port_id, &body);
        // In parts, as a program may send it.
        let (head, tail) = verdict.split_at(20);
        self.socket.send(&[IoSlice::new(head), IoSlice::new(tail)])
    }

    /// The texts of the packets that were delivered.
    pub(crate) fn delivered(&self) -> Vec<String> {
        let outcomes = self.kernel.take_outcomes().into_iter();
        let delivered = outcomes.filter(|outcome| outcome.fate == Fate::Delivered);
        delivered.map(|outcome| text(&outcome.data)).collect()
    }

    /// What was done, one a line, and that no message is missing in it.
    #[track_caller]
    pub(crate) fn counts(&self) -> String {
        let counts = self.faults.counts();
        for traffic in [counts.to_program, counts.to_kernel] {
            assert_eq!(
                traffic.messages + traffic.duplicated + traffic.injected,
                traffic.passed + traffic.lost + traffic.refused + traffic.failed + traffic.kept,
                "{counts}"
            );
        }
        counts.to_string()
    }

    /// The faults that happened, one a line.
    pub(crate) fn log(&self) -> Vec<String> {
        self.faults.take_log().iter().map(ToString::to_string).collect()
    }
}

/// What a datagram says, as far as it is one.
fn text(packet: &[u8]) -> String {
    let header_len = Family::of_packet(packet).map(|family| family.header_len() + 8);
    let payload = header_len.and_then(|len| packet.get(len..)).unwrap_or_default();
    String::from_utf8_lossy(payload).into_owned()
}

fn understand(bytes: &[u8]) -> Heard {
    match datagram(MODEL, bytes) {
        Ok((_, Message::Packet(packet))) => Heard::Packet(packet.id, text(packet.payload)),
        Ok((_, Message::Reply(reply))) => Heard::Answer(reply.errno()),
        _ => Heard::Nonsense(bytes.to_vec()),
    }
}
