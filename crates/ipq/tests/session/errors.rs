//! What errors say: one line, what was attempted, what came back, and what to do.

use core::error::Error as _;

use ipq::{CopyMode, Errno, Error, Event, Family, Fault, PacketId, QueueName, Refusal};
use ipq_proto::{DecodeError, EncodeError, Problem};
use ipq_sim::capture::Reader;
use ipq_sys::{Operation, Protocol};

fn unreachable(errno: Errno) -> Error {
    Error::Unreachable { path: "/run/ipq".into(), errno }
}

fn refused(errno: Errno, family: Family) -> Error {
    Error::ModeRefused {
        mode: CopyMode::Packet { range: 2048 },
        queue: QueueName::IpQueue(family),
        errno,
    }
}

fn transport(operation: Operation, protocol: Protocol, errno: Errno) -> Error {
    Error::from(ipq_sys::Error { operation, protocol, errno })
}

/// Every kind of error, and a word of the advice it must give.
fn all() -> Vec<(Error, &'static str, Fault)> {
    let decode = DecodeError {
        what: "netlink header",
        offset: 0,
        problem: Problem::TooShort { need: 16, have: 7 },
    };
    let number = EncodeError { field: "packet id", value: 1 << 40, bits: 32 };
    let capture = Reader::new(&b"no capture at all"[..]).err().unwrap();
    vec![
        (
            transport(Operation::Open, Protocol::Firewall, Errno::EPROTONOSUPPORT),
            "sim:FILE",
            Fault::System,
        ),
        (transport(Operation::Open, Protocol::Firewall, Errno::EPERM), "root", Fault::System),
        (
            transport(Operation::Send, Protocol::Ip6Firewall, Errno::ECONNREFUSED),
            "unloaded",
            Fault::System,
        ),
        (refused(Errno::EPERM, Family::Ipv4), "run as root", Fault::System),
        (refused(Errno::EBUSY, Family::Ipv4), "/proc/net/ip_queue names", Fault::System),
        (refused(Errno::EBUSY, Family::Ipv6), "/proc/net/ip6_queue names", Fault::System),
        (refused(Errno::EINVAL, Family::Ipv6), "build it for 64 bits", Fault::System),
        (
            Error::NoAnswer { queue: QueueName::IpQueue(Family::Ipv6) },
            "is its module loaded",
            Fault::Peer,
        ),
        (Error::Message(decode), "the next read goes on", Fault::Peer),
        (Error::Number(number), "no such packet was queued", Fault::Caller),
        (
            Error::WrongQueue(PacketId::in_ip_queue(Family::Ipv6, 1)),
            "open it for that queue",
            Fault::Caller,
        ),
        (Error::TwoSockets(QueueName::IpQueue(Family::Ipv4)), "one is enough", Fault::Caller),
        (Error::Capture(capture), "", Fault::System),
        (unreachable(Errno(2)), "ipq-cli sim serve --listen /run/ipq", Fault::System),
        (unreachable(Errno::EACCES), "only the user who serves it", Fault::System),
        (unreachable(Errno::EMFILE), "as many clients as it takes", Fault::System),
        (unreachable(Errno::EPROTO), "no server of this version", Fault::System),
        (
            transport(Operation::Receive, Protocol::Firewall, Errno::ECONNRESET),
            "the simulated kernel is gone",
            Fault::System,
        ),
    ]
}

#[test]
fn each_is_one_line_and_says_what_to_do() {
    for (error, advice, fault) in all() {
        let text = error.to_string();
        assert!(!text.contains(['\n', '\r', '\t']), "{text}");
        assert!(!text.ends_with('.') && !text.ends_with(' '), "{text}");
        assert!(!text.contains("  "), "{text}");
        assert!(text.contains(advice), "{text:?} does not say {advice:?}");
        assert_eq!(error.fault(), fault, "{text}");
    }
}

#[test]
fn each_says_what_was_attempted_and_what_came_back() {
    let text = refused(Errno::EPERM, Family::Ipv4).to_string();
    assert_eq!(
        text,
        "setting copy mode packet up to 2048 bytes of ip_queue: EPERM (operation not permitted); \
         CAP_NET_ADMIN is missing: run as root"
    );
    let text = refused(Errno(1234), Family::Ipv6).to_string();
    assert_eq!(text, "setting copy mode packet up to 2048 bytes of ip6_queue: error 1234");
}

#[test]
fn a_cause_is_to_be_had_where_there_is_one() {
    for (error, _, _) in all() {
        let has_cause = matches!(
            error,
            Error::Transport(_) | Error::Message(_) | Error::Number(_) | Error::Capture(_)
        );
        assert_eq!(error.source().is_some(), has_cause, "{error}");
    }
}

#[test]
fn each_tells_the_number_that_came_back() {
    assert_eq!(unreachable(Errno::EACCES).errno(), Some(Errno::EACCES));
    assert_eq!(refused(Errno::EPERM, Family::Ipv4).errno(), Some(Errno::EPERM));
    let gone = transport(Operation::Receive, Protocol::Firewall, Errno::ECONNRESET);
    assert_eq!(gone.errno(), Some(Errno::ECONNRESET));
    assert_eq!(Error::Closed.errno(), None);
}

#[test]
fn only_what_may_pass_is_temporary() {
    for (error, _, _) in all() {
        assert!(!error.is_temporary(), "{error}");
    }
    for errno in [Errno::EAGAIN, Errno::EINTR, Errno::ENOBUFS] {
        assert!(transport(Operation::Send, Protocol::Firewall, errno).is_temporary());
    }
}

#[test]
fn refusals_are_one_line_too() {
    let packet = Some(PacketId::in_ip_queue(Family::Ipv4, 0xffff_8800_0017_e9c0));
    for (errno, packet, expected) in [
        (
            Errno::ENOENT,
            packet,
            "the verdict for packet 0xffff88000017e9c0 was refused: ENOENT (no such file or \
             directory); it is not queued any more",
        ),
        (
            Errno::EBUSY,
            None,
            "a request was refused: EBUSY (device or resource busy); another program has the queue",
        ),
        (
            Errno::EPERM,
            None,
            "a request was refused: EPERM (operation not permitted); CAP_NET_ADMIN is missing",
        ),
        (Errno::EINVAL, None, "a request was refused: EINVAL (invalid argument)"),
        (Errno::ENOENT, None, "a request was refused: ENOENT (no such file or directory)"),
    ] {
        assert_eq!(Refusal { errno, packet }.to_string(), expected);
    }
}

#[test]
fn errors_and_events_can_be_passed_on() {
    fn is_sendable<T: Send + Sync + 'static>() {}
    is_sendable::<Error>();
    is_sendable::<Event<'static>>();
}
