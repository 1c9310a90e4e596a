//! The simulated kernel, with its own `ip_queue`: [`Simulated`].

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;

use ipq_proto::{DeviceName, Errno, Family, Hook};
use ipq_sim::{Fate, Kernel, Match, Socket, SocketOptions, Target};
use ipq_sys::{Deadline, IpQueueStatus, Protocol, Received, Transport};

use super::MODEL;
use super::traffic::{loopback, udp, udp_data};
use super::world::{Network, World};

/// The machine of the recording, on which all conversations of a file are held: both modules, and `OUTPUT -j QUEUE`.
#[derive(Debug)]
pub(super) struct Simulated {
    network: SimulatedNetwork,
    /// By protocol number and port id.
    sockets: BTreeMap<(i32, u32), Socket>,
}

/// The network of a simulated kernel.
#[derive(Debug)]
pub(super) struct SimulatedNetwork {
    kernel: Kernel,
    delivered: VecDeque<Vec<u8>>,
}

impl Simulated {
    pub(super) fn new() -> Self {
        let kernel = Kernel::builder().data_model(MODEL).build();
        for family in Family::ALL {
            kernel.load_ip_queue(family);
        }
        kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
        Self { network: SimulatedNetwork::new(kernel), sockets: BTreeMap::new() }
    }

    fn socket(&mut self, protocol: Protocol, port_id: u32) -> Result<&mut Socket, String> {
        let socket = self.sockets.get_mut(&(protocol.number(), port_id));
        socket.ok_or_else(|| format!("no socket {port_id}"))
    }
}

impl World for Simulated {
    fn open(&mut self, protocol: Protocol, port_id: u32, privileged: bool) -> Result<(), Errno> {
        let options =
            SocketOptions { port_id: Some(port_id), privileged, ..SocketOptions::default() };
        let socket = self.network.kernel.open_socket_for(protocol, options);
        let socket = socket.map_err(|error| error.errno)?;
        self.sockets.insert((protocol.number(), port_id), socket);
        Ok(())
    }

    fn close(&mut self, protocol: Protocol, port_id: u32) {
        self.sockets.remove(&(protocol.number(), port_id));
    }

    fn port_ids(&self, protocol: Protocol) -> Vec<u32> {
        let own = self.sockets.keys().filter(|(number, _)| *number == protocol.number());
        own.map(|&(_, port_id)| port_id).collect()
    }

    fn send(&mut self, protocol: Protocol, port_id: u32, datagram: &[u8]) -> Result<(), String> {
        if self.socket(protocol, port_id).is_err() {
            self.open(protocol, port_id, true).map_err(|errno| errno.to_string())?;
        }
        let sent = self.socket(protocol, port_id)?.send(&[IoSlice::new(datagram)]);
        self.network.kernel.run();
        sent.map_err(|error| error.to_string())
    }

    fn receive(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        buffer: &mut [u8],
    ) -> Result<Received, String> {
        let socket = self.socket(protocol, port_id)?;
        socket.receive(buffer, Deadline::Immediate).map_err(|error| error.to_string())
    }

    fn set_receive_buffer(
        &mut self,
        protocol: Protocol,
        port_id: u32,
        bytes: usize,
    ) -> Result<(), String> {
        let set = self.socket(protocol, port_id)?.set_receive_buffer(bytes);
        set.map_err(|error| error.to_string())
    }

    fn ignore_overruns(&mut self, protocol: Protocol, port_id: u32) -> Result<(), String> {
        let set = self.socket(protocol, port_id)?.report_overruns(false);
        set.map_err(|error| error.to_string())
    }

    fn replace_descriptor(&mut self, protocol: Protocol, port_id: u32) {
        if let Ok(socket) = self.socket(protocol, port_id) {
            *socket = socket.duplicate();
        }
    }

    fn status(&mut self, family: Family) -> Option<IpQueueStatus> {
        self.network.kernel.ip_queue_status(family)
    }

    fn set_max_length(&mut self, family: Family, packets: u32) {
        self.network.kernel.set_queue_max_length(family, packets);
    }

    fn network(&mut self) -> &mut dyn Network {
        &mut self.network
    }
}

impl SimulatedNetwork {
    pub(super) const fn new(kernel: Kernel) -> Self {
        Self { kernel, delivered: VecDeque::new() }
    }
}

impl Network for SimulatedNetwork {
    fn begin(&mut self, _: Family) {
        self.kernel.device_up("lo");
        self.kernel.take_outcomes();
        self.delivered.clear();
    }

    fn run(&mut self) {
        self.kernel.run();
    }

    fn transmit(&mut self, family: Family, data: &[u8]) {
        self.kernel.send(family, &udp(loopback(family), data));
        self.kernel.run();
    }

    fn delivered(&mut self, family: Family, _: bool) -> Option<Vec<u8>> {
        self.delivered.extend(delivered(&self.kernel, family));
        self.delivered.pop_front()
    }

    fn device_down(&mut self, name: DeviceName) {
        self.kernel.device_down(name.to_str().unwrap_or_default());
    }
}

/// The data of the UDP datagrams that a simulated kernel has delivered since the last call.
fn delivered(kernel: &Kernel, family: Family) -> impl Iterator<Item = Vec<u8>> {
    let outcomes = kernel.take_outcomes().into_iter();
    let delivered = outcomes.filter(|outcome| outcome.fate == Fate::Delivered);
    delivered.map(move |outcome| udp_data(family, &outcome.data).unwrap_or_default().to_vec())
}
