//! How a session is opened by its transport's name.

use core::ops::RangeInclusive;
use std::path::Path;

use ipq_proto::CopyMode;
use ipq_sim::{Simulation, SocketOptions as SimulatedOptions};
use ipq_sys::unix::{Client, UnixSocket};
use ipq_sys::{Claim, NetlinkSocket, Protocol, SocketOptions, Transport, claim};

use crate::lane::{Front, Lane};
use crate::nfqueue::Nfqueue;
use crate::{Error, Options, Queue, TransportName};

/// How long a queue is unless it is said.
pub(crate) const DEFAULT_LENGTH: u32 = 1024;

/// Opens what `name` says.
pub(crate) fn queue(name: TransportName, options: &Options) -> Result<Queue, Error> {
    match name {
        TransportName::Auto => match ip_queue(options) {
            Err(Error::Transport(error)) if error.is_unsupported() => open_nfqueue(0..=0, options),
            opened => opened,
        },
        TransportName::IpQueue => ip_queue(options),
        TransportName::Nfqueue { first, last } => open_nfqueue(first..=last, options),
        TransportName::Sim(path) => {
            let mut simulation = Simulation::open(&path)?;
            simulated(&mut simulation, options)
        }
        TransportName::Unix(path) => served(&path, options),
    }
}

fn ip_queue(options: &Options) -> Result<Queue, Error> {
    let lanes = ip_queue_lanes(options, |protocol| {
        Ok(Box::new(socket(protocol, options)?) as Box<dyn Transport>)
    })?;
    Ok(Queue::with_lanes(lanes, buffered_length(options)))
}

/// A lane for each family whose module is there. It is enough if there is one.
fn ip_queue_lanes(
    options: &Options,
    mut open: impl FnMut(Protocol) -> Result<Box<dyn Transport>, Error>,
) -> Result<Vec<Lane>, Error> {
    let mut lanes = Vec::new();
    let mut missing: Option<ipq_sys::Error> = None;
    for family in options.families.iter() {
        match open(Protocol::ip_queue(family)) {
            Ok(socket) => lanes.push(Lane::new(Front::IpQueue(family), socket)),
            Err(Error::Transport(error)) if error.is_unsupported() => {
                missing.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = missing.filter(|_| lanes.is_empty()) {
        return Err(error.into());
    }
    refuse_nfqueue_options(options)?;
    Ok(lanes)
}

/// Claims the queue of a simulation. Its receive buffers are as large as a real kernel's are by itself, so that a scenario
/// knows when they are full.
pub(crate) fn simulated(simulation: &mut Simulation, options: &Options) -> Result<Queue, Error> {
    let default = SimulatedOptions::default();
    let socket_options = SimulatedOptions {
        receive_buffer: options.receive_buffer.unwrap_or(default.receive_buffer),
        ignores_overrun: options.ignore_overruns,
        ..default
    };
    if let Some(numbers) = simulation.queues() {
        let socket = simulation.open_socket(Protocol::Netfilter, socket_options)?;
        return nfqueue(socket, numbers, options, None);
    }
    let lanes =
        ip_queue_lanes(options, |protocol| Ok(simulation.open_socket(protocol, socket_options)?))?;
    Ok(Queue::with_lanes(lanes, None))
}

/// Claims the queue of a kernel that a server has: the one that a program is wanted for there. Its receive buffers are left
/// alone, as those of a simulation are.
fn served(path: &Path, options: &Options) -> Result<Queue, Error> {
    let unreachable = |errno| Error::Unreachable { path: path.to_owned(), errno };
    let client = Client::connect(path).map_err(unreachable)?;
    let socket_options = SocketOptions { receive_buffer: options.receive_buffer };
    let open = |protocol| {
        let mut socket = UnixSocket::open(path, protocol, socket_options)?;
        if options.ignore_overruns {
            socket.report_overruns(false)?;
        }
        Ok(Box::new(socket) as Box<dyn Transport>)
    };
    if let Some(numbers) = &client.info().queues {
        return nfqueue(open(Protocol::Netfilter)?, numbers.clone(), options, None);
    }
    Ok(Queue::with_lanes(ip_queue_lanes(options, open)?, None))
}

fn open_nfqueue(numbers: RangeInclusive<u16>, options: &Options) -> Result<Queue, Error> {
    let socket = socket(Protocol::Netfilter, options)?;
    nfqueue(Box::new(socket), numbers, options, buffered_length(options))
}

/// A session over a transport that speaks `nfnetlink_queue`.
pub(crate) fn nfqueue(
    mut transport: Box<dyn Transport>,
    numbers: RangeInclusive<u16>,
    options: &Options,
    buffered_length: Option<u32>,
) -> Result<Queue, Error> {
    if transport.protocol() != Protocol::Netfilter {
        return Err(Error::WrongProtocol(transport.protocol()));
    }
    let families: Vec<_> = options.families.iter().collect();
    let flags: Vec<_> = options.flags().collect();
    let wanted = Claim {
        first: *numbers.start(),
        last: *numbers.end(),
        families: &families,
        max_length: options.max_length,
        flags: &flags,
    };
    claim(&mut *transport, &wanted)?;
    let nfqueue = Nfqueue::new(numbers, options.families);
    let lane = Lane::new(Front::Nfqueue(nfqueue), transport);
    Ok(Queue::with_lanes(vec![lane], buffered_length))
}

/// A session over a transport whose queues somebody else has claimed and configured.
pub(crate) fn configured(
    transport: Box<dyn Transport>,
    numbers: RangeInclusive<u16>,
    mode: CopyMode,
    options: &Options,
) -> Queue {
    let front = transport
        .protocol()
        .family()
        .map_or_else(|| Front::Nfqueue(Nfqueue::new(numbers, options.families)), Front::IpQueue);
    let mut lane = Lane::new(front, transport);
    lane.mode = mode;
    Queue::with_lanes(vec![lane], None)
}

fn socket(protocol: Protocol, options: &Options) -> Result<NetlinkSocket, Error> {
    let socket_options = SocketOptions { receive_buffer: options.receive_buffer };
    let mut socket = NetlinkSocket::open(protocol, socket_options)?;
    if options.ignore_overruns {
        socket.report_overruns(false)?;
    }
    Ok(socket)
}

/// The length to make receive buffers for, unless their size is said.
fn buffered_length(options: &Options) -> Option<u32> {
    match options.receive_buffer {
        Some(_) => None,
        None => Some(options.max_length.unwrap_or(DEFAULT_LENGTH)),
    }
}

/// `ip_queue` has no options: its maximum length is a sysctl, and there is nothing else.
fn refuse_nfqueue_options(options: &Options) -> Result<(), Error> {
    if options.max_length.is_some() {
        return Err(Error::NoSuchOption(
            "a maximum length: set the sysctl net.ipv4.ip_queue_maxlen",
        ));
    }
    match options.flags().next() {
        Some((_, name)) => Err(Error::NoSuchOption(name)),
        None => Ok(()),
    }
}
