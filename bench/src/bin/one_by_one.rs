//! A receiver over `ipq` that reads one packet and decides on it, as a program of libipq does.

#![forbid(unsafe_code)]

use core::error::Error;

use ipq::{CopyMode, Event, Family, Options, Queue, Verdict};
use ipq_bench::reporter::Reporter;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = ipq_bench::options::Options::from_args()?;
    let options = Options {
        max_length: Some(wanted.maxlen),
        receive_buffer: Some(usize::try_from(wanted.rcvbuf)?),
        ignore_overruns: true,
        ..Options::from(Family::Ipv4)
    };
    let mut queue = Queue::open(format!("nfqueue:{}", wanted.queue).parse()?, options)?;
    queue.set_mode(CopyMode::Packet { range: 0 })?;
    let mut buffer = vec![0; queue.buffer_len()];
    let mut reporter = Reporter::start()?;
    loop {
        if let Some(Event::Packet(packet)) = queue.read(&mut buffer, None)? {
            let id = packet.id();
            reporter.count(1);
            queue.verdict(id, Verdict::Accept)?;
        }
    }
}
