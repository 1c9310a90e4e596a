//! A task for each packet, each of which takes its time: whoever is slow holds up nobody else.
//!
//! ```console
//! # iptables -A OUTPUT -p tcp --syn -j NFQUEUE --queue-num 0
//! # cargo run --features tokio --example asynchronous -- nfqueue:0
//! ```

use core::error::Error;
use core::time::Duration;

use ipq::{AsyncQueue, CopyMode, DefaultVerdict, Families, Queue, QueuedPacket, SharedQueue};
use tokio::task::JoinSet;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "auto".to_owned());
    let queue = Queue::open(name.parse()?, Families::Both)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let snapshot = runtime.block_on(serve(queue))?;
    eprint!("{snapshot}");
    Ok(())
}

/// Asks about every packet and does what the answer says. A packet whose answer never comes is dropped.
pub(crate) async fn serve(mut queue: Queue) -> Result<ipq::Snapshot, ipq::Error> {
    queue.set_mode(CopyMode::Packet { range: 128 })?;
    let mut packets = AsyncQueue::new(SharedQueue::new(queue, DefaultVerdict::Drop)?)?;
    let mut tasks = JoinSet::new();
    while let Some(packet) = packets.next().await.transpose()? {
        tasks.spawn(async move {
            match tokio::time::timeout(Duration::from_secs(1), is_welcome(&packet)).await {
                Ok(true) => packet.accept(),
                Ok(false) => packet.discard(),
                // Dropped without a verdict, it gets the default.
                Err(_) => Ok(()),
            }
        });
        while let Some(Ok(done)) = tasks.try_join_next() {
            done?;
        }
    }
    while let Some(Ok(done)) = tasks.join_next().await {
        done?;
    }
    packets.queue().close()
}

/// Stands for a question to a data base or another host: long packets take long, and too long ones for ever.
async fn is_welcome(packet: &QueuedPacket) -> bool {
    let len = packet.packet().payload().len() as u64;
    tokio::time::sleep(Duration::from_millis(len * 10)).await;
    len.is_multiple_of(2)
}
