//! Prints every packet and lets it pass, until Ctrl-C.
//!
//! ```console
//! # iptables -A OUTPUT -p icmp -j NFQUEUE --queue-num 0 --queue-bypass
//! # cargo run --example passer -- nfqueue:0
//! ```

use core::error::Error;
use std::io::{self, Write};

use ipq::{CopyMode, DefaultVerdict, Families, Packet, Queue, Verdict};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "auto".to_owned());
    let mut queue = Queue::open(name.parse()?, Families::Both)?;
    let stopper = queue.stopper()?;
    for signal in [SIGINT, SIGTERM] {
        pipe::register(signal, stopper.writer()?)?;
    }
    pass(&mut queue, &mut io::stdout().lock())?;
    eprint!("{}", queue.snapshot());
    Ok(())
}

/// Lets every packet pass and says so.
pub(crate) fn pass(queue: &mut Queue, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    queue.set_mode(CopyMode::Packet { range: 64 })?;
    let mut written = Ok(());
    queue.run(|packet| {
        if written.is_ok() {
            written = describe(&packet, out);
        }
        Verdict::Accept
    })?;
    // Whatever came in the last moment passes as well.
    queue.settle_rest(DefaultVerdict::Accept)?;
    Ok(written?)
}

fn describe(packet: &Packet<'_>, out: &mut impl Write) -> io::Result<()> {
    let len = packet.packet_len().map_or_else(|| packet.payload().len(), |len| len as usize);
    let (input, output) = (packet.input_device(), packet.output_device());
    writeln!(out, "{} {} [{input}>{output}] {len} bytes", packet.hook(), packet.family())
}
