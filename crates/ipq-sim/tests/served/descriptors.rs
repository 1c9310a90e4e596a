//! Copies of a descriptor: the socket lives as long as any of them.

use ipq_proto::{CopyMode, Family};
use ipq_sys::Protocol;
use ipq_sys::unix::SocketCookie;

use super::{World, bound};
use crate::common::{MODE, REQUEST, message, mode_body};

use std::io::IoSlice;
use std::os::fd::AsFd;

#[test]
fn a_copy_keeps_the_peer_until_the_last_one_is_closed() {
    let world = World::new();
    let mut client = world.client();
    let opened = bound(&mut client, Protocol::Firewall);
    let port_id = client.describe(opened.cookie).unwrap().port_id;
    let model = client.info().model;
    let request = message(model, MODE, REQUEST, 1, port_id, &mode_body(model, 1, 0));
    client.send(opened.cookie, 0, &[IoSlice::new(&request)]).unwrap();
    let status = |client: &mut ipq_sys::unix::Client| {
        client.read_file("/proc/net/ip_queue").unwrap();
        world.kernel.ip_queue_status(Family::Ipv4).unwrap()
    };
    let copy = opened.descriptor.try_clone().unwrap();
    assert_eq!(SocketCookie::of(copy.as_fd()), Ok(opened.cookie), "it is the same socket");
    drop(opened);
    assert_eq!(status(&mut client).copy_mode, CopyMode::Metadata);
    drop(copy);
    assert_eq!(status(&mut client).peer_port_id, 0);
}

#[test]
fn what_is_no_socket_of_the_kernel_is_told_so() {
    let world = World::new();
    let mut client = world.client();
    let control = SocketCookie::of(client.descriptor()).unwrap();
    assert_eq!(client.describe(control).unwrap_err().0, 88, "ENOTSOCK");
    assert_eq!(client.bind(SocketCookie(0), 1).unwrap_err().0, 88);
    assert_eq!(client.send(control, 0, &[]).unwrap_err().0, 88);
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(SocketCookie::of(file.as_fd()).unwrap_err().0, 88);
}
