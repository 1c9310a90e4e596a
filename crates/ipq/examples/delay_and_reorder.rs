//! A bad link: every packet is delayed, and every other one overtakes the one before it.
//!
//! ```console
//! # iptables -A OUTPUT -p icmp -j NFQUEUE --queue-num 0
//! # cargo run --example delay_and_reorder -- nfqueue:0 200
//! ```

use core::error::Error;
use core::time::Duration;
use std::collections::BTreeMap;

use ipq::{CopyMode, DefaultVerdict, Families, Queue, QueuedPacket, SharedQueue};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().ok_or("usage: delay_and_reorder TRANSPORT MILLISECONDS")?;
    let delay = Duration::from_millis(arguments.next().as_deref().unwrap_or("100").parse()?);
    let queue = Queue::open(name.parse()?, Families::Both)?;
    let snapshot = delay_all(queue, delay)?;
    eprint!("{snapshot}");
    Ok(())
}

/// Holds every packet for `delay`, and every second one for half of that only.
pub(crate) fn delay_all(mut queue: Queue, delay: Duration) -> Result<ipq::Snapshot, ipq::Error> {
    queue.set_mode(CopyMode::Metadata)?;
    let queue = SharedQueue::new(queue, DefaultVerdict::Accept)?;
    // By the time they are due, and their number, since two may be due at once.
    let mut held: BTreeMap<(Duration, u64), QueuedPacket> = BTreeMap::new();
    let mut taken = 0_u64;
    loop {
        // The clock of the queue: that of a simulated kernel is simulated.
        let now = queue.with_queue(|queue| queue.clock())?;
        while let Some(first) = held.first_entry().filter(|first| first.key().0 <= now) {
            first.remove().accept()?;
        }
        let patience = held.keys().next().map(|(due, _)| due.saturating_sub(now));
        match queue.next(patience)? {
            Some(packet) => {
                taken += 1;
                let now = queue.with_queue(|queue| queue.clock())?;
                let delay = if taken.is_multiple_of(2) { delay / 2 } else { delay };
                held.insert((now + delay, taken), packet);
            }
            None if patience.is_none() || queue.is_stopped() => return queue.close(),
            None => (),
        }
    }
}
