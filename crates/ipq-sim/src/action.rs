//! What can be done to a kernel while it runs: [`Action`].

use ipq_proto::Family;
use serde::Deserialize;

use crate::family_text;
use crate::machine::Machine;

/// Something that is done to a kernel, now or at a [time](crate::Kernel::at): what an administrator does, and what goes
/// wrong.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// A device goes down: what is queued and came in by it, or was to leave by it, is dropped.
    DeviceDown(String),
    /// A device comes up again.
    DeviceUp(String),
    /// `ip_queue` (`ip6_queue`) is loaded, and gets the packets of its family from then on.
    LoadIpQueue(#[serde(deserialize_with = "family_text::deserialize")] Family),
    /// It is unloaded: what it has queued is dropped, and no socket to it can be opened any more.
    UnloadIpQueue(#[serde(deserialize_with = "family_text::deserialize")] Family),
    /// `nfnetlink_queue` is loaded.
    LoadNfqueue,
    /// It is unloaded: its queues are gone, and what they had is dropped.
    UnloadNfqueue,
    /// The maximum length of `ip_queue` changes. Without the module nothing does.
    #[doc(alias("net.ipv4.ip_queue_maxlen", "net.ipv6.ip6_queue_maxlen"))]
    SetQueueMaxLength {
        /// Which of the two.
        #[serde(deserialize_with = "family_text::deserialize")]
        family: Family,
        /// How many packets may wait; the sysctl's -1 is [`u32::MAX`].
        packets: u32,
    },
    /// The maximum length of a queue of `nfnetlink_queue` changes, as if its program had asked for it. Without such a queue
    /// nothing does.
    #[doc(alias = "NFQA_CFG_QUEUE_MAXLEN")]
    SetNfqueueMaxLength {
        /// Its number.
        queue: u16,
        /// How many packets may wait.
        packets: u32,
    },
    /// The longest packet that a device takes changes, and that of the hosts at the other end of its link.
    #[doc(alias = "MTU")]
    SetMtu {
        /// The device.
        device: String,
        /// How long a packet may be, in bytes.
        bytes: usize,
    },
    /// The program with this port id is killed: all its sockets close, and what it had queued is dropped. Whoever still
    /// holds one of them gets `EBADF`.
    Kill(u32),
    /// Every program is killed.
    KillAll,
}

impl Action {
    /// The device it is about, which must be there.
    pub(crate) fn device(&self) -> Option<&str> {
        match self {
            Self::DeviceDown(name) | Self::DeviceUp(name) => Some(name),
            Self::SetMtu { device, .. } => Some(device),
            _ => None,
        }
    }
}

impl Machine {
    /// Does it.
    pub(crate) fn act(&mut self, action: &Action) {
        match action {
            Action::DeviceDown(name) => self.device_down(name),
            Action::DeviceUp(name) => self.device_up(name),
            Action::LoadIpQueue(family) => self.load_ip_queue(*family),
            Action::UnloadIpQueue(family) => self.unload_ip_queue(*family),
            Action::LoadNfqueue => self.load_nfqueue(),
            Action::UnloadNfqueue => self.unload_nfqueue(),
            Action::SetQueueMaxLength { family, packets } => {
                if let Some(queue) = self.ip_queue(*family) {
                    queue.set_max_length(*packets);
                }
            }
            Action::SetNfqueueMaxLength { queue, packets } => {
                let queues = self.nfqueues.as_mut();
                if let Some(queue) = queues.and_then(|queues| queues.get(*queue)) {
                    queue.set_max_length(*packets);
                }
            }
            Action::SetMtu { device, bytes } => {
                let device = self.devices.index(device);
                self.set_mtu(device, *bytes);
            }
            Action::Kill(port_id) => self.kill(|socket| socket == *port_id),
            Action::KillAll => self.kill(|_| true),
        }
    }

    fn kill(&mut self, is_wanted: impl Fn(u32) -> bool) {
        for key in self.sockets.open_ones(is_wanted) {
            self.detach(key);
        }
    }
}
