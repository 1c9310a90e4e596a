//! A session on the real kernel allocates nothing for a packet, in whichever way it is read and decided on. On a simulated
//! one the kernel is in the same process: `crates/ipq/tests/allocation` has both together.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::Poll;

use allocation_counter::measure;
use ipq::{
    AsyncQueue, Batch, DefaultVerdict, Event, Family, PacketId, Queue, SharedQueue, Verdict,
};
use tokio::runtime::Builder;

use crate::network::{Network, Outcome, Rule, Socket};
use crate::real::run;
use crate::support::PATIENCE;

/// Packets at once.
const BURST: usize = 16;

/// Bursts before everything has the memory it needs, and bursts that are counted.
const WARMING: usize = 10;
const COUNTED: usize = 10;

/// Datagrams to a queue, on their way.
struct Datagrams<'n> {
    network: &'n mut dyn Network,
    from: Socket,
    to: Socket,
    address: SocketAddr,
}

impl Datagrams<'_> {
    /// Sends a burst, has `serve` decide on it, and sees it arrive; says how many allocations that took.
    fn burst(&mut self, serve: &mut impl FnMut() -> u64) -> u64 {
        for _ in 0..BURST {
            self.network.send(self.from, self.address, b"packet");
        }
        let allocations = serve();
        for _ in 0..BURST {
            assert_eq!(self.network.received(self.to).as_deref(), Some(&b"packet"[..]));
        }
        allocations
    }

    /// From some burst on, `serve` allocates nothing.
    #[track_caller]
    fn serve_without_memory(&mut self, mut serve: impl FnMut() -> u64) {
        for _ in 0..WARMING {
            self.burst(&mut serve);
        }
        let allocations: Vec<_> = (0..COUNTED).map(|_| self.burst(&mut serve)).collect();
        assert_eq!(allocations, [0; COUNTED]);
    }
}

/// Gives `body` a queue and datagrams for it.
fn with_queue(network: &mut dyn Network, body: impl FnOnce(Queue, &mut Datagrams<'_>)) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let queue = network.queue(0);
    body(queue, &mut Datagrams { network, from, to, address });
    Ok(())
}

fn id(event: &Event<'_>) -> PacketId {
    match event {
        Event::Packet(packet) => packet.id(),
        other => panic!("no packet but {other:?}"),
    }
}

#[test]
fn packet_by_packet() {
    run(concat!(module_path!(), "::packet_by_packet"), |network| {
        with_queue(network, |mut queue, datagrams| {
            let mut buffer = vec![0; queue.buffer_len()];
            datagrams.serve_without_memory(|| {
                let counted = measure(|| {
                    for _ in 0..BURST {
                        let event = queue.read(&mut buffer, Some(PATIENCE)).unwrap().unwrap();
                        let id = id(&event);
                        queue.verdict_marked(id, Verdict::Accept, 7).unwrap();
                    }
                });
                counted.count_total
            });
        })
    });
}

#[test]
fn batch_by_batch() {
    run(concat!(module_path!(), "::batch_by_batch"), |network| {
        with_queue(network, |mut queue, datagrams| {
            let mut batch = Batch::new(BURST, queue.buffer_len());
            let mut decisions = Vec::with_capacity(BURST);
            datagrams.serve_without_memory(|| {
                let counted = measure(|| {
                    let mut left = BURST;
                    while left > 0 {
                        left -= queue
                            .read_batch(&mut batch, Some(PATIENCE), |event| {
                                decisions.push((id(&event.unwrap()), Verdict::Accept));
                            })
                            .unwrap();
                        queue.verdicts(&decisions).unwrap();
                        decisions.clear();
                    }
                });
                counted.count_total
            });
        })
    });
}

#[test]
fn packets_that_are_settled_exactly_once() {
    run(concat!(module_path!(), "::packets_that_are_settled_exactly_once"), |network| {
        with_queue(network, |queue, datagrams| {
            let queue = SharedQueue::new(queue, DefaultVerdict::Accept).unwrap();
            datagrams.serve_without_memory(|| {
                let counted = measure(|| {
                    for _ in 0..BURST {
                        queue.next(Some(PATIENCE)).unwrap().unwrap().accept().unwrap();
                    }
                });
                counted.count_total
            });
        })
    });
}

/// What the runtime does while it waits is its own.
#[test]
fn a_stream_of_packets() {
    run(concat!(module_path!(), "::a_stream_of_packets"), |network| {
        with_queue(network, |queue, datagrams| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let queue = SharedQueue::new(queue, DefaultVerdict::Drop).unwrap();
            let mut packets = runtime.block_on(async { AsyncQueue::new(queue) }).unwrap();
            datagrams.serve_without_memory(|| {
                let mut allocated = 0;
                for _ in 0..BURST {
                    let mut next = core::pin::pin!(packets.next());
                    let packet = runtime.block_on(core::future::poll_fn(|context| {
                        let mut said = Poll::Pending;
                        let next: Pin<&mut _> = next.as_mut();
                        allocated += measure(|| said = next.poll(context)).count_total;
                        said
                    }));
                    let packet = packet.unwrap().unwrap();
                    allocated += measure(|| packet.accept().unwrap()).count_total;
                }
                allocated
            });
        })
    });
}
