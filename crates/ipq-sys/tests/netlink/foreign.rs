//! Messages that a process sent and not the kernel. To send one takes `CAP_NET_ADMIN`.

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use ipq_sys::{Batch, Deadline, NetlinkSocket, Received, Transport};
use nix::sys::socket::{MsgFlags, NetlinkAddr, sendmsg};

use crate::support::{NAMESPACE, answer, assert_works, inside, open, outcomes, ping, send};

/// Sends a datagram to a socket and not to the kernel.
fn forge(from: &NetlinkSocket, to: &NetlinkSocket, datagram: &[u8]) {
    let address = NetlinkAddr::new(to.port_id(), 0);
    let socket = from.descriptor().unwrap().as_raw_fd();
    let parts = [IoSlice::new(datagram)];
    let sent = sendmsg(socket, &parts, &[], MsgFlags::MSG_DONTWAIT, Some(&address));
    assert_eq!(sent, Ok(datagram.len()));
}

#[test]
fn is_told_from_the_kernel_by_its_sender() {
    inside(NAMESPACE, "foreign::is_told_from_the_kernel_by_its_sender", || {
        let [forger, mut socket] = [open(), open()];
        // It claims to be from the kernel as far as it can: in its own header.
        forge(&forger, &socket, &ping(1));
        send(&mut socket, &ping(2));
        forge(&forger, &socket, &[0; 1000]);

        let foreign = Received::Foreign { port_id: forger.port_id() };
        assert_eq!(foreign.len_in_buffer(), 0);
        assert_eq!(socket.receive(&mut [0; 64], Deadline::Never), Ok(foreign));
        assert_eq!(answer(&mut socket).sequence, 2);
        // One that is longer than the buffer is no less foreign.
        assert_eq!(socket.receive(&mut [0; 64], Deadline::Never), Ok(foreign));
        assert_works(&mut socket);
    });
}

#[test]
fn is_told_from_the_kernel_in_a_batch() {
    inside(NAMESPACE, "foreign::is_told_from_the_kernel_in_a_batch", || {
        let [forger, mut socket] = [open(), open()];
        send(&mut socket, &ping(1));
        forge(&forger, &socket, &ping(2));
        forge(&forger, &socket, &[0; 1000]);
        send(&mut socket, &ping(3));

        let mut batch = Batch::new(8, 64);
        socket.receive_many(&mut batch, Deadline::Never).unwrap();
        let genuine = Received::Datagram { len: 36 };
        let foreign = Received::Foreign { port_id: forger.port_id() };
        let expected = [(genuine, Some(1)), (foreign, None), (foreign, None), (genuine, Some(3))];
        assert_eq!(outcomes(&batch), expected);
        assert_works(&mut socket);
    });
}
