//! Who has a queue: [`Owner`] and [`queue_owner`].

use std::fs;
use std::path::Path;

use crate::{KernelStatus, Protocol};

/// The socket that a queue is bound to.
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

impl Owner {
    /// Whose socket of `protocol` has this port id. `root` is the folder that `/proc` is in, so that another machine's
    /// can be looked at.
    pub fn of(root: &Path, protocol: Protocol, port_id: u32) -> Self {
        let proc = root.join("proc");
        let sockets = fs::read_to_string(proc.join("self/net/netlink")).unwrap_or_default();
        let inode = inode_of(&sockets, protocol, port_id);
        Self { port_id, process: inode.and_then(|inode| process_with(&proc, inode)) }
    }
}

/// Who has the queue `number` of `nfnetlink_queue` in this network namespace; `None` if nobody has it, or `/proc` does
/// not tell: in a user namespace it does not.
pub fn queue_owner(number: u16) -> Option<Owner> {
    let queues = KernelStatus::read().nfqueues;
    let port_id = queues.iter().find(|queue| queue.queue == number)?.port_id;
    Some(Owner::of(Path::new("/"), Protocol::Netfilter, port_id))
}

/// The inode (last column) of the socket with this netlink protocol (second column) and port id (third column).
fn inode_of(sockets: &str, protocol: Protocol, port_id: u32) -> Option<u64> {
    sockets.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, number, port, .., inode] = columns.as_slice() else { return None };
        let is_it = number.parse() == Ok(protocol.number()) && port.parse() == Ok(port_id);
        is_it.then(|| inode.parse().ok()).flatten()
    })
}

/// The first process that has the socket with this inode open.
fn process_with(proc: &Path, inode: u64) -> Option<Process> {
    let wanted = format!("socket:[{inode}]");
    let has_it = |process: &Path| {
        let descriptors = fs::read_dir(process.join("fd")).ok()?;
        let mut links = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.find(|link| link.as_os_str() == wanted.as_str())
    };
    fs::read_dir(proc).ok()?.find_map(|entry| {
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
        assert_eq!(inode_of(sockets, Protocol::Netfilter, 4711), Some(12));
        assert_eq!(inode_of(sockets, Protocol::Firewall, 4711), None);
        assert_eq!(inode_of(sockets, Protocol::Netfilter, 1), None);
        assert_eq!(inode_of("12 12", Protocol::Netfilter, 12), None, "too few columns");
    }
}
