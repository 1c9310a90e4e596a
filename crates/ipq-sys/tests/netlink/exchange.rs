//! Requests and their answers.

use std::io::IoSlice;

use ipq_proto::Errno;
use ipq_sys::{Deadline, Error, Operation, Protocol, Received, Transport};

use crate::support::{
    ANSWER_LEN, Answer, NAMESPACE, answer, assert_works, inside, open, ping, request, send, skip,
};

/// nfnetlink's queue subsystem, `NFQNL_MSG_CONFIG`.
const QUEUE_CONFIG: u16 = 0x0302;

const EPERM: i32 = -1;
const EBUSY: i32 = -16;
const EINVAL: i32 = -22;

/// A request to bind to a queue: `NFQA_CFG_CMD` with `NFQNL_CFG_CMD_BIND`.
fn bind(queue: u16, sequence: u32) -> Vec<u8> {
    let [high, low] = queue.to_be_bytes();
    let [len, kind] = [8_u16, 1].map(u16::to_ne_bytes);
    let body = [0, 0, high, low, len[0], len[1], kind[0], kind[1], 1, 0, 0, 0];
    request(QUEUE_CONFIG, sequence, &body)
}

#[test]
fn is_answered() {
    let mut socket = open();
    send(&mut socket, &ping(41));
    let answer = answer(&mut socket);
    assert_eq!((answer.sequence, answer.port_id), (41, socket.port_id()));
    assert!(matches!(answer.error, 0 | EPERM), "{answer:?}");
    assert_works(&mut socket);
}

#[test]
fn may_be_sent_in_parts() {
    let mut socket = open();
    let request = ping(42);
    let parts: Vec<_> = request.chunks(5).map(IoSlice::new).collect();
    assert!(parts.len() > 2);
    socket.send(&parts).unwrap();
    assert_eq!(answer(&mut socket).sequence, 42);

    let (head, tail) = request.split_at(16);
    socket.send(&[IoSlice::new(&[]), IoSlice::new(head), IoSlice::new(tail)]).unwrap();
    assert_eq!(answer(&mut socket).sequence, 42);
    assert_works(&mut socket);
}

#[test]
fn binds_a_queue_of_its_own_namespace() {
    let test = "exchange::binds_a_queue_of_its_own_namespace";
    inside(NAMESPACE, test, || {
        let [mut first, mut second] = [open(), open()];
        let ask = |socket: &mut dyn Transport, sequence| {
            send(socket, &bind(7, sequence));
            let answer = answer(socket);
            assert_eq!((answer.sequence, answer.port_id), (sequence, socket.port_id()));
            answer.error
        };
        match ask(&mut first, 1) {
            0 => (),
            EINVAL => return skip(test, "this kernel has no nfnetlink_queue"),
            error => panic!("the queue could not be bound: {error}"),
        }
        assert_eq!(ask(&mut first, 2), EBUSY, "it has it already");
        assert_eq!(ask(&mut second, 3), EPERM, "it is another socket's");
        drop(first);
        assert_eq!(ask(&mut second, 4), 0, "it is free again");
    });
}

#[test]
fn says_how_long_an_answer_was_that_was_cut() {
    let mut socket = open();
    for len in [0, 1, 15, 16, 19, 20, ANSWER_LEN - 1] {
        send(&mut socket, &ping(7));
        let mut buffer = [0xa5; 64];
        let received = socket.receive(&mut buffer[..len], Deadline::Immediate);
        assert_eq!(received, Ok(Received::Truncated { len, datagram_len: ANSWER_LEN }));
        assert!(buffer[len..].iter().all(|&byte| byte == 0xa5), "wrote behind {len} bytes");
        if len >= 20 {
            assert_eq!(Answer::parse(&buffer).sequence, 7);
        }
        assert_works(&mut socket);
    }
}

#[test]
fn takes_an_answer_that_just_fits() {
    let mut socket = open();
    send(&mut socket, &ping(7));
    let mut buffer = [0xa5; ANSWER_LEN];
    let received = socket.receive(&mut buffer, Deadline::Immediate);
    assert_eq!(received, Ok(Received::Datagram { len: ANSWER_LEN }));
    assert_eq!(Answer::parse(&buffer).sequence, 7);
}

/// More than a socket may send at once.
const TOO_LONG: usize = 1 << 20;
const EMSGSIZE: Errno = Errno(90);

#[test]
fn fails_when_the_kernel_does_not_take_a_request() {
    let mut socket = open();
    let error =
        Error { operation: Operation::Send, protocol: Protocol::Netfilter, errno: EMSGSIZE };
    assert_eq!(socket.send(&[IoSlice::new(&vec![0; TOO_LONG])]), Err(error));
    assert_works(&mut socket);
}

#[test]
fn counts_the_requests_before_the_one_that_failed() {
    let mut socket = open();
    let (first, second, long) = (ping(1), ping(2), vec![0; TOO_LONG]);
    let datagrams = [&first, &second, &long, &first].map(|datagram| IoSlice::new(datagram));
    assert_eq!(socket.send_many(&datagrams), Ok(2));
    let error =
        Error { operation: Operation::Send, protocol: Protocol::Netfilter, errno: EMSGSIZE };
    assert_eq!(socket.send_many(&datagrams[2..]), Err(error));
    assert_eq!([answer(&mut socket).sequence, answer(&mut socket).sequence], [1, 2]);
    assert_works(&mut socket);
}
