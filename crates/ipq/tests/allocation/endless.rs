//! Sessions of `ip_queue` over a kernel that never runs out of packets, of refusals and of nonsense.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use core::time::Duration;

use ipq::{CopyMode, DefaultVerdict, Event, Queue, SharedQueue, Verdict};
use ipq_proto::DataModel;
use ipq_proto::ip_queue::{Message, datagram};
use ipq_sys::{Clock, Deadline, Error, Protocol, Received, Transport};

/// A kernel that never runs out of packets, and allocates nothing itself.
#[derive(Debug)]
struct Endless {
    protocol: Protocol,
    /// What it says in turn; after the last one, the first again.
    datagrams: Vec<Vec<u8>>,
    next: usize,
    /// How many datagrams are still to come.
    left: usize,
    /// The sequence number of a mode that is to be acknowledged.
    unanswered: Option<u32>,
    now: Clock,
}

impl Endless {
    fn new(protocol: Protocol, left: usize) -> Self {
        let mut packet = vec![0_u8; 16 + 96 + 1400];
        let len = u32::try_from(packet.len()).unwrap();
        packet[..4].copy_from_slice(&len.to_le_bytes());
        packet[4] = 0x13;
        packet[16 + 88..16 + 96].copy_from_slice(&1400_u64.to_le_bytes());
        // A refused verdict, which the kernel repeats.
        let mut refusal = vec![0_u8; 16 + 20 + 24];
        refusal[0] = 60;
        refusal[4] = 2;
        refusal[16..20].copy_from_slice(&(-2_i32).to_le_bytes());
        refusal[24] = 0x12;
        let garbage = vec![0xa5_u8; 40];
        let datagrams = vec![packet.clone(), packet, refusal, garbage];
        Self { protocol, datagrams, next: 0, left, unanswered: None, now: Duration::ZERO }
    }
}

impl Transport for Endless {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        let header = &parts[0];
        if header[4] == 0x11 {
            self.unanswered = Some(u32::from_le_bytes(header[8..12].try_into().unwrap()));
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        self.now += Duration::from_micros(1);
        if let Some(sequence) = self.unanswered.take() {
            buffer[..36].fill(0);
            buffer[0] = 36;
            buffer[4] = 2;
            buffer[8 + 20..12 + 20].copy_from_slice(&sequence.to_le_bytes());
            return Ok(Received::Datagram { len: 36 });
        }
        if self.left == 0 {
            return Ok(if deadline == Deadline::Never {
                Received::Ended
            } else {
                Received::TimedOut
            });
        }
        self.left -= 1;
        let datagram = &self.datagrams[self.next];
        self.next = (self.next + 1) % self.datagrams.len();
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(if len < datagram.len() {
            Received::Truncated { len, datagram_len: datagram.len() }
        } else {
            Received::Datagram { len }
        })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn port_id(&self) -> u32 {
        4711
    }

    fn data_model(&self) -> DataModel {
        DataModel::Lp64Little
    }

    fn now(&self) -> Clock {
        self.now
    }
}

fn session(protocols: &[Protocol], left: usize) -> Queue {
    let transports = protocols.iter().map(|&protocol| Endless::new(protocol, left));
    let mut queue = Queue::with_sockets(transports).unwrap();
    queue.set_mode(CopyMode::Packet { range: 2048 }).unwrap();
    queue
}

const LANES: [&[Protocol]; 2] =
    [&[Protocol::Firewall], &[Protocol::Firewall, Protocol::Ip6Firewall]];

#[test]
fn the_script_is_what_it_claims_to_be() {
    let endless = Endless::new(Protocol::Firewall, 0);
    let decode = |index: usize| datagram(DataModel::Lp64Little, &endless.datagrams[index]);
    assert!(matches!(decode(0), Ok((_, Message::Packet(packet))) if packet.payload.len() == 1400));
    assert!(matches!(decode(2), Ok((_, Message::Reply(_)))));
    decode(3).unwrap_err();
}

#[test]
fn reading_and_deciding_allocates_nothing() {
    for lanes in LANES {
        for buffer_len in [2200, 120, 3] {
            let mut queue = session(lanes, usize::MAX);
            let mut buffer = vec![0; buffer_len];
            let replacement = [0x45; 1400];
            let mut seen = [0_u32; 3];
            let info = allocation_counter::measure(|| {
                for round in 0..4000 {
                    let timeout = Some(Duration::from_millis(round % 3)).filter(|_| round % 2 == 0);
                    let id = match queue.read(&mut buffer, timeout) {
                        Ok(Some(
                            Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. },
                        )) => packet.id(),
                        Ok(_) => {
                            seen[1] += 1;
                            continue;
                        }
                        Err(_) => {
                            seen[2] += 1;
                            continue;
                        }
                    };
                    seen[0] += 1;
                    if seen[0] % 2 == 0 {
                        queue.verdict(id, Verdict::Accept).unwrap();
                    } else {
                        queue.verdict_with(id, Verdict::Accept, &replacement).unwrap();
                    }
                }
            });
            assert_eq!(info.count_total, 0, "{lanes:?}, {seen:?}");
            assert_eq!(seen.iter().sum::<u32>(), 4000);
            if buffer_len == 2200 {
                assert_eq!(seen, [2000, 1000, 1000], "packets, refusals, garbage");
            }
        }
    }
}

#[test]
fn waiting_in_vain_allocates_nothing() {
    for lanes in LANES {
        let mut queue = session(lanes, 0);
        let mut buffer = [0; 256];
        let info = allocation_counter::measure(|| {
            for _ in 0..1000 {
                let timeout = Some(Duration::from_millis(1));
                assert!(queue.read(&mut buffer, timeout).unwrap().is_none());
                assert!(queue.read(&mut buffer, None).unwrap().is_none());
            }
        });
        assert_eq!(info.count_total, 0, "{lanes:?}");
    }
}

#[test]
fn run_allocates_its_buffers_and_nothing_for_a_packet() {
    for lanes in LANES {
        let allocations = |left: usize| {
            let mut queue = session(lanes, left);
            let info = allocation_counter::measure(|| queue.run(|_| Verdict::Accept).unwrap());
            assert_eq!(queue.statistics().packets, (left / 2 * lanes.len()) as u64);
            info.count_total
        };
        assert_eq!(allocations(0), 3, "batch, its outcomes, verdicts: {lanes:?}");
        assert_eq!(allocations(1_000), allocations(10_000), "{lanes:?}");
    }
}

#[test]
fn packets_that_are_settled_exactly_once_allocate_nothing() {
    for lanes in LANES {
        let queue = SharedQueue::new(session(lanes, usize::MAX), DefaultVerdict::Drop).unwrap();
        let serve = |packets: usize, most: usize| {
            let mut held = VecDeque::with_capacity(most);
            for _ in 0..packets {
                let packet = queue.next(None).unwrap().unwrap();
                assert_eq!(packet.packet().payload().len(), 1400);
                held.push_back(packet);
                if held.len() == most {
                    held.pop_front().unwrap().accept().unwrap();
                }
            }
        };
        // A hash table that was never more than half full is cleared of what was removed from it in its place.
        serve(100, 30);
        let info = allocation_counter::measure(|| serve(1000, 10));
        assert_eq!(info.count_total, 1, "the list of those that are held: {lanes:?}");
    }
}
