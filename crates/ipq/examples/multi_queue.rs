//! Several queues, a thread for each, and their counters together as Prometheus reads them.
//!
//! ```console
//! # iptables -A INPUT -j NFQUEUE --queue-balance 0:3 --queue-bypass
//! # cargo run --example multi_queue -- nfqueue:0-3
//! ```

use core::error::Error;

use ipq::{CopyMode, DefaultVerdict, Family, Options, Verdict, Workers};

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "nfqueue:0-3".to_owned());
    let options = Options { fail_open: true, ..Options::default() };
    let mode = CopyMode::Packet { range: 64 };
    let workers = Workers::open(name.parse()?, mode, options, DefaultVerdict::Accept)?;
    for stopper in workers.stoppers() {
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, stopper.writer()?)?;
    }
    print!("{}", work(&workers)?);
    Ok(())
}

/// Drops what would not survive the next hop, and accepts the rest; returns what was counted.
pub(crate) fn work(workers: &Workers) -> Result<String, ipq::Error> {
    workers.decide(|packet| {
        let payload = packet.payload();
        let hops = if packet.family() == Family::Ipv4 { payload.get(8) } else { payload.get(7) };
        if hops == Some(&1) { Verdict::Drop } else { Verdict::Accept }
    })?;
    let snapshot = workers.close()?;
    Ok(snapshot.to_prometheus(&[("program", "multi_queue")]))
}
