//! The program's end of a netlink socket to a simulated kernel: [`Socket`].

use core::fmt;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use ipq_proto::ip_queue::Timestamp;
use ipq_proto::{DataModel, Errno};
use ipq_sys::{
    Batch, Clock, Deadline, DeviceInfo, Error, KernelStatus, Operation, Protocol, Received,
    Stepped, Transport,
};

use crate::kernel::Kernel;
use crate::netlink::{DEFAULT_RECEIVE_BUFFER, SocketKey};

/// A netlink socket to a simulated kernel. While it waits, the kernel runs.
///
/// Closed when dropped. [Duplicates](Self::duplicate) refer to the same socket, which closes with the last one.
pub struct Socket {
    kernel: Kernel,
    key: SocketKey,
    protocol: Protocol,
    port_id: u32,
    model: DataModel,
    /// The parts of a datagram, put together.
    datagram: Vec<u8>,
}

/// How a [`Socket`] is opened.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// The port id to bind to; `None`, like 0, takes a free one.
    pub port_id: Option<u32>,
    /// Whether its owner has `CAP_NET_ADMIN`.
    #[doc(alias = "CAP_NET_ADMIN")]
    pub privileged: bool,
    /// The size of the receive buffer in bytes, counted as the kernel does, with its overhead.
    #[doc(alias = "SO_RCVBUF")]
    pub receive_buffer: usize,
    /// Whether a full receive buffer goes unreported.
    #[doc(alias = "NETLINK_NO_ENOBUFS")]
    pub ignores_overrun: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            port_id: None,
            privileged: true,
            receive_buffer: DEFAULT_RECEIVE_BUFFER,
            ignores_overrun: false,
        }
    }
}

impl Socket {
    pub(crate) fn new(
        kernel: Kernel,
        key: SocketKey,
        protocol: Protocol,
        port_id: u32,
        model: DataModel,
    ) -> Self {
        Self { kernel, key, protocol, port_id, model, datagram: Vec::new() }
    }

    /// Another descriptor of the same socket, as dup(2) gives one.
    #[doc(alias = "dup")]
    #[must_use]
    pub fn duplicate(&self) -> Self {
        self.kernel.lock().sockets.duplicate(self.key);
        Self::new(self.kernel.clone(), self.key, self.protocol, self.port_id, self.model)
    }

    pub(crate) fn key(&self) -> SocketKey {
        self.key
    }

    fn failed(&self, operation: Operation, errno: Errno) -> Error {
        Error { operation, protocol: self.protocol, errno }
    }

    /// The kernel behind it.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }
}

impl Transport for Socket {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        let Self { kernel, key, datagram, .. } = self;
        let whole = match parts {
            [whole] => whole,
            parts => {
                datagram.clear();
                for part in parts {
                    datagram.extend_from_slice(part);
                }
                datagram.as_slice()
            }
        };
        let sent = kernel.lock().datagram_from_user(*key, whole);
        sent.map_err(|errno| self.failed(Operation::Send, errno))
    }

    fn send_many(&mut self, datagrams: &[IoSlice<'_>]) -> Result<usize, Error> {
        let mut machine = self.kernel.lock();
        for (sent, datagram) in datagrams.iter().enumerate() {
            match machine.datagram_from_user(self.key, datagram) {
                Ok(()) => (),
                Err(errno) if sent == 0 => return Err(self.failed(Operation::Send, errno)),
                Err(_) => return Ok(sent),
            }
        }
        Ok(datagrams.len())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        let received = self.kernel.lock().receive(self.key, buffer, deadline);
        received.map_err(|errno| self.failed(Operation::Receive, errno))
    }

    fn receive_many(&mut self, batch: &mut Batch, deadline: Deadline) -> Result<(), Error> {
        let mut machine = self.kernel.lock();
        let filled =
            batch.fill(deadline, |buffer, deadline| machine.receive(self.key, buffer, deadline));
        filled.map_err(|errno| self.failed(Operation::Receive, errno))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        let mut machine = self.kernel.lock();
        if machine.sockets.get(self.key).is_readable() {
            return Ok(Stepped::Progressed);
        }
        Ok(machine.step(deadline))
    }

    fn upcoming(&self) -> Option<Clock> {
        self.kernel.lock().next_event()
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.kernel.lock().devices.info(index)
    }

    fn kernel_status(&self) -> KernelStatus {
        self.kernel.status()
    }

    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        self.kernel.lock().sockets.get(self.key).receive_buffer = bytes;
        Ok(())
    }

    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        self.kernel.lock().sockets.get(self.key).ignores_overrun = !report;
        Ok(())
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn port_id(&self) -> u32 {
        self.port_id
    }

    fn data_model(&self) -> DataModel {
        self.model
    }

    fn now(&self) -> Clock {
        self.kernel.now()
    }

    fn wall_clock(&self) -> Timestamp {
        let time = self.kernel.lock().wall_clock();
        Timestamp { seconds: time.seconds(), microseconds: i64::from(time.nanoseconds() / 1000) }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.kernel.lock().close(self.key);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("protocol", &self.protocol)
            .field("port_id", &self.port_id)
            .finish_non_exhaustive()
    }
}
