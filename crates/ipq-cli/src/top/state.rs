//! What is known at one moment, and how it is shared: [`State`], [`Picture`] and [`Shared`].

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use ipq::{KernelStatus, QueueName, Snapshot, Verdict};

use super::flows::{Flows, FlowsPicture};
use super::meter::Meter;
use super::pace::Pace;

/// What stays the same while it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Title {
    /// The transport.
    pub(super) transport: String,
    /// `packets whole`, `128 bytes of each packet`.
    pub(super) copies: String,
    /// `accept`, `drop if udp port 53`.
    pub(super) verdict: String,
}

/// All that is counted.
#[derive(Debug)]
pub(super) struct State {
    title: Title,
    pace: Pace,
    meter: Meter,
    flows: Flows,
    queues: Vec<QueueLine>,
    /// Whether the kernel does not tell of its queues, as in a user namespace.
    is_blind: bool,
    /// What went wrong last, and how often something did.
    trouble: Option<String>,
    errors: u64,
    /// Whether no more packets come.
    has_ended: bool,
    /// What it came to, for the end.
    summary: Option<String>,
}

/// What is known of one of the kernel's queues.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct QueueLine {
    pub(super) name: String,
    pub(super) waiting: u64,
    /// Packets lost because the queue was full.
    pub(super) by_queue: u64,
    /// Packets lost because the receive buffer was full.
    pub(super) by_buffer: u64,
}

/// The state at one moment.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) title: Title,
    /// The time since the start.
    pub(super) now: Duration,
    pub(super) meter: Meter,
    pub(super) flows: FlowsPicture,
    pub(super) queues: Vec<QueueLine>,
    /// Whether the kernel does not tell of its queues.
    pub(super) is_blind: bool,
    pub(super) trouble: Option<String>,
    pub(super) errors: u64,
    pub(super) has_ended: bool,
}

impl State {
    pub(super) fn new(title: Title, pace: Pace) -> Self {
        Self {
            title,
            pace,
            meter: Meter::new(),
            flows: Flows::new(),
            queues: Vec::new(),
            is_blind: false,
            trouble: None,
            errors: 0,
            has_ended: false,
            summary: None,
        }
    }

    /// A packet got its verdict.
    pub(super) fn packet(&mut self, at: Duration, payload: &[u8], bytes: u64, verdict: Verdict) {
        self.meter.packet(at, bytes, verdict);
        self.flows.packet(payload, bytes);
    }

    /// What the kernel says of the queues.
    pub(super) fn snapshot(&mut self, at: Duration, snapshot: &Snapshot) {
        let waiting = waiting(&snapshot.kernel);
        self.meter.kernel(at, snapshot.packets_lost(), waiting);
        self.queues = lines(&snapshot.kernel);
        self.is_blind = !snapshot.kernel.problems.is_empty();
    }

    pub(super) fn trouble(&mut self, text: &str) {
        self.trouble = Some(text.to_owned());
        self.errors += 1;
    }

    pub(super) const fn end(&mut self) {
        self.has_ended = true;
    }

    pub(super) fn summary(&mut self, summary: String) {
        self.summary = Some(summary);
    }

    pub(super) const fn take_summary(&mut self) -> Option<String> {
        self.summary.take()
    }

    pub(super) fn picture(&self) -> Picture {
        let newest = self.meter.newest();
        let now = if self.has_ended { newest } else { self.pace.now(newest).max(newest) };
        Picture {
            title: self.title.clone(),
            now,
            meter: self.meter.clone(),
            flows: self.flows.picture(),
            queues: self.queues.clone(),
            is_blind: self.is_blind,
            trouble: self.trouble.clone(),
            errors: self.errors,
            has_ended: self.has_ended,
        }
    }
}

/// How many packets wait in all queues.
fn waiting(kernel: &KernelStatus) -> u64 {
    let ip_queues = kernel.ip_queues.iter().map(|queue| queue.queue_length);
    ip_queues.chain(kernel.nfqueues.iter().map(|queue| queue.queue_length)).sum()
}

fn lines(kernel: &KernelStatus) -> Vec<QueueLine> {
    let ip_queues = kernel.ip_queues.iter().map(|queue| QueueLine {
        name: QueueName::IpQueue(queue.family).to_string(),
        waiting: queue.queue_length,
        by_queue: queue.queue_dropped.into(),
        by_buffer: queue.netlink_dropped.into(),
    });
    let nfqueues = kernel.nfqueues.iter().map(|queue| QueueLine {
        name: QueueName::Nfqueue(queue.queue).to_string(),
        waiting: queue.queue_length,
        by_queue: queue.queue_dropped.into(),
        by_buffer: queue.user_dropped.into(),
    });
    ip_queues.chain(nfqueues).collect()
}

/// What the packets' thread and the view's share. Neither waits for the other longer than a state takes to be copied.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Whether the user wants the end.
    quits: AtomicBool,
    /// Whether a signal does.
    pub(super) is_signalled: Arc<AtomicBool>,
    /// Whether the view is to close.
    closes: AtomicBool,
}

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            quits: AtomicBool::new(false),
            is_signalled: Arc::default(),
            closes: AtomicBool::new(false),
        }
    }

    /// Does something with the state. A panic elsewhere leaves counts that may be off by one, and is told anyway.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The user wants the end.
    pub(super) fn quit(&self) {
        self.quits.store(true, Ordering::Relaxed);
    }

    /// Whether the user or a signal wants the end.
    pub(super) fn has_quit(&self) -> bool {
        self.quits.load(Ordering::Relaxed) || self.is_signalled.load(Ordering::Relaxed)
    }

    /// The view is to close.
    pub(super) fn close(&self) {
        self.closes.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closes.load(Ordering::Relaxed)
    }
}
