//! What floods a queue: [`World`].

use ipq::{Options, Queue, Stopper};
use ipq_tests::namespace::Outcome;

use crate::account::Arrivals;
use crate::memory::Memory;

/// A kernel, somebody who sends more than any program takes, and somebody who counts what arrives.
pub(crate) trait World: Sync {
    /// Which kernel it is.
    fn kernel(&self) -> &'static str;

    /// Has the datagrams of the flood go to so many queues, from 0 on.
    fn spread(&mut self, queues: u16) -> Outcome;

    /// Opens one of them.
    fn open(&self, number: u16, options: Options) -> Queue;

    /// Begins to send, for so many seconds. When that is over, and all has been decided, it ends the program by these.
    fn begin(&mut self, seconds: u64, memory: Memory, programs: Vec<Stopper>);

    /// What a program does with a packet before it decides. It takes the time in which several more come.
    fn work(&self);

    /// Waits until all has been sent and decided.
    fn over(&mut self);

    /// Waits for what is still on its way, if so many packets did not get past the queue.
    fn end(&mut self, kept: u64) -> Flood;
}

/// A flood that is over.
#[derive(Debug)]
pub(crate) struct Flood {
    pub(crate) sent: u64,
    /// Of those, the ones that the sender was told an error for.
    pub(crate) refused: u64,
    pub(crate) arrivals: Arrivals,
    pub(crate) lost_behind: u64,
    pub(crate) memory: Memory,
}
