//! A simulated kernel for programs in other processes: [`Served`].

mod files;

use ipq_proto::{CopyMode, Errno, Family};
use ipq_sys::unix::{Datagram, KernelInfo, Opener, ServedKernel, SocketId, SocketOption};
use ipq_sys::{Clock, Deadline, DeviceInfo, IpQueueStatus, Protocol, Stepped};
use slab::Slab;

use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::netlink::{SocketKey, UNBOUND};
use crate::trace::TraceEvent;

/// A simulated kernel as a [`Server`](ipq_sys::unix::Server) has it: what programs in other processes do with its sockets
/// and files is done to it.
#[derive(Debug)]
pub struct Served {
    kernel: Kernel,
    sockets: Slab<Socket>,
}

/// A socket that a program in another process has.
#[derive(Debug)]
struct Socket {
    key: SocketKey,
    protocol: Protocol,
    /// The process id of the program.
    process: u32,
    privileged: bool,
}

impl Served {
    /// A kernel to be served, with the packets that are to come in it.
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, sockets: Slab::new() }
    }

    /// The kernel.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }
}

/// Gives a socket that has no port id one, as the kernel does by itself: the process id, or else a negative number.
fn bind_by_itself(machine: &mut Machine, socket: &Socket) -> Result<(), Errno> {
    const LAST_NEGATIVE: u32 = 4096_u32.wrapping_neg();
    const FIRST_NEGATIVE: u32 = i32::MIN.cast_unsigned();
    if machine.sockets.get(socket.key).port_id != UNBOUND {
        return Ok(());
    }
    let negative = (FIRST_NEGATIVE..LAST_NEGATIVE).rev();
    let own = Some(socket.process).filter(|&process| process != UNBOUND);
    machine.sockets.bind_first(socket.key, own.into_iter().chain(negative))?;
    note_bound(machine, socket);
    Ok(())
}

/// Remembers that a socket was bound: only now can it be told from others.
fn note_bound(machine: &mut Machine, socket: &Socket) {
    let (protocol, port_id) = (socket.protocol, machine.sockets.get(socket.key).port_id);
    machine.note(TraceEvent::Opened { protocol, port_id });
}

impl ServedKernel for Served {
    fn open(&mut self, protocol: Protocol, opener: Opener) -> Result<SocketId, Errno> {
        let Opener { process, privileged } = opener;
        let mut machine = self.kernel.lock();
        if !machine.demand(protocol) {
            return Err(Errno::EPROTONOSUPPORT);
        }
        let key = machine.sockets.open_unbound(protocol, privileged);
        Ok(SocketId(self.sockets.insert(Socket { key, protocol, process, privileged })))
    }

    fn close(&mut self, SocketId(socket): SocketId) {
        let Socket { key, .. } = self.sockets.remove(socket);
        self.kernel.lock().close(key);
    }

    fn port_id(&self, SocketId(socket): SocketId) -> u32 {
        self.kernel.lock().sockets.get(self.sockets[socket].key).port_id
    }

    fn bind(&mut self, SocketId(socket): SocketId, port_id: u32) -> Result<u32, Errno> {
        let socket = &self.sockets[socket];
        let mut machine = self.kernel.lock();
        if port_id == UNBOUND {
            bind_by_itself(&mut machine, socket)?;
        } else {
            let was_bound = machine.sockets.get(socket.key).port_id != UNBOUND;
            machine.sockets.bind(socket.key, port_id)?;
            if !was_bound {
                note_bound(&mut machine, socket);
            }
        }
        Ok(machine.sockets.get(socket.key).port_id)
    }

    fn send(
        &mut self,
        SocketId(socket): SocketId,
        port_id: u32,
        datagram: &[u8],
    ) -> Result<(), Errno> {
        let socket = &self.sockets[socket];
        let mut machine = self.kernel.lock();
        bind_by_itself(&mut machine, socket)?;
        if port_id == UNBOUND {
            return machine.datagram_from_user(socket.key, datagram);
        }
        if !socket.privileged {
            return Err(Errno::EPERM);
        }
        let to = machine.sockets.find(socket.protocol, port_id).ok_or(Errno::ECONNREFUSED)?;
        let sender = machine.sockets.get(socket.key).port_id;
        let fits = machine.send_from(sender, to, datagram.to_vec());
        // Where a real kernel lets the sender wait for room.
        if fits { Ok(()) } else { Err(Errno::EAGAIN) }
    }

    fn receive(
        &mut self,
        SocketId(socket): SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Datagram, Errno> {
        let machine = &mut *self.kernel.lock();
        let socket = machine.sockets.get(self.sockets[socket].key);
        if socket.is_detached {
            return Err(Errno::EBADF);
        }
        if socket.take_overrun() {
            return Err(Errno::ENOBUFS);
        }
        let spare = &mut machine.buffers;
        let taken = if peek { socket.peek(buffer) } else { socket.take(buffer, spare) };
        taken.ok_or(Errno::EAGAIN)
    }

    fn is_readable(&mut self, SocketId(socket): SocketId) -> bool {
        let mut machine = self.kernel.lock();
        let socket = machine.sockets.get(self.sockets[socket].key);
        // The program is told so by the error that it gets.
        socket.is_readable() || socket.is_detached
    }

    fn option(&mut self, SocketId(socket): SocketId, option: SocketOption) -> Result<u32, Errno> {
        let mut machine = self.kernel.lock();
        let socket = machine.sockets.get(self.sockets[socket].key);
        Ok(match option {
            SocketOption::RECEIVE_BUFFER => {
                u32::try_from(socket.receive_buffer).unwrap_or(u32::MAX)
            }
            SocketOption::IGNORE_OVERRUNS => u32::from(socket.ignores_overrun),
            SocketOption::ERROR if socket.take_overrun() => Errno::ENOBUFS.0.cast_unsigned(),
            SocketOption::ERROR => 0,
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }

    fn set_option(
        &mut self,
        SocketId(socket): SocketId,
        option: SocketOption,
        value: u32,
    ) -> Result<(), Errno> {
        let Socket { key, privileged, .. } = self.sockets[socket];
        let mut machine = self.kernel.lock();
        let socket = machine.sockets.get(key);
        match option {
            SocketOption::IGNORE_OVERRUNS => socket.ignores_overrun = value != 0,
            option => socket.receive_buffer = option.granted_buffer(value, privileged)? as usize,
        }
        Ok(())
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<u8>, Errno> {
        files::read(&self.kernel, name).map(String::into_bytes)
    }

    fn write_file(&mut self, name: &str, contents: &[u8]) -> Result<(), Errno> {
        files::write(&self.kernel, name, contents)
    }

    fn check_writable(&mut self, name: &str) -> Result<(), Errno> {
        files::check_writable(&self.kernel, name)
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.kernel.lock().devices.info(index)
    }

    fn info(&self) -> KernelInfo {
        let protocols = vec![Protocol::Firewall, Protocol::Ip6Firewall, Protocol::Netfilter];
        KernelInfo { model: self.kernel.data_model(), protocols, queues: None }
    }

    fn step(&mut self, deadline: Deadline) -> Stepped {
        self.kernel.lock().step(deadline)
    }

    fn now(&self) -> Clock {
        self.kernel.now()
    }

    fn next_event(&mut self) -> Option<Clock> {
        self.kernel.lock().next_event()
    }

    fn has_program(&self) -> bool {
        let mut statuses =
            Family::ALL.into_iter().filter_map(|family| self.kernel.ip_queue_status(family));
        let is_wanted =
            |status: IpQueueStatus| status.peer_port_id != 0 && status.copy_mode != CopyMode::None;
        statuses.any(is_wanted) || !self.kernel.nfqueue_status().is_empty()
    }

    fn may_come(&mut self, sockets: &[SocketId]) -> bool {
        let mut machine = self.kernel.lock();
        if machine.next_event().is_some() {
            return true;
        }
        let own: Vec<_> = sockets
            .iter()
            .map(|&SocketId(socket)| {
                let Socket { key, protocol, .. } = self.sockets[socket];
                (protocol, machine.sockets.get(key).port_id)
            })
            .collect();
        machine.waiting_with().iter().any(|program| !own.contains(program))
    }
}
