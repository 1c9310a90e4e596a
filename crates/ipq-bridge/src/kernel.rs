//! A kernel with `ip_queue` for programs in other processes: [`BridgedKernel`].

mod lower;
mod module;
mod sockets;

use core::fmt;
use std::os::fd::BorrowedFd;

use ipq_proto::{DataModel, Errno, Family};
use ipq_sys::unix::{
    Datagram, KernelFile, KernelInfo, Opener, ServedKernel, SocketId, SocketOption, sysctl_number,
};
use ipq_sys::{
    ClaimError, DeviceInfo, IpQueueStatus, NetlinkSocket, Protocol, SocketOptions, Transport,
};

use crate::{Options, Statistics};
use module::Module;
use sockets::Sockets;

/// Room for the longest reply: it repeats a request, which a socket takes up to its send buffer.
const LONGEST_MESSAGE: usize = 1 << 18;

/// `ip_queue` and `ip6_queue` over queues of `nfnetlink_queue`, as a [`Server`](ipq_sys::unix::Server) has it: any number
/// of programs with sockets, one of which gets the packets of a family.
///
/// A family's queue is claimed when a program opens the first socket for it. When the program that gets the packets closes
/// its socket, the queue is released and claimed again, so that what waits is dropped.
///
/// Both families can have [one queue](Self::on_one_queue), whose packets are sorted. Each has its peer, mode, maximum length
/// and counters all the same, and what waits for one is not touched when the other one's program goes. Packets of a family
/// that no program wants are dropped and [counted](Self::statistics). As nobody knows whose packets found no room in the
/// socket's receive buffer, both count these.
pub struct BridgedKernel<T> {
    /// IPv4, then IPv6.
    modules: [Option<Module<T>>; 2],
    /// Whether both have one queue.
    shares: bool,
    sockets: Sockets,
    claim: Box<Claimant<T>>,
    model: DataModel,
    problems: Vec<ClaimError>,
}

/// Claims the queue of a family: gives the transport and the queue's number.
type Claimant<T> = dyn FnMut(Family) -> Result<(T, u16, Options), ClaimError> + Send;

impl BridgedKernel<NetlinkSocket> {
    /// Over queues of the kernel that this program runs on, in its network namespace: the first number is the queue for
    /// IPv4, the other one that for IPv6. Both families share a queue if they are the same.
    pub fn on_this_kernel(numbers: [u16; 2], options: Options) -> Self {
        let open = move |family| {
            let number = numbers[slot(family)];
            let socket = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default())?;
            Ok((socket, number, options))
        };
        let shares = numbers[0] == numbers[1];
        Self { shares, ..Self::new(DataModel::NATIVE, open) }
    }
}

impl<T: Transport> BridgedKernel<T> {
    /// Over whatever `open` gives for a family: a transport that speaks `nfnetlink_queue`, the number of the queue that is
    /// to be claimed, and its options.
    pub fn new(
        model: DataModel,
        open: impl FnMut(Family) -> Result<(T, u16, Options), ClaimError> + Send + 'static,
    ) -> Self {
        let (modules, claim) = ([None, None], Box::new(open));
        Self {
            modules,
            shares: false,
            sockets: Sockets::default(),
            claim,
            model,
            problems: Vec::new(),
        }
    }

    /// Over one queue for both families: `open` gives it when the first program comes, for the family of that.
    pub fn on_one_queue(
        model: DataModel,
        open: impl FnMut(Family) -> Result<(T, u16, Options), ClaimError> + Send + 'static,
    ) -> Self {
        Self { shares: true, ..Self::new(model, open) }
    }

    /// What `/proc/net/ip_queue` or `/proc/net/ip6_queue` says; `None` as long as no program has asked for the family.
    pub fn status(&mut self, family: Family) -> Option<IpQueueStatus> {
        let Self { modules, sockets, .. } = self;
        let module = modules[slot(family)].as_mut()?;
        // Where that fails, it tells of what has been received.
        let _ = module.sort();
        module.drop_for_nobody(sockets);
        Some(module.status())
    }

    /// What came to the queue of a family and was not for it.
    pub fn statistics(&self, family: Family) -> Statistics {
        if let Some(module) = &self.modules[slot(family)] {
            return module.statistics();
        }
        // Who has the queue has counted what came for the other family.
        let other = self.modules.iter().flatten().next().filter(|_| self.shares);
        let unwanted = other.map_or(0, |other| other.unwanted(family));
        Statistics { unwanted, ..Statistics::default() }
    }

    /// Why queues could not be had when programs asked for them.
    pub fn problems(&self) -> &[ClaimError] {
        &self.problems
    }

    /// The module of a family, whose queue is claimed now if it was not before.
    fn demand(&mut self, family: Family) -> Result<&mut Module<T>, Errno> {
        if self.modules[slot(family)].is_none() {
            match self.open_module(family) {
                Ok(opened) => self.modules[slot(family)] = Some(opened),
                Err(error) => {
                    let errno = errno_of(&error);
                    self.problems.push(error);
                    return Err(errno);
                }
            }
        }
        self.modules[slot(family)].as_mut().ok_or(Errno::EPROTONOSUPPORT)
    }

    fn open_module(&mut self, family: Family) -> Result<Module<T>, ClaimError> {
        if let Some(other) = self.modules.iter().flatten().next().filter(|_| self.shares) {
            return other.beside(family);
        }
        let (below, number, options) = (self.claim)(family)?;
        let claim = if self.shares { Module::claim_for_both } else { Module::claim };
        claim(below, number, family, options)
    }

    /// The module of a socket that is open.
    fn module_of(&mut self, socket: SocketId) -> Option<(&mut Module<T>, &mut Sockets)> {
        let family = self.sockets.get(socket)?.family;
        let Self { modules, sockets, .. } = self;
        Some((modules[slot(family)].as_mut()?, sockets))
    }
}

impl<T: Transport> ServedKernel for BridgedKernel<T> {
    fn open(&mut self, protocol: Protocol, opener: Opener) -> Result<SocketId, Errno> {
        let family = protocol.family().ok_or(Errno::EPROTONOSUPPORT)?;
        self.demand(family)?;
        Ok(self.sockets.open(family, opener))
    }

    fn close(&mut self, socket: SocketId) {
        let Some(closed) = self.sockets.close(socket) else { return };
        if let Some(module) = &mut self.modules[slot(closed.family)]
            && let Err(error) = module.lose(closed.port_id)
        {
            self.problems.push(error);
        }
    }

    fn port_id(&self, socket: SocketId) -> u32 {
        self.sockets.get(socket).map_or(0, |socket| socket.port_id)
    }

    fn bind(&mut self, socket: SocketId, port_id: u32) -> Result<u32, Errno> {
        match port_id {
            0 => self.sockets.bind_by_itself(socket),
            port_id => self.sockets.bind(socket, port_id),
        }?;
        Ok(self.port_id(socket))
    }

    fn send(&mut self, socket: SocketId, port_id: u32, datagram: &[u8]) -> Result<(), Errno> {
        self.sockets.bind_by_itself(socket)?;
        if port_id != 0 {
            return self.sockets.send(socket, port_id, datagram);
        }
        let (module, sockets) = self.module_of(socket).ok_or(Errno::EBADF)?;
        module.hear(sockets, socket, datagram)
    }

    fn receive(
        &mut self,
        socket: SocketId,
        buffer: &mut [u8],
        peek: bool,
    ) -> Result<Datagram, Errno> {
        let (module, sockets) = self.module_of(socket).ok_or(Errno::EBADF)?;
        module.fill(sockets, socket);
        sockets.receive(socket, buffer, peek)
    }

    fn is_readable(&mut self, socket: SocketId) -> bool {
        let Some((module, sockets)) = self.module_of(socket) else { return false };
        module.fill(sockets, socket);
        sockets.get(socket).is_some_and(sockets::Socket::is_readable)
    }

    fn option(&mut self, socket: SocketId, option: SocketOption) -> Result<u32, Errno> {
        let socket = self.sockets.get_mut(socket).ok_or(Errno::EBADF)?;
        Ok(match option {
            SocketOption::RECEIVE_BUFFER => socket.receive_buffer,
            SocketOption::IGNORE_OVERRUNS => socket.ignores_overruns.into(),
            SocketOption::ERROR if socket.take_overrun() => Errno::ENOBUFS.0.cast_unsigned(),
            SocketOption::ERROR => 0,
            _ => return Err(Errno::ENOPROTOOPT),
        })
    }

    fn set_option(
        &mut self,
        socket: SocketId,
        option: SocketOption,
        value: u32,
    ) -> Result<(), Errno> {
        let own = self.sockets.get_mut(socket).ok_or(Errno::EBADF)?;
        match option {
            SocketOption::IGNORE_OVERRUNS => own.ignores_overruns = value != 0,
            option => own.receive_buffer = option.granted_buffer(value, own.privileged)?,
        }
        match self.module_of(socket) {
            Some((module, sockets)) => module.set_options(sockets, socket),
            None => Ok(()),
        }
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<u8>, Errno> {
        let text = match file(name)? {
            KernelFile::Status(family) => self.status(family).ok_or(Errno::ENOENT)?.to_string(),
            KernelFile::MaxLength(family) => {
                let status = self.status(family).ok_or(Errno::ENOENT)?;
                format!("{}\n", status.queue_max_length.cast_signed())
            }
            KernelFile::Queues => return Err(Errno::ENOENT),
        };
        Ok(text.into_bytes())
    }

    fn write_file(&mut self, name: &str, contents: &[u8]) -> Result<(), Errno> {
        let family = file(name)?.writable()?;
        let module = self.modules[slot(family)].as_mut().ok_or(Errno::ENOENT)?;
        match sysctl_number(contents)? {
            Some(number) => module.set_max_length(number.cast_unsigned()),
            None => Ok(()),
        }
    }

    fn device(&self, index: u32) -> Option<DeviceInfo> {
        let mut modules = self.modules.iter().flatten();
        modules.next().and_then(|module| module.device(index))
    }

    fn check_writable(&mut self, name: &str) -> Result<(), Errno> {
        let family = file(name)?.writable()?;
        self.modules[slot(family)].as_ref().map(|_| ()).ok_or(Errno::ENOENT)
    }

    fn info(&self) -> KernelInfo {
        let protocols = vec![Protocol::Firewall, Protocol::Ip6Firewall];
        KernelInfo { model: self.model, protocols, queues: None }
    }

    /// That of the queue below, for the program that gets its packets.
    fn descriptor(&self, socket: SocketId) -> Option<BorrowedFd<'_>> {
        let socket = self.sockets.get(socket)?;
        let module = self.modules[slot(socket.family)].as_ref()?;
        module.descriptor_of(socket.port_id)
    }
}

/// What a program is told when it opens a socket and its queue cannot be had.
fn errno_of(error: &ClaimError) -> Errno {
    match error {
        ClaimError::Transport(error) => error.errno,
        ClaimError::BindRefused { errno, .. } | ClaimError::OptionRefused { errno, .. } => *errno,
        ClaimError::QueueTaken { .. } | ClaimError::HandlerTaken => Errno::EBUSY,
        _ => Errno::EPROTONOSUPPORT,
    }
}

/// The file of this name that there can be here: that of `nfnetlink_queue` is the real kernel's.
fn file(name: &str) -> Result<KernelFile, Errno> {
    let file = KernelFile::named(name).filter(|file| *file != KernelFile::Queues);
    file.ok_or(Errno::ENOENT)
}

/// Where the module of `family` is kept.
const fn slot(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}

impl<T: fmt::Debug> fmt::Debug for BridgedKernel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgedKernel")
            .field("modules", &self.modules)
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}
