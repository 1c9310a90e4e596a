//! A simulated kernel for programs in other processes: [`Served`].

mod faulty;
mod files;
mod report;

use core::ops::RangeInclusive;
use std::sync::MutexGuard;

use ipq_proto::{CopyMode, Errno, Family};
use ipq_sys::unix::{Datagram, KernelInfo, Opener, ServedKernel, SocketId, SocketOption};
use ipq_sys::{Clock, Deadline, DeviceInfo, Protocol, Stepped};
use slab::Slab;

use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::netlink::{SocketKey, UNBOUND};
use crate::replay::Replay;
use crate::scenario::{ApplicationNumbers, Finding};
use crate::simulation::Simulation;
use crate::trace::TraceEvent;
use faulty::FaultySocket;
use report::Tally;

pub use report::ServedReport;

/// A simulation as a [`Server`](ipq_sys::unix::Server) has it: what programs in other processes do with the sockets and files
/// of its kernel is done to it. Their conversations meet the faults of the scenario.
#[derive(Debug)]
pub struct Served {
    simulation: Simulation,
    /// What programs are told of the queue that one is wanted for.
    queues: Option<RangeInclusive<u16>>,
    sockets: Slab<Socket>,
    /// Whether nothing has been done to it since it was found to have nothing left to do.
    is_settled: bool,
    tally: Tally,
}

/// A socket that a program in another process has.
#[derive(Debug)]
struct Socket {
    key: SocketKey,
    protocol: Protocol,
    /// The process id of the program.
    process: u32,
    privileged: bool,
    /// What its conversation meets, if it meets faults.
    faulty: Option<FaultySocket>,
}

impl Served {
    /// A simulation to be served.
    pub fn new(simulation: Simulation) -> Self {
        let queues = simulation.queues();
        let (sockets, tally) = (Slab::new(), Tally::default());
        Self { simulation, queues, sockets, is_settled: false, tally }
    }

    /// The same; programs that leave it to the server are told to take these queues of `nfnetlink_queue`, or `ip_queue`.
    #[must_use]
    pub fn with_queues(self, queues: Option<RangeInclusive<u16>>) -> Self {
        Self { queues, ..self }
    }

    /// What became of all that was in it, after it was served.
    pub fn finish(mut self) -> ServedReport {
        let kernel = self.simulation.kernel().clone();
        let findings = self.simulation.findings(&ApplicationNumbers::default());
        let of_program = |finding: &Finding| finding.that.starts_with("application.");
        let (unknown, findings) = findings.into_iter().partition(of_program);
        self.tally.add(&kernel.take_outcomes());
        ServedReport {
            totals: kernel.totals(),
            time: kernel.now(),
            fates: self.tally.fates(),
            findings,
            unknown,
            failure: self.simulation.replays().iter().find_map(Replay::take_error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.simulation.kernel().lock()
    }

    /// When a conversation goes on that a fault delays.
    fn due(&self) -> Option<Clock> {
        let faulty = self.sockets.iter().filter_map(|(_, socket)| socket.faulty.as_ref());
        faulty.filter_map(FaultySocket::due).min()
    }
}

impl From<Kernel> for Served {
    fn from(kernel: Kernel) -> Self {
        Self::new(Simulation::of_kernel(kernel))
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
        let privileged = privileged && self.simulation.is_privileged();
        let mut machine = self.lock();
        if !machine.demand(protocol) {
            return Err(Errno::EPROTONOSUPPORT);
        }
        let key = machine.sockets.open_unbound(protocol, privileged);
        drop(machine);
        let faulty = self.simulation.disturb(key, protocol).map(FaultySocket::new);
        self.is_settled = false;
        Ok(SocketId(self.sockets.insert(Socket { key, protocol, process, privileged, faulty })))
    }

    fn close(&mut self, SocketId(socket): SocketId) {
        let Socket { key, faulty, .. } = self.sockets.remove(socket);
        self.is_settled = false;
        // One that meets faults closes by itself.
        if faulty.is_none() {
            self.lock().close(key);
        }
    }

    fn port_id(&self, SocketId(socket): SocketId) -> u32 {
        self.lock().sockets.get(self.sockets[socket].key).port_id
    }

    fn bind(&mut self, SocketId(socket): SocketId, port_id: u32) -> Result<u32, Errno> {
        let socket = &self.sockets[socket];
        let mut machine = self.lock();
        let was_bound = machine.sockets.get(socket.key).port_id != UNBOUND;
        if port_id == UNBOUND {
            // One that has a port id is not given another, not even one of the kernel's choice.
            if was_bound {
                return Err(Errno::EINVAL);
            }
            bind_by_itself(&mut machine, socket)?;
        } else {
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
        self.is_settled = false;
        let socket = &mut self.sockets[socket];
        let mut machine = self.simulation.kernel().lock();
        bind_by_itself(&mut machine, socket)?;
        if port_id == UNBOUND {
            let Some(faulty) = &mut socket.faulty else {
                return machine.datagram_from_user(socket.key, datagram);
            };
            drop(machine);
            return faulty.send(datagram);
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
        let Socket { key, faulty, .. } = &mut self.sockets[socket];
        if let Some(faulty) = faulty {
            return faulty.receive(buffer, peek);
        }
        let machine = &mut *self.simulation.kernel().lock();
        let socket = machine.sockets.get(*key);
        if socket.is_detached {
            return Err(Errno::EBADF);
        }
        if socket.take_overrun() {
            return Err(Errno::ENOBUFS);
        }
        let spare = &mut machine.memory.messages;
        let taken = if peek { socket.peek(buffer) } else { socket.take(buffer, spare) };
        taken.ok_or(Errno::EAGAIN)
    }

    fn next_len(&mut self, SocketId(socket): SocketId) -> Option<usize> {
        let Socket { key, faulty, .. } = &self.sockets[socket];
        if faulty.is_some() {
            return None;
        }
        let next = self.lock().sockets.get(*key).peek(&mut []);
        Some(next.map_or(0, |datagram| datagram.datagram_len))
    }

    fn is_readable(&mut self, SocketId(socket): SocketId) -> bool {
        let Socket { key, faulty, .. } = &mut self.sockets[socket];
        if let Some(faulty) = faulty {
            return faulty.is_readable();
        }
        let mut machine = self.simulation.kernel().lock();
        let socket = machine.sockets.get(*key);
        // The program is told so by the error that it gets.
        socket.is_readable() || socket.is_detached
    }

    fn option(&mut self, SocketId(socket): SocketId, option: SocketOption) -> Result<u32, Errno> {
        let key = self.sockets[socket].key;
        let mut machine = self.lock();
        let socket = machine.sockets.get(key);
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
        let mut machine = self.lock();
        let socket = machine.sockets.get(key);
        match option {
            SocketOption::IGNORE_OVERRUNS => socket.ignores_overrun = value != 0,
            option => socket.receive_buffer = option.granted_buffer(value, privileged)? as usize,
        }
        Ok(())
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<u8>, Errno> {
        files::read(self.simulation.kernel(), name).map(String::into_bytes)
    }

    fn write_file(&mut self, name: &str, contents: &[u8]) -> Result<(), Errno> {
        files::write(self.simulation.kernel(), name, contents)
    }

    fn check_writable(&mut self, name: &str) -> Result<(), Errno> {
        files::check_writable(self.simulation.kernel(), name)
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        self.lock().devices.info(index)
    }

    fn info(&self) -> KernelInfo {
        let protocols = vec![Protocol::Firewall, Protocol::Ip6Firewall, Protocol::Netfilter];
        let model = self.simulation.kernel().data_model();
        KernelInfo { model, protocols, queues: self.queues.clone() }
    }

    fn step(&mut self, deadline: Deadline) -> Stepped {
        let wait = deadline.at_latest(self.due());
        // Not in the `match`, which would hold the lock that sockets want.
        let stepped = self.simulation.kernel().lock().step(wait);
        let stepped = match stepped {
            Stepped::TimedOut if wait != deadline => Stepped::Progressed,
            // What faults keep back until something else comes is given up now.
            Stepped::Ended => {
                let faulty =
                    self.sockets.iter_mut().filter_map(|(_, socket)| socket.faulty.as_mut());
                let progress = faulty.map(|faulty| faulty.step(deadline));
                progress
                    .fold(Stepped::Ended, |all, one| if one == Stepped::Ended { all } else { one })
            }
            stepped => stepped,
        };
        if self.tally.is_due() && !self.simulation.expects_anything() {
            // Nobody else will ask for them, and they would be kept for ever.
            self.tally.add(&self.simulation.kernel().take_outcomes());
        }
        let has_time = stepped == Stepped::TimedOut;
        self.is_settled = stepped == Stepped::Ended || (has_time && self.next_event().is_none());
        stepped
    }

    fn now(&self) -> Clock {
        self.simulation.kernel().now()
    }

    fn next_event(&mut self) -> Option<Clock> {
        let event = self.lock().next_event();
        event.into_iter().chain(self.due()).min()
    }

    fn has_program(&self) -> bool {
        let kernel = self.simulation.kernel();
        let own = self.simulation.programs_of_its_own();
        let mut statuses =
            Family::ALL.into_iter().filter_map(|family| kernel.ip_queue_status(family));
        statuses.any(|status| {
            let is_there = status.peer_port_id != 0 && status.copy_mode != CopyMode::None;
            is_there && !own.contains(&(Protocol::ip_queue(status.family), status.peer_port_id))
        }) || kernel
            .nfqueue_status()
            .iter()
            .any(|status| !own.contains(&(Protocol::Netfilter, status.port_id)))
    }

    fn may_come(&mut self, sockets: &[SocketId]) -> bool {
        if !self.is_settled || self.next_event().is_some() {
            return true;
        }
        // What the scenario's other programs have, they keep.
        let theirs = self.simulation.programs_of_its_own();
        let mut machine = self.simulation.kernel().lock();
        let own: Vec<_> = sockets
            .iter()
            .map(|&SocketId(socket)| {
                let Socket { key, protocol, .. } = self.sockets[socket];
                (protocol, machine.sockets.get(key).port_id)
            })
            .chain(theirs)
            .collect();
        machine.waiting_with().iter().any(|program| !own.contains(program))
    }
}
