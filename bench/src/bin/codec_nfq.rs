//! `codec_nfq DIRECTION MESSAGE TIMES`: the messages of [`ipq_bench::codec`] as the `nfq` crate reads and writes them.
//!
//! Its parser is its own affair: what there is outside is `Queue::recv`. So messages are sent to its socket by another one,
//! as many in a datagram as its buffer holds, and what it takes to receive such a datagram on a socket of our own, without a
//! look inside, is taken off the time. Its getters are called too, since they are what reads the fields. `Queue::verdict` cannot be had without its system call; its time is not given, and whoever counts
//! instructions counts those outside of the kernel alone. Needs `CAP_NET_ADMIN`, for sending.

#![forbid(unsafe_code)]

use core::error::Error;
use core::hint::black_box;
use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process;

use clap::Parser;
use ipq_bench::clock::processor_time;
use ipq_bench::codec::{Direction, Message};
use nfq::{Queue, Verdict};
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, bind, getsockname, recv, sendto, socket,
};

/// How many messages go into a datagram: the crate has room for 16 KiB.
const IN_DATAGRAM: usize = 48;

/// How many messages are there to be answered.
const MOST_VERDICTS: usize = 4096;

#[derive(Debug, Parser)]
struct Args {
    direction: Direction,
    message: Message,
    times: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Args { direction, message, times } = Args::parse();
    let mut feed = Feed::open()?;
    match (direction, message) {
        (Direction::Decode, Message::NfqueuePacket) => {
            println!("{}", read(&mut feed, times)?.as_nanos());
        }
        (Direction::Encode, Message::NfqueueVerdict) => write(&mut feed, times, false)?,
        (Direction::Encode, Message::NfqueueReplacement) => write(&mut feed, times, true)?,
        _ => return Err("the crate has no such message".into()),
    }
    Ok(())
}

/// A queue of the crate, a socket beside it, and one that sends to them.
struct Feed {
    queue: Queue,
    beside: OwnedFd,
    sender: OwnedFd,
    /// The port ids of the first two.
    ports: [SocketAddrNetlink; 2],
    datagram: Vec<u8>,
}

impl Feed {
    fn open() -> Result<Self, Box<dyn Error>> {
        let queue = Queue::open()?;
        // The first socket of a process has its pid for a port id.
        let port = SocketAddrNetlink::new(process::id(), 0);
        let [beside, sender] = [bound()?, bound()?];
        let beside_port = getsockname(&beside)?.try_into()?;
        let datagram = Message::NfqueuePacket.bytes().repeat(IN_DATAGRAM);
        Ok(Self { queue, beside, sender, ports: [port, beside_port], datagram })
    }

    /// Sends a datagram of messages to the queue, or to the socket beside it.
    fn send(&self, to: usize) -> io::Result<()> {
        sendto(&self.sender, &self.datagram, SendFlags::empty(), &self.ports[to])?;
        Ok(())
    }

    /// The messages of a datagram.
    fn receive(&mut self, mut each: impl FnMut(nfq::Message)) -> io::Result<()> {
        for _ in 0..IN_DATAGRAM {
            each(self.queue.recv()?);
        }
        Ok(())
    }
}

/// A netlink socket with a port id that the kernel chooses.
fn bound() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER))?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// The time that reading so many messages takes, without that of receiving them.
fn read(feed: &mut Feed, times: usize) -> io::Result<Duration> {
    let (mut reading, mut receiving) = (Duration::ZERO, Duration::ZERO);
    let mut buffer = vec![0; 2 * feed.datagram.len()];
    for _ in 0..times / IN_DATAGRAM {
        feed.send(0)?;
        let mut received = Ok(());
        reading += processor_time(|| received = feed.receive(|message| read_fields(&message)));
        received?;
        feed.send(1)?;
        receiving += processor_time(|| {
            black_box(recv(feed.beside.as_fd(), &mut buffer, RecvFlags::TRUNC).is_ok());
        });
    }
    Ok(reading.saturating_sub(receiving))
}

/// Every field that there is in the message.
fn read_fields(message: &nfq::Message) {
    black_box((message.get_queue_num(), message.get_packet_id(), message.get_hook()));
    black_box((message.get_hw_protocol(), message.get_nfmark(), message.get_indev()));
    black_box((message.get_outdev(), message.get_uid(), message.get_gid()));
    black_box((message.is_seg_offloaded(), message.is_checksum_ready()));
    black_box((message.get_timestamp(), message.get_hw_addr(), message.get_payload()));
}

/// Gives so many verdicts, for the first of always as many messages.
fn write(feed: &mut Feed, times: usize, replaces: bool) -> io::Result<()> {
    let mut messages = Vec::with_capacity(MOST_VERDICTS);
    // Its buffer is kept by its messages, so each datagram has one.
    while messages.len() < MOST_VERDICTS {
        feed.send(0)?;
        feed.receive(|message| messages.push(message))?;
    }
    for (number, mut message) in messages.into_iter().enumerate() {
        message.set_verdict(Verdict::Accept);
        if replaces {
            black_box(message.get_payload_mut());
        }
        if number < times {
            feed.queue.verdict(message)?;
        }
    }
    println!("-");
    Ok(())
}
