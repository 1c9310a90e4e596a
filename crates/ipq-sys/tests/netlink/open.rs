//! Opening sockets: protocols, port ids, options.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsRawFd;
use std::process;

use ipq_proto::Errno;
use ipq_sys::{NetlinkSocket, Operation, Protocol, SocketOptions, Transport};
use nix::sys::socket::{NetlinkAddr, getsockname, getsockopt, sockopt};

use crate::support::{NAMESPACE, assert_works, inside, open, open_with, skip};

fn check_unsupported(test: &str, protocol: Protocol, module: &str) {
    let Err(error) = NetlinkSocket::open(protocol, SocketOptions::default()) else {
        return skip(test, "this kernel has ip_queue");
    };
    assert!(error.is_unsupported(), "{error:?}");
    assert!(!error.is_temporary());
    assert_eq!((error.operation, error.protocol), (Operation::Open, protocol));
    let message = error.to_string();
    for word in
        [module, "EPROTONOSUPPORT", "2.4 to 3.4", "nfnetlink_queue instead", "sim:FILE", "opening"]
    {
        assert!(message.contains(word), "no {word:?} in: {message}");
    }
}

#[test]
fn says_where_ip_queue_is_and_what_else_to_use() {
    let test = "open::says_where_ip_queue_is_and_what_else_to_use";
    check_unsupported(test, Protocol::Firewall, "ip_queue (netlink protocol 3)");
}

#[test]
fn says_where_ip6_queue_is_and_what_else_to_use() {
    let test = "open::says_where_ip6_queue_is_and_what_else_to_use";
    check_unsupported(test, Protocol::Ip6Firewall, "ip6_queue (netlink protocol 13)");
}

#[test]
fn knows_the_port_id_that_the_kernel_knows() {
    let socket = open();
    let address: NetlinkAddr = getsockname(socket.descriptor().unwrap().as_raw_fd()).unwrap();
    assert_eq!(address.pid(), socket.port_id());
    assert_eq!(address.groups(), 0);
    assert_eq!(socket.protocol(), Protocol::Netfilter);
}

#[test]
fn takes_the_process_id_first_and_other_positive_numbers_then() {
    // In a process and a network namespace where no other test takes port ids.
    inside(NAMESPACE, "open::takes_the_process_id_first_and_other_positive_numbers_then", || {
        let first = open();
        assert_eq!(first.port_id(), process::id());
        let mut second = open();
        assert_ne!(second.port_id(), first.port_id());
        assert!(second.port_id().cast_signed() > 0);

        drop(first);
        assert_eq!(open().port_id(), process::id(), "it was free again");
        assert_works(&mut second);
    });
}

#[test]
fn gives_up_when_all_its_port_ids_are_taken() {
    inside(NAMESPACE, "open::gives_up_when_all_its_port_ids_are_taken", || {
        let mut sockets = Vec::new();
        let error = loop {
            match NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default()) {
                Ok(socket) => sockets.push(socket),
                Err(error) => break error,
            }
            assert!(sockets.len() < 1000, "it never ends");
        };
        assert_eq!((error.operation, error.errno), (Operation::Bind, Errno::EADDRINUSE));
        let port_ids: BTreeSet<_> =
            sockets.iter().map(|socket| socket.port_id().cast_signed()).collect();
        assert_eq!(port_ids.len(), sockets.len(), "one was given twice");
        assert!(port_ids.iter().all(|&port_id| port_id > 0));

        let freed = sockets.swap_remove(100).port_id();
        assert_eq!(open().port_id(), freed);
    });
}

/// The size of a new socket's receive buffer as the kernel counts it.
fn receive_buffer(option: Option<usize>) -> usize {
    let mut socket = open_with(SocketOptions { receive_buffer: option });
    assert_works(&mut socket);
    getsockopt(&socket.descriptor().unwrap(), sockopt::RcvBuf).unwrap()
}

#[test]
fn has_the_receive_buffer_that_was_asked_for() {
    // The kernel doubles what it is given.
    assert_eq!(receive_buffer(Some(64 << 10)), 128 << 10);
    assert_eq!(receive_buffer(Some(32 << 10)), 64 << 10);
}

#[test]
fn has_the_receive_buffer_that_was_asked_for_without_privilege() {
    // Root of its own namespace only: SO_RCVBUFFORCE is refused.
    let test = "open::has_the_receive_buffer_that_was_asked_for_without_privilege";
    inside(NAMESPACE, test, || assert_eq!(receive_buffer(Some(64 << 10)), 128 << 10));
}

#[test]
fn has_a_receive_buffer_whatever_was_asked_for() {
    let default = receive_buffer(None);
    for small in [0, 1] {
        let len = receive_buffer(Some(small));
        assert!(0 < len && len < default, "{len}");
    }
    // More than the `int` that the kernel takes, of either sign and with either half all zeros.
    let large = [1 << 30, 1 << 31, (1 << 32) - 1, 1 << 32, u64::MAX >> 1, u64::MAX];
    for large in large.into_iter().filter_map(|large| usize::try_from(large).ok()) {
        let len = receive_buffer(Some(large));
        assert!(len >= default, "{large} made it {len}, {default} is the default");
    }
}

#[test]
fn is_not_handed_to_programs_that_are_started() {
    let socket = open();
    let descriptor = socket.descriptor().unwrap().as_raw_fd();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    let flags = u32::from_str_radix(flags, 8).unwrap();
    assert_ne!(flags & 0o200_0000, 0, "no O_CLOEXEC in {flags:#o}");
}
