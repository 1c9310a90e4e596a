//! Network devices of the simulated kernel: [`Device`].

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use ipq_proto::{DeviceName, HardwareAddress, HardwareType};
use ipq_sys::{Clock, DeviceInfo};

use crate::packet::Link;

/// The index of a device: 1 for `lo`, then in the order they were added, as the kernel counts.
pub(crate) type DeviceIndex = u32;

/// A network device to be added to a simulated kernel.
///
/// Every kernel has `lo`, with index 1.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    name: DeviceName,
    hw_type: HardwareType,
    has_link_header: bool,
    addresses: Vec<IpNet>,
    mtu: usize,
    latency: Clock,
}

/// The longest packet that most links take, in bytes.
const DEFAULT_MTU: usize = 1500;

/// The longest packet that `lo` takes, in bytes.
const LOOPBACK_MTU: usize = 65_536;

impl Device {
    /// An Ethernet device.
    ///
    /// # Panics
    ///
    /// If `name` is empty, longer than 15 bytes or has a NUL in it.
    pub fn ethernet(name: &str) -> Self {
        Self::with_hardware_type(name, HardwareType::ETHERNET)
    }

    /// A device without link layer, as a tun device is: packets that come in by it have no hardware type.
    ///
    /// # Panics
    ///
    /// As [`ethernet`](Self::ethernet).
    #[doc(alias = "tun")]
    pub fn point_to_point(name: &str) -> Self {
        Self { has_link_header: false, ..Self::with_hardware_type(name, HardwareType::NONE) }
    }

    /// A device with a link layer of another hardware type.
    ///
    /// # Panics
    ///
    /// As [`ethernet`](Self::ethernet).
    pub fn with_hardware_type(name: &str, hw_type: HardwareType) -> Self {
        Self {
            name: device_name(name),
            hw_type,
            has_link_header: true,
            addresses: Vec::new(),
            mtu: DEFAULT_MTU,
            latency: Clock::ZERO,
        }
    }

    fn loopback() -> Self {
        Self::with_hardware_type(LOOPBACK_NAME, HardwareType::LOOPBACK)
            .mtu(LOOPBACK_MTU)
            .address(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).into())
            .address(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into())
    }

    /// Gives it an address, and with it the network that it reaches directly.
    #[must_use]
    pub fn address(mut self, address: IpNet) -> Self {
        self.addresses.push(address);
        self
    }

    /// Sets the longest packet that it takes, in bytes; 1500 unless it is said.
    #[doc(alias = "MTU")]
    #[must_use]
    pub fn mtu(self, bytes: usize) -> Self {
        Self { mtu: bytes, ..self }
    }

    /// Sets how long a packet is on its way between this device and a [host](crate::Host) at the other end of its link;
    /// no time unless it is said.
    #[must_use]
    pub fn latency(self, time: Clock) -> Self {
        Self { latency: time, ..self }
    }

    /// Its address for talking to `to`: one whose network `to` is in, or else the first of the same family.
    fn address_towards(&self, to: IpAddr) -> Option<IpAddr> {
        let near = self.addresses.iter().find(|net| net.contains(&to));
        let mut same = self.addresses.iter().filter(|net| net.addr().is_ipv4() == to.is_ipv4());
        near.or_else(|| same.next()).map(IpNet::addr)
    }
}

const LOOPBACK_NAME: &str = "lo";

/// The index of `lo`.
pub(crate) const LOOPBACK: DeviceIndex = 1;

fn device_name(name: &str) -> DeviceName {
    let valid = DeviceName::new(name).filter(|name| !name.is_empty());
    valid.unwrap_or_else(|| panic!("{name:?} is no device name: 1 to 15 bytes without NUL"))
}

/// The devices of a kernel. They are never taken out, so an index stays valid.
#[derive(Debug)]
pub(crate) struct Devices(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    device: Device,
    is_up: bool,
}

impl Devices {
    /// Just `lo`.
    pub(crate) fn new() -> Self {
        Self(vec![Entry { device: Device::loopback(), is_up: true }])
    }

    /// Adds `device` and brings it up; returns its index and addresses.
    ///
    /// # Panics
    ///
    /// If there is one of that name already.
    pub(crate) fn add(&mut self, device: Device) -> (DeviceIndex, Vec<IpNet>) {
        let taken = self.0.iter().any(|entry| entry.device.name == device.name);
        assert!(!taken, "there is a device {} already", device.name);
        let addresses = device.addresses.clone();
        self.0.push(Entry { device, is_up: true });
        let index = DeviceIndex::try_from(self.0.len()).expect("fewer devices than indices");
        (index, addresses)
    }

    /// The index of the device `name`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub(crate) fn index(&self, name: &str) -> DeviceIndex {
        let position =
            self.0.iter().position(|entry| entry.device.name.as_bytes() == name.as_bytes());
        let position = position.unwrap_or_else(|| panic!("there is no device {name:?}"));
        DeviceIndex::try_from(position + 1).expect("fewer devices than indices")
    }

    /// All addresses, and the networks they are in.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpNet> {
        self.0.iter().flat_map(|entry| entry.device.addresses.iter().copied())
    }

    /// The device that has an address; `lo` has all of its network.
    pub(crate) fn of_address(&self, address: IpAddr) -> Option<DeviceIndex> {
        let has = |(position, entry): &(usize, &Entry)| {
            let mut addresses = entry.device.addresses.iter();
            let is_loopback = *position == 0;
            addresses.any(|net| net.addr() == address || (is_loopback && net.contains(&address)))
        };
        let (position, _) = self.0.iter().enumerate().find(has)?;
        DeviceIndex::try_from(position + 1).ok()
    }

    /// The address from which a device's host talks to `to` by it.
    pub(crate) fn address(&self, index: DeviceIndex, to: IpAddr) -> Option<IpAddr> {
        self.entry(index).device.address_towards(to)
    }

    /// The longest packet that a device takes, in bytes.
    #[inline]
    pub(crate) fn mtu(&self, index: DeviceIndex) -> usize {
        self.entry(index).device.mtu
    }

    pub(crate) fn set_mtu(&mut self, index: DeviceIndex, bytes: usize) {
        self.0[index as usize - 1].device.mtu = bytes;
    }

    /// How long a packet is on its way to the other end of a device's link.
    pub(crate) fn latency(&self, index: DeviceIndex) -> Clock {
        self.entry(index).device.latency
    }

    /// The name of a device; none for no device.
    #[inline]
    pub(crate) fn name(&self, index: Option<DeviceIndex>) -> DeviceName {
        index.map_or(DeviceName::NONE, |index| self.entry(index).device.name)
    }

    /// What a program learns of a device by its index.
    pub(crate) fn info(&self, index: DeviceIndex) -> Option<DeviceInfo> {
        let position = (index as usize).checked_sub(1)?;
        let Device { name, hw_type, .. } = &self.0.get(position)?.device;
        Some(DeviceInfo { name: *name, hw_type: *hw_type })
    }

    /// The link-layer header of a packet that comes in by a device from `address`.
    #[inline]
    pub(crate) fn link(&self, index: DeviceIndex, address: HardwareAddress) -> Link {
        let device = &self.entry(index).device;
        if device.has_link_header {
            Link { hw_type: device.hw_type, address }
        } else {
            Link::default()
        }
    }

    #[inline]
    pub(crate) fn is_up(&self, index: DeviceIndex) -> bool {
        self.entry(index).is_up
    }

    pub(crate) fn set_up(&mut self, index: DeviceIndex, is_up: bool) {
        let position = index as usize - 1;
        self.0[position].is_up = is_up;
    }

    /// The entry of an index, which came from [`index`](Self::index).
    fn entry(&self, index: DeviceIndex) -> &Entry {
        &self.0[index as usize - 1]
    }
}
