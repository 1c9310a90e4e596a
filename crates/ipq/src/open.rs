//! How a session is opened by its transport's name.

use core::ops::RangeInclusive;

use ipq_proto::nfqueue::Command;
use ipq_proto::{Errno, Family};
use ipq_sim::{Simulation, SocketOptions as SimulatedOptions};
use ipq_sys::{NetlinkSocket, Protocol, SocketOptions, Transport, queue_owner};

use crate::lane::{Front, Lane};
use crate::nfqueue::{Config, Nfqueue};
use crate::{Error, Options, Queue, QueueName, TransportName};

/// How long a queue is unless it is said.
pub(crate) const DEFAULT_LENGTH: u32 = 1024;

/// Room for the answer to a request: it repeats the request.
const ANSWER_LEN: usize = 4096;

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
        TransportName::Unix(_) => Err(Error::Unsupported(name)),
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

fn open_nfqueue(numbers: RangeInclusive<u16>, options: &Options) -> Result<Queue, Error> {
    let socket = socket(Protocol::Netfilter, options)?;
    nfqueue(Box::new(socket), numbers, options, buffered_length(options))
}

/// A session over a transport that speaks `nfnetlink_queue`.
pub(crate) fn nfqueue(
    transport: Box<dyn Transport>,
    numbers: RangeInclusive<u16>,
    options: &Options,
    buffered_length: Option<u32>,
) -> Result<Queue, Error> {
    if transport.protocol() != Protocol::Netfilter {
        return Err(Error::WrongProtocol(transport.protocol()));
    }
    let first = *numbers.start();
    let nfqueue = Nfqueue::new(numbers.clone(), options.families);
    let mut lane = Lane::new(Front::Nfqueue(nfqueue), transport);
    let mut scratch = [0; ANSWER_LEN];

    // Since Linux 3.8 there is nothing to bind, and any answer is as good. Before, a family that ip_queue has stays
    // with it, and a queue receives nothing of it.
    let (mut is_taken, mut may_configure) = (false, true);
    for family in options.families.iter() {
        let config = Config::Command(Command::PF_BIND, address_family(family));
        let bound = lane.configure(first, config, &mut scratch)?;
        is_taken |= bound == Err(Errno::EBUSY);
        may_configure &= bound != Err(Errno::EPERM);
    }
    for queue in numbers {
        bind(&mut lane, queue, may_configure, &mut scratch)?;
        set_options(&mut lane, queue, options, &mut scratch)?;
    }
    if is_taken {
        return Err(Error::HandlerTaken);
    }
    Ok(Queue::with_lanes(vec![lane], buffered_length))
}

/// Claims a queue. Kernels say `EPERM` or, older ones, `EBUSY` when another socket has it.
fn bind(lane: &mut Lane, queue: u16, may_configure: bool, scratch: &mut [u8]) -> Result<(), Error> {
    match lane.configure(queue, Config::Command(Command::BIND, 0), scratch)? {
        Ok(()) => Ok(()),
        Err(Errno::EPERM | Errno::EBUSY) if may_configure => {
            Err(Error::QueueTaken { queue, owner: queue_owner(queue) })
        }
        Err(errno) => Err(Error::BindRefused { queue, errno }),
    }
}

/// Sets the options of a queue.
fn set_options(
    lane: &mut Lane,
    queue: u16,
    options: &Options,
    scratch: &mut [u8],
) -> Result<(), Error> {
    let refused = |option| {
        let queue = QueueName::Nfqueue(queue);
        move |errno| Error::OptionRefused { option, queue, errno }
    };
    if let Some(packets) = options.max_length {
        let config = Config::MaxLength(packets);
        lane.configure(queue, config, scratch)?.map_err(refused("maximum length"))?;
    }
    for (flag, name) in options.flags() {
        lane.configure(queue, Config::Flags(flag), scratch)?.map_err(refused(name))?;
    }
    Ok(())
}

fn socket(protocol: Protocol, options: &Options) -> Result<NetlinkSocket, Error> {
    let socket_options = SocketOptions { receive_buffer: options.receive_buffer };
    let mut socket = NetlinkSocket::open(protocol, socket_options)?;
    if options.ignore_overruns {
        socket.report_overruns(false)?;
    }
    Ok(socket)
}

/// `AF_INET` or `AF_INET6`.
const fn address_family(family: Family) -> u16 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
    }
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
