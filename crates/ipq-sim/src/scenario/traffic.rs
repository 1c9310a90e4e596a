//! The traffic of a scenario, and what became of it.

use core::net::{IpAddr, SocketAddr};
use std::fs::File as OpenFile;
use std::io::BufReader;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ipq_proto::Family;

use super::ScenarioError;
use super::format::TrafficTable;
use crate::capture::Reader;
use crate::host::{Host, Ping, Transfer, UdpSocket};
use crate::kernel::Kernel;
use crate::replay::Replay;

/// Traffic that is under way.
#[derive(Debug)]
pub(super) struct Started {
    name: Option<String>,
    flow: Mutex<Flow>,
}

#[derive(Debug)]
enum Flow {
    Pings(Vec<Ping>),
    /// The receiver, and how many datagrams it has got.
    Datagrams(UdpSocket, u64),
    /// A transfer, what was sent, and what arrived.
    Transfer(Transfer, Vec<u8>, Option<Vec<u8>>),
    Replay(Replay),
}

impl Started {
    pub(super) fn new(
        table: &TrafficTable,
        kernel: &Kernel,
        hosts: &[(&str, Host)],
        directory: &Path,
    ) -> Result<Self, ScenarioError> {
        let TrafficTable { name, ping, udp, tcp, capture } = table;
        let flow = match (ping, udp, tcp, capture) {
            (Some(ping), None, None, None) => {
                let (from, _, to) = ends(hosts, &ping.from, &ping.to, ping.family)?;
                Flow::Pings((0..ping.count).map(|_| from.ping(to)).collect())
            }
            (None, Some(udp), None, None) => {
                let (from, there, to) = ends(hosts, &udp.from, &udp.to, udp.family)?;
                if udp.port == 0 {
                    return Err(ScenarioError::new("nothing can listen at port 0"));
                }
                let receiver = there.udp(SocketAddr::new(to, udp.port));
                let sender = from.udp(SocketAddr::new(from.address_towards(to), 0));
                for _ in 0..udp.count {
                    sender.send(receiver.address(), udp.text.as_bytes());
                }
                Flow::Datagrams(receiver, 0)
            }
            (None, None, Some(tcp), None) => {
                let (from, there, to) = ends(hosts, &tcp.from, &tcp.to, tcp.family)?;
                let bytes: Vec<u8> = (0..tcp.bytes).map(|at| (at % 251).to_le_bytes()[0]).collect();
                Flow::Transfer(from.transfer(there, to, &bytes), bytes, None)
            }
            (None, None, None, Some(capture)) => {
                let reader: Reader<BufReader<OpenFile>> =
                    Reader::open(directory.join(&capture.file))?;
                Flow::Replay(kernel.replay(&capture.device, reader))
            }
            _ => {
                return Err(ScenarioError::new("traffic is one of ping, udp, tcp and capture"));
            }
        };
        Ok(Self { name: name.clone(), flow: Mutex::new(flow) })
    }

    /// The number that is called `name`, if it is one of this traffic's: its own name, a point, and what is counted.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let (own, what) = name.split_once('.')?;
        if self.name.as_deref() != Some(own) {
            return None;
        }
        let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *flow, what) {
            (Flow::Pings(pings), "answered") => {
                Some(pings.iter().filter(|ping| ping.is_answered()).count() as u64)
            }
            (Flow::Datagrams(socket, count), "received") => {
                while socket.receive().is_some() {
                    *count += 1;
                }
                Some(*count)
            }
            (Flow::Transfer(transfer, sent, arrived), "intact" | "arrived") => {
                let so_far = transfer.received_len() as u64;
                if arrived.is_none() {
                    *arrived = transfer.received();
                }
                Some(match what {
                    "intact" => u64::from(arrived.as_ref() == Some(sent)),
                    _ => arrived.as_ref().map_or(so_far, |bytes| bytes.len() as u64),
                })
            }
            (Flow::Replay(replay), "entered") => Some(replay.status().entered),
            (Flow::Replay(replay), "skipped") => Some(replay.status().skipped),
            _ => None,
        }
    }
}

/// The host that sends, the one that receives, and its address.
fn ends<'h>(
    hosts: &'h [(&str, Host)],
    from: &str,
    to: &str,
    family: Option<Family>,
) -> Result<(&'h Host, &'h Host, IpAddr), ScenarioError> {
    let host = |name: &str| {
        let found = hosts.iter().find(|(known, _)| *known == name).map(|(_, host)| host);
        found.ok_or_else(|| ScenarioError::new(format!("there is no host {name:?}")))
    };
    let (from, to) = (host(from)?, host(to)?);
    let family = family.unwrap_or(Family::Ipv4);
    let of_family = |host: &Host| {
        let mut addresses = host.addresses().into_iter();
        let address = addresses.find(|address| address.is_ipv4() == (family == Family::Ipv4));
        address.ok_or_else(|| ScenarioError::new(format!("a host has no address of {family}")))
    };
    of_family(from)?;
    Ok((from, to, of_family(to)?))
}
