//! Queues as streams and sinks, on simulated kernels, under a paused clock, in every flavour of tokio's runtime.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic like the test")]

use core::future::Future;
use core::time::Duration;

use etherparse::PacketBuilder;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use ipq::{
    AsyncQueue, CopyMode, DefaultVerdict, Error, Families, Family, Hook, Queue, SharedQueue,
    Verdict,
};
use ipq_proto::Errno;
use ipq_sim::fault::{Fault, FaultPlan, Faulty};
use ipq_sim::{Kernel, Match, Target};
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);

/// A runtime of one thread, whose clock stands still but when everybody waits.
fn paused() -> Runtime {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap()
}

/// A kernel whose packets wait in queue 0.
fn kernel() -> Kernel {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(0));
    kernel
}

fn open(kernel: &Kernel, default: DefaultVerdict) -> AsyncQueue {
    let queue = Queue::with_nfqueue(kernel.nfqueue_socket(), 0..=0, Families::Both).unwrap();
    shared(queue, default)
}

fn shared(mut queue: Queue, default: DefaultVerdict) -> AsyncQueue {
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    AsyncQueue::new(SharedQueue::new(queue, default).unwrap()).unwrap()
}

fn send(kernel: &Kernel, text: &[u8]) {
    let mut packet = Vec::new();
    let local = [127, 0, 0, 1];
    PacketBuilder::ipv4(local, local, 64).udp(1, 2).write(&mut packet, text).unwrap();
    kernel.send(Family::Ipv4, &packet);
}

fn totals(kernel: &Kernel) -> [u64; 3] {
    let totals = kernel.totals();
    [totals.delivered, totals.dropped, totals.queued]
}

/// An application that knows of no kernel.
async fn accept_all(mut queue: AsyncQueue) -> Result<u64, Error> {
    let mut seen = 0;
    while let Some(packet) = queue.next().await.transpose()? {
        seen += 1;
        packet.accept()?;
    }
    Ok(seen)
}

#[test]
fn it_works_in_every_flavour() {
    let run = |run: &dyn Fn(Kernel) -> u64| {
        let kernel = kernel();
        for _ in 0..10 {
            send(&kernel, b"x");
        }
        assert_eq!(run(kernel.clone()), 10);
        assert_eq!(totals(&kernel), [10, 0, 0]);
    };
    let application = |kernel: Kernel| async move {
        accept_all(open(&kernel, DefaultVerdict::Drop)).await.unwrap()
    };
    run(&|kernel| paused().block_on(application(kernel)));
    run(&|kernel| {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { tokio::spawn(application(kernel)).await.unwrap() })
    });
    run(&|kernel| {
        let local = LocalSet::new();
        local.block_on(&paused(), async {
            tokio::task::spawn_local(application(kernel)).await.unwrap()
        })
    });
}

#[test]
fn simulated_time_is_tokios() {
    paused().block_on(async {
        let kernel = kernel();
        let other = kernel.clone();
        let sender = tokio::spawn(async move {
            for number in 0..5 {
                sleep(1000 * MS).await;
                send(&other, &[number]);
            }
        });
        let mut queue = open(&kernel, DefaultVerdict::Drop).stay_open();
        let start = Instant::now();
        for number in 1..=5_u32 {
            let packet = queue.next().await.unwrap().unwrap();
            let (passed, simulated) = (start.elapsed(), kernel.now());
            let expected = 1000 * MS * number;
            assert!((expected..=expected + 2 * MS).contains(&passed), "{passed:?}");
            assert!(passed.abs_diff(simulated) <= 2 * MS, "{simulated:?}");
            packet.accept().unwrap();
        }
        sender.await.unwrap();
        timeout(60_000 * MS, queue.next()).await.unwrap_err();
        assert_eq!(totals(&kernel), [5, 0, 0]);
    });
}

/// The same twice: what a test with a paused clock says, it always says.
#[test]
fn it_goes_the_same_way_every_time() {
    let run = || {
        paused().block_on(async {
            let kernel = Kernel::builder().seed(3).trace().build();
            kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(0));
            for number in 0..20_u8 {
                let text = [number];
                send(&kernel, &text);
            }
            let mut queue = open(&kernel, DefaultVerdict::Drop);
            while let Some(packet) = queue.next().await.transpose().unwrap() {
                let number = packet.id().number();
                tokio::spawn(async move {
                    sleep(MS * u32::try_from(number * 7 % 10).unwrap()).await;
                    packet.accept().unwrap();
                });
            }
            kernel.run();
            assert_eq!(totals(&kernel), [20, 0, 0]);
            format!("{:?}", kernel.take_trace())
        })
    };
    let first = run();
    assert_eq!(run(), first);
    assert!(first.len() > 1000, "there is a trace");
}

#[test]
fn the_stream_ends_once_no_packet_is_held() {
    paused().block_on(async {
        let kernel = kernel();
        send(&kernel, b"x");
        let mut queue = open(&kernel, DefaultVerdict::Drop);
        let packet = queue.next().await.unwrap().unwrap();
        let start = Instant::now();
        tokio::spawn(async move {
            sleep(5000 * MS).await;
            packet.settle(Verdict::Repeat).unwrap();
        });
        // It is queued again by its verdict.
        queue.next().await.unwrap().unwrap().accept().unwrap();
        assert_eq!(start.elapsed(), 5000 * MS);
        assert!(queue.next().await.is_none());
        assert_eq!(totals(&kernel), [1, 0, 0]);
    });
}

#[test]
fn cancelling_loses_nothing() {
    paused().block_on(async {
        let kernel = kernel();
        let mut queue = open(&kernel, DefaultVerdict::Drop).stay_open();
        for _ in 0..100 {
            // Neither before something comes, nor in the moment that it does.
            timeout(Duration::ZERO, queue.next()).await.unwrap_err();
        }
        for number in 0..50_u32 {
            let other = kernel.clone();
            tokio::spawn(async move {
                sleep(MS * (number % 3)).await;
                send(&other, b"x");
            });
            if let Ok(packet) = timeout(MS * (number % 4), queue.next()).await {
                packet.unwrap().unwrap().accept().unwrap();
            }
        }
        while let Ok(packet) = timeout(100 * MS, queue.next()).await {
            packet.unwrap().unwrap().accept().unwrap();
        }
        assert_eq!(totals(&kernel), [50, 0, 0]);
    });
}

#[test]
fn a_stopper_ends_the_stream() {
    paused().block_on(async {
        let kernel = kernel();
        let mut queue = open(&kernel, DefaultVerdict::Accept).stay_open();
        let stopper = queue.queue().stopper();
        tokio::spawn(async move {
            sleep(3000 * MS).await;
            stopper.stop();
        });
        let start = Instant::now();
        assert!(queue.next().await.is_none());
        assert!(start.elapsed() <= 3001 * MS);
        send(&kernel, b"left over");
        kernel.run();
        assert_eq!(queue.queue().close().unwrap().statistics.defaulted, 1);
        assert!(matches!(AsyncQueue::new(queue.queue().clone()), Err(Error::Closed)));
    });
}

#[test]
fn it_is_a_stream_and_a_sink() {
    paused().block_on(async {
        let kernel = kernel();
        for number in 0..10 {
            send(&kernel, &[number]);
        }
        let (verdicts, packets) = open(&kernel, DefaultVerdict::Drop).split();
        packets
            .map_ok(|packet| match packet.packet().payload().last() {
                Some(number) if number % 2 == 0 => (packet, Verdict::Accept),
                _ => (packet, Verdict::Drop),
            })
            .forward(verdicts)
            .await
            .unwrap();
        assert_eq!(totals(&kernel), [5, 5, 0]);
    });
}

#[test]
fn the_sink_repeats_what_could_not_be_sent() {
    paused().block_on(async {
        let kernel = kernel();
        send(&kernel, b"x");
        let socket = Faulty::new(kernel.nfqueue_socket(), &FaultPlan::new(0));
        let faults = socket.faults();
        let queue = Queue::with_nfqueue(socket, 0..=0, Families::Both).unwrap();
        let mut queue = shared(queue, DefaultVerdict::Drop);
        let packet = queue.next().await.unwrap().unwrap();
        let refusal = Fault::Refuse { errno: Errno::EAGAIN }.to_kernel();
        faults.add(refusal.at_most(7));
        let start = Instant::now();
        queue.send((packet, Verdict::Accept)).await.unwrap();
        assert_eq!(start.elapsed(), 7 * MS);
        assert_eq!(totals(&kernel), [1, 0, 0]);
    });
}

/// A queue that is never empty leaves other tasks their turn.
#[test]
fn it_yields() {
    paused().block_on(async {
        let kernel = kernel();
        for _ in 0..1000 {
            send(&kernel, b"x");
        }
        let counted = tokio::spawn(async {
            let mut turns = 0;
            loop {
                turns += 1;
                tokio::task::yield_now().await;
                if turns == 5 {
                    return turns;
                }
            }
        });
        let mut queue = open(&kernel, DefaultVerdict::Drop);
        let mut seen = 0;
        while let Some(packet) = queue.next().await.transpose().unwrap() {
            packet.accept().unwrap();
            seen += 1;
            if counted.is_finished() {
                break;
            }
        }
        assert!(seen < 1000, "the other task had no turn");
    });
}

/// It may move between threads, and so may what it gives.
#[test]
fn it_is_send() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    fn assert_future_send(_: &(impl Future + Send)) {}
    assert_send::<AsyncQueue>();
    assert_send::<ipq::QueuedPacket>();
    assert_sync::<SharedQueue>();
    paused().block_on(async {
        let kernel = kernel();
        let future = accept_all(open(&kernel, DefaultVerdict::Drop));
        assert_future_send(&future);
        future.await.unwrap();
    });
}
