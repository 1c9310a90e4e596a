//! How an `Error` reads, and what it says of itself.

use core::error::Error as _;

use ipq_proto::Errno;
use ipq_sys::{ClaimError, Error, Operation, Protocol};

const OPERATIONS: [Operation; 6] = [
    Operation::Open,
    Operation::Bind,
    Operation::Configure,
    Operation::Send,
    Operation::Receive,
    Operation::Wait,
];
const PROTOCOLS: [Protocol; 3] = [Protocol::Firewall, Protocol::Ip6Firewall, Protocol::Netfilter];

fn error(operation: Operation, protocol: Protocol, errno: Errno) -> Error {
    Error { operation, protocol, errno }
}

#[test]
fn is_one_line_whatever_happened() {
    // All of Linux's numbers, and some that are none.
    for errno in (-1..=134).chain([512, 524, 4095, i32::MIN, i32::MAX]).map(Errno) {
        for operation in OPERATIONS {
            for protocol in PROTOCOLS {
                let text = error(operation, protocol, errno).to_string();
                let (attempt, rest) = text.split_once(": ").unwrap();
                assert!(attempt.ends_with(&protocol.to_string()), "{text}");
                assert!(attempt.starts_with(|c: char| c.is_ascii_lowercase()), "{text}");
                assert!(!rest.is_empty() && !text.ends_with(['.', ' ', ';']), "{text}");
                assert!(!text.contains(['\n', '\r', '\t']) && !text.contains("  "), "{text:?}");
                match errno.name() {
                    Some(name) => assert!(rest.starts_with(name), "{text}"),
                    None => assert!(rest.contains(&errno.0.to_string()), "{text}"),
                }
            }
        }
    }
}

#[test]
fn says_what_was_attempted_what_came_back_and_what_to_do() {
    for (operation, protocol, errno, text) in [
        (
            Operation::Bind,
            Protocol::Netfilter,
            Errno::EPERM,
            "binding the socket of nfnetlink_queue (netlink protocol 12): EPERM (operation not \
             permitted); run as root, or inside unshare -Urn",
        ),
        (
            Operation::Bind,
            Protocol::Ip6Firewall,
            Errno::EADDRINUSE,
            "binding the socket of ip6_queue (netlink protocol 13): EADDRINUSE (address already in \
             use); another socket of this process has the port id",
        ),
        (
            Operation::Send,
            Protocol::Firewall,
            Errno::ECONNREFUSED,
            "sending to ip_queue (netlink protocol 3): ECONNREFUSED (connection refused); nobody \
             listens in the kernel: its module has been unloaded",
        ),
        (
            Operation::Open,
            Protocol::Netfilter,
            Errno::EPROTONOSUPPORT,
            "opening a socket for nfnetlink_queue (netlink protocol 12): EPROTONOSUPPORT (protocol \
             not supported); this kernel was built without nfnetlink_queue, or its module is not \
             loaded",
        ),
        (
            Operation::Open,
            Protocol::Firewall,
            Errno::EPROTONOSUPPORT,
            "opening a socket for ip_queue (netlink protocol 3): EPROTONOSUPPORT (protocol not \
             supported); this kernel has no such queue: Linux 2.4 to 3.4 have it as the module \
             ip_queue or ip6_queue, later ones have nfnetlink_queue instead, which is the transport nfqueue:0; a capture can be run \
             through a simulated kernel with the transport sim:FILE",
        ),
        (
            Operation::Receive,
            Protocol::Netfilter,
            Errno::ENOMEM,
            "receiving from nfnetlink_queue (netlink protocol 12): ENOMEM (cannot allocate memory)",
        ),
    ] {
        assert_eq!(error(operation, protocol, errno).to_string(), text);
    }
}

#[test]
fn takes_the_text_of_the_system_for_numbers_without_a_name() {
    let text = error(Operation::Open, Protocol::Netfilter, Errno(23)).to_string();
    assert!(text.contains(": Too many open files"), "{text}");
    assert!(text.contains("23"), "{text}");
}

#[test]
fn is_unsupported_only_if_the_socket_cannot_be_opened() {
    for operation in OPERATIONS {
        for protocol in PROTOCOLS {
            let unsupported = error(operation, protocol, Errno::EPROTONOSUPPORT).is_unsupported();
            assert_eq!(unsupported, operation == Operation::Open);
            for errno in [Errno::EPERM, Errno::ENOMEM, Errno::EOPNOTSUPP, Errno(0)] {
                assert!(!error(operation, protocol, errno).is_unsupported());
            }
        }
    }
}

#[test]
fn is_temporary_if_the_same_may_succeed_later() {
    for operation in OPERATIONS {
        for errno in (0..=134).map(Errno) {
            let temporary = error(operation, Protocol::Firewall, errno).is_temporary();
            let expected = matches!(errno, Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS);
            assert_eq!(temporary, expected, "{operation:?} {errno:?}");
        }
    }
}

#[test]
fn is_an_error_without_a_cause() {
    let error: Box<dyn core::error::Error> =
        Box::new(error(Operation::Wait, Protocol::Firewall, Errno::EINVAL));
    assert!(error.source().is_none());
}

#[test]
fn a_claim_tells_the_error_of_its_transport() {
    let cause = error(Operation::Send, Protocol::Netfilter, Errno::ENOBUFS);
    let failed = ClaimError::from(cause);
    assert_eq!(failed.to_string(), cause.to_string());
    assert_eq!(failed.source().map(ToString::to_string), Some(cause.to_string()));
    assert!(ClaimError::HandlerTaken.source().is_none());
}

#[test]
fn a_claim_says_what_to_do() {
    for (error, advice) in [
        (ClaimError::BindRefused { queue: 7, errno: Errno::EPERM }, "CAP_NET_ADMIN is missing"),
        (ClaimError::BindRefused { queue: 7, errno: Errno::EINVAL }, "is its module missing?"),
        (ClaimError::QueueTaken { queue: 7, owner: None }, "root sees which one"),
        (ClaimError::HandlerTaken, "unload its module"),
        (ClaimError::WrongProtocol(Protocol::Firewall), "speaks"),
        (ClaimError::NoAnswer { queue: 7 }, "no answer"),
    ] {
        let text = error.to_string();
        assert!(text.contains(advice), "{text:?} does not say {advice:?}");
        assert!(!text.contains('\n') && !text.ends_with('.'), "{text:?}");
    }
}
