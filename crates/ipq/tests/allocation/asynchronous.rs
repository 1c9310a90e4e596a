//! A stream of packets, on one thread, under tokio's paused clock.

use core::future::poll_fn;
use core::pin::pin;
use core::task::Poll;

use futures_util::Stream;
use ipq::{AsyncQueue, DefaultVerdict, Error, QueuedPacket, SharedQueue};
use tokio::runtime::Builder;
use tokio::task::yield_now;

use super::simulated::{BURST, FRONTS, World};

/// What a stream says when it is asked once, and how many allocations that takes.
async fn ask(packets: &mut AsyncQueue) -> (Poll<Option<Result<QueuedPacket, Error>>>, u64) {
    let mut packets = pin!(packets);
    poll_fn(|context| {
        let mut said = Poll::Pending;
        let info = allocation_counter::measure(|| said = packets.as_mut().poll_next(context));
        Poll::Ready((said, info.count_total))
    })
    .await
}

/// Takes the packets of a burst and accepts them, and asks for one more, for which it would have to wait; says how many
/// allocations that takes.
async fn serve(packets: &mut AsyncQueue) -> u64 {
    let mut allocated = 0;
    for _ in 0..BURST {
        let (said, asking) = ask(packets).await;
        let Poll::Ready(Some(Ok(packet))) = said else { panic!("no packet but {said:?}") };
        let info = allocation_counter::measure(|| packet.accept().unwrap());
        allocated += asking + info.count_total;
    }
    let (said, asking) = ask(packets).await;
    assert!(said.is_pending());
    allocated + asking
}

#[test]
fn a_stream_of_packets() {
    for front in FRONTS {
        let world = World::new();
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let queue = SharedQueue::new(world.queue(front), DefaultVerdict::Drop).unwrap();
            let mut packets = AsyncQueue::new(queue).unwrap().stay_open();
            let mut allocated = Vec::new();
            for _ in 0..30 {
                // A task may do so much at a time.
                yield_now().await;
                world.send();
                allocated.push(serve(&mut packets).await);
                assert_eq!(world.ended(), BURST);
            }
            assert_eq!(allocated[10..], [0; 20], "{front:?}");
        });
    }
}
