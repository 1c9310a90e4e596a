//! Counting, and saying so when a signal asks: [`Reporter`].

use core::fmt;
use core::str::FromStr;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{self, Write};
use std::process;
use std::sync::Arc;

use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use signal_hook::flag;

const NOTHING: usize = 0;
const REPORT: usize = 1;
const LAST: usize = 2;

/// Counts what it is told of, and prints a [`Report`] when SIGUSR1 asks for one, or SIGTERM for the last.
#[derive(Debug)]
pub struct Reporter {
    /// What a signal has asked for.
    asked: Arc<AtomicUsize>,
    count: u64,
}

impl Reporter {
    /// Says that packets may come now, and gives reports from here on.
    ///
    /// The program is killed should the one that started it end.
    ///
    /// # Errors
    ///
    /// If the signals cannot be caught or stdout is closed.
    pub fn start() -> io::Result<Self> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let asked = Arc::new(AtomicUsize::new(NOTHING));
        flag::register_usize(SIGUSR1, Arc::clone(&asked), REPORT)?;
        flag::register_usize(SIGTERM, Arc::clone(&asked), LAST)?;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "ready")?;
        stdout.flush()?;
        Ok(Self { asked, count: 0 })
    }

    /// Reports if asked to, and counts `more` afterwards.
    #[inline]
    pub fn count(&mut self, more: u64) {
        if self.asked.load(Ordering::Relaxed) != NOTHING {
            self.report();
        }
        self.count += more;
    }

    #[cold]
    fn report(&self) {
        let asked = self.asked.swap(NOTHING, Ordering::Relaxed);
        let report = Report::now(self.count);
        let mut stdout = io::stdout().lock();
        let printed = writeln!(stdout, "{report}").and_then(|()| stdout.flush());
        if asked == LAST || printed.is_err() {
            process::exit(i32::from(printed.is_err()));
        }
    }
}

/// A moment of a program: one line of its output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// What it has counted so far.
    pub count: u64,
    /// The processor time it has used, its own and the kernel's on its behalf.
    pub cpu: Duration,
    /// The time, from an arbitrary moment on.
    pub at: Duration,
}

impl Report {
    fn now(count: u64) -> Self {
        let time = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
        Self { count, cpu: time(ClockId::ProcessCPUTime), at: time(ClockId::Monotonic) }
    }

    /// What happened from an earlier moment to this one.
    pub fn since(&self, earlier: &Self) -> Span {
        let seconds = |from, to: Duration| to.saturating_sub(from).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "nobody counts to 2⁵³ here")]
        let count = self.count.saturating_sub(earlier.count) as f64;
        Span { count, cpu: seconds(earlier.cpu, self.cpu), seconds: seconds(earlier.at, self.at) }
    }
}

/// What happened between two [`Report`]s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// What was counted.
    pub count: f64,
    /// Processor time in seconds.
    pub cpu: f64,
    /// How long it took.
    pub seconds: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.count, self.cpu.as_nanos(), self.at.as_nanos())
    }
}

impl FromStr for Report {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("no report: {line:?}");
        let numbers: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        let Ok(&[count, cpu, at]) = numbers.as_deref() else { return Err(wrong()) };
        Ok(Self { count, cpu: Duration::from_nanos(cpu), at: Duration::from_nanos(at) })
    }
}
