//! A scenario as it will be run: [`Plan`], which a file has become when all of it was found to make sense.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;
use ipq_proto::{DataModel, Family, Hook};

use super::application::{Application, Queues};
use super::error::Problem;
use super::expectation::{Expectation, RESERVED};
use super::format::{DeviceTable, File, ModuleName};
use super::traffic::Traffic;
use crate::action::Action;
use crate::device::Device;
use crate::fault::PlannedFault;
use crate::rule::{Match, Table, Target};

/// All that a scenario says.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) description: String,
    pub(crate) seed: u64,
    pub(crate) data_model: Option<DataModel>,
    pub(crate) without_ip_queue: Vec<Family>,
    pub(crate) has_nfqueue: bool,
    pub(crate) has_conntrack: bool,
    pub(crate) taken: Vec<Queues>,
    pub(crate) devices: Vec<Device>,
    pub(crate) routes: Vec<(IpNet, String)>,
    pub(crate) hosts: Vec<PlannedHost>,
    pub(crate) rules: Vec<(Table, Hook, Match, Target)>,
    pub(crate) application: Application,
    /// With their names.
    pub(crate) traffic: Vec<(Option<String>, Traffic)>,
    pub(crate) faults: Vec<PlannedFault>,
    pub(crate) events: Vec<(Duration, Action)>,
    pub(crate) expectations: Vec<Expectation>,
}

/// A host at the other end of a device's link.
#[derive(Clone, Debug)]
pub(crate) struct PlannedHost {
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) addresses: Vec<IpAddr>,
}

impl Plan {
    /// What a text plans.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let file: File = toml::from_str(text)?;
        file.check_network()?;
        let application = match &file.application {
            Some(application) => {
                application
                    .as_ref()
                    .check()
                    .map_err(|problem| problem.or_at(application.span()))?;
                application.as_ref().clone()
            }
            None => Application::default(),
        };
        let traffic = traffic(&file)?;
        let expectations = file.expect.iter().map(|expect| expect.as_ref().plan(&file, &traffic));
        let expectations = expectations.collect::<Result<_, _>>()?;
        let devices = file.device.iter().map(DeviceTable::device).collect::<Result<_, _>>()?;
        let without = |module| file.kernel.without.contains(&module);
        let ip_queues = [(ModuleName::IpQueue, Family::Ipv4), (ModuleName::Ip6Queue, Family::Ipv6)];
        let without_ip_queue =
            ip_queues.into_iter().filter(|(module, _)| without(*module)).map(|(_, family)| family);
        Ok(Self {
            without_ip_queue: without_ip_queue.collect(),
            has_nfqueue: !without(ModuleName::Nfqueue),
            has_conntrack: file.kernel.conntrack,
            data_model: file.kernel.data_model.map(DataModel::from),
            taken: file.kernel.taken,
            devices,
            routes: file.route.iter().map(|it| (it.to, it.device.as_ref().clone())).collect(),
            hosts: file
                .host
                .iter()
                .map(|host| PlannedHost {
                    name: host.name.as_ref().clone(),
                    device: host.device.as_ref().clone(),
                    addresses: host.addresses.as_ref().clone(),
                })
                .collect(),
            rules: file
                .rule
                .iter()
                .map(|rule| (rule.table(), rule.hook, rule.condition.condition(), rule.target))
                .collect(),
            application,
            traffic,
            events: file.event.iter().map(|it| (it.at, it.action.as_ref().clone())).collect(),
            expectations,
            description: file.description,
            seed: file.seed,
            faults: file.fault,
        })
    }
}

/// The traffic of a file, with names of its own.
fn traffic(file: &File) -> Result<Vec<(Option<String>, Traffic)>, Problem> {
    let mut planned: Vec<(Option<String>, Traffic)> = Vec::new();
    for table in &file.traffic {
        let name = table.as_ref().name.as_ref();
        if let Some(name) = name {
            let is_taken = |name: &String| {
                planned.iter().any(|(other, _)| other.as_ref() == Some(name))
                    || RESERVED.contains(&name.as_str())
                    || name.starts_with("nfqueue:")
            };
            if is_taken(name.as_ref()) {
                let text = format!("something is called {:?} already", name.as_ref());
                return Err(Problem::at(name.span(), text));
            }
        }
        let traffic = table.as_ref().plan(file);
        let traffic = traffic.map_err(|problem| problem.or_at(table.span()))?;
        planned.push((name.map(|name| name.as_ref().clone()), traffic));
    }
    Ok(planned)
}
