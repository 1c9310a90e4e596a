//! Asynchronous queues, in every flavour of tokio's runtime. On the real kernel by descriptors; a simulated one in this
//! process has none, and runs as fast as it can: its clock is the runtime's.

use core::future::Future;
use core::net::SocketAddr;
use core::time::Duration;

use ipq::{AsyncQueue, DefaultVerdict, Family, SharedQueue, Verdict};
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::network::{Network, Outcome, Rule, Skipped, Socket};
use crate::support::{PATIENCE, assert_receives, send_all};

on_every_kernel! {
    one_thread_decides,
    several_threads_decide,
    a_local_set_decides,
    cancelling_loses_no_packet,
    a_stopper_ends_a_stream_that_waits,
}

/// A queue of datagrams, and the sockets they go between.
fn queued(network: &mut dyn Network) -> Result<(SharedQueue, Socket, Socket, SocketAddr), Skipped> {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let queue = SharedQueue::new(network.queue(0), DefaultVerdict::Drop).unwrap();
    Ok((queue, from, to, address))
}

/// Takes three packets, and accepts all but the second, the last one first.
async fn decide_three(queue: SharedQueue) {
    let mut packets = AsyncQueue::new(queue).unwrap().stay_open();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(timeout(PATIENCE, packets.next()).await.unwrap().unwrap().unwrap());
    }
    let verdicts = [Verdict::Accept, Verdict::Drop, Verdict::Accept];
    for (packet, verdict) in held.into_iter().zip(verdicts).rev() {
        tokio::task::yield_now().await;
        packet.settle(verdict).unwrap();
    }
}

fn decide(network: &mut dyn Network, run: impl FnOnce(SharedQueue)) -> Outcome {
    let (queue, from, to, address) = queued(network)?;
    send_all(network, from, address, &["a", "b", "c"]);
    run(queue.clone());
    assert_receives(network, to, &["c", "a"]);
    let statistics = queue.close().unwrap().statistics;
    assert_eq!((statistics.accepted, statistics.dropped, statistics.defaulted), (2, 1, 0));
    Ok(())
}

fn on_one_thread<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn one_thread_decides(network: &mut dyn Network) -> Outcome {
    decide(network, |queue| on_one_thread(decide_three(queue)))
}

fn several_threads_decide(network: &mut dyn Network) -> Outcome {
    decide(network, |queue| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { tokio::spawn(decide_three(queue)).await.unwrap() });
    })
}

fn a_local_set_decides(network: &mut dyn Network) -> Outcome {
    decide(network, |queue| {
        on_one_thread(LocalSet::new().run_until(async {
            tokio::task::spawn_local(decide_three(queue)).await.unwrap();
        }));
    })
}

fn cancelling_loses_no_packet(network: &mut dyn Network) -> Outcome {
    let (queue, from, to, address) = queued(network)?;
    on_one_thread(async {
        let mut packets = AsyncQueue::new(queue.clone()).unwrap().stay_open();
        for round in 0..20_u8 {
            // Cancelled while nothing is there, and perhaps when something comes.
            let early = timeout(Duration::ZERO, packets.next()).await;
            assert!(early.is_err(), "nothing was sent");
            network.send(from, address, &[round]);
            let packet = match timeout(Duration::ZERO, packets.next()).await {
                Ok(packet) => packet,
                Err(_) => timeout(PATIENCE, packets.next()).await.unwrap(),
            };
            packet.unwrap().unwrap().accept().unwrap();
            assert_eq!(network.received(to), Some(vec![round]));
        }
    });
    assert_eq!(queue.statistics().accepted, 20);
    Ok(())
}

fn a_stopper_ends_a_stream_that_waits(network: &mut dyn Network) -> Outcome {
    let (queue, from, to, address) = queued(network)?;
    let stopper = queue.stopper();
    on_one_thread(async {
        let mut packets = AsyncQueue::new(queue.clone()).unwrap().stay_open();
        let stopping = tokio::spawn(async move {
            tokio::task::yield_now().await;
            stopper.stop();
        });
        assert!(timeout(PATIENCE, packets.next()).await.unwrap().is_none());
        stopping.await.unwrap();
    });
    queue.close().unwrap();
    // The queue is free for the next one.
    let next = SharedQueue::new(network.queue(0), DefaultVerdict::Accept).unwrap();
    network.send(from, address, b"next");
    drop(next.next(Some(PATIENCE)).unwrap());
    assert_receives(network, to, &["next"]);
    Ok(())
}
