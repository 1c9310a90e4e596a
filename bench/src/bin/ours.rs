//! A receiver over `ipq`.

#![forbid(unsafe_code)]

use core::error::Error;

use ipq::{CopyMode, Families, Options, Queue, Verdict};
use ipq_bench::reporter::Reporter;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted = ipq_bench::options::Options::from_args()?;
    let options = Options {
        families: Families::Both,
        max_length: Some(wanted.maxlen),
        gso: wanted.gso,
        receive_buffer: Some(usize::try_from(wanted.rcvbuf)?),
        ignore_overruns: true,
        ..Options::default()
    };
    let mut queue = Queue::open(format!("nfqueue:{}", wanted.queue).parse()?, options)?;
    queue.set_mode(CopyMode::Packet { range: 0 })?;
    let mut reporter = Reporter::start()?;
    queue.run(|_| {
        reporter.count(1);
        Verdict::Accept
    })?;
    Ok(())
}
