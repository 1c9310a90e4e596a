//! Receive buffers that are too small: `ENOBUFS`.

use ipq_sys::{Batch, Deadline, NetlinkSocket, Received, SocketOptions, Transport};

use crate::support::{Answer, assert_works, open_with, outcomes, send_pings};

const PINGS: u32 = 100;

/// A socket with room for a few answers and not for [`PINGS`].
fn small() -> NetlinkSocket {
    open_with(SocketOptions { receive_buffer: Some(8 << 10) })
}

/// Takes what is there, one by one.
fn drain(socket: &mut dyn Transport) -> Vec<u32> {
    let mut sequences = Vec::new();
    let mut buffer = [0; 64];
    loop {
        match socket.receive(&mut buffer, Deadline::Immediate).unwrap() {
            Received::Datagram { len } => sequences.push(Answer::parse(&buffer[..len]).sequence),
            Received::TimedOut => return sequences,
            other => panic!("{other:?} after {sequences:?}"),
        }
    }
}

fn assert_first_few(sequences: &[u32]) {
    assert!((1..PINGS as usize).contains(&sequences.len()), "{sequences:?}");
    assert!(sequences.iter().zip(1..).all(|(&sequence, expected)| sequence == expected));
}

#[test]
fn is_told_once_and_then_come_the_messages_that_did_fit() {
    let mut socket = small();
    // The second time, because the kernel keeps in mind that it was told.
    for _ in 0..2 {
        send_pings(&mut socket, 1, PINGS);
        let received = socket.receive(&mut [0; 64], Deadline::Never);
        assert_eq!(received, Ok(Received::Overrun));
        assert_first_few(&drain(&mut socket));
        assert_works(&mut socket);
    }
}

#[test]
fn is_told_once_in_batches() {
    let mut socket = small();
    let mut batch = Batch::new(64, 64);
    for _ in 0..2 {
        send_pings(&mut socket, 1, PINGS);
        socket.receive_many(&mut batch, Deadline::Never).unwrap();
        assert_eq!(outcomes(&batch), [(Received::Overrun, None)]);
        socket.receive_many(&mut batch, Deadline::Never).unwrap();
        let sequences: Vec<_> =
            outcomes(&batch).into_iter().map(|(_, sequence)| sequence.unwrap()).collect();
        assert_first_few(&sequences);
        socket.receive_many(&mut batch, Deadline::Immediate).unwrap();
        assert_eq!(outcomes(&batch), [(Received::TimedOut, None)]);
        assert_works(&mut socket);
    }
}
