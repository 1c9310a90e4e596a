//! `ipq-cli status`: the kernel's queues.

mod table;

use core::time::Duration;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use ipq::{Error, TransportName, prometheus};
use ipq_sys::unix::Client;
use ipq_sys::{KernelStatus, Owner, Protocol, wait_readable};
use serde_json::{Value, json};

use crate::args::StatusArgs;
use crate::failure::Failure;
use crate::stop::Stop;
use table::Table;

/// Whose queues are looked at.
enum Kernel {
    /// This machine's, in this network namespace.
    Ours,
    /// One that a server has.
    Served(Client),
}

/// The state of the queues at one moment, with who has them.
#[derive(Clone, Debug, Default)]
struct Sample {
    kernel: KernelStatus,
    /// In the order of the queues: first of `ip_queue`, then of `nfnetlink_queue`.
    owners: Vec<Option<Owner>>,
}

/// Runs the command.
pub(crate) fn main(args: &StatusArgs) -> ExitCode {
    match args.transport() {
        Ok(transport) => crate::ended(run(args, transport)),
        Err(problem) => crate::wrong_usage("status", &problem),
    }
}

/// Shows the state once, or again and again; says whether all could be read.
fn run(args: &StatusArgs, transport: TransportName) -> Result<bool, Failure> {
    let mut kernel = Kernel::open(transport)?;
    let mut out = io::stdout().lock();
    let Some(interval) = args.watch else {
        let sample = kernel.sample()?;
        show(&mut out, args, &sample, None)?;
        return complain(&sample.kernel);
    };
    watch(&mut out, args, &mut kernel, interval)
}

/// Shows the state again and again, until a signal comes.
fn watch(
    out: &mut impl Write,
    args: &StatusArgs,
    kernel: &mut Kernel,
    interval: Duration,
) -> Result<bool, Failure> {
    let (stop, descriptor) = Stop::on_signals().map_err(Failure::Signals)?;
    let is_printed = !args.json && args.write.is_none();
    let clears = is_printed && io::stdout().is_terminal();
    let mut before: Option<(Instant, Sample)> = None;
    let mut is_all_read = true;
    for turn in 1.. {
        let (now, sample) = (Instant::now(), kernel.sample()?);
        if clears {
            // To the upper left, and everything away.
            out.write_all(b"\x1b[H\x1b[2J")?;
        } else if turn > 1 && is_printed {
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
        writeln!(crate::stderr(), "ipq-cli: {problem}")?;
    }
    if kernel.problems.iter().any(|problem| problem.contains("user namespaces")) {
        writeln!(
            crate::stderr(),
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
    if args.prometheus {
        let text = prometheus::text(None, &sample.kernel, &[]);
        match &args.write {
            Some(path) => {
                return replace(path, &text).map_err(|error| Failure::writing(path, error));
            }
            None => out.write_all(text.as_bytes())?,
        }
    } else if args.json {
        writeln!(out, "{}", sample.object())?;
    } else {
        write!(out, "{}", Table { sample, before })?;
    }
    Ok(out.flush()?)
}

/// Replaces a file as a whole, so that whoever reads it meanwhile sees the old text or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    // The collector reads files that end with .prom.
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    // What is there is no file of ours, and may be a link to one of somebody else's.
    let written = fs::File::create_new(&beside)?.write_all(text.as_bytes());
    written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
        // It is left only if it cannot be removed either, and the first error is the one to tell.
        let _ = fs::remove_file(&beside);
    })
}

impl Kernel {
    fn open(transport: TransportName) -> Result<Self, Error> {
        let TransportName::Unix(path) = transport else { return Ok(Self::Ours) };
        match Client::connect(&path) {
            Ok(client) => Ok(Self::Served(client)),
            Err(errno) => Err(Error::Unreachable { path, errno }),
        }
    }

    /// What it says now.
    fn sample(&mut self) -> Result<Sample, Failure> {
        match self {
            Self::Ours => Ok(Sample::new(KernelStatus::read(), |protocol, port_id| {
                Owner::of(Path::new("/"), protocol, port_id)
            })),
            Self::Served(client) => {
                let kernel = client.kernel_status();
                let kernel = kernel.map_err(|_| Failure::Gone(client.path().to_owned()))?;
                // Its port ids are none of this machine's.
                Ok(Sample::new(kernel, |_, port_id| Owner { port_id, process: None }))
            }
        }
    }
}

impl Sample {
    fn new(kernel: KernelStatus, owner: impl Fn(Protocol, u32) -> Owner) -> Self {
        let ip_queues = kernel.ip_queues.iter().map(|queue| {
            let protocol = Protocol::ip_queue(queue.family);
            (queue.peer_port_id != 0).then(|| owner(protocol, queue.peer_port_id))
        });
        let nfqueues = kernel.nfqueues.iter();
        let nfqueues = nfqueues.map(|queue| Some(owner(Protocol::Netfilter, queue.port_id)));
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
