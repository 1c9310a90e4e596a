//! What a kernel says of its queues in `/proc`: [`KernelStatus`].

use core::fmt;
use core::str::FromStr;
use std::fs;
use std::io;
use std::path::Path;

use ipq_proto::{CopyMode, Family};

/// The state of all queues of a kernel that can be seen.
///
/// ```
/// let status = ipq_sys::KernelStatus::read();
/// for queue in &status.nfqueues {
///     println!("queue {}: {} packets lost", queue.queue, queue.queue_dropped + queue.user_dropped);
/// }
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct KernelStatus {
    /// The instances of `ip_queue` that are loaded, IPv4 first.
    pub ip_queues: Vec<IpQueueStatus>,
    /// The queues of `nfnetlink_queue` that a program has, in the kernel's order.
    pub nfqueues: Vec<NfqueueStatus>,
    /// What could not be read, and why: one line for each file. What does not exist, since the kernel does not have the
    /// queue, is no problem.
    pub problems: Vec<String>,
}

/// Where the kernel keeps them, below the root: those of the network namespace of the calling process.
const IP_QUEUES: [(Family, &str); 2] =
    [(Family::Ipv4, "proc/self/net/ip_queue"), (Family::Ipv6, "proc/self/net/ip6_queue")];
const NFQUEUES: &str = "proc/self/net/netfilter/nfnetlink_queue";

impl KernelStatus {
    /// Reads the state of the kernel that this program runs on, in its network namespace.
    ///
    /// Only root of the machine may read the file of `nfnetlink_queue`: root of a user namespace may not, and finds that
    /// among the [`problems`](Self::problems).
    #[doc(alias(
        "/proc/net/ip_queue",
        "/proc/net/ip6_queue",
        "/proc/net/netfilter/nfnetlink_queue"
    ))]
    pub fn read() -> Self {
        Self::read_below(Path::new("/"))
    }

    /// The same of another machine: `root` is the folder that its `/proc` is in.
    pub fn read_below(root: &Path) -> Self {
        Self::read_with(root, |path| fs::read_to_string(path))
    }

    /// The same of a kernel whose files `read` reads.
    pub(crate) fn read_with(
        root: &Path,
        mut read: impl FnMut(&Path) -> io::Result<String>,
    ) -> Self {
        let mut status = Self::default();
        for (family, path) in IP_QUEUES {
            let path = root.join(path);
            let parse = |text: &str| IpQueueStatus::parse(family, text);
            let parsed = parse_file(&path, read(&path), parse, &mut status.problems);
            status.ip_queues.extend(parsed);
        }
        let path = root.join(NFQUEUES);
        let parse = |text: &str| text.lines().map(str::parse).collect::<Result<Vec<_>, _>>();
        let nfqueues = parse_file(&path, read(&path), parse, &mut status.problems);
        status.nfqueues = nfqueues.unwrap_or_default();
        status
    }
}

/// What a file says; `None` if it is not there, or cannot be read, which then is a problem.
fn parse_file<T>(
    path: &Path,
    text: io::Result<String>,
    parse: impl FnOnce(&str) -> Result<T, ParseStatusError>,
    problems: &mut Vec<String>,
) -> Option<T> {
    let problem = match text {
        Ok(text) => match parse(&text) {
            Ok(parsed) => return Some(parsed),
            Err(error) => error.to_string(),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            format!("{error}; only root outside of user namespaces may read it")
        }
        Err(error) => error.to_string(),
    };
    problems.push(format!("reading {}: {problem}", path.display()));
    None
}

/// A text that is no state of a queue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseStatusError {
    what: &'static str,
    line: String,
}

impl ParseStatusError {
    fn new(what: &'static str, line: &str) -> Self {
        // A line of the kernel's is short; what is not, is not repeated whole.
        Self { what, line: line.chars().take(100).collect() }
    }
}

impl fmt::Display for ParseStatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.what, self.line)
    }
}

impl core::error::Error for ParseStatusError {}

/// The state of one `ip_queue`. It prints as `/proc/net/ip_queue` or `/proc/net/ip6_queue` reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpQueueStatus {
    /// Which of the two.
    pub family: Family,
    /// The port id of the program that gets the packets; 0 if there is none.
    pub peer_port_id: u32,
    /// How much of each packet it gets.
    pub copy_mode: CopyMode,
    /// Packets that wait for a verdict.
    pub queue_length: u64,
    /// How many may wait.
    pub queue_max_length: u32,
    /// Packets dropped because the queue was full.
    pub queue_dropped: u32,
    /// Packets dropped because the program's receive buffer was full, or its socket gone.
    pub netlink_dropped: u32,
}

impl IpQueueStatus {
    /// Reads what the file of `family` says. Old kernels do not have all of the lines: what is missing is 0.
    ///
    /// # Errors
    ///
    /// If a line has no number, or one that is too large, or the copy mode is none that there is.
    pub fn parse(family: Family, text: &str) -> Result<Self, ParseStatusError> {
        let mut numbers = [0_u64; LABELS.len()];
        for line in text.lines() {
            let wrong = |what| ParseStatusError::new(what, line);
            let (label, number) = line.split_once(':').ok_or_else(|| wrong("no colon"))?;
            let known = LABELS.iter().position(|labels| labels.contains(&label.trim_end()));
            let Some(position) = known else { continue };
            numbers[position] = number.trim().parse().map_err(|_| wrong("no number"))?;
        }
        let [peer, mode, range, queue_length, max_length, queue_dropped, netlink_dropped] = numbers;
        let wrong = |what| ParseStatusError::new(what, text);
        let narrow = |number: u64| u32::try_from(number).map_err(|_| wrong("too large a number"));
        let mode = u8::try_from(mode).ok().and_then(|mode| CopyMode::from_wire(mode, range));
        Ok(Self {
            family,
            peer_port_id: narrow(peer)?,
            copy_mode: mode.ok_or_else(|| wrong("an unknown copy mode"))?,
            queue_length,
            queue_max_length: narrow(max_length)?,
            queue_dropped: narrow(queue_dropped)?,
            netlink_dropped: narrow(netlink_dropped)?,
        })
    }
}

/// What the lines are called. The last one differs by family.
const LABELS: [&[&str]; 7] = [
    &["Peer PID"],
    &["Copy mode"],
    &["Copy range"],
    &["Queue length"],
    &["Queue max. length"],
    &["Queue dropped"],
    &["Netlink dropped", "Netfilter dropped"],
];

impl fmt::Display for IpQueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: [u64; LABELS.len()] = [
            self.peer_port_id.into(),
            self.copy_mode.value().into(),
            self.copy_mode.range().into(),
            self.queue_length,
            self.queue_max_length.into(),
            self.queue_dropped.into(),
            self.netlink_dropped.into(),
        ];
        let by_family = usize::from(self.family == Family::Ipv6);
        LABELS.iter().zip(numbers).try_for_each(|(labels, number)| {
            let label = labels.get(by_family).unwrap_or(&labels[0]);
            writeln!(f, "{label:<18}: {number}")
        })
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for IpQueueStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut status = serializer.serialize_struct("IpQueueStatus", 8)?;
        let family = if self.family == Family::Ipv4 { "ipv4" } else { "ipv6" };
        status.serialize_field("family", family)?;
        status.serialize_field("peer_port_id", &self.peer_port_id)?;
        status.serialize_field("copy_mode", &self.copy_mode.value())?;
        status.serialize_field("copy_range", &self.copy_mode.range())?;
        status.serialize_field("queue_length", &self.queue_length)?;
        status.serialize_field("queue_max_length", &self.queue_max_length)?;
        status.serialize_field("queue_dropped", &self.queue_dropped)?;
        status.serialize_field("netlink_dropped", &self.netlink_dropped)?;
        status.end()
    }
}

/// The state of one queue of `nfnetlink_queue`. It prints as its line of `/proc/net/netfilter/nfnetlink_queue` reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[doc(alias = "/proc/net/netfilter/nfnetlink_queue")]
pub struct NfqueueStatus {
    /// Its number.
    pub queue: u16,
    /// The port id of the program that has it.
    pub port_id: u32,
    /// Packets that wait for a verdict.
    pub queue_length: u64,
    /// How much of each packet the program gets: 0 nothing, 1 its metadata, 2 the packet too.
    pub copy_mode: u8,
    /// How many bytes of each packet it gets at most.
    pub copy_range: u32,
    /// Packets dropped because the queue was full.
    pub queue_dropped: u32,
    /// Packets dropped because the program's receive buffer was full.
    pub user_dropped: u32,
    /// The id of the packet that was queued last.
    pub last_id: u32,
}

impl fmt::Display for NfqueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { queue, port_id, queue_length, copy_mode, copy_range, .. } = self;
        let Self { queue_dropped, user_dropped, last_id, .. } = self;
        write!(
            f,
            "{queue:5} {port_id:6} {queue_length:5} {copy_mode:1} {copy_range:5} {queue_dropped:5} \
             {user_dropped:5} {last_id:8} {:2}",
            1
        )
    }
}

/// A line. Columns behind those that are known are passed over.
impl FromStr for NfqueueStatus {
    type Err = ParseStatusError;

    fn from_str(line: &str) -> Result<Self, ParseStatusError> {
        let mut columns = line.split_ascii_whitespace();
        let mut next = || {
            let column =
                columns.next().ok_or_else(|| ParseStatusError::new("too few columns", line));
            let wrong = |_| ParseStatusError::new("no number", line);
            column.and_then(|column| column.parse::<u64>().map_err(wrong))
        };
        let numbers = [next()?, next()?, next()?, next()?, next()?, next()?, next()?, next()?];
        let [queue, port_id, queue_length, mode, range, queue_dropped, user_dropped, id] = numbers;
        let wrong = |_| ParseStatusError::new("too large a number", line);
        let narrow = |number: u64| u32::try_from(number).map_err(wrong);
        Ok(Self {
            queue: u16::try_from(queue).map_err(wrong)?,
            port_id: narrow(port_id)?,
            queue_length,
            copy_mode: u8::try_from(mode).map_err(wrong)?,
            copy_range: narrow(range)?,
            queue_dropped: narrow(queue_dropped)?,
            user_dropped: narrow(user_dropped)?,
            last_id: narrow(id)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "    0   4711     0 2 65531     0     0        0  1";

    #[test]
    fn a_line_of_nfnetlink_queue_is_read_and_printed_alike() {
        let status: NfqueueStatus = NEW.parse().unwrap();
        assert_eq!((status.queue, status.port_id, status.copy_range), (0, 4711, 65_531));
        assert_eq!(status.to_string(), NEW);
        let full = format!("{} {0} {} 255 {0} {0} {0} {0} 1 and more", u32::MAX, u64::MAX)
            .replacen("4294967295", "65535", 1);
        let status: NfqueueStatus = full.parse().unwrap();
        assert_eq!(
            (status.queue, status.last_id, status.queue_length),
            (65_535, u32::MAX, u64::MAX)
        );
    }

    #[test]
    fn a_line_that_makes_no_sense_is_refused_with_the_reason() {
        let said = |line: &str| line.parse::<NfqueueStatus>().unwrap_err().to_string();
        assert_eq!(said(""), r#"too few columns in """#);
        assert_eq!(said("1 2 3 4 5 6 7"), r#"too few columns in "1 2 3 4 5 6 7""#);
        assert_eq!(said("1 2 3 4 5 6 7 x"), r#"no number in "1 2 3 4 5 6 7 x""#);
        assert_eq!(said("65536 2 3 4 5 6 7 8"), r#"too large a number in "65536 2 3 4 5 6 7 8""#);
        assert!(said(&"x".repeat(1 << 20)).len() < 200);
        for len in 0..NEW.trim_end_matches(" 1").trim_end().len() - 8 {
            NEW[..len].parse::<NfqueueStatus>().unwrap_err();
        }
    }

    #[test]
    fn the_state_of_ip_queue_is_read_and_printed_alike() {
        for family in Family::ALL {
            let status = IpQueueStatus {
                family,
                peer_port_id: 41,
                copy_mode: CopyMode::Packet { range: 2048 },
                queue_length: 3,
                queue_max_length: u32::MAX,
                queue_dropped: 5,
                netlink_dropped: 7,
            };
            assert_eq!(IpQueueStatus::parse(family, &status.to_string()), Ok(status));
        }
    }

    #[test]
    fn old_kernels_have_fewer_lines_of_ip_queue() {
        let status =
            IpQueueStatus::parse(Family::Ipv4, "Peer PID : 9\nSomething new: 1\n").unwrap();
        assert_eq!((status.peer_port_id, status.queue_dropped), (9, 0));
        for wrong in ["Peer PID\n", "Peer PID : x\n", "Copy mode : 3\n", "Peer PID : 4294967296\n"]
        {
            IpQueueStatus::parse(Family::Ipv4, wrong).unwrap_err();
        }
    }

    #[test]
    fn what_is_not_there_is_no_problem_and_what_cannot_be_read_is_one() {
        let mut problems = Vec::new();
        let mut parse = |path: &str| {
            let text = fs::read_to_string(path);
            parse_file(Path::new(path), text, str::parse::<NfqueueStatus>, &mut problems)
        };
        assert_eq!(parse("/proc/self/no-such-file"), None);
        assert_eq!(parse("/proc/self/comm"), None);
        assert_eq!(parse("/proc/self"), None);
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("reading /proc/self/comm: no number in"), "{problems:?}");
    }
}
