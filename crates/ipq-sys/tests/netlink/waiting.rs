//! `wait_any` over real sockets.

use ipq_sys::{
    Deadline, MAX_TRANSPORTS, NetlinkSocket, Received, SocketOptions, Transport, Waited, wait_any,
};

use crate::support::{answer, assert_works, far_off, open, open_with, ping, send, send_pings};

fn wait(sockets: &mut [NetlinkSocket], deadline: Deadline) -> Waited {
    wait_any(sockets.iter_mut().map(|socket| socket as &mut dyn Transport), None, deadline).unwrap()
}

#[test]
fn finds_the_socket_that_is_ready_wherever_it_stands() {
    let mut sockets = [open(), open(), open()];
    for ready in 0..sockets.len() {
        assert_eq!(wait(&mut sockets, Deadline::Immediate), Waited::TimedOut);
        let past = Deadline::At(sockets[0].now());
        assert_eq!(wait(&mut sockets, past), Waited::TimedOut);

        send(&mut sockets[ready], &ping(5));
        let future = far_off(&sockets[0]);
        for deadline in [Deadline::Immediate, past, future, Deadline::Never] {
            assert_eq!(wait(&mut sockets, deadline), Waited::Ready, "{ready} {deadline:?}");
        }
        assert_eq!(answer(&mut sockets[ready]).sequence, 5);
    }
    for socket in &mut sockets {
        assert_works(socket);
    }
}

#[test]
fn is_ready_after_an_overrun() {
    let mut sockets = [open(), open_with(SocketOptions { receive_buffer: Some(8 << 10) })];
    send_pings(&mut sockets[1], 1, 100);
    assert_eq!(wait(&mut sockets, Deadline::Never), Waited::Ready);
    assert_eq!(sockets[1].receive(&mut [0; 64], Deadline::Immediate), Ok(Received::Overrun));
}

#[test]
fn ends_without_a_socket() {
    for deadline in [Deadline::Immediate, Deadline::Never] {
        assert_eq!(wait(&mut [], deadline), Waited::Ended);
    }
}

#[test]
fn takes_as_many_as_it_says() {
    let mut sockets: Vec<_> = (0..MAX_TRANSPORTS).map(|_| open()).collect();
    assert_eq!(wait(&mut sockets, Deadline::Immediate), Waited::TimedOut);
    send(sockets.last_mut().unwrap(), &ping(5));
    assert_eq!(wait(&mut sockets, Deadline::Never), Waited::Ready);
}

#[test]
#[should_panic(expected = "too many transports")]
fn takes_no_more_than_it_says() {
    let mut sockets: Vec<_> = (0..=MAX_TRANSPORTS).map(|_| open()).collect();
    wait(&mut sockets, Deadline::Immediate);
}
