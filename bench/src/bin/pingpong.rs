//! `pingpong PORT COUNT`: sends a UDP packet to itself over the loopback, waits until it is there, and so on. It prints the
//! median of the times from before the one to behind the other, and what 99 of 100 do not exceed, in nanoseconds.
//!
//! `pingpong first PORT` sends until the first packet is there, however many are lost, and prints the time by the
//! monotonic clock when it was.

#![forbid(unsafe_code)]

use core::error::Error;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::env;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// How many packets go before those that count.
const WARM_UP: usize = 200;

/// How long a packet may take.
const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["first", port] => first(port.parse()?),
        [port, count] => all(port.parse()?, count.parse()?),
        _ => Err("usage: pingpong PORT COUNT | pingpong first PORT".into()),
    }
}

/// A sender, and who receives what it sends.
fn pair(port: u16) -> Result<[UdpSocket; 2], Box<dyn Error>> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    sender.connect((Ipv4Addr::LOCALHOST, port))?;
    Ok([sender, receiver])
}

fn all(port: u16, count: usize) -> Result<(), Box<dyn Error>> {
    let [sender, receiver] = pair(port)?;
    receiver.set_read_timeout(Some(PATIENCE))?;
    let (packet, mut buffer) = ([0x55; 36], [0; 64]);
    let mut times = Vec::with_capacity(WARM_UP + count);
    for _ in 0..WARM_UP + count {
        let start = Instant::now();
        sender.send(&packet)?;
        receiver.recv(&mut buffer)?;
        times.push(start.elapsed());
    }
    let counted = times.get_mut(WARM_UP..).unwrap_or_default();
    counted.sort_unstable();
    let [Some(median), Some(most)] = [50, 99].map(|percent| counted.get(count * percent / 100))
    else {
        return Err("no packets were asked for".into());
    };
    println!("{} {}", median.as_nanos(), most.as_nanos());
    Ok(())
}

fn first(port: u16) -> Result<(), Box<dyn Error>> {
    let [sender, receiver] = pair(port)?;
    receiver.set_nonblocking(true)?;
    println!("ready");
    let deadline = Instant::now() + 5 * PATIENCE;
    let mut buffer = [0; 64];
    while Instant::now() < deadline {
        // Refused as long as nobody has the queue.
        let _ = sender.send(b"first");
        match receiver.recv(&mut buffer) {
            Ok(_) => {
                let now = Duration::try_from(clock_gettime(ClockId::Monotonic))?;
                println!("{}", now.as_nanos());
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(error) => return Err(error.into()),
        }
    }
    Err("no packet has come".into())
}
