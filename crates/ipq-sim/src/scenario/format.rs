//! What a scenario file says, as it says it: [`File`], and the tables that are about the network.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;
use ipq_proto::{DataModel, DeviceName, HardwareType};
use serde::Deserialize;
use toml::Spanned;

use super::application::{Application, Queues};
use super::error::Problem;
use super::expectation::ExpectationTable;
use super::rule::RuleTable;
use super::traffic::TrafficTable;
use crate::action::Action;
use crate::device::Device;
use crate::fault::PlannedFault;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) kernel: KernelTable,
    #[serde(default)]
    pub(super) device: Vec<DeviceTable>,
    #[serde(default)]
    pub(super) route: Vec<RouteTable>,
    #[serde(default)]
    pub(super) host: Vec<HostTable>,
    #[serde(default)]
    pub(super) rule: Vec<RuleTable>,
    #[serde(default)]
    pub(super) application: Option<Spanned<Application>>,
    #[serde(default)]
    pub(super) traffic: Vec<Spanned<TrafficTable>>,
    #[serde(default)]
    pub(super) fault: Vec<PlannedFault>,
    #[serde(default)]
    pub(super) event: Vec<EventTable>,
    #[serde(default)]
    pub(super) expect: Vec<Spanned<ExpectationTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct KernelTable {
    pub(super) data_model: Option<ModelName>,
    #[serde(default)]
    pub(super) without: Vec<ModuleName>,
    #[serde(default)]
    pub(super) conntrack: bool,
    /// Queues that another program has from the start.
    #[serde(default)]
    pub(super) taken: Vec<Queues>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ModelName {
    Ilp32Little,
    Ilp32Big,
    Lp64Little,
    Lp64Big,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(super) enum ModuleName {
    #[serde(rename = "ip_queue")]
    IpQueue,
    #[serde(rename = "ip6_queue")]
    Ip6Queue,
    #[serde(rename = "nfnetlink_queue")]
    Nfqueue,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct DeviceTable {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    kind: DeviceKind,
    hardware_type: Option<Spanned<u16>>,
    #[serde(default)]
    pub(super) addresses: Vec<IpNet>,
    mtu: Option<Spanned<usize>>,
    #[serde(default, with = "humantime_serde")]
    latency: Duration,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
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
    pub(super) device: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostTable {
    pub(super) name: Spanned<String>,
    pub(super) device: Spanned<String>,
    pub(super) addresses: Spanned<Vec<IpAddr>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTable {
    #[serde(with = "humantime_serde")]
    pub(super) at: Duration,
    pub(super) action: Spanned<Action>,
}

impl From<ModelName> for DataModel {
    fn from(name: ModelName) -> Self {
        match name {
            ModelName::Ilp32Little => Self::Ilp32Little,
            ModelName::Ilp32Big => Self::Ilp32Big,
            ModelName::Lp64Little => Self::Lp64Little,
            ModelName::Lp64Big => Self::Lp64Big,
        }
    }
}

impl DeviceTable {
    /// The device that it is.
    pub(super) fn device(&self) -> Result<Device, Problem> {
        let name = self.name.as_ref();
        if DeviceName::new(name).is_none_or(|name| name.is_empty()) {
            let text = format!("{name:?} is no device name: it has 1 to 15 bytes, and no NUL");
            return Err(Problem::at(self.name.span(), text));
        }
        let device = match (self.kind, &self.hardware_type) {
            (DeviceKind::Ethernet, None) => Device::ethernet(name),
            (DeviceKind::PointToPoint, None) => Device::point_to_point(name),
            (DeviceKind::Ethernet, Some(number)) => {
                Device::with_hardware_type(name, HardwareType(*number.as_ref()))
            }
            (DeviceKind::PointToPoint, Some(number)) => {
                let text = "a point-to-point device has no link layer, and so no hardware type";
                return Err(Problem::at(number.span(), text));
            }
        };
        let device = self.addresses.iter().fold(device, |device, net| device.address(*net));
        let device = match &self.mtu {
            Some(mtu) => {
                check_mtu(*mtu.as_ref()).map_err(|text| Problem::at(mtu.span(), text))?;
                device.mtu(*mtu.as_ref())
            }
            None => device,
        };
        Ok(device.latency(self.latency))
    }
}

/// That a device with this MTU takes packets that make sense.
pub(super) fn check_mtu(bytes: usize) -> Result<(), String> {
    const SHORTEST: usize = 68;
    const LONGEST: usize = 65_536;
    if (SHORTEST..=LONGEST).contains(&bytes) {
        return Ok(());
    }
    Err(format!("an MTU is from {SHORTEST} to {LONGEST} bytes"))
}
