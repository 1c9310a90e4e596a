//! All that is known of loss, at one moment: [`Snapshot`].

use core::fmt;
use core::iter::Sum;

use ipq_sys::{IpQueueStatus, KernelStatus, NfqueueStatus};
use serde::Serialize;

use crate::{QueueName, Statistics, prometheus};

/// What a session has counted, and what the kernel has counted of its queues.
///
/// Printed, it is a few lines to read; [`to_prometheus`](Self::to_prometheus) is for monitoring, and with serde it is
/// whatever serde can write.
///
/// ```
/// # use ipq::{Family, Queue};
/// # let kernel = ipq_sim::Kernel::builder().build();
/// # let queue = Queue::with(kernel.socket(Family::Ipv4))?;
/// let snapshot = queue.snapshot();
/// println!("{snapshot}");
/// assert_eq!(snapshot.packets_lost(), 0);
/// # Ok::<(), ipq::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// What the session has counted.
    pub statistics: Statistics,
    /// What the kernel says of the session's queues. Its counters are the queue's: they may have begun before the session.
    pub kernel: KernelStatus,
}

impl Snapshot {
    pub(crate) fn new(
        statistics: Statistics,
        mut kernel: KernelStatus,
        is_ours: impl Fn(QueueName) -> bool,
    ) -> Self {
        kernel.ip_queues.retain(|queue| is_ours(QueueName::IpQueue(queue.family)));
        kernel.nfqueues.retain(|queue| is_ours(QueueName::Nfqueue(queue.queue)));
        Self { statistics, kernel }
    }

    /// How many packets the kernel dropped instead of handing them to a program, as far as it tells: because a queue or a
    /// receive buffer was full. Where its counters cannot be read, what the session has noticed by missing ids.
    pub fn packets_lost(&self) -> u64 {
        let ip_queues =
            self.kernel.ip_queues.iter().map(|queue| [queue.queue_dropped, queue.netlink_dropped]);
        let nfqueues =
            self.kernel.nfqueues.iter().map(|queue| [queue.queue_dropped, queue.user_dropped]);
        let by_kernel: u64 = ip_queues.chain(nfqueues).flatten().map(u64::from).sum();
        by_kernel.max(self.statistics.lost)
    }

    /// In the text format of Prometheus, version 0.0.4. Each sample gets these labels, whose values may be any text; what
    /// cannot be in a label's name becomes `_`.
    pub fn to_prometheus(&self, labels: &[(&str, &str)]) -> String {
        prometheus::text(Some(&self.statistics), &self.kernel, labels)
    }
}

/// Several sessions together. A problem that all have is said once.
impl Sum for Snapshot {
    fn sum<I: Iterator<Item = Self>>(snapshots: I) -> Self {
        snapshots.fold(Self::default(), |mut sum, snapshot| {
            sum.statistics += snapshot.statistics;
            sum.kernel.ip_queues.extend(snapshot.kernel.ip_queues);
            sum.kernel.nfqueues.extend(snapshot.kernel.nfqueues);
            for problem in snapshot.kernel.problems {
                if !sum.kernel.problems.contains(&problem) {
                    sum.kernel.problems.push(problem);
                }
            }
            sum
        })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { statistics: s, kernel } = self;
        writeln!(f, "packets   {} read, {} bytes, {} truncated", s.packets, s.bytes, s.truncated)?;
        writeln!(
            f,
            "verdicts  {} accepted, {} dropped, {} other, {} by default",
            s.accepted, s.dropped, s.other_verdicts, s.defaulted
        )?;
        writeln!(
            f,
            "refused   {} requests, {} late verdicts, {} for unknown packets",
            s.refused, s.late_verdicts, s.unknown_verdicts
        )?;
        writeln!(
            f,
            "lost      {} packets, {} overruns, {} unclaimed, {} malformed, {} foreign",
            s.lost, s.overruns, s.unclaimed, s.malformed, s.foreign
        )?;
        kernel.ip_queues.iter().try_for_each(|queue| write_ip_queue(f, queue))?;
        kernel.nfqueues.iter().try_for_each(|queue| write_nfqueue(f, queue))?;
        kernel.problems.iter().try_for_each(|problem| writeln!(f, "kernel    {problem}"))
    }
}

fn write_ip_queue(f: &mut fmt::Formatter<'_>, queue: &IpQueueStatus) -> fmt::Result {
    let name = QueueName::IpQueue(queue.family).to_string();
    writeln!(
        f,
        "{name:9} {} of {} waiting, {} dropped by a full queue, {} by a full receive buffer",
        queue.queue_length, queue.queue_max_length, queue.queue_dropped, queue.netlink_dropped
    )
}

fn write_nfqueue(f: &mut fmt::Formatter<'_>, queue: &NfqueueStatus) -> fmt::Result {
    let name = QueueName::Nfqueue(queue.queue).to_string();
    writeln!(
        f,
        "{name:9} {} waiting, {} dropped by a full queue, {} by a full receive buffer",
        queue.queue_length, queue.queue_dropped, queue.user_dropped
    )
}
