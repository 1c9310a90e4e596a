//! How a simulated kernel is made: [`Builder`].

use ipnet::IpNet;
use ipq_proto::{DataModel, Family};

use crate::capture::Timestamp;
use crate::device::{Device, LOOPBACK};
use crate::kernel::Kernel;
use crate::machine::Machine;

/// What a [`Kernel`] is made from. As it is: `lo`, native word size, seed 0, `nfnetlink_queue` loaded, and `ip_queue` and
/// `ip6_queue` loaded when a program opens a socket to them, which gives them the packets of their family.
#[derive(Clone, Debug)]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Builder {
    seed: u64,
    model: DataModel,
    start: Option<Timestamp>,
    devices: Vec<Device>,
    routes: Vec<(IpNet, String)>,
    absent: Vec<Family>,
    has_nfqueue: bool,
    has_conntrack: bool,
    has_arrival_times: bool,
    count_only: bool,
    trace: bool,
    record: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            seed: 0,
            model: DataModel::NATIVE,
            start: None,
            devices: Vec::new(),
            routes: Vec::new(),
            absent: Vec::new(),
            has_nfqueue: true,
            has_conntrack: false,
            has_arrival_times: true,
            count_only: false,
            trace: false,
            record: false,
        }
    }
}

impl Builder {
    /// What all that looks random is drawn from, such as packet ids.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The word size and byte order of the kernel's messages, for example those of an old 32-bit machine.
    pub fn data_model(self, model: DataModel) -> Self {
        Self { model, ..self }
    }

    /// The wall-clock time at which the kernel starts. Otherwise the first packet of a capture sets it, or it is
    /// the Unix epoch.
    pub fn start_time(self, start: Timestamp) -> Self {
        Self { start: Some(start), ..self }
    }

    /// Adds a device.
    pub fn device(mut self, device: Device) -> Self {
        self.devices.push(device);
        self
    }

    /// Sends packets for `destination` out by a device; those that no route is for are this host's own.
    pub fn route(mut self, destination: IpNet, device: &str) -> Self {
        self.routes.push((destination, device.to_owned()));
        self
    }

    /// Leaves out the module of `family`, as a kernel does that has none.
    pub fn without_ip_queue(mut self, family: Family) -> Self {
        self.absent.push(family);
        self
    }

    /// Leaves out `nfnetlink_queue`, as a kernel before Linux 2.6.14 does.
    pub fn without_nfqueue(self) -> Self {
        Self { has_nfqueue: false, ..self }
    }

    /// Tracks connections, as far as queues can tell: they can be asked for what packets
    /// [bring along](crate::Extras::conntrack) of it.
    #[doc(alias = "nf_conntrack")]
    pub fn with_conntrack(self) -> Self {
        Self { has_conntrack: true, ..self }
    }

    /// Has `nfnetlink_queue` tell no arrival times, as a kernel does in which nobody has asked for them.
    #[doc(alias = "SO_TIMESTAMP")]
    pub fn without_arrival_times(self) -> Self {
        Self { has_arrival_times: false, ..self }
    }

    /// Keeps a [trace](Kernel::take_trace) of everything that happens.
    pub fn trace(self) -> Self {
        Self { trace: true, ..self }
    }

    /// Keeps the [datagrams](Kernel::take_conversation) between programs and this kernel.
    #[doc(alias = "nlmon")]
    pub fn record(self) -> Self {
        Self { record: true, ..self }
    }

    /// Only counts the packets that end, instead of keeping them: for runs of many millions.
    pub fn count_only(self) -> Self {
        Self { count_only: true, ..self }
    }

    /// Makes the kernel.
    ///
    /// # Panics
    ///
    /// If two devices have the same name, or a route leads to a device that is not there or to `lo`.
    pub fn build(self) -> Kernel {
        let mut machine = Machine::new(self.model, self.seed, self.start);
        self.devices.into_iter().for_each(|device| machine.add_device(device));
        for (destination, name) in self.routes {
            let device = machine.devices.index(&name);
            assert_ne!(device, LOOPBACK, "the route to {destination} by lo leads back here");
            machine.routes.add(destination, device);
        }
        self.absent.into_iter().for_each(|family| {
            machine.ip_queues.unload(family);
        });
        if !self.has_nfqueue {
            machine.nfqueues = None;
        }
        machine.has_conntrack = self.has_conntrack;
        machine.has_arrival_times = self.has_arrival_times;
        if self.trace {
            machine.trace.keep_all();
        }
        machine.conversation = self.record.then(Vec::new);
        if self.count_only {
            machine.outcomes = None;
        }
        Kernel::new(machine)
    }
}
