//! What `Transport` promises of those who implement only what they must, and `wait_any` of those without descriptor.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::time::Duration;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use ipq_proto::{DataModel, Errno, Family};
use ipq_sys::{
    Batch, Clock, Deadline, Error, NetlinkSocket, Operation, Protocol, Received, SocketOptions,
    Stepped, Transport, Waited, wait_any,
};

const GONE: Error =
    Error { operation: Operation::Receive, protocol: Protocol::Firewall, errno: Errno(19) };

/// A transport without descriptor that does what it was told to.
#[derive(Debug, Default)]
struct Scripted {
    receives: VecDeque<Result<Received, Error>>,
    sends: VecDeque<Result<(), Error>>,
    steps: VecDeque<Result<Stepped, Error>>,
    deadlines: Vec<Deadline>,
    sent: Vec<Vec<u8>>,
    due: Option<Clock>,
}

impl Transport for Scripted {
    fn send(&mut self, datagram: &[IoSlice<'_>]) -> Result<(), Error> {
        self.sends.pop_front().expect("no further send is expected")?;
        self.sent.push(datagram.iter().flat_map(|part| part.to_vec()).collect());
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        self.deadlines.push(deadline);
        let outcome = self.receives.pop_front().expect("no further receive is expected")?;
        buffer[..outcome.len_in_buffer()].fill(u8::try_from(self.deadlines.len()).unwrap());
        Ok(outcome)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn step(&mut self, deadline: Deadline) -> Result<Stepped, Error> {
        self.deadlines.push(deadline);
        self.steps.pop_front().expect("no further step is expected")
    }

    fn due(&self) -> Option<Clock> {
        self.due
    }

    fn protocol(&self) -> Protocol {
        Protocol::Firewall
    }

    fn port_id(&self) -> u32 {
        1
    }

    fn now(&self) -> Clock {
        Clock::from_secs(100)
    }
}

const ONE: Received = Received::Datagram { len: 1 };
const TWO: Received = Received::Datagram { len: 2 };
const CUT: Received = Received::Truncated { len: 4, datagram_len: 9 };
const FOREIGN: Received = Received::Foreign { port_id: 5 };

/// Receives a batch of three from a transport that receives `script`: `expected` is in the batch, and `left` of the
/// script is not asked for.
fn check(script: &[Result<Received, Error>], expected: &[Received], left: usize) {
    let mut transport =
        Scripted { receives: script.iter().copied().collect(), ..Scripted::default() };
    let mut batch = Batch::new(3, 4);
    batch.push(FOREIGN); // of an earlier time
    let deadline = Deadline::At(Clock::from_secs(7));
    assert_eq!(transport.receive_many(&mut batch, deadline), Ok(()), "{script:?}");
    let bytes = [[1; 4], [2; 4], [3; 4]];
    let expected: Vec<_> = expected
        .iter()
        .zip(&bytes)
        .map(|(&outcome, bytes)| (outcome, &bytes[..outcome.len_in_buffer()]))
        .collect();
    assert_eq!(batch.iter().collect::<Vec<_>>(), expected, "{script:?}");
    assert_eq!(transport.receives.len(), left, "{script:?}");
    let (first, others) = transport.deadlines.split_first().unwrap();
    assert_eq!(*first, deadline, "the first may wait");
    assert!(others.iter().all(|&other| other == Deadline::Immediate), "no other may");
}

#[test]
fn receives_until_the_batch_is_full() {
    check(&[Ok(ONE), Ok(TWO), Ok(CUT), Ok(ONE)], &[ONE, TWO, CUT], 1);
    check(&[Ok(FOREIGN), Ok(ONE), Ok(FOREIGN)], &[FOREIGN, ONE, FOREIGN], 0);
}

#[test]
fn receives_until_nothing_is_there() {
    for end in [Received::TimedOut, Received::Interrupted, Received::Ended] {
        check(&[Ok(end), Ok(ONE)], &[end], 1);
        check(&[Ok(ONE), Ok(end), Ok(ONE)], &[ONE], 1);
        check(&[Ok(FOREIGN), Ok(CUT), Ok(end)], &[FOREIGN, CUT], 0);
    }
}

#[test]
fn receives_up_to_an_overrun_and_tells_it() {
    check(&[Ok(Received::Overrun), Ok(ONE)], &[Received::Overrun], 1);
    check(&[Ok(ONE), Ok(Received::Overrun), Ok(ONE)], &[ONE, Received::Overrun], 1);
}

#[test]
fn does_not_lose_what_was_received_before_an_error() {
    check(&[Ok(ONE), Ok(TWO), Err(GONE)], &[ONE, TWO], 0);

    let receives = [Err(GONE), Ok(ONE)].into();
    let mut transport = Scripted { receives, ..Scripted::default() };
    let mut batch = Batch::new(3, 4);
    batch.push(FOREIGN);
    assert_eq!(transport.receive_many(&mut batch, Deadline::Never), Err(GONE));
    assert!(batch.is_empty(), "nothing of an earlier time is in it");
}

#[test]
fn sends_in_order_up_to_an_error() {
    let datagrams = [&b"one"[..], b"", b"three"].map(IoSlice::new);
    let send = |script: &[Result<(), Error>]| {
        let sends = script.iter().copied().collect();
        let mut transport = Scripted { sends, ..Scripted::default() };
        (transport.send_many(&datagrams), transport.sent)
    };
    let all = [&b"one"[..], b"", b"three"].map(<[u8]>::to_vec);
    assert_eq!(send(&[Ok(()), Ok(()), Ok(())]), (Ok(3), all.to_vec()));
    assert_eq!(send(&[Ok(()), Ok(()), Err(GONE)]), (Ok(2), all[..2].to_vec()));
    assert_eq!(send(&[Ok(()), Err(GONE)]), (Ok(1), all[..1].to_vec()));
    assert_eq!(send(&[Err(GONE)]), (Err(GONE), vec![]));
    assert_eq!(Scripted::default().send_many(&[]), Ok(0));
}

#[test]
fn waits_by_a_step_where_there_is_no_descriptor() {
    for (step, waited) in [(Ok(Stepped::Progressed), Ok(Waited::Ready)), (Err(GONE), Err(GONE))] {
        for deadline in [Deadline::Never, Deadline::Immediate, Deadline::At(Clock::MAX)] {
            // Of one kernel, so that one of them steps for all.
            let mut transports =
                [[step].into(), [].into()].map(|steps| Scripted { steps, ..Scripted::default() });
            let each = transports.iter_mut().map(|transport| transport as &mut dyn Transport);
            assert_eq!(wait_any(each, None, deadline), waited);
            assert_eq!(transports[0].deadlines, [deadline]);
            assert!(transports[0].steps.is_empty() && transports[1].deadlines.is_empty());
        }
    }
}

#[test]
fn asks_each_transport_before_nothing_can_come_or_the_time_is_over() {
    use Stepped::{Ended, Progressed, TimedOut};
    for (first, second, waited) in [
        (Ended, Progressed, Waited::Ready),
        (Ended, Ended, Waited::Ended),
        (Ended, TimedOut, Waited::TimedOut),
        (TimedOut, Progressed, Waited::Ready),
        (TimedOut, Ended, Waited::TimedOut),
        (TimedOut, TimedOut, Waited::TimedOut),
    ] {
        let mut transports = [first, second]
            .map(|step| Scripted { steps: [Ok(step)].into(), ..Scripted::default() });
        let each = transports.iter_mut().map(|transport| transport as &mut dyn Transport);
        assert_eq!(wait_any(each, None, Deadline::Never), Ok(waited));
        assert!(transports.iter().all(|transport| transport.deadlines == [Deadline::Never]));
    }
}

#[test]
fn waits_no_longer_than_until_something_kept_back_is_due() {
    let at = |seconds| Deadline::At(Clock::from_secs(seconds));
    for (deadline, limit, waited) in [
        (Deadline::Never, at(105), Waited::Ready),
        (at(110), at(105), Waited::Ready),
        (at(105), at(105), Waited::TimedOut),
        (at(104), at(104), Waited::TimedOut),
        (Deadline::Immediate, Deadline::Immediate, Waited::TimedOut),
    ] {
        let mut transports = [Some(105), None, Some(107)].map(|due| Scripted {
            steps: [Ok(Stepped::TimedOut)].into(),
            due: due.map(Clock::from_secs),
            ..Scripted::default()
        });
        let each = transports.iter_mut().map(|transport| transport as &mut dyn Transport).rev();
        assert_eq!(wait_any(each, None, deadline), Ok(waited));
        assert_eq!(transports[2].deadlines, [limit]);
    }
}

#[test]
fn has_nothing_to_do_in_a_step_where_there_is_a_descriptor() {
    let mut socket = NetlinkSocket::open(Protocol::Netfilter, SocketOptions::default()).unwrap();
    assert!(socket.descriptor().is_some());
    assert_eq!(socket.step(Deadline::Never), Ok(Stepped::Ended));
    assert_eq!(socket.data_model(), DataModel::NATIVE);
}

#[test]
fn measures_deadlines_from_now() {
    let now = Clock::from_secs(100);
    let after = |timeout| Deadline::after(now, timeout);
    assert_eq!(after(None), Deadline::Never);
    assert_eq!(after(Some(Duration::ZERO)), Deadline::At(now));
    assert_eq!(after(Some(Duration::from_nanos(1))), Deadline::At(Duration::new(100, 1)));
    let rest = Clock::MAX.checked_sub(now);
    assert_eq!(after(rest), Deadline::At(Clock::MAX));
    assert_eq!(after(Some(Duration::MAX)), Deadline::Never, "beyond the clock's end");
}

#[test]
fn numbers_and_names_the_protocols() {
    for (protocol, number, family, text) in [
        (Protocol::Firewall, 3, Some(Family::Ipv4), "ip_queue (netlink protocol 3)"),
        (Protocol::Ip6Firewall, 13, Some(Family::Ipv6), "ip6_queue (netlink protocol 13)"),
        (Protocol::Netfilter, 12, None, "nfnetlink_queue (netlink protocol 12)"),
    ] {
        assert_eq!(protocol.number(), number);
        assert_eq!(protocol.family(), family);
        assert_eq!(protocol.to_string(), text);
        if let Some(family) = family {
            assert_eq!(Protocol::ip_queue(family), protocol);
        }
    }
}

#[test]
fn counts_the_bytes_in_the_buffer() {
    for (received, len) in [
        (ONE, 1),
        (CUT, 4),
        (FOREIGN, 0),
        (Received::Overrun, 0),
        (Received::Interrupted, 0),
        (Received::TimedOut, 0),
        (Received::Ended, 0),
    ] {
        assert_eq!(received.len_in_buffer(), len, "{received:?}");
    }
}
