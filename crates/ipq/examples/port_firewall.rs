//! Drops what goes to some ports of TCP or UDP, and accepts everything else.
//!
//! ```console
//! # iptables -A INPUT -j NFQUEUE --queue-num 0
//! # cargo run --example port_firewall -- nfqueue:0 23 445
//! ```

use core::error::Error;

use etherparse::{LaxSlicedPacket, TransportSlice};
use ipq::{CopyMode, Families, Packet, Queue, Verdict};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: port_firewall TRANSPORT PORT…")?;
    let ports = arguments.map(|port| port.parse()).collect::<Result<Vec<u16>, _>>()?;
    let mut queue = Queue::open(name.parse()?, Families::Both)?;
    block(&mut queue, &ports)?;
    eprint!("{}", queue.snapshot());
    Ok(())
}

/// Drops what goes to one of the ports.
pub(crate) fn block(queue: &mut Queue, ports: &[u16]) -> Result<(), ipq::Error> {
    // Room for the longest headers: the ports are behind them.
    queue.set_mode(CopyMode::Packet { range: 256 })?;
    queue.run(|packet| match port(&packet) {
        Some(port) if ports.contains(&port) => Verdict::Drop,
        _ => Verdict::Accept,
    })
}

/// The port that a packet goes to. In fragments but the first there is none.
fn port(packet: &Packet<'_>) -> Option<u16> {
    match LaxSlicedPacket::from_ip(packet.payload()).ok()?.transport? {
        TransportSlice::Tcp(tcp) => Some(tcp.destination_port()),
        TransportSlice::Udp(udp) => Some(udp.destination_port()),
        _ => None,
    }
}
