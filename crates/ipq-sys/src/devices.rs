//! What is known of network devices: [`Devices`].

use std::collections::BTreeMap;

use crate::{DeviceInfo, Transport};

/// How many devices are remembered; a kernel that lies about indices cannot make it more.
const MAX_DEVICES: usize = 4096;

/// What a kernel said of its devices, so that it is asked only for those that are new.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    known: BTreeMap<u32, DeviceInfo>,
}

impl Devices {
    /// What `transport` says of its device number `index`, now or when it was asked before; `None` if it has none.
    #[inline]
    pub fn info<T: Transport + ?Sized>(&mut self, index: u32, transport: &T) -> Option<DeviceInfo> {
        if let Some(known) = self.known.get(&index) {
            return Some(*known);
        }
        let device = transport.device(index)?;
        if self.known.len() < MAX_DEVICES {
            self.known.insert(index, device);
        }
        Some(device)
    }
}
