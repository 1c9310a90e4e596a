//! One measurement: a receiver under a load.

use core::fmt;
use core::net::Ipv4Addr;
use core::time::Duration;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use ipq_bench::UDP_PORT;
use ipq_bench::options::Options;
use ipq_bench::reporter::{Report, Span};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::load::Load;
use crate::machine::Stolen;
use crate::namespace::{Counters, Namespace, QUEUE};
use crate::program::Program;
use crate::receiver::Receiver;
use crate::{Outcome, Places, valgrind};

/// How many packets may wait: more than a sender on this machine ever has under way.
pub(crate) const MAXLEN: u32 = 16 * 1024;

/// Receive buffer in bytes, where the system allows it.
pub(crate) const RCVBUF: u32 = 16 * 1024 * 1024;

/// How long a load runs before it counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long instructions are counted: tens of thousands of packets.
const COUNTED: Duration = Duration::from_secs(2);

/// How long the kernel may take to be done with the last packets, and how often it is asked.
const SETTLE: Duration = Duration::from_secs(1);
const SETTLE_STEP: Duration = Duration::from_millis(20);

/// What it takes to measure.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) namespace: Namespace,
    pub(crate) seconds: Duration,
    /// The processor of the receiver and that of the generator; one and the same if there is only one.
    pub(crate) cpus: [usize; 2],
    rust_programs: PathBuf,
    c_programs: PathBuf,
    /// Sends packets to wake a receiver.
    waker: UdpSocket,
}

impl Bench {
    pub(crate) fn new(namespace: Namespace, places: &Places, seconds: Duration) -> Outcome<Self> {
        let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
        let is_allowed = |&cpu: &usize| allowed.is_set(cpu);
        let first = (0..CpuSet::MAX_CPU).find(is_allowed).unwrap_or_default();
        let last = (0..CpuSet::MAX_CPU).rfind(is_allowed).unwrap_or_default();
        let waker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(|error| format!("no socket on the loopback: {error}"))?;
        Ok(Self {
            namespace,
            seconds,
            cpus: [first, last],
            rust_programs: places.rust.clone(),
            c_programs: places.c.clone(),
            waker,
        })
    }

    /// The receiver's program.
    pub(crate) fn program(&self, receiver: Receiver) -> PathBuf {
        receiver.program(&self.rust_programs, &self.c_programs)
    }

    /// A program of this workspace.
    pub(crate) fn rust_program(&self, name: &str) -> PathBuf {
        self.rust_programs.join(name)
    }

    /// Starts a receiver.
    pub(crate) fn start(&self, receiver: Receiver, gso: bool) -> Outcome<Program> {
        Program::start(&self.program(receiver), &args_of(receiver, gso), self.cpus[0])
    }

    /// The instructions that a receiver takes for a packet outside of the kernel: those of a run under the load, less those
    /// of one that is stopped at once.
    pub(crate) fn instructions(&self, receiver: Receiver, load: Load) -> Outcome<f64> {
        self.namespace.set_mtu(load.mtu())?;
        let fewer = self.count_instructions(receiver, load, None)?;
        let more = self.count_instructions(receiver, load, Some(COUNTED))?;
        Ok(valgrind::each(fewer, more))
    }

    /// All instructions of a receiver, and its packets, with a load for so long or without one.
    fn count_instructions(
        &self,
        receiver: Receiver,
        load: Load,
        time: Option<Duration>,
    ) -> Outcome<(u64, u64)> {
        let [valgrind, options @ ..] = valgrind::COMMAND.map(str::to_owned);
        let mut args = Vec::from(options);
        args.push(self.program(receiver).display().to_string());
        args.extend(args_of(receiver, load.is_gso()));
        let counted = Program::start(Path::new(&valgrind), &args, self.cpus[0])?;
        if let Some(time) = time {
            let generator = self.generate(load)?;
            thread::sleep(time);
            drop(generator);
        }
        let (report, said) = counted.finish(|| self.wake())?;
        Ok((valgrind::count(&said)?, report.count))
    }

    /// Starts the generator.
    fn generate(&self, load: Load) -> Outcome<Program> {
        let path = self.rust_program("generate");
        Program::start(&path, &load.args(), self.cpus[1])
            .map_err(|error| format!("generator: {error}"))
    }

    /// Measures a receiver under a load.
    pub(crate) fn measure(&self, receiver: Receiver, load: Load) -> Outcome<Sample> {
        self.namespace.set_mtu(load.mtu())?;
        let receiver = self.start(receiver, load.is_gso())?;
        let generator = self.generate(load)?;
        thread::sleep(WARM_UP);
        let begin = self.moment(&receiver, &generator, load)?;
        thread::sleep(self.seconds);
        let end = self.moment(&receiver, &generator, load)?;
        drop(generator);
        let kernel = self.settled();
        let total = receiver.stop(|| self.wake())?.count;
        Ok(Sample::new(&begin, &end, kernel, total))
    }

    /// Where everything is.
    fn moment(&self, receiver: &Program, generator: &Program, load: Load) -> Outcome<Moment> {
        let packets = receiver.report(|| self.wake())?;
        let bytes = load.is_tcp().then(|| generator.report(|| Ok(()))).transpose()?;
        // The two ends of a connection get in each other's way: that is no disturbance.
        let generator_waited = if load.is_tcp() { None } else { generator.waited() };
        let waited = [receiver.waited(), generator_waited];
        Ok(Moment { packets, bytes, waited, stolen: Stolen::now() })
    }

    /// Sends a packet to the receiver.
    fn wake(&self) -> Outcome<()> {
        match self.waker.send_to(b"wake", (Ipv4Addr::LOCALHOST, UDP_PORT)) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("cannot wake it: {error}")),
        }
    }

    /// The kernel's counters, once nothing comes any more and nothing waits.
    fn settled(&self) -> Option<Counters> {
        let deadline = Instant::now() + SETTLE;
        let mut before = self.namespace.counters()?;
        loop {
            thread::sleep(SETTLE_STEP);
            let now = self.namespace.counters()?;
            if (now == before && now.waiting == 0) || Instant::now() > deadline {
                return Some(now);
            }
            before = now;
        }
    }
}

/// The command line of a receiver.
fn args_of(receiver: Receiver, gso: bool) -> Vec<String> {
    let options = Options { queue: QUEUE, maxlen: MAXLEN, rcvbuf: RCVBUF, gso };
    let extra_args = receiver.extra_args().iter().map(|&arg| arg.to_owned());
    options.to_args().into_iter().chain(extra_args).collect()
}

/// Where everything is at one end of a measurement.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// The receiver's packets.
    packets: Report,
    /// What has arrived over TCP.
    bytes: Option<Report>,
    /// For how long the receiver and the generator have wanted a processor that others had.
    waited: [Option<Duration>; 2],
    stolen: Option<Stolen>,
}

/// What one measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Packets a second.
    pub(crate) packets: f64,
    /// Processor time of the receiver for each packet, in microseconds.
    pub(crate) cpu_us: f64,
    /// Processor time of the receiver, as a share of the time that went by.
    pub(crate) busy: f64,
    /// What arrived over TCP, in megabits a second.
    pub(crate) mbits: Option<f64>,
    /// For how long other programs or other machines had the processor that the receiver wanted, or the generator,
    /// whichever waited longer; as a share of the time that went by.
    pub(crate) disturbed: Option<f64>,
    /// The kernel's counters in the end, where it tells.
    pub(crate) kernel: Option<Counters>,
    /// Packets that the receiver should have counted and did not; negative if it counted too many.
    pub(crate) uncounted: i64,
}

impl Sample {
    fn new(begin: &Moment, end: &Moment, kernel: Option<Counters>, total: u64) -> Self {
        let Span { count, cpu, seconds } = end.packets.since(&begin.packets);
        let mbits = begin.bytes.zip(end.bytes).map(|(begin, end)| {
            let bytes = end.since(&begin);
            bytes.count * 8e-6 / bytes.seconds
        });
        let waited =
            begin.waited.into_iter().zip(end.waited).filter_map(|(begin, end)| {
                Some(end?.saturating_sub(begin?).as_secs_f64() / seconds)
            });
        let stolen = begin.stolen.zip(end.stolen).map(|(begin, end)| end.since(begin));
        let uncounted = kernel.map_or(0, |kernel| {
            (kernel.numbered - kernel.user_dropped).cast_signed() - total.cast_signed()
        });
        Self {
            packets: count / seconds,
            cpu_us: cpu * 1e6 / count.max(1.0),
            busy: cpu / seconds,
            mbits,
            disturbed: waited.max_by(f64::total_cmp).zip(stolen).map(|(a, b)| a + b),
            kernel,
            uncounted,
        }
    }

    /// What counts: what arrived over TCP, and the packets otherwise.
    pub(crate) fn rate(&self) -> f64 {
        self.mbits.unwrap_or(self.packets)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, cpu_us, busy, .. } = self;
        write!(f, "{packets:.0} packets/s, {cpu_us:.2} µs each, {:.0} % busy", busy * 100.0)?;
        if let Some(mbits) = self.mbits {
            write!(f, ", {mbits:.0} Mbit/s")?;
        }
        match self.disturbed {
            Some(disturbed) => write!(f, ", disturbed {:.0} %", disturbed * 100.0),
            None => Ok(()),
        }
    }
}
