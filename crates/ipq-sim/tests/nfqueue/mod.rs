//! `nfnetlink_queue`, from outside. That it answers and counts as a real kernel does is tested beside one; here is what
//! needs none, or what a real one cannot be brought to do.

mod attributes;
mod balance;
mod beside_ip_queue;
mod configuration;
mod departures;
mod ids;
mod program;
mod queueing;
mod verdicts;

use ipq_proto::{CopyMode, Family, Hook};
use ipq_sim::{Builder, Fate, Kernel, Match, Outcome, Target};

use crate::common::{builder, udp};
use program::{Announced, Program};

/// A kernel whose packets are queued at `LOCAL_OUT`, in queue 1, and the program that has it.
#[derive(Debug)]
struct World {
    kernel: Kernel,
    program: Program,
}

const QUEUE: u16 = 1;

impl World {
    /// The program gets all packets, whole.
    fn new() -> Self {
        Self::of(builder())
    }

    fn of(builder: Builder) -> Self {
        let kernel = builder.build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(QUEUE));
        let mut program = Program::open(&kernel);
        program.bind(QUEUE);
        program.set_mode(QUEUE, CopyMode::Packet { range: 0 });
        Self { kernel, program }
    }

    /// This host sends itself a datagram, which goes as far as it goes.
    fn send(&self, payload: &[u8]) {
        send(&self.kernel, payload);
    }

    /// The same; gives what the program is told.
    #[track_caller]
    fn queued(&mut self, payload: &[u8]) -> Announced {
        self.send(payload);
        self.program.packet()
    }

    /// The fates of the packets that ended since the last call.
    fn fates(&self) -> Vec<Fate> {
        self.kernel.take_outcomes().iter().map(|outcome| outcome.fate).collect()
    }

    /// The one packet that ended since the last call.
    #[track_caller]
    fn outcome(&self) -> Outcome {
        let mut outcomes = self.kernel.take_outcomes();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.remove(0)
    }

    /// The line of the status that is about queue 1: waiting, dropped by the queue, dropped by the user, last id.
    #[track_caller]
    fn counts(&self) -> (u64, u32, u32, u32) {
        let statuses = self.kernel.nfqueue_status();
        let status = statuses.iter().find(|status| status.queue == QUEUE).unwrap();
        (status.queue_length, status.queue_dropped, status.user_dropped, status.last_id)
    }
}

fn send(kernel: &Kernel, payload: &[u8]) {
    kernel.send(Family::Ipv4, &udp(Family::Ipv4, payload));
    kernel.run();
}
