//! How a scenario's plan becomes a kernel with traffic under way: [`Started`].

use core::net::SocketAddr;
use core::time::Duration;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use ipq_proto::Family;

use crate::builder::Builder;
use crate::capture::Reader;
use crate::host::{Exchange, Host, TcpListener, TcpStream};
use crate::kernel::Kernel;
use crate::replay::Replay;
use crate::scenario::{HERE, Payload, Plan, Queues, ScenarioError, Traffic};
use crate::socket::Socket;
use crate::trace::QueueId;

/// Traffic that is under way.
#[derive(Debug)]
pub(super) enum Started {
    Pings(Exchange),
    Datagrams(Exchange),
    Stream(Stream),
    Replay(Replay),
}

/// Bytes that travel over a TCP connection.
#[derive(Debug)]
pub(super) struct Stream {
    payload: Payload,
    listener: TcpListener,
    receiver: Option<TcpStream>,
    /// All that arrived, once the sender has closed.
    arrived: Option<Vec<u8>>,
}

impl Plan {
    /// The kernel of the plan, with its rules and with what is to be done to it.
    pub(super) fn kernel(&self, builder: Builder) -> Kernel {
        let builder = self.devices.iter().cloned().fold(builder, Builder::device);
        let route = |builder: Builder, (to, device): &(_, String)| builder.route(*to, device);
        let builder = self.routes.iter().fold(builder, route);
        let absent = self.without_ip_queue.iter().copied();
        let builder = absent.fold(builder, Builder::without_ip_queue);
        let builder = if self.has_nfqueue { builder } else { builder.without_nfqueue() };
        let builder = if self.has_conntrack { builder.with_conntrack() } else { builder };
        let builder = match self.data_model {
            Some(model) => builder.data_model(model),
            None => builder,
        };
        let kernel = builder.build();
        for (table, hook, condition, target) in &self.rules {
            kernel.rule_in(*table, *hook, condition.clone(), *target);
        }
        for (at, action) in &self.events {
            kernel.at(*at, action.clone());
        }
        kernel
    }
}

impl Plan {
    /// Has another program have the queues that are taken.
    pub(super) fn occupy(&self, kernel: &Kernel) -> Result<Vec<Socket>, ScenarioError> {
        let mut sockets = Vec::new();
        for queues in &self.taken {
            let queues: Vec<_> = match queues {
                Queues::IpQueue => Family::ALL.map(QueueId::IpQueue).to_vec(),
                Queues::Nfqueue(numbers) => numbers.clone().map(QueueId::Nfqueue).collect(),
            };
            for queue in queues {
                let socket = kernel.occupy(queue);
                sockets.push(socket.map_err(|error| {
                    ScenarioError::new(format!("the taken queue {queue}: {error}"))
                })?);
            }
        }
        Ok(sockets)
    }
}

/// Adds the hosts and starts the traffic of a plan.
pub(super) fn start(
    plan: &Plan,
    kernel: &Kernel,
    directory: &Path,
) -> Result<(Vec<Started>, Vec<Replay>), ScenarioError> {
    let mut hosts = vec![(HERE, kernel.local_host())];
    for host in &plan.hosts {
        hosts.push((&host.name, kernel.host(&host.device, host.addresses.iter().copied())));
    }
    let host = |name: &str| -> &Host {
        let mut hosts = hosts.iter();
        let found = hosts.find(|(known, _)| *known == name);
        &found.expect("a plan names no host that it does not have").1
    };
    let mut replays = Vec::new();
    let mut started = Vec::new();
    for (_, traffic) in &plan.traffic {
        started.push(match traffic {
            Traffic::Ping { ends, payload, beat } => {
                Started::Pings(host(&ends.from).keep_pinging(ends.address, &payload.bytes(), *beat))
            }
            Traffic::Udp { ends, port, payload, mark, echoes, beat } => {
                let (from, there) = (host(&ends.from), host(&ends.to));
                let (to, payload) = (ends.destination(*port), payload.bytes());
                Started::Datagrams(from.keep_sending(there, to, (&payload, *mark), *echoes, *beat))
            }
            Traffic::Tcp { ends, port, payload, at } => {
                let (from, there) = (host(&ends.from), host(&ends.to));
                Started::Stream(Stream::start(from, there, ends.destination(*port), payload, *at))
            }
            Traffic::Capture { file, device } => {
                let reader: Reader<BufReader<File>> = Reader::open(directory.join(file))?;
                let replay = kernel.replay_file(device, reader);
                replays.push(replay.clone());
                Started::Replay(replay)
            }
        });
    }
    Ok((started, replays))
}

impl Stream {
    fn start(from: &Host, there: &Host, to: SocketAddr, payload: &Payload, at: Duration) -> Self {
        let listener = there.listen_and(to, true);
        from.keep_streaming(listener.address(), payload.bytes(), at);
        Self { payload: payload.clone(), listener, receiver: None, arrived: None }
    }

    /// How many bytes have arrived, and whether that is all and as it was sent.
    fn arrival(&mut self) -> (u64, bool) {
        if self.receiver.is_none() {
            self.receiver = self.listener.accept();
        }
        if let Some(receiver) = self.receiver.as_ref().filter(|_| self.arrived.is_none()) {
            if !receiver.is_finished() {
                return (receiver.received_len() as u64, false);
            }
            self.arrived = Some(receiver.receive());
        }
        let arrived = self.arrived.as_deref();
        let is_intact = arrived.is_some_and(|bytes| bytes == self.payload.bytes());
        (arrived.map_or(0, |bytes| bytes.len() as u64), is_intact)
    }
}

impl Started {
    /// What is counted of it under this name, which [`Traffic::numbers`] has.
    pub(super) fn number(&mut self, what: &str) -> u64 {
        match self {
            Self::Pings(pings) => match what {
                "sent" => pings.sent(),
                "answered" => pings.answers().received,
                _ => pings.answers().intact,
            },
            Self::Datagrams(datagrams) => match what {
                "sent" => datagrams.sent(),
                "received" => datagrams.arrived().received,
                "intact" => datagrams.arrived().intact,
                _ => datagrams.answers().received,
            },
            Self::Stream(stream) => match what {
                "sent" => stream.payload.len() as u64,
                "received" => stream.arrival().0,
                _ => u64::from(stream.arrival().1),
            },
            Self::Replay(replay) => match what {
                "entered" => replay.status().entered,
                "skipped" => replay.status().skipped,
                _ => replay.status().malformed,
            },
        }
    }
}
