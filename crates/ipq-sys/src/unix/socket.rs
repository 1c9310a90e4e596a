//! A netlink socket of a served kernel, as a session uses it: [`UnixSocket`].

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ipq_proto::{DataModel, Errno};

use super::client::More;
use super::frame::{Item, ItemKind};
use super::{Call, Client, Opened, SocketOption};
use crate::netlink_socket::{first_free, monotonic};
use crate::syscall::{KERNEL, outcome};
use crate::wait::{Polled, Waited};
use crate::{
    Batch, Clock, Deadline, DeviceInfo, Error, KernelStatus, Operation, Protocol, Received,
    SocketOptions, Transport,
};

/// A netlink socket of a kernel that a [`Server`](super::Server) has.
///
/// Its descriptor becomes readable when a message waits, and when nothing can come any more. Deadlines are by the
/// monotonic clock, however fast simulated time passes. A server that is gone is the error `ECONNRESET`.
#[derive(Debug)]
pub struct UnixSocket {
    /// Behind a lock for what is asked by reference; there is never another holder.
    client: Mutex<Client>,
    opened: Opened,
    protocol: Protocol,
    port_id: u32,
    model: DataModel,
    has_ended: bool,
}

impl UnixSocket {
    /// Opens a socket for `protocol` at the server at `path`, and binds it to a port id of its own: the process id where
    /// that is free.
    ///
    /// # Errors
    ///
    /// If there is no server, or it is another user's; and as [`NetlinkSocket::open`](crate::NetlinkSocket::open).
    pub fn open(path: &Path, protocol: Protocol, options: SocketOptions) -> Result<Self, Error> {
        let failed = |operation| move |errno: Errno| Error { operation, protocol, errno };
        let mut client = Client::connect(path).map_err(failed(Operation::Open))?;
        let opened = client.open(protocol, true, true).map_err(failed(Operation::Open))?;
        if let Some(bytes) = options.receive_buffer {
            set_receive_buffer(&mut client, &opened, bytes)
                .map_err(failed(Operation::Configure))?;
        }
        let port_id = first_free(|port_id| client.bind(opened.cookie, port_id).map(|_| ()));
        let port_id = port_id.map_err(failed(Operation::Bind))?;
        let model = client.info().model;
        let client = Mutex::new(client);
        Ok(Self { client, opened, protocol, port_id, model, has_ended: false })
    }

    fn client(&mut self) -> &mut Client {
        self.client.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, operation: Operation) -> impl Fn(Errno) -> Error + use<> {
        let protocol = self.protocol;
        move |errno| Error { operation, protocol, errno }
    }

    /// Receives what is there and hands it to `each`; says what it means if that is nothing.
    fn receive_items(
        &mut self,
        lens: [usize; 2],
        each: impl FnMut(Item<'_>),
    ) -> Result<Option<Received>, Error> {
        let failed = self.error(Operation::Receive);
        let Self { client, opened, .. } = self;
        let client = client.get_mut().unwrap_or_else(PoisonError::into_inner);
        let socket = (&opened.descriptor, opened.cookie);
        let received = client.receive_items(Call::RECEIVE, socket, lens, each);
        self.has_ended = received == Ok(More::Ended);
        match received {
            Ok(More::MayCome) => Ok(None),
            Ok(More::Ended) => Ok(Some(Received::Ended)),
            Err(Errno::EAGAIN) => Ok(Some(Received::TimedOut)),
            Err(Errno::EINTR) => Ok(Some(Received::Interrupted)),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Waits until `deadline`: `None` if there may be something to receive.
    fn wait(&self, deadline: Deadline) -> Result<Option<Received>, Error> {
        let waited = Polled::one(self.opened.descriptor.as_fd())
            .wait(self.now(), deadline)
            .map_err(|errno| self.error(Operation::Wait)(Errno(errno as i32)))?;
        Ok(match waited {
            Waited::Ready => None,
            Waited::Interrupted => Some(Received::Interrupted),
            Waited::TimedOut | Waited::Ended => Some(Received::TimedOut),
        })
    }

    /// Has `take` look until there is something, and waits for that until `deadline`. `take` gives `TimedOut` for nothing.
    fn look_until(
        &mut self,
        deadline: Deadline,
        mut take: impl FnMut(&mut Self) -> Result<Option<Received>, Error>,
    ) -> Result<Option<Received>, Error> {
        loop {
            match take(self)? {
                Some(Received::TimedOut) if deadline != Deadline::Immediate => (),
                taken => return Ok(taken),
            }
            if let Some(nothing) = self.wait(deadline)? {
                return Ok(Some(nothing));
            }
        }
    }
}

impl Transport for UnixSocket {
    fn send(&mut self, datagram: &[IoSlice<'_>]) -> Result<(), Error> {
        let failed = self.error(Operation::Send);
        let cookie = self.opened.cookie;
        self.client().send(cookie, KERNEL, datagram).map_err(failed)
    }

    fn send_many(&mut self, datagrams: &[IoSlice<'_>]) -> Result<usize, Error> {
        let failed = self.error(Operation::Send);
        let cookie = self.opened.cookie;
        let mut sent = 0;
        while let Some(rest) = datagrams.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.client().send_many(cookie, rest) {
                Ok(count) => sent += count,
                Err(errno) if sent == 0 => return Err(failed(errno)),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        let mut received = Received::Ended;
        let nothing = self.look_until(deadline, |socket| {
            socket.receive_items([buffer.len(), 1], |item| received = put(item, buffer))
        })?;
        Ok(nothing.unwrap_or(received))
    }

    fn receive_many(&mut self, batch: &mut Batch, deadline: Deadline) -> Result<(), Error> {
        batch.clear();
        let nothing = self.look_until(deadline, |socket| {
            let lens = [batch.slot_len(), batch.slots()];
            socket.receive_items(lens, |item| {
                // A server that sends more than was asked for is not believed.
                if let Some(slot) = batch.vacant() {
                    let received = put(item, slot);
                    batch.push(received);
                }
            })
        })?;
        if let Some(nothing) = nothing {
            batch.clear();
            batch.push(nothing);
        }
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.opened.descriptor.as_fd())
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).device(index).ok()
    }

    fn kernel_status(&self) -> KernelStatus {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        client.kernel_status().unwrap_or_else(|errno| KernelStatus {
            problems: vec![format!("reading the files of the kernel: {errno}")],
            ..KernelStatus::default()
        })
    }

    fn set_receive_buffer(&mut self, bytes: usize) -> Result<(), Error> {
        let failed = self.error(Operation::Configure);
        let Self { client, opened, .. } = self;
        let client = client.get_mut().unwrap_or_else(PoisonError::into_inner);
        set_receive_buffer(client, opened, bytes).map_err(failed)
    }

    fn report_overruns(&mut self, report: bool) -> Result<(), Error> {
        let failed = self.error(Operation::Configure);
        let cookie = self.opened.cookie;
        let (option, value) = (SocketOption::IGNORE_OVERRUNS, u32::from(!report));
        self.client().set_option(cookie, option, value).map_err(failed)
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
        monotonic()
    }
}

/// Puts an item into a buffer.
fn put(item: Item<'_>, buffer: &mut [u8]) -> Received {
    if item.kind == ItemKind::Overrun {
        return Received::Overrun;
    }
    let len = item.bytes.len().min(buffer.len());
    buffer[..len].copy_from_slice(&item.bytes[..len]);
    let datagram_len = usize::try_from(item.datagram_len).unwrap_or(usize::MAX);
    outcome(Some(item.port_id), datagram_len, len)
}

/// Asks for a receive buffer the privileged way, as [`NetlinkSocket`](crate::NetlinkSocket) does.
fn set_receive_buffer(client: &mut Client, opened: &Opened, bytes: usize) -> Result<(), Errno> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let set = |client: &mut Client, option| client.set_option(opened.cookie, option, bytes);
    set(client, SocketOption::RECEIVE_BUFFER_FORCE)
        .or_else(|_| set(client, SocketOption::RECEIVE_BUFFER))
}
