//! Network devices of the simulated kernel: [`Device`].

use ipq_proto::{DeviceName, HardwareAddress, HardwareType};
use ipq_sys::DeviceInfo;

use crate::packet::Link;

/// The index of a device: 1 for `lo`, then in the order they were added, as the kernel counts.
pub(crate) type DeviceIndex = u32;

/// A network device to be added to a simulated kernel.
///
/// Every kernel has `lo`, with index 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Device {
    name: DeviceName,
    hw_type: HardwareType,
    has_link_header: bool,
}

impl Device {
    /// An Ethernet device.
    ///
    /// # Panics
    ///
    /// If `name` is empty, longer than 15 bytes or has a NUL in it.
    pub fn ethernet(name: &str) -> Self {
        Self { name: device_name(name), hw_type: HardwareType::ETHERNET, has_link_header: true }
    }

    /// A device without link layer, as a tun device is: packets that come in by it have no hardware type.
    ///
    /// # Panics
    ///
    /// As [`ethernet`](Self::ethernet).
    #[doc(alias = "tun")]
    pub fn point_to_point(name: &str) -> Self {
        Self { name: device_name(name), hw_type: HardwareType::NONE, has_link_header: false }
    }

    /// A device with a link layer of another hardware type.
    ///
    /// # Panics
    ///
    /// As [`ethernet`](Self::ethernet).
    pub fn with_hardware_type(name: &str, hw_type: HardwareType) -> Self {
        Self { name: device_name(name), hw_type, has_link_header: true }
    }

    fn loopback() -> Self {
        Self {
            name: device_name(LOOPBACK_NAME),
            hw_type: HardwareType::LOOPBACK,
            has_link_header: true,
        }
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

    /// Adds `device` and brings it up.
    ///
    /// # Panics
    ///
    /// If there is one of that name already.
    pub(crate) fn add(&mut self, device: Device) {
        let taken = self.0.iter().any(|entry| entry.device.name == device.name);
        assert!(!taken, "there is a device {} already", device.name);
        self.0.push(Entry { device, is_up: true });
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

    /// The name of a device; none for no device.
    pub(crate) fn name(&self, index: Option<DeviceIndex>) -> DeviceName {
        index.map_or(DeviceName::NONE, |index| self.entry(index).device.name)
    }

    /// What a program learns of a device by its index.
    pub(crate) fn info(&self, index: DeviceIndex) -> Option<DeviceInfo> {
        let position = (index as usize).checked_sub(1)?;
        let Device { name, hw_type, .. } = self.0.get(position)?.device;
        Some(DeviceInfo { name, hw_type })
    }

    /// The link-layer header of a packet that comes in by a device from `address`.
    pub(crate) fn link(&self, index: DeviceIndex, address: HardwareAddress) -> Link {
        let device = &self.entry(index).device;
        if device.has_link_header {
            Link { hw_type: device.hw_type, address }
        } else {
            Link::default()
        }
    }

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
