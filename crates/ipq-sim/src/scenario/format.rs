//! What a scenario file says, as it says it.

use core::net::IpAddr;
use core::time::Duration;
use std::path::PathBuf;

use ipnet::IpNet;
use ipq_proto::{Family, Hook};
use serde::{Deserialize, Deserializer, de};

use super::ScenarioError;
use crate::action::Action;
use crate::device::Device;
use crate::fault::PlannedFault;
use crate::rule::{Match, Protocol, Table, Target};

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) device: Vec<DeviceTable>,
    #[serde(default)]
    pub(super) route: Vec<RouteTable>,
    #[serde(default)]
    pub(super) host: Vec<HostTable>,
    #[serde(default)]
    pub(super) rule: Vec<RuleTable>,
    #[serde(default)]
    pub(super) application: Application,
    #[serde(default)]
    pub(super) traffic: Vec<TrafficTable>,
    #[serde(default)]
    pub(super) fault: Vec<PlannedFault>,
    #[serde(default)]
    pub(super) event: Vec<EventTable>,
    #[serde(default)]
    pub(super) expect: Vec<Expectation>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DeviceTable {
    pub(super) name: String,
    #[serde(default)]
    kind: DeviceKind,
    #[serde(default)]
    addresses: Vec<IpNet>,
    mtu: Option<usize>,
    #[serde(default, with = "humantime_serde")]
    latency: Duration,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DeviceKind {
    #[default]
    Ethernet,
    PointToPoint,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteTable {
    pub(super) to: IpNet,
    pub(super) device: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostTable {
    pub(super) name: String,
    pub(super) device: String,
    pub(super) addresses: Vec<IpAddr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RuleTable {
    hook: String,
    #[serde(default)]
    table: TableName,
    target: TargetTable,
    family: Option<String>,
    protocol: Option<ProtocolName>,
    source: Option<IpNet>,
    destination: Option<IpNet>,
    source_port: Option<u16>,
    destination_port: Option<u16>,
    input: Option<String>,
    output: Option<String>,
    mark: Option<u32>,
    not_mark: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TableName {
    Raw,
    Mangle,
    #[default]
    Filter,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ProtocolName {
    Number(u8),
    Name(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum TargetTable {
    Name(String),
    Nfqueue {
        nfqueue: Queues,
        #[serde(default)]
        bypass: bool,
    },
    Mark {
        mark: u32,
    },
}

/// One queue of `nfnetlink_queue` or several: `3` or `"0-3"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Queues {
    One(u16),
    Several(String),
}

/// What the program at the queue is, and which queue it has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Application {
    #[serde(default)]
    pub(super) queue: QueueName,
    /// What it does with packets.
    #[serde(default)]
    pub work: Work,
    /// The share of packets that this happens to, drawn from the seed; all others pass.
    pub rate: Option<f64>,
    /// It happens to each packet whose number is a multiple of this; all others pass.
    pub every: Option<u64>,
    /// What a mangler looks for in a packet, behind its headers.
    pub find: Option<String>,
    /// What it puts in its place.
    pub replace: Option<String>,
    /// Whether a mangler leaves checksums as they are, as a careless program does.
    #[serde(default)]
    pub keep_checksums: bool,
}

/// What a program does with packets.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// It accepts them.
    #[default]
    Pass,
    /// It drops them.
    Drop,
    /// It changes them, and accepts them.
    Mangle,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum QueueName {
    #[default]
    IpQueue,
    Nfqueue(u16, u16),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrafficTable {
    pub(super) name: Option<String>,
    pub(super) ping: Option<PingTable>,
    pub(super) udp: Option<UdpTable>,
    pub(super) tcp: Option<TcpTable>,
    pub(super) capture: Option<CaptureTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PingTable {
    pub(super) from: String,
    pub(super) to: String,
    #[serde(default, deserialize_with = "family")]
    pub(super) family: Option<Family>,
    #[serde(default = "one")]
    pub(super) count: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UdpTable {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) port: u16,
    #[serde(default, deserialize_with = "family")]
    pub(super) family: Option<Family>,
    #[serde(default = "one")]
    pub(super) count: usize,
    #[serde(default)]
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpTable {
    pub(super) from: String,
    pub(super) to: String,
    #[serde(default, deserialize_with = "family")]
    pub(super) family: Option<Family>,
    pub(super) bytes: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureTable {
    pub(super) file: PathBuf,
    pub(super) device: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTable {
    #[serde(with = "humantime_serde")]
    pub(super) at: Duration,
    pub(super) action: Action,
}

/// What a number of the scenario is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Expectation {
    pub(super) that: String,
    pub(super) equals: Option<u64>,
    pub(super) at_least: Option<u64>,
    pub(super) at_most: Option<u64>,
}

const fn one() -> usize {
    1
}

fn family<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Family>, D::Error> {
    crate::family_text::deserialize(deserializer).map(Some)
}

/// `A-B`, or one number.
fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

impl<'de> Deserialize<'de> for QueueName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let nfqueue = name.strip_prefix("nfqueue:").and_then(range);
        match nfqueue {
            Some((first, last)) => Ok(Self::Nfqueue(first, last)),
            None if name == "ip_queue" => Ok(Self::IpQueue),
            None => Err(de::Error::custom(format_args!(
                "{name:?} is no queue: ip_queue, nfqueue:N or nfqueue:A-B"
            ))),
        }
    }
}

impl Application {
    /// That it can be run.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
            return Err("the application's rate is between 0 and 1");
        }
        if self.every == Some(0) {
            return Err(
                "the application does something to every packet, or every 2nd, not every 0th",
            );
        }
        let lens = [&self.find, &self.replace].map(|text| text.as_ref().map_or(0, String::len));
        match (self.work, lens) {
            (Work::Mangle, [0, _]) => Err("a mangler has something to find"),
            (Work::Mangle, [find, replace]) if find != replace => {
                Err("a mangler replaces what it finds by as many bytes: TCP counts them")
            }
            _ => Ok(()),
        }
    }
}

impl TryFrom<&DeviceTable> for Device {
    type Error = ScenarioError;

    fn try_from(table: &DeviceTable) -> Result<Self, ScenarioError> {
        let name = &table.name;
        let known = ipq_proto::DeviceName::new(name).filter(|name| !name.is_empty());
        known.ok_or_else(|| ScenarioError::new(format!("{name:?} is no device name")))?;
        let device = match table.kind {
            DeviceKind::Ethernet => Self::ethernet(name),
            DeviceKind::PointToPoint => Self::point_to_point(name),
        };
        let device = table.addresses.iter().fold(device, |device, net| device.address(*net));
        let device = match table.mtu {
            Some(mtu) => device.mtu(mtu),
            None => device,
        };
        Ok(device.latency(table.latency))
    }
}

impl RuleTable {
    pub(super) fn hook(&self) -> Result<Hook, ScenarioError> {
        let hook = Hook::ALL.into_iter().find(|hook| hook.name() == Some(self.hook.as_str()));
        hook.ok_or_else(|| {
            let names = Hook::ALL.map(|hook| hook.to_string()).join(", ");
            ScenarioError::new(format!("{:?} is no hook: {names}", self.hook))
        })
    }

    pub(super) fn table(&self) -> Table {
        match self.table {
            TableName::Raw => Table::Raw,
            TableName::Mangle => Table::Mangle,
            TableName::Filter => Table::Filter,
        }
    }

    pub(super) fn target(&self) -> Result<Target, ScenarioError> {
        match &self.target {
            TargetTable::Name(name) => match name.as_str() {
                "accept" => Ok(Target::Accept),
                "drop" => Ok(Target::Drop),
                "queue" => Ok(Target::Queue),
                _ => Err(ScenarioError::new(format!(
                    "{name:?} is no target: accept, drop, queue, {{ nfqueue = N }} or {{ mark = N }}"
                ))),
            },
            TargetTable::Mark { mark } => Ok(Target::Mark(*mark)),
            TargetTable::Nfqueue { nfqueue, bypass } => {
                let queues = match nfqueue {
                    Queues::One(number) => Some((*number, *number)),
                    Queues::Several(text) => range(text),
                };
                let (first, last) = queues.ok_or_else(|| {
                    ScenarioError::new("a target's queues are a number or \"A-B\"")
                })?;
                Ok(Target::Nfqueue { first, last, bypass: *bypass })
            }
        }
    }

    pub(super) fn condition(&self) -> Result<Match, ScenarioError> {
        let mut condition = match &self.protocol {
            None => Match::any(),
            Some(protocol) => Match::protocol(protocol.number()?),
        };
        if let Some(name) = &self.family {
            let family = Family::ALL.into_iter().find(|family| family.to_string() == *name);
            let family = family.ok_or_else(|| {
                ScenarioError::new(format!("{name:?} is no family: ipv4 or ipv6"))
            })?;
            condition = condition.family(family);
        }
        condition = apply(condition, self.source, Match::source);
        condition = apply(condition, self.destination, Match::destination);
        condition = apply(condition, self.source_port, Match::source_port);
        condition = apply(condition, self.destination_port, Match::destination_port);
        condition = apply(condition, self.input.as_deref(), Match::input_device);
        condition = apply(condition, self.output.as_deref(), Match::output_device);
        condition = apply(condition, self.mark, Match::mark);
        Ok(apply(condition, self.not_mark, Match::not_mark))
    }
}

/// Adds a condition, if the file has it.
fn apply<T>(condition: Match, value: Option<T>, add: impl FnOnce(Match, T) -> Match) -> Match {
    match value {
        Some(value) => add(condition, value),
        None => condition,
    }
}

impl ProtocolName {
    fn number(&self) -> Result<Protocol, ScenarioError> {
        match self {
            Self::Number(number) => Ok(Protocol(*number)),
            Self::Name(name) => match name.as_str() {
                "icmp" => Ok(Protocol::ICMP),
                "icmpv6" => Ok(Protocol::ICMPV6),
                "tcp" => Ok(Protocol::TCP),
                "udp" => Ok(Protocol::UDP),
                _ => Err(ScenarioError::new(format!(
                    "{name:?} is no protocol: icmp, icmpv6, tcp, udp or a number"
                ))),
            },
        }
    }
}
