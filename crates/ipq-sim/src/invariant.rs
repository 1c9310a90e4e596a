//! What holds in every kernel at all times. A violation is a bug of the simulator, and a panic that says how to get there
//! again.

use core::fmt::Write;

use crate::machine::Machine;
use crate::nfqueue::Nfqueues;

impl Machine {
    /// Each packet is in one place: on its way, in a queue, or at its end.
    pub(crate) fn check_counts(&self) {
        let totals = &self.totals;
        let ended = totals.delivered + totals.dropped + totals.fragmented + totals.reassembled;
        let accounted = ended + totals.queued + self.on_their_way() + self.reassembly.len();
        // After a panic in the middle of something nothing needs to add up, and a second one would hide it.
        if totals.entered != accounted && !std::thread::panicking() {
            self.violated("a packet is lost or counted twice");
        }
    }

    /// What the queues hold is what was counted into them.
    pub(crate) fn check_queues(&self) {
        let in_ip_queue: u64 = self.ip_queues.iter().map(|queue| queue.status().queue_length).sum();
        let in_nfqueue = self.nfqueues.as_ref().map_or(0, Nfqueues::len);
        if self.totals.queued != in_ip_queue + in_nfqueue && !std::thread::panicking() {
            self.violated("the queues do not hold what was counted into them");
        }
    }

    /// Panics, with the seed and the last events.
    #[cold]
    pub(crate) fn violated(&self, what: &str) -> ! {
        let mut events = String::new();
        for entry in self.trace.iter() {
            let _ = writeln!(events, "  {entry}");
        }
        panic!(
            "invariant of the simulated kernel violated: {what}\nseed {:#x}, {:?}, {} on their way\nlast events:\n{events}",
            self.seed,
            self.totals,
            self.on_their_way(),
        );
    }
}
