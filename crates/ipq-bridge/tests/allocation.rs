//! A packet on its way through a bridge, and its verdict, allocate nothing once both have been seen.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use ipq_bridge::Bridge;
use ipq_proto::ip_queue::{MODE, ModeMsg, VERDICT, VerdictMsg};
use ipq_proto::netlink::{Body, Flags, Framed, Header, MessageType};
use ipq_proto::nfqueue::Packet;
use ipq_proto::{CopyMode, EtherType, Family, Hook, Native, Verdict};
use ipq_sys::{Batch, Clock, Deadline, Error, Protocol, Received, Transport};
use zerocopy::{Immutable, IntoBytes, NativeEndian};

/// The port id of the program.
const PORT: u32 = 4711;

/// A transport that has the same packet to tell of again and again, and swallows what it is sent.
#[derive(Debug)]
struct Endless {
    message: Vec<u8>,
}

impl Transport for Endless {
    fn send(&mut self, _: &[IoSlice<'_>]) -> Result<(), Error> {
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Deadline) -> Result<Received, Error> {
        buffer[..self.message.len()].copy_from_slice(&self.message);
        Ok(Received::Datagram { len: self.message.len() })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn protocol(&self) -> Protocol {
        Protocol::Netfilter
    }

    fn port_id(&self) -> u32 {
        PORT
    }

    fn now(&self) -> Clock {
        Clock::ZERO
    }
}

fn bridge() -> Bridge<Endless> {
    let payload = [0x45; 1400];
    let packet = Packet {
        family: 2,
        queue: 3,
        id: 7,
        hw_protocol: EtherType::IPV4,
        hook: Hook::LocalOut,
        payload: Some(&payload),
        ..Packet::default()
    };
    let mut message = vec![0; 2048];
    let len = packet.encode::<NativeEndian>(&mut message).expect("there is room");
    message.truncate(len);
    Bridge::new(Endless { message }, 3, Family::Ipv4)
}

fn request<B: Body + IntoBytes + Immutable>(message_type: MessageType, body: B) -> Vec<u8> {
    let header = Header::new(message_type, Flags::REQUEST, 1, PORT);
    Framed::new(header, body, 0).expect("a few bytes have a length").as_bytes().to_vec()
}

#[test]
fn packets_and_verdicts_allocate_nothing() {
    let mut bridge = bridge();
    let mode = ModeMsg::<Native>::new(CopyMode::Packet { range: 0 });
    bridge.send(&[IoSlice::new(&request(MODE, mode))]).expect("it is swallowed");
    let verdict = VerdictMsg::<Native>::new(7, Verdict::Accept, 0).expect("a small id");
    let verdict = request(VERDICT, verdict);
    let (mut buffer, mut batch) = (vec![0; 2048], Batch::new(16, 2048));
    let mut turn = |bridge: &mut Bridge<Endless>| {
        let received = bridge.receive(&mut buffer, Deadline::Immediate);
        assert!(matches!(received, Ok(Received::Datagram { len: 1512 })), "{received:?}");
        bridge.send(&[IoSlice::new(&verdict)]).expect("it is swallowed");
        bridge.receive_many(&mut batch, Deadline::Immediate).expect("there is something");
        assert_eq!(batch.len(), 16);
        bridge.send_many(&[IoSlice::new(&verdict); 16]).expect("they are swallowed");
    };
    // What is made once is made in the first turn.
    turn(&mut bridge);
    let info = allocation_counter::measure(|| {
        for _ in 0..100 {
            turn(&mut bridge);
        }
    });
    assert_eq!(info.count_total, 0, "{info:?}");
}
