//! `ipq-cli status`: the kernel's queues.

mod table;

use core::time::Duration;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Instant, SystemTime};

use ipq::prometheus;
use ipq_sys::{KernelStatus, Owner, Protocol, wait_readable};
use serde_json::{Value, json};

use crate::args::StatusArgs;
use crate::failure::Failure;
use crate::stop::Stop;
use table::Table;

/// The state of the queues at one moment, with who has them.
#[derive(Clone, Debug, Default)]
struct Sample {
    kernel: KernelStatus,
    /// In the order of the queues: first of `ip_queue`, then of `nfnetlink_queue`.
    owners: Vec<Option<Owner>>,
}

/// Runs the command; says whether all could be read.
pub(crate) fn run(args: &StatusArgs) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    if args.prometheus {
        let kernel = KernelStatus::read();
        out.write_all(prometheus::text(None, &kernel, &[]).as_bytes())?;
        out.flush()?;
        return complain(&kernel);
    }
    let Some(interval) = args.watch else {
        let sample = Sample::take();
        show(&mut out, args, &sample, None)?;
        return complain(&sample.kernel);
    };
    watch(&mut out, args, interval)
}

/// Shows the state again and again, until a signal comes.
fn watch(out: &mut impl Write, args: &StatusArgs, interval: Duration) -> Result<bool, Failure> {
    let (stop, descriptor) = Stop::on_signals().map_err(Failure::Signals)?;
    let clears = !args.json && io::stdout().is_terminal();
    let mut before: Option<(Instant, Sample)> = None;
    let mut is_all_read = true;
    for turn in 1.. {
        let (now, sample) = (Instant::now(), Sample::take());
        if clears {
            // To the upper left, and everything away.
            out.write_all(b"\x1b[H\x1b[2J")?;
        } else if turn > 1 && !args.json {
            writeln!(out)?;
        }
        let since = before.as_ref().map(|(then, sample)| (now.duration_since(*then), sample));
        show(out, args, &sample, since)?;
        // What cannot be read is told once.
        is_all_read = if turn == 1 { complain(&sample.kernel)? } else { is_all_read };
        before = Some((now, sample));
        if args.count == Some(turn) || stop.is_asked_for() {
            break;
        }
        wait_readable([descriptor.as_fd()], Some(interval)).map_err(Failure::Waiting)?;
        if stop.is_asked_for() {
            break;
        }
    }
    Ok(is_all_read)
}

/// Says what could not be read, and what to do.
fn complain(kernel: &KernelStatus) -> Result<bool, Failure> {
    for problem in &kernel.problems {
        writeln!(io::stderr(), "ipq-cli: {problem}")?;
    }
    if kernel.problems.iter().any(|problem| problem.contains("user namespaces")) {
        writeln!(
            io::stderr(),
            "ipq-cli: to look into the network of a user namespace, be root outside of it: \
             nsenter --target PID --net ipq-cli status"
        )?;
    }
    Ok(kernel.problems.is_empty())
}

fn show(
    out: &mut impl Write,
    args: &StatusArgs,
    sample: &Sample,
    before: Option<(Duration, &Sample)>,
) -> Result<(), Failure> {
    if args.json {
        writeln!(out, "{}", sample.object())?;
    } else {
        write!(out, "{}", Table { sample, before })?;
    }
    Ok(out.flush()?)
}

impl Sample {
    fn take() -> Self {
        let kernel = KernelStatus::read();
        let ip_queues = kernel.ip_queues.iter().map(|queue| {
            let protocol = Protocol::ip_queue(queue.family);
            (queue.peer_port_id != 0)
                .then(|| Owner::of(Path::new("/"), protocol, queue.peer_port_id))
        });
        let nfqueues = kernel
            .nfqueues
            .iter()
            .map(|queue| Some(Owner::of(Path::new("/"), Protocol::Netfilter, queue.port_id)));
        let owners = ip_queues.chain(nfqueues).collect();
        Self { kernel, owners }
    }

    /// The state as JSON: the kernel's own numbers, and the owners.
    fn object(&self) -> Value {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut owners = self.owners.iter();
        let mut with_owner = |status: Value| {
            let mut status = status;
            let owner = owners.next().and_then(Option::as_ref);
            let process = owner.and_then(|owner| owner.process.as_ref());
            status["pid"] = json!(process.map(|process| process.pid));
            status["program"] = json!(process.map(|process| &process.name));
            status
        };
        let ip_queues: Vec<_> =
            self.kernel.ip_queues.iter().map(|queue| with_owner(json!(queue))).collect();
        let nfqueues: Vec<_> =
            self.kernel.nfqueues.iter().map(|queue| with_owner(json!(queue))).collect();
        json!({
            "event": "status",
            "time": now.as_secs_f64(),
            "ip_queues": ip_queues,
            "nfqueues": nfqueues,
            "problems": self.kernel.problems,
        })
    }
}
