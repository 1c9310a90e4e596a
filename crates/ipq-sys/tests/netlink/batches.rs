//! Several datagrams with one call: the socket's own way, and the trait's.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use ipq_sys::{
    Batch, Clock, Deadline, Error, NetlinkSocket, Protocol, Received, SocketOptions, Transport,
};

use crate::support::{ANSWER_LEN, Answer, assert_works, open_with, outcomes, request, send_pings};

/// A message of nfnetlink's queue subsystem that no kernel knows.
const NO_SUCH_REQUEST: u16 = 0x03fa;

/// A socket without what it overrides of the trait.
#[derive(Debug)]
struct OneByOne(NetlinkSocket);

impl Transport for OneByOne {
    fn send(&mut self, datagram: &[IoSlice<'_>]) -> Result<(), Error> {
        self.0.send(datagram)
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        self.0.receive(buffer, deadline)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor()
    }

    fn protocol(&self) -> Protocol {
        self.0.protocol()
    }

    fn port_id(&self) -> u32 {
        self.0.port_id()
    }

    fn now(&self) -> Clock {
        self.0.now()
    }
}

/// Both ways to move several datagrams.
fn both() -> [Box<dyn Transport>; 2] {
    let roomy = || open_with(SocketOptions { receive_buffer: Some(1 << 20) });
    [Box::new(roomy()), Box::new(OneByOne(roomy()))]
}

/// Sends `count` requests and receives their answers in batches.
fn check(count: u32, slots: usize, slot_len: usize) {
    for mut socket in both() {
        let what = format!("{count} into {slots} of {slot_len} bytes, {socket:?}");
        send_pings(&mut *socket, 1, count);
        let mut batch = Batch::new(slots, slot_len);
        let all: Vec<_> = (1..=count).collect();
        for expected in all.chunks(slots) {
            socket.receive_many(&mut batch, Deadline::Never).unwrap();
            assert_eq!(batch.len(), expected.len(), "{what}");
            let outcome = if slot_len < ANSWER_LEN {
                Received::Truncated { len: slot_len, datagram_len: ANSWER_LEN }
            } else {
                Received::Datagram { len: ANSWER_LEN }
            };
            let expected: Vec<_> =
                expected.iter().map(|&n| (outcome, (slot_len >= 20).then_some(n))).collect();
            assert_eq!(outcomes(&batch), expected, "{what}");
        }
        socket.receive_many(&mut batch, Deadline::Immediate).unwrap();
        assert_eq!(outcomes(&batch), [(Received::TimedOut, None)], "{what}");
        assert_works(&mut *socket);
    }
}

#[test]
fn keep_the_order_and_the_length_of_each() {
    // One system call moves 32 at most.
    for count in [1, 2, 31, 32, 33, 63, 64, 65, 100] {
        for slots in [1, 3, 31, 32, 33, 64, 100, 1000] {
            check(count, slots, 64);
        }
    }
}

#[test]
fn cut_each_message_that_does_not_fit() {
    for slot_len in [1, 19, 20, ANSWER_LEN - 1, ANSWER_LEN, ANSWER_LEN + 1] {
        for (count, slots) in [(1, 1), (5, 3), (40, 40), (40, 3)] {
            check(count, slots, slot_len);
        }
    }
}

#[test]
fn may_be_empty() {
    for mut socket in both() {
        assert_eq!(socket.send_many(&[]), Ok(0));
        assert_works(&mut *socket);
    }
}

#[test]
fn are_forgotten_when_the_next_is_received() {
    for mut socket in both() {
        let mut batch = Batch::new(4, 64);
        for sequence in 1..4 {
            send_pings(&mut *socket, sequence, sequence);
            socket.receive_many(&mut batch, Deadline::Never).unwrap();
            let expected = (Received::Datagram { len: ANSWER_LEN }, Some(sequence));
            assert_eq!(outcomes(&batch), [expected]);
        }
    }
}

#[test]
fn do_not_wait_to_be_full() {
    for mut socket in both() {
        send_pings(&mut *socket, 1, 2);
        let mut batch = Batch::new(100, 64);
        socket.receive_many(&mut batch, Deadline::Never).unwrap();
        assert_eq!(batch.len(), 2);
    }
}

#[test]
fn keep_the_bytes_of_each() {
    // A refusal repeats the request, so that a length or a pointer mixed up in either direction shows.
    let requests: Vec<_> = (0..70_u8)
        .map(|n| request(NO_SUCH_REQUEST, n.into(), &vec![n ^ 0xa5; 4 + usize::from(n) * 3]))
        .collect();
    let datagrams: Vec<_> = requests.iter().map(|request| IoSlice::new(request)).collect();
    for mut socket in both() {
        assert_eq!(socket.send_many(&datagrams), Ok(requests.len()));
        let mut batch = Batch::new(100, 512);
        socket.receive_many(&mut batch, Deadline::Never).unwrap();
        assert_eq!(batch.len(), requests.len());
        for ((received, bytes), request) in batch.iter().zip(&requests) {
            assert_eq!(received, Received::Datagram { len: bytes.len() });
            assert!(Answer::parse(bytes).error < 0);
            // Padded to 4.
            assert_eq!(bytes[20..].get(..request.len()), Some(&request[..]));
        }
        assert_works(&mut *socket);
    }
}
