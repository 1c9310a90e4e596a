//! Descriptors are readable exactly while there is something to receive.

use std::os::fd::{AsFd, AsRawFd};

use ipq_proto::Errno;
use ipq_sys::Protocol;
use ipq_sys::unix::{Client, Opened, ReceiveFlags, SocketOption};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{World, bound};
use crate::common::{ACK, MODE, REQUEST, message, mode_body};

/// The length of an acknowledgement: a header, an error number and the header of the request.
const ACK_LEN: usize = 36;

/// What poll, select and epoll say, which is the same.
#[track_caller]
fn is_readable(opened: &Opened) -> bool {
    let descriptor = opened.descriptor.as_fd();
    let mut entries = [PollFd::new(descriptor, PollFlags::POLLIN)];
    let with_poll = poll(&mut entries, PollTimeout::ZERO).unwrap() == 1;
    let mut set = FdSet::new();
    set.insert(descriptor);
    let mut zero = TimeVal::seconds(0);
    let n = Some(descriptor.as_raw_fd() + 1);
    let with_select = select(n, &mut set, None, None, &mut zero).unwrap() == 1;
    let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    epoll.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, 0)).unwrap();
    let is_event = epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::ZERO).unwrap() == 1;
    assert!(with_poll == with_select && with_select == is_event);
    with_poll
}

/// Asks for a mode so many times, each with an acknowledgement.
fn ask(client: &mut Client, opened: &Opened, times: usize) {
    let model = client.info().model;
    let port_id = client.describe(opened.cookie).unwrap().port_id;
    let request = message(model, MODE, REQUEST | ACK, 1, port_id, &mode_body(model, 2, 0));
    for _ in 0..times {
        client.send(opened.cookie, 0, &[std::io::IoSlice::new(&request)]).unwrap();
    }
}

fn receive(client: &mut Client, opened: &Opened, peek: bool) -> Result<usize, Errno> {
    let mut buffer = [0; 256];
    let socket = (&opened.descriptor, opened.cookie);
    let received = client.receive(socket, &mut buffer, ReceiveFlags { peek });
    received.map(|datagram| datagram.len)
}

#[test]
fn is_readable_exactly_while_there_is_something() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    for round in 0..50 {
        assert!(!is_readable(&opened), "{round}");
        ask(&mut client, &opened, 3);
        for _ in 0..3 {
            assert!(is_readable(&opened), "{round}");
            assert_eq!(receive(&mut client, &opened, true), Ok(ACK_LEN));
            assert!(is_readable(&opened), "looked at, it is still there");
            assert_eq!(receive(&mut client, &opened, false), Ok(ACK_LEN));
        }
        assert!(!is_readable(&opened), "{round}");
        assert_eq!(receive(&mut client, &opened, true), Err(Errno::EAGAIN));
        assert_eq!(receive(&mut client, &opened, false), Err(Errno::EAGAIN));
    }
}

#[test]
fn is_readable_while_an_overrun_is_to_be_told() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    client.set_option(opened.cookie, SocketOption::RECEIVE_BUFFER, 1).unwrap();
    ask(&mut client, &opened, 100);
    assert!(is_readable(&opened));
    assert_eq!(receive(&mut client, &opened, true), Err(Errno::ENOBUFS), "once, and first");
    let mut n_received = 0;
    while is_readable(&opened) {
        assert_eq!(receive(&mut client, &opened, false), Ok(ACK_LEN));
        n_received += 1;
    }
    assert!((1..100).contains(&n_received), "{n_received}");
    assert_eq!(receive(&mut client, &opened, false), Err(Errno::EAGAIN));

    client.set_option(opened.cookie, SocketOption::IGNORE_OVERRUNS, 1).unwrap();
    ask(&mut client, &opened, 100);
    assert_eq!(receive(&mut client, &opened, false), Ok(ACK_LEN));
    assert_eq!(client.option(opened.cookie, SocketOption::ERROR), Ok(0));
}

#[test]
fn tells_a_pending_error_to_whoever_asks_for_it() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    client.set_option(opened.cookie, SocketOption::RECEIVE_BUFFER, 1).unwrap();
    ask(&mut client, &opened, 100);
    let pending = client.option(opened.cookie, SocketOption::ERROR);
    assert_eq!(pending, Ok(Errno::ENOBUFS.0.cast_unsigned()));
    assert_eq!(receive(&mut client, &opened, false), Ok(ACK_LEN));
}

#[test]
fn takes_out_what_a_client_that_died_left_behind() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    ask(&mut client, &opened, 1);
    // Received by one that takes no token out: it died in between.
    let elsewhere = world.open(Protocol::Firewall);
    let mut other = world.client();
    let other_descriptor = ipq_sys::Transport::descriptor(&elsewhere).unwrap();
    let mut buffer = [0; 256];
    let wrong_place = (other_descriptor, opened.cookie);
    other.receive(wrong_place, &mut buffer, ReceiveFlags::default()).unwrap();
    assert!(is_readable(&opened), "the token is still there");
    assert_eq!(receive(&mut client, &opened, false), Err(Errno::EAGAIN));
    assert!(!is_readable(&opened), "and is gone with the first look");
    ask(&mut client, &opened, 1);
    assert!(is_readable(&opened));
}

#[test]
fn is_readable_when_the_server_is_gone() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    assert!(!is_readable(&opened));
    drop(world);
    assert!(is_readable(&opened));
    assert_eq!(receive(&mut client, &opened, false), Err(Errno::ECONNRESET));
    assert_eq!(Client::wait(opened.descriptor.as_fd(), None), Ok(true), "no hang");
}

#[test]
fn gives_what_does_not_fit_as_a_real_socket_does() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    ask(&mut client, &opened, 2);
    let mut receive = |buffer: &mut [u8], peek| {
        let socket = (&opened.descriptor, opened.cookie);
        let datagram = client.receive(socket, buffer, ReceiveFlags { peek }).unwrap();
        (datagram.len, datagram.datagram_len, datagram.port_id)
    };
    assert_eq!(receive(&mut [], true), (0, ACK_LEN, 0), "how long is it?");
    assert_eq!(receive(&mut [0; 20], false), (20, ACK_LEN, 0), "the rest is lost");
    assert_eq!(receive(&mut [0; ACK_LEN], false), (ACK_LEN, ACK_LEN, 0));
}
