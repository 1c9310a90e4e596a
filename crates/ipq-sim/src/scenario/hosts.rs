//! Who sends to whom in a scenario: [`Ends`], and that devices and hosts are there.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use ipq_proto::Family;
use toml::Spanned;

use super::error::Problem;
use super::format::{DeviceTable, File, HostTable, check_mtu};
use crate::action::Action;

/// The name of the host whose kernel is simulated.
pub(crate) const HERE: &str = "here";

/// The name of the device that every kernel has.
const LOOPBACK: &str = "lo";

/// Who sends to whom, by name, and the receiver's address.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) address: IpAddr,
}

impl Ends {
    /// The ends of these names, which have to have addresses of the family.
    pub(super) fn find(
        file: &File,
        from: &Spanned<String>,
        to: &Spanned<String>,
        family: Family,
    ) -> Result<Self, Problem> {
        let (sender, receiver) = (file.host_at(from)?, file.host_at(to)?);
        if let Some(host) = sender {
            host.address(family).ok_or_else(|| no_address(from, family))?;
        }
        let address = match (sender, receiver) {
            (_, Some(host)) => host.address(family).ok_or_else(|| no_address(to, family))?,
            (None, None) => loopback(family),
            (Some(host), None) => file.address_towards(host, family).ok_or_else(|| {
                let text = format!("no device here has an address of {family}: it needs one");
                Problem::at(to.span(), text)
            })?,
        };
        Ok(Self { from: from.as_ref().clone(), to: to.as_ref().clone(), address })
    }
}

const fn loopback(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Family::Ipv6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

fn no_address(host: &Spanned<String>, family: Family) -> Problem {
    Problem::at(host.span(), format!("the host {:?} has no address of {family}", host.as_ref()))
}

impl HostTable {
    fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.as_ref().iter().copied().find(|address| is_of(family, *address))
    }
}

fn is_of(family: Family, address: IpAddr) -> bool {
    address.is_ipv4() == (family == Family::Ipv4)
}

impl DeviceTable {
    fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().map(IpNet::addr).find(|address| is_of(family, *address))
    }
}

impl File {
    /// The host of a name; `None` for the one whose kernel is simulated.
    fn host_at(&self, name: &Spanned<String>) -> Result<Option<&HostTable>, Problem> {
        if name.as_ref() == HERE {
            return Ok(None);
        }
        let found = self.host.iter().find(|host| host.name.as_ref() == name.as_ref());
        found.map(Some).ok_or_else(|| {
            let names = self.host.iter().map(|host| host.name.as_ref().as_str());
            let names = names.chain([HERE]).collect::<Vec<_>>().join(", ");
            let text = format!("there is no host {:?}; the hosts are {names}", name.as_ref());
            Problem::at(name.span(), text)
        })
    }

    /// The address at which a host reaches this kernel: that of the device between them, if it has one.
    fn address_towards(&self, host: &HostTable, family: Family) -> Option<IpAddr> {
        let between =
            self.device.iter().find(|device| device.name.as_ref() == host.device.as_ref());
        let mut all = self.device.iter().filter_map(|device| device.address(family));
        between.and_then(|device| device.address(family)).or_else(|| all.next())
    }

    /// That there is a device of this name.
    pub(super) fn check_device(&self, name: &Spanned<String>) -> Result<(), Problem> {
        self.check_device_name(name.as_ref()).map_err(|text| Problem::at(name.span(), text))
    }

    /// The same, of a name whose place the caller knows.
    pub(super) fn check_device_name(&self, name: &str) -> Result<(), String> {
        let mut names = self.device.iter().map(|device| device.name.as_ref().as_str());
        if name == LOOPBACK || names.any(|known| known == name) {
            return Ok(());
        }
        let names = self.device.iter().map(|device| device.name.as_ref().as_str());
        let names = [LOOPBACK].into_iter().chain(names).collect::<Vec<_>>().join(", ");
        Err(format!("there is no device {name:?}; the devices are {names}"))
    }

    /// That devices and hosts have names and addresses of their own, and that what they refer to is there.
    pub(super) fn check_network(&self) -> Result<(), Problem> {
        for (index, device) in self.device.iter().enumerate() {
            let name = device.name.as_ref();
            let before = &self.device[..index];
            if name == LOOPBACK || before.iter().any(|other| other.name.as_ref() == name) {
                let text = format!("there is a device {name:?} already");
                return Err(Problem::at(device.name.span(), text));
            }
        }
        for route in &self.route {
            self.check_device(&route.device)?;
            if route.device.as_ref() == LOOPBACK {
                let text = "what no route is for is this host's own; lo needs none";
                return Err(Problem::at(route.device.span(), text));
            }
        }
        for rule in &self.rule {
            let condition = &rule.condition;
            for name in [&condition.input, &condition.output].into_iter().flatten() {
                self.check_device(name)?;
            }
        }
        for event in &self.event {
            if let Some(device) = event.action.as_ref().device() {
                let at = |text| Problem::at(event.action.span(), text);
                self.check_device_name(device).map_err(at)?;
            }
            if let Action::SetMtu { bytes, .. } = event.action.as_ref() {
                check_mtu(*bytes).map_err(|text| Problem::at(event.action.span(), text))?;
            }
        }
        (0..self.host.len()).try_for_each(|index| self.check_host(index))
    }

    fn check_host(&self, index: usize) -> Result<(), Problem> {
        let host = &self.host[index];
        let name = host.name.as_ref();
        self.check_device(&host.device)?;
        if host.device.as_ref() == LOOPBACK {
            let text = format!("the only host at lo is {HERE:?}");
            return Err(Problem::at(host.device.span(), text));
        }
        let before = &self.host[..index];
        if name == HERE || before.iter().any(|other| other.name.as_ref() == name) {
            return Err(Problem::at(host.name.span(), format!("there is a host {name:?} already")));
        }
        let addresses = host.addresses.as_ref();
        let refused = |text| Err(Problem::at(host.addresses.span(), text));
        if addresses.is_empty() {
            return refused(format!("the host {name:?} needs an address"));
        }
        for (position, address) in addresses.iter().enumerate() {
            let others = before.iter().flat_map(|other| other.addresses.as_ref());
            let own = self.device.iter().flat_map(|device| &device.addresses).map(IpNet::addr);
            if own.chain(others.chain(&addresses[..position]).copied()).any(|it| it == *address) {
                return refused(format!("{address} is an address of something else already"));
            }
            if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
                return refused(format!("{address} is no address of a host at a device"));
            }
        }
        Ok(())
    }
}
