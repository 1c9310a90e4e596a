//! How a queue is opened: [`Options`].

use ipq_proto::nfqueue::QueueFlags;
use ipq_proto::{CopyMode, Family};

use crate::Families;
use crate::lane::nfqueue_message_len;
use crate::open::DEFAULT_LENGTH;
use crate::queue::receive_buffer_len;

/// What can be chosen when a [`Queue`](crate::Queue) is opened. What is left as it is, is as the kernel has it.
///
/// `ip_queue` has none of the options that are not about the socket; asking for one there is an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Options {
    /// Whose packets are wanted. On a queue that carries both families, those of the other are dropped and counted.
    pub families: Families,
    /// How many packets may wait for a verdict; 1024 unless it is said.
    #[doc(alias = "NFQA_CFG_QUEUE_MAXLEN")]
    pub max_length: Option<u32>,
    /// Lets packets pass when the queue is full, instead of dropping them.
    #[doc(alias = "NFQA_CFG_F_FAIL_OPEN")]
    pub fail_open: bool,
    /// Takes packets as large as the stack has them, up to 64 KiB, their checksums perhaps unfinished.
    #[doc(alias = "NFQA_CFG_F_GSO")]
    pub gso: bool,
    /// Asks for the user and group of the socket that sent a packet.
    #[doc(alias = "NFQA_CFG_F_UID_GID")]
    pub uid_gid: bool,
    /// Asks for the security context of the socket that sent a packet.
    #[doc(alias = "NFQA_CFG_F_SECCTX")]
    pub security_context: bool,
    /// Asks for what connection tracking knows of a packet.
    #[doc(alias = "NFQA_CFG_F_CONNTRACK")]
    pub conntrack: bool,
    /// The size of the receive buffer in bytes. If it is not said, it is made from the queue's length and the copy
    /// range.
    #[doc(alias("SO_RCVBUF", "SO_RCVBUFFORCE"))]
    pub receive_buffer: Option<usize>,
    /// Does not report that the receive buffer was full.
    #[doc(alias = "NETLINK_NO_ENOBUFS")]
    pub ignore_overruns: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            families: Families::Both,
            max_length: None,
            fail_open: false,
            gso: false,
            uid_gid: false,
            security_context: false,
            conntrack: false,
            receive_buffer: None,
            ignore_overruns: false,
        }
    }
}

impl From<Families> for Options {
    fn from(families: Families) -> Self {
        Self { families, ..Self::default() }
    }
}

impl From<Family> for Options {
    fn from(family: Family) -> Self {
        Families::from(family).into()
    }
}

impl Options {
    /// The receive buffer that a queue of `nfnetlink_queue` asks for in this mode, in bytes: the one of
    /// [`receive_buffer`](Self::receive_buffer), or one that holds a full queue, up to 32 MiB.
    pub fn receive_buffer_len(&self, mode: CopyMode) -> usize {
        let packets = self.max_length.unwrap_or(DEFAULT_LENGTH);
        let by_length = || receive_buffer_len(packets, nfqueue_message_len(mode));
        self.receive_buffer.unwrap_or_else(by_length)
    }

    /// The options that only `nfnetlink_queue` has, each with its flag and its name.
    pub(crate) fn flags(&self) -> impl Iterator<Item = (QueueFlags, &'static str)> {
        let all = [
            (self.fail_open, QueueFlags::FAIL_OPEN, "fail-open"),
            (self.gso, QueueFlags::GSO, "GSO"),
            (self.uid_gid, QueueFlags::UID_GID, "user and group"),
            (self.security_context, QueueFlags::SECURITY_CONTEXT, "security context"),
            (self.conntrack, QueueFlags::CONNTRACK, "connection tracking"),
        ];
        all.into_iter().filter(|(wanted, ..)| *wanted).map(|(_, flag, name)| (flag, name))
    }
}
