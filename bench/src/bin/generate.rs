//! The traffic: `generate udp SIZE` or `generate tcp`, over the loopback of this namespace, until killed.
//!
//! It prints `ready` and gives reports as a receiver does. What it counts are the bytes that arrived over TCP, and the
//! packets sent over UDP.

#![forbid(unsafe_code)]

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddrV4};
use core::time::Duration;
use std::env;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread;

use ipq_bench::reporter::Reporter;
use ipq_bench::{TCP_PORT, UDP_PORT};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

/// What comes before the data of a UDP packet: the headers of IPv4 and UDP.
const HEADERS_LEN: usize = 28;

/// How many packets a system call sends.
const BURST: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["udp", size] => Ok(flood(size.parse()?)?),
        ["tcp"] => Ok(bulk()?),
        _ => Err("usage: generate udp SIZE | generate tcp".into()),
    }
}

/// Sends packets of `size` bytes, headers included, as fast as they go, to a socket that nobody reads.
fn flood(size: usize) -> io::Result<()> {
    let sink = UdpSocket::bind(here(UDP_PORT))?;
    // Full at once, so that a packet which has passed the queue costs the same throughout.
    set_socket_recv_buffer_size(&sink, 0)?;
    let socket = UdpSocket::bind(here(0))?;
    socket.connect(here(UDP_PORT))?;
    let data = vec![0x55; size.saturating_sub(HEADERS_LEN)];
    let packet = [IoSlice::new(&data)];
    let mut ancillary: [SendAncillaryBuffer<'_, '_, '_>; BURST] =
        core::array::from_fn(|_| SendAncillaryBuffer::new(&mut []));
    let mut burst: Vec<_> = ancillary.iter_mut().map(|none| MMsgHdr::new(&packet, none)).collect();
    let mut reporter = Reporter::start()?;
    loop {
        match sendmmsg(&socket, &mut burst, SendFlags::empty()) {
            Ok(sent) => reporter.count(sent as u64),
            Err(error) => passing(error.into())?,
        }
    }
}

/// Sends a stream of bytes as fast as it goes, and reads it.
fn bulk() -> io::Result<()> {
    let listener = TcpListener::bind(here(TCP_PORT))?;
    thread::spawn(|| -> io::Result<()> {
        let mut stream = TcpStream::connect(here(TCP_PORT))?;
        let data = vec![0x55; 256 * 1024];
        loop {
            stream.write_all(&data)?;
        }
    });
    let (mut stream, _) = listener.accept()?;
    // So that it can report even if nothing arrives.
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    let mut buffer = vec![0; 256 * 1024];
    let mut reporter = Reporter::start()?;
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => reporter.count(length as u64),
            Err(error) => {
                passing(error)?;
                reporter.count(0);
            }
        }
    }
}

/// The error, unless it is one after which to go on.
fn passing(error: io::Error) -> io::Result<()> {
    match error.kind() {
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(()),
        _ => Err(error),
    }
}

fn here(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}
