//! A packet that cannot be forgotten: [`QueuedPacket`].

use core::fmt;

use ipq_proto::Verdict;

use crate::packet::Outline;
use crate::{Error, Packet, PacketId, Rewrite, SharedQueue};

/// A packet that was taken from a [`SharedQueue`] and waits for its verdict.
///
/// It is settled exactly once: whatever gives a verdict takes it away. A verdict that cannot be sent gives it back, in
/// [`Unsettled`], so that it can be repeated. Dropped without a verdict it gets the queue's
/// [default](crate::DefaultVerdict), and is counted.
///
/// It owns its bytes, and may go to another thread and be kept for as long as need be. What the kernel does meanwhile
/// happens all the same: when a device goes down, its packets are gone, and a verdict that comes too late is counted.
#[must_use = "dropped at once, it gets the default verdict"]
pub struct QueuedPacket {
    queue: SharedQueue,
    outline: Outline,
    /// Which of all that were handed out.
    number: u64,
    message: Vec<u8>,
    is_settled: bool,
}

/// What is to become of a packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'r> {
    pub(crate) verdict: Verdict,
    pub(crate) mark: Option<u32>,
    pub(crate) replacement: &'r [u8],
}

impl From<Verdict> for Order<'_> {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, mark: None, replacement: &[] }
    }
}

impl QueuedPacket {
    pub(crate) fn new(queue: SharedQueue, outline: Outline, number: u64, message: Vec<u8>) -> Self {
        Self { queue, outline, number, message, is_settled: false }
    }

    /// The packet: its payload and all that the kernel says of it. Found anew in its message by each call, which takes
    /// some ten nanoseconds.
    pub fn packet(&self) -> Packet<'_> {
        self.outline.find(&self.message)
    }

    /// What the kernel calls it.
    pub const fn id(&self) -> PacketId {
        self.outline.id
    }

    /// Whether its message was longer than the buffer it was read into, so that its end is missing.
    pub const fn is_truncated(&self) -> bool {
        self.outline.is_truncated
    }

    /// The queue that it was taken from.
    pub const fn queue(&self) -> &SharedQueue {
        &self.queue
    }

    /// Lets it pass.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    #[doc(alias = "NF_ACCEPT")]
    pub fn accept(self) -> Result<(), Unsettled> {
        self.settle(Verdict::Accept)
    }

    /// Drops it, which the sender does not notice.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle).
    #[doc(alias("NF_DROP", "drop"))]
    pub fn discard(self) -> Result<(), Unsettled> {
        self.settle(Verdict::Drop)
    }

    /// Gives it a verdict.
    ///
    /// # Errors
    ///
    /// If it cannot be sent. The packet is in the error: after one that [is temporary](Error::is_temporary), the verdict
    /// may be repeated. A refusal of the kernel's comes later, and is counted.
    pub fn settle(self, verdict: Verdict) -> Result<(), Unsettled> {
        self.order(&verdict.into())
    }

    /// Gives it a verdict and a netfilter mark.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle); and on `ip_queue`, whose verdicts carry no mark.
    pub fn settle_marked(self, verdict: Verdict, mark: u32) -> Result<(), Unsettled> {
        self.order(&Order { mark: Some(mark), ..verdict.into() })
    }

    /// Gives it a verdict, and puts other bytes in its place, from the IP header on, as they are: see
    /// [`Queue::verdict_with`](crate::Queue::verdict_with), and [`rewrite`](Self::rewrite) for one that arrives.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle); and if the replacement is longer than the kernel takes.
    pub fn replace(self, verdict: Verdict, replacement: &[u8]) -> Result<(), Unsettled> {
        self.order(&Order { replacement, ..verdict.into() })
    }

    /// Has `edit` change what the packet carries, repairs its lengths and checksums, and lets it pass.
    ///
    /// ```
    /// # use ipq::{CopyMode, DefaultVerdict, Family, Hook, Queue, SharedQueue};
    /// # let kernel = ipq_sim::Kernel::builder().build();
    /// # kernel.rule(Hook::LocalOut, ipq_sim::Match::any(), ipq_sim::Target::Queue);
    /// # let mut packet = Vec::new();
    /// # etherparse::PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64).udp(1, 2).write(&mut packet, b"old").unwrap();
    /// # kernel.send(Family::Ipv4, &packet);
    /// # let mut queue = Queue::with(kernel.socket(Family::Ipv4))?;
    /// # queue.set_mode(CopyMode::Packet { range: 0 })?;
    /// # let queue = SharedQueue::new(queue, DefaultVerdict::Accept)?;
    /// while let Some(packet) = queue.next(None)? {
    ///     packet.rewrite(|rewrite| *rewrite.payload_mut() = b"something longer".to_vec())?;
    /// }
    /// # assert!(kernel.delivered()[0].data.ends_with(b"something longer"));
    /// # Ok::<(), ipq::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Rewrite`] if the packet cannot be rewritten, and as [`settle`](Self::settle). The packet is in the error.
    pub fn rewrite(self, edit: impl FnOnce(&mut Rewrite)) -> Result<(), Unsettled> {
        let rewritten = self.packet().rewrite().and_then(|mut rewrite| {
            edit(&mut rewrite);
            rewrite.finish()
        });
        match rewritten {
            Ok(replacement) => self.replace(Verdict::Accept, &replacement),
            Err(error) => Err(Unsettled::new(self, Error::Rewrite(error))),
        }
    }

    fn order(mut self, order: &Order<'_>) -> Result<(), Unsettled> {
        match self.queue.settle(self.outline.id, self.number, order) {
            Ok(()) => {
                self.is_settled = true;
                Ok(())
            }
            Err(error) => Err(Unsettled::new(self, error)),
        }
    }
}

/// Without its bytes, which are too much to read.
impl fmt::Debug for QueuedPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message_len = self.message.len();
        f.debug_struct("QueuedPacket")
            .field("id", &self.outline.id)
            .field("message_len", &message_len)
            .field("is_truncated", &self.outline.is_truncated)
            .finish_non_exhaustive()
    }
}

impl Drop for QueuedPacket {
    fn drop(&mut self) {
        let message = core::mem::take(&mut self.message);
        self.queue.let_go(self.outline.id, self.number, self.is_settled, message);
    }
}

/// A packet whose verdict could not be sent, and why.
#[derive(Debug)]
pub struct Unsettled(Box<(QueuedPacket, Error)>);

impl Unsettled {
    fn new(packet: QueuedPacket, error: Error) -> Self {
        Self(Box::new((packet, error)))
    }

    /// Why.
    pub const fn error(&self) -> &Error {
        &self.0.1
    }

    /// The packet, which still waits.
    pub fn into_packet(self) -> QueuedPacket {
        self.0.0
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl core::error::Error for Unsettled {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(self.error())
    }
}

/// The packet gets the default.
impl From<Unsettled> for Error {
    fn from(unsettled: Unsettled) -> Self {
        unsettled.0.1
    }
}
