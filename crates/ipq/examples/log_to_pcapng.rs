//! Writes every packet into a capture, with the queue, the hook and the verdict as its comment, and lets it pass.
//!
//! ```console
//! # iptables -A FORWARD -j NFQUEUE --queue-num 0 --queue-bypass
//! # cargo run --example log_to_pcapng -- nfqueue:0 log.pcapng
//! ```

use core::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use ipq::{CopyMode, Families, Packet, Queue, Verdict};
use ipq_sim::capture::{LinkType, PcapngWriter, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [name, path] = arguments.as_slice() else {
        return Err("usage: log_to_pcapng TRANSPORT FILE".into());
    };
    let mut queue = Queue::open(name.parse()?, Families::Both)?;
    let stopper = queue.stopper()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, stopper.writer()?)?;
    log(&mut queue, BufWriter::new(File::create(path)?))?.flush()?;
    eprint!("{}", queue.snapshot());
    Ok(())
}

/// Logs and accepts every packet; gives back what was written to.
pub(crate) fn log<W: Write>(queue: &mut Queue, out: W) -> Result<W, Box<dyn Error>> {
    let mut writer = PcapngWriter::new(out)?;
    let interface = writer.add_interface("ipq", LinkType::RAW)?;
    queue.set_mode(CopyMode::Packet { range: 0 })?;
    let mut written = Ok(());
    queue.run(|packet| {
        if written.is_ok() {
            let len =
                packet.packet_len().map_or_else(|| packet.payload().len(), |len| len as usize);
            let comment = format!("{} at {}: accepted", packet.id().queue(), packet.hook());
            let time = time(&packet);
            written = writer.write_cut(interface, time, packet.payload(), len, &comment);
        }
        Verdict::Accept
    })?;
    written?;
    Ok(writer.finish()?)
}

/// When a packet arrived, or now for one that was made here, of which the kernel does not say it.
fn time(packet: &Packet<'_>) -> Timestamp {
    let arrival = packet.timestamp().and_then(|time| {
        let nanoseconds = u32::try_from(time.microseconds).ok()?.checked_mul(1000)?;
        Timestamp::new(time.seconds, nanoseconds)
    });
    arrival.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::EPOCH.saturating_add(now)
    })
}
