//! Sessions of both protocols over a simulated kernel, which allocates nothing either: all that a packet meets, from where
//! it enters to its end.

use core::time::Duration;

use etherparse::PacketBuilder;
use ipq::{
    Batch, CopyMode, DefaultVerdict, Event, Families, Family, Hook, PacketId, Queue, QueuedPacket,
    SharedQueue, Verdict,
};
use ipq_sim::{Kernel, Match, Target};

/// The two protocols of the queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Front {
    IpQueue,
    Nfqueue,
}

pub(super) const FRONTS: [Front; 2] = [Front::IpQueue, Front::Nfqueue];

/// Packets that wait at once.
pub(super) const BURST: usize = 40;

/// Bursts before everything has the memory it needs, and bursts that are counted.
const WARMING: usize = 10;
const COUNTED: usize = 20;

/// A kernel, and the datagram that this host sends itself, in each family.
pub(super) struct World {
    pub(super) kernel: Kernel,
    packets: [Vec<u8>; 2],
}

impl World {
    pub(super) fn new() -> Self {
        let kernel = Kernel::builder().build();
        kernel.rule(Hook::LocalOut, Match::any(), Target::Queue);
        Self { kernel, packets: Family::ALL.map(datagram) }
    }

    pub(super) fn queue(&self, front: Front) -> Queue {
        let mut queue = match front {
            Front::IpQueue => {
                Queue::with_sockets(Family::ALL.map(|family| self.kernel.socket(family))).unwrap()
            }
            Front::Nfqueue => {
                Queue::with_nfqueue(self.kernel.nfqueue_socket(), 0..=0, Families::Both).unwrap()
            }
        };
        queue.set_mode(CopyMode::Packet { range: 2048 }).unwrap();
        queue
    }

    /// Datagrams of both families in turn, which are sent when the kernel runs.
    pub(super) fn send(&self) {
        for turn in 0..BURST {
            let family = Family::ALL[turn % 2];
            self.kernel.send(family, &self.packets[turn % 2]);
        }
    }

    /// Lets what goes on arrive, and says how many packets have ended.
    pub(super) fn ended(&self) -> usize {
        self.kernel.run();
        let mut ended = 0;
        self.kernel.drain_outcomes(|_| ended += 1);
        ended
    }

    /// Sends bursts and has `serve` decide on all of each, which from some time on allocates nothing.
    #[track_caller]
    fn serves_without_memory(&self, what: &str, front: Front, mut serve: impl FnMut()) {
        let mut burst = || {
            self.send();
            serve();
            assert_eq!(self.ended(), BURST, "{what}, {front:?}");
        };
        (0..WARMING).for_each(|_| burst());
        let info = allocation_counter::measure(|| (0..COUNTED).for_each(|_| burst()));
        assert_eq!(info.count_total, 0, "{what}, {front:?}: {info:?}");
    }
}

/// From this host to itself.
fn datagram(family: Family) -> Vec<u8> {
    let ip = match family {
        Family::Ipv4 => PacketBuilder::ipv4([127, 0, 0, 1], [127, 0, 0, 1], 64),
        Family::Ipv6 => {
            let local = core::net::Ipv6Addr::LOCALHOST.octets();
            PacketBuilder::ipv6(local, local, 64)
        }
    };
    let mut packet = Vec::new();
    ip.udp(40_000, 9999).write(&mut packet, &[7; 1000]).unwrap();
    packet
}

fn id(event: &Event<'_>) -> PacketId {
    match event {
        Event::Packet(packet) => packet.id(),
        other => panic!("no packet but {other:?}"),
    }
}

#[test]
fn packet_by_packet() {
    for front in FRONTS {
        let world = World::new();
        let mut queue = world.queue(front);
        let mut buffer = vec![0; queue.buffer_len()];
        let mut number = 0_u32;
        let replacement = world.packets[0].clone();
        world.serves_without_memory("read", front, || {
            while let Some(event) = queue.read(&mut buffer, None).unwrap() {
                let id = id(&event);
                number += 1;
                match (number % 4, front) {
                    (0, _) => queue.verdict_with(id, Verdict::Accept, &replacement).unwrap(),
                    (1, Front::Nfqueue) => queue.verdict_marked(id, Verdict::Accept, 7).unwrap(),
                    (2, _) => queue.verdict(id, Verdict::Drop).unwrap(),
                    _ => queue.verdict(id, Verdict::Accept).unwrap(),
                }
            }
        });
    }
}

#[test]
fn packet_by_packet_with_a_loop_of_its_own() {
    for front in FRONTS {
        let world = World::new();
        let mut queue = world.queue(front);
        let mut buffer = vec![0; queue.buffer_len()];
        world.serves_without_memory("try_read", front, || {
            world.kernel.run();
            while let Some(event) = queue.try_read(&mut buffer).unwrap() {
                queue.verdict(id(&event), Verdict::Accept).unwrap();
            }
        });
    }
}

#[test]
fn batch_by_batch_in_any_order() {
    for front in FRONTS {
        for is_backwards in [false, true] {
            let world = World::new();
            let mut queue = world.queue(front);
            let mut batch = Batch::new(8, queue.buffer_len());
            let mut decisions = Vec::new();
            world.serves_without_memory("read_batch", front, || {
                world.kernel.run();
                let patience = Some(Duration::ZERO);
                while queue
                    .read_batch(&mut batch, patience, |event| {
                        decisions.push((id(&event.unwrap()), Verdict::Accept));
                    })
                    .unwrap()
                    > 0
                {}
                if is_backwards {
                    decisions.reverse();
                }
                queue.verdicts(&decisions).unwrap();
                decisions.clear();
            });
        }
    }
}

/// It makes its buffers once, when it begins: here that is once for each burst.
#[test]
fn run_to_the_end() {
    for front in FRONTS {
        let allocations = |bursts: usize| {
            let world = World::new();
            let mut queue = world.queue(front);
            let mut serve = |bursts: usize| {
                let mut left = bursts;
                world.send();
                let mut packets = 0;
                queue
                    .run(|_| {
                        packets += 1;
                        if packets % BURST == 0 && left > 1 {
                            left -= 1;
                            world.kernel.drain_outcomes(|_| ());
                            world.send();
                        }
                        Verdict::Accept
                    })
                    .unwrap();
                world.ended();
                assert_eq!(packets, bursts * BURST);
            };
            serve(WARMING);
            allocation_counter::measure(|| serve(bursts)).count_total
        };
        assert_eq!(allocations(COUNTED), allocations(2 * COUNTED), "{front:?}");
    }
}

#[test]
fn packets_that_are_settled_exactly_once() {
    for front in FRONTS {
        let world = World::new();
        let queue = SharedQueue::new(world.queue(front), DefaultVerdict::Drop).unwrap();
        let mut held: Vec<QueuedPacket> = Vec::new();
        let mut number = 0_u32;
        let mut serve = || {
            while let Some(packet) = queue.next(None).unwrap() {
                held.push(packet);
            }
            for packet in held.drain(..).rev() {
                number += 1;
                match number % 3 {
                    0 => packet.accept().unwrap(),
                    1 => packet.discard().unwrap(),
                    // It gets the default.
                    _ => drop(packet),
                }
            }
        };
        // A hash table that was never more than half full is cleared of what was removed from it in its place.
        (0..3).for_each(|_| world.send());
        serve();
        assert_eq!(world.ended(), 3 * BURST);
        world.serves_without_memory("SharedQueue", front, serve);
    }
}

/// As [`run_to_the_end`], under the lock.
#[test]
fn a_shared_queue_that_decides() {
    for front in FRONTS {
        let world = World::new();
        let queue = SharedQueue::new(world.queue(front), DefaultVerdict::Drop).unwrap();
        let burst = || {
            world.send();
            let info = allocation_counter::measure(|| queue.decide(|_| Verdict::Accept).unwrap());
            assert_eq!(world.ended(), BURST);
            info.count_total
        };
        (0..WARMING).for_each(|_| _ = burst());
        assert_eq!(burst(), 3, "batch, its outcomes, verdicts: {front:?}");
    }
}
