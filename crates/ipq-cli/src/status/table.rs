//! The state of queues as a table: [`Table`].

use core::fmt;
use core::time::Duration;

use ipq::{CopyMode, Family};
use ipq_sys::{IpQueueStatus, NfqueueStatus, Owner};

use super::Sample;

/// A line for each queue. With a sample from before, it tells how much is queued and lost in a second.
pub(super) struct Table<'s> {
    pub(super) sample: &'s Sample,
    pub(super) before: Option<(Duration, &'s Sample)>,
}

/// A line, with everything as it is printed.
type Row = [String; 7];

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = &self.sample.kernel;
        if kernel.ip_queues.is_empty() && kernel.nfqueues.is_empty() {
            return f.write_str(match kernel.problems.as_slice() {
                [] => "no queue: the kernel has no ip_queue, and no program has a queue of nfnetlink_queue\n",
                _ => "no queue that may be seen\n",
            });
        }
        let heading =
            ["QUEUE", "WAITING", "PACKETS/S", "LOST: FULL", "NO BUFFER", "COPIES", "PROGRAM"];
        let owner = |index: usize| self.sample.owners.get(index).and_then(Option::as_ref);
        let ip_queues = kernel.ip_queues.iter().enumerate();
        let ip_queues = ip_queues.map(|(index, queue)| self.ip_queue(queue, owner(index)));
        let behind = kernel.ip_queues.len();
        let nfqueues = kernel.nfqueues.iter().enumerate();
        let nfqueues = nfqueues.map(|(index, queue)| self.nfqueue(queue, owner(behind + index)));
        let rows: Vec<Row> =
            core::iter::once(heading.map(str::to_owned)).chain(ip_queues).chain(nfqueues).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; 7] = core::array::from_fn(width);
        rows.iter().try_for_each(|row| write_row(f, row, &widths))
    }
}

/// Numbers to the right, all else to the left.
fn write_row(f: &mut fmt::Formatter<'_>, row: &Row, widths: &[usize; 7]) -> fmt::Result {
    let [queue, waiting, rate, full, buffer, copies, program] = row;
    let [w0, w1, w2, w3, w4, w5, _] = *widths;
    writeln!(
        f,
        "{queue:<w0$}  {waiting:>w1$}  {rate:>w2$}  {full:>w3$}  {buffer:>w4$}  {copies:<w5$}  {program}"
    )
}

impl Table<'_> {
    fn ip_queue(&self, queue: &IpQueueStatus, owner: Option<&Owner>) -> Row {
        let name = match queue.family {
            Family::Ipv4 => "ip_queue",
            Family::Ipv6 => "ip6_queue",
        };
        let copies = match queue.copy_mode {
            CopyMode::None => "nothing".to_owned(),
            CopyMode::Metadata => "metadata".to_owned(),
            CopyMode::Packet { range } => format!("{range} bytes"),
        };
        let earlier = self.before.and_then(|(time, sample)| {
            let mut queues = sample.kernel.ip_queues.iter();
            Some((time, queues.find(|earlier| earlier.family == queue.family)?))
        });
        let lost = earlier.map(|(_, earlier)| {
            [
                queue.queue_dropped.wrapping_sub(earlier.queue_dropped),
                queue.netlink_dropped.wrapping_sub(earlier.netlink_dropped),
            ]
        });
        [
            name.to_owned(),
            format!("{}/{}", queue.queue_length, queue.queue_max_length),
            "-".to_owned(),
            grown(queue.queue_dropped, lost.map(|[full, _]| full)),
            grown(queue.netlink_dropped, lost.map(|[_, buffer]| buffer)),
            copies,
            program(owner),
        ]
    }

    fn nfqueue(&self, queue: &NfqueueStatus, owner: Option<&Owner>) -> Row {
        let copies = match queue.copy_mode {
            0 => "nothing".to_owned(),
            1 => "metadata".to_owned(),
            2 => format!("{} bytes", queue.copy_range),
            other => format!("mode {other}"),
        };
        let earlier = self.before.and_then(|(time, sample)| {
            let mut queues = sample.kernel.nfqueues.iter();
            // Another program's queue counts anew.
            let is_it = |earlier: &&NfqueueStatus| {
                (earlier.queue, earlier.port_id) == (queue.queue, queue.port_id)
            };
            Some((time, queues.find(is_it)?))
        });
        let lost = earlier.map(|(_, earlier)| {
            [
                queue.queue_dropped.wrapping_sub(earlier.queue_dropped),
                queue.user_dropped.wrapping_sub(earlier.user_dropped),
            ]
        });
        let rate = earlier.map(|(time, earlier)| {
            let packets = f64::from(queue.last_id.wrapping_sub(earlier.last_id));
            format!("{:.0}", packets / time.as_secs_f64().max(f64::MIN_POSITIVE))
        });
        [
            format!("queue {}", queue.queue),
            queue.queue_length.to_string(),
            rate.unwrap_or_else(|| "-".to_owned()),
            grown(queue.queue_dropped, lost.map(|[full, _]| full)),
            grown(queue.user_dropped, lost.map(|[_, buffer]| buffer)),
            copies,
            program(owner),
        ]
    }
}

/// `12 +3`: how many, and how many more than before, if there are more.
fn grown(count: u32, more: Option<u32>) -> String {
    match more {
        Some(more) if more > 0 => format!("{count} +{more}"),
        _ => count.to_string(),
    }
}

/// `ipq-cli (4711)`, and the port id if it is another number.
fn program(owner: Option<&Owner>) -> String {
    let Some(owner) = owner else { return "none".to_owned() };
    let port_id = owner.port_id;
    match &owner.process {
        Some(process) if process.pid == port_id => {
            format!("{} ({port_id})", process.name.escape_default())
        }
        Some(process) => {
            format!("{} ({}, port id {port_id})", process.name.escape_default(), process.pid)
        }
        None => format!("unseen, port id {port_id}"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use ipq_sys::{KernelStatus, Process};

    use super::*;

    fn sample(lines: &[&str], peer: u32) -> Sample {
        let ip_queue = format!(
            "Peer PID : {peer}\nCopy mode : 2\nCopy range : 2048\nQueue length : 3\n\
             Queue max. length : 1024\nQueue dropped : 7\nNetlink dropped : 0\n"
        );
        let owner = |pid: u32, port_id: u32| {
            Some(Owner { port_id, process: Some(Process { pid, name: "ipq-cli".to_owned() }) })
        };
        Sample {
            kernel: KernelStatus {
                ip_queues: vec![IpQueueStatus::parse(Family::Ipv4, &ip_queue).unwrap()],
                nfqueues: lines.iter().map(|line| line.parse().unwrap()).collect(),
                problems: Vec::new(),
            },
            owners: vec![None, owner(4711, 4711), owner(4712, 4_294_963_199)],
        }
    }

    #[test]
    fn there_is_a_line_for_each_queue() {
        let sample =
            sample(&["0 4711 3 2 65531 0 0 12 1", "7 4294963199 0 1 0 1 2 4294967295 1"], 0);
        assert_snapshot!(Table { sample: &sample, before: None }.to_string(), @"
        QUEUE     WAITING  PACKETS/S  LOST: FULL  NO BUFFER  COPIES       PROGRAM
        ip_queue   3/1024          -           7          0  2048 bytes   none
        queue 0         3          -           0          0  65531 bytes  ipq-cli (4711)
        queue 7         0          -           1          2  metadata     ipq-cli (4712, port id 4294963199)
        ");
    }

    #[test]
    fn a_sample_from_before_tells_what_has_changed() {
        let before =
            sample(&["0 4711 3 2 65531 0 0 12 1", "7 4294963199 0 1 0 1 2 4294967290 1"], 0);
        let after = sample(&["0 4711 9 2 65531 5 0 212 1", "7 4294963199 0 1 0 1 4 10 1"], 0);
        let before = Some((Duration::from_secs(2), &before));
        assert_snapshot!(Table { sample: &after, before }.to_string(), @"
        QUEUE     WAITING  PACKETS/S  LOST: FULL  NO BUFFER  COPIES       PROGRAM
        ip_queue   3/1024          -           7          0  2048 bytes   none
        queue 0         9        100        5 +5          0  65531 bytes  ipq-cli (4711)
        queue 7         0          8           1       4 +2  metadata     ipq-cli (4712, port id 4294963199)
        ");
    }

    #[test]
    fn where_there_is_no_queue_it_says_so() {
        let sample = Sample::default();
        assert_snapshot!(Table { sample: &sample, before: None }.to_string(), @"no queue: the kernel has no ip_queue, and no program has a queue of nfnetlink_queue");
    }
}
