//! What the tests of the simulated kernel share: a program that speaks bytes, and packets.

mod packets;
mod program;

pub(crate) use packets::*;
pub(crate) use program::*;

use ipq_proto::{CopyMode, DataModel, Family, Hook};
use ipq_sim::{Builder, Device, Fate, Kernel, Match, Outcome, SocketOptions, Target};

/// A kernel whose packets are queued at `LOCAL_OUT`, and the program that reads them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) kernel: Kernel,
    pub(crate) program: Program,
    pub(crate) family: Family,
}

impl World {
    /// The program has its socket and has said nothing yet.
    pub(crate) fn silent(family: Family) -> Self {
        Self::of(builder(), family, SocketOptions::default())
    }

    /// The program gets all packets, whole.
    pub(crate) fn new(family: Family) -> Self {
        let mut world = Self::silent(family);
        world.program.set_mode(CopyMode::Packet { range: 0 });
        world
    }

    pub(crate) fn of(builder: Builder, family: Family, options: SocketOptions) -> Self {
        let kernel = builder.build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
        let program = Program::open(&kernel, family, options);
        Self { kernel, program, family }
    }

    /// This host sends itself a datagram, which goes as far as it goes.
    pub(crate) fn send(&self, payload: &[u8]) {
        self.kernel.send(self.family, &udp(self.family, payload));
        self.kernel.run();
    }

    /// The same; gives what the program is told.
    #[track_caller]
    pub(crate) fn queued(&mut self, payload: &[u8]) -> Announced {
        self.send(payload);
        self.program.packet()
    }

    /// The fates of the packets that ended since the last call.
    pub(crate) fn fates(&self) -> Vec<Fate> {
        self.kernel.take_outcomes().iter().map(|outcome| outcome.fate).collect()
    }

    /// The one packet that ended since the last call.
    #[track_caller]
    pub(crate) fn outcome(&self) -> Outcome {
        let mut outcomes = self.kernel.take_outcomes();
        assert_eq!(outcomes.len(), 1, "{outcomes:?}");
        outcomes.remove(0)
    }

    /// What the application at the other end got of the packets that ended since the last call.
    pub(crate) fn delivered_payloads(&self) -> Vec<Vec<u8>> {
        let delivered = |outcome: &Outcome| outcome.fate == Fate::Delivered;
        let outcomes = self.kernel.take_outcomes().into_iter().filter(delivered);
        outcomes.map(|outcome| udp_payload(&outcome.data)).collect()
    }

    #[track_caller]
    pub(crate) fn status(&self) -> ipq_sim::IpQueueStatus {
        self.kernel.ip_queue_status(self.family).unwrap()
    }
}

/// The word size and byte order of kernels for which neither matters: the same whatever the tests run on.
pub(crate) const MODEL: DataModel = DataModel::Lp64Little;

pub(crate) fn builder() -> Builder {
    Kernel::builder().data_model(MODEL)
}

/// Runs `body` for both families in all data models.
pub(crate) fn everywhere(body: impl Fn(DataModel, Family)) {
    for model in DataModel::ALL {
        for family in Family::ALL {
            body(model, family);
        }
    }
}

/// A router: `eth0` towards us, `eth1` towards the remote network, and a tunnel `tun0`.
pub(crate) fn router() -> Builder {
    let builder = builder()
        .device(Device::ethernet("eth0"))
        .device(Device::ethernet("eth1"))
        .device(Device::point_to_point("tun0"));
    let routes = ["10.9.0.0/16", "fd00:9::/32"];
    routes.iter().fold(builder, |builder, net| builder.route(net.parse().unwrap(), "eth1"))
}
