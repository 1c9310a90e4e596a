//! `simulate path FRONT DEPTH ORDER PACKETS`: lets so many packets through a simulated kernel, `DEPTH` of them waiting at
//! a time, and prints the processor time in nanoseconds; `--served` with the kernel behind a Unix socket.
//!
//! `simulate memory FRONT` prints what a packet that waits takes, in bytes.

#![forbid(unsafe_code)]

use core::error::Error;
use core::hint::black_box;
use std::fs;

use clap::{Parser, Subcommand};
use ipq::Event;
use ipq_bench::clock::processor_time;
use ipq_bench::simulated::{Front, Order, Program, open, open_served, packet};
use ipq_proto::Family;
use rustix::param::page_size;

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// How long packets take.
    Path {
        front: Front,
        depth: usize,
        order: Order,
        packets: usize,
        /// The kernel is behind a Unix socket.
        #[arg(long)]
        served: bool,
    },
    /// How much memory a packet takes that waits.
    Memory { front: Front },
}

fn main() -> Result<(), Box<dyn Error>> {
    match Args::parse().what {
        What::Path { front, depth, order, packets, served } => {
            let (kernel, mut program, _server) = if served {
                let (kernel, queue, server) = open_served(front);
                (kernel, Program::patient(queue), Some(server))
            } else {
                let (kernel, queue) = open(front);
                (kernel, Program::new(queue), None)
            };
            let packet = packet();
            // So that all memory is there.
            program.round(&kernel, &packet, depth, order);
            let time = processor_time(|| {
                for _ in 0..packets / depth {
                    program.round(&kernel, black_box(&packet), depth, order);
                }
            });
            println!("{}", time.as_nanos());
        }
        What::Memory { front } => println!("{:.0}", memory(front)?),
    }
    Ok(())
}

/// What a packet that waits for its verdict takes, all that its kernel keeps of it included, when its message was read.
fn memory(front: Front) -> Result<f64, Box<dyn Error>> {
    const WAITING: u32 = 500_000;
    let (kernel, mut queue) = open(front);
    let (packet, mut buffer) = (packet(), vec![0; queue.buffer_len()]);
    let before = resident()?;
    for _ in 0..WAITING {
        kernel.send(Family::Ipv4, &packet);
        if !matches!(queue.read(&mut buffer, None)?, Some(Event::Packet(_))) {
            return Err("a packet is missing".into());
        }
    }
    Ok((resident()? - before) / f64::from(WAITING))
}

/// How much memory this process has in use, in bytes.
fn resident() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: u32 = text.split(' ').nth(1).ok_or("no second number")?.parse()?;
    Ok(f64::from(pages) * f64::from(u32::try_from(page_size())?))
}
