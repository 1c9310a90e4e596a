//! Who has a queue: [`queue_owner`].

use std::fs;
use std::path::Path;

use crate::KernelStatus;

/// The socket that a queue of `nfnetlink_queue` is bound to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owner {
    /// Its port id, often the process id.
    pub port_id: u32,
    /// The process that has it open, if that can be seen from here.
    pub process: Option<Process>,
}

/// A process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The name of its program.
    pub name: String,
}

/// `port id 4711 (process 4711, ipq-cli)`.
impl core::fmt::Display for Owner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "port id {}", self.port_id)?;
        match &self.process {
            Some(Process { pid, name }) => write!(f, " (process {pid}, {})", name.escape_default()),
            None => Ok(()),
        }
    }
}

/// Who has the queue `number` of `nfnetlink_queue` in this network namespace; `None` if nobody has it, or `/proc` does
/// not tell: in a user namespace it does not.
pub fn queue_owner(number: u16) -> Option<Owner> {
    let queues = KernelStatus::read().nfqueues;
    let port_id = queues.iter().find(|queue| queue.queue == number)?.port_id;
    let sockets = fs::read_to_string("/proc/self/net/netlink").unwrap_or_default();
    let process = inode_of(&sockets, port_id).and_then(process_with);
    Some(Owner { port_id, process })
}

/// The inode (last column) of the socket with netlink protocol 12 (second column) and this port id (third column).
fn inode_of(sockets: &str, port_id: u32) -> Option<u64> {
    sockets.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, protocol, port, .., inode] = columns.as_slice() else { return None };
        let is_it = *protocol == "12" && port.parse() == Ok(port_id);
        is_it.then(|| inode.parse().ok()).flatten()
    })
}

/// The first process that has the socket with this inode open.
fn process_with(inode: u64) -> Option<Process> {
    let wanted = format!("socket:[{inode}]");
    let has_it = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd")).ok()?;
        let mut links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.find(|link| link.as_os_str() == wanted.as_str())
    };
    fs::read_dir("/proc").ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        let pid: u32 = path.file_name()?.to_str()?.parse().ok()?;
        has_it(&path)?;
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        Some(Process { pid, name: name.trim_end().to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_columns_that_say_who_has_a_socket() {
        let sockets = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
                       0000000000000000 0   4711       00000000 0        0        0     2        0        11\n\
                       0000000000000000 12  4711       00000000 0        0        0     2        0        12\n";
        assert_eq!(inode_of(sockets, 4711), Some(12));
        assert_eq!(inode_of(sockets, 1), None);
        assert_eq!(inode_of("12 12", 12), None, "too few columns");
    }
}
