//! `nfnetlink_queue` over a transport that is a small kernel: what is sent must have the effect of the verdicts that
//! were given, whatever it was put together to.

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use core::time::Duration;

use ipq::{
    Batch, CopyMode, Errno, Error, Event, Families, Hook, Options, PacketId, Queue, QueueName,
    Refusal, Verdict,
};
use ipq_proto::netlink::{MessageType, messages};
use ipq_proto::nfqueue::{self, ConfigRequest, Message, Packet, is_not_later};
use ipq_sys::{Clock, Deadline, Protocol, Received, Stepped, Transport};
use proptest::collection::vec;
use proptest::prelude::*;
use zerocopy::NativeEndian;

use crate::common::reply;

/// The kernel's side: packets by queue and id, in order, and what became of each.
#[derive(Clone, Debug, Default)]
struct Kernel(Arc<Mutex<State>>);

/// Says of a request whether it is meant.
type Which = fn(&ConfigRequest) -> bool;

#[derive(Debug, Default)]
struct State {
    outbox: VecDeque<Vec<u8>>,
    waiting: Vec<(u16, u32)>,
    fates: BTreeMap<(u16, u32), (Verdict, Option<u32>, usize)>,
    configs: Vec<ConfigRequest>,
    /// The requests that are refused, and how.
    refuses: Option<(Which, Errno)>,
    datagrams: usize,
    verdict_messages: usize,
    batches: usize,
}

impl Kernel {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A packet of the address family is queued.
    fn queue(&self, queue: u16, id: u32, family: u8) {
        let payload = [if family == 2 { 0x45 } else { 0x60 }; 60];
        let packet = Packet {
            family,
            queue,
            id,
            hook: Hook::LocalOut,
            payload: Some(&payload),
            ..Packet::default()
        };
        let mut buffer = [0; 256];
        let len = packet.encode::<NativeEndian>(&mut buffer).unwrap();
        let mut state = self.state();
        state.waiting.push((queue, id));
        state.outbox.push_back(buffer[..len].to_vec());
    }
}

impl State {
    fn answer(&mut self, request: &[u8], code: i32) {
        let rest = if code == 0 { &[][..] } else { &request[16..] };
        self.outbox.push_back(reply(code, &request[..16], rest));
    }

    fn settle(&mut self, key: (u16, u32), fate: (Verdict, Option<u32>, usize)) -> bool {
        let Some(at) = self.waiting.iter().position(|waiting| *waiting == key) else {
            return false;
        };
        self.waiting.remove(at);
        assert_eq!(self.fates.insert(key, fate), None, "{key:?} has two fates");
        true
    }

    fn hear(&mut self, request: &[u8], message: Message<'_>) {
        match message {
            Message::Config(config) => {
                self.configs.push(config);
                let refused = self.refuses.filter(|(which, _)| which(&config));
                self.answer(request, refused.map_or(0, |(_, errno)| -errno.0));
            }
            Message::Verdict(verdict) => {
                self.verdict_messages += 1;
                let replaced = verdict.replacement.map_or(0, <[u8]>::len);
                let fate = (verdict.verdict, verdict.mark, replaced);
                if !self.settle((verdict.queue, verdict.id), fate) {
                    self.answer(request, -Errno::ENOENT.0);
                }
            }
            Message::VerdictBatch(verdict) => {
                self.verdict_messages += 1;
                self.batches += 1;
                let covered = |(queue, id): &(u16, u32)| {
                    *queue == verdict.queue && is_not_later(*id, verdict.id)
                };
                for key in self.waiting.clone().into_iter().filter(covered) {
                    self.settle(key, (verdict.verdict, verdict.mark, 0));
                }
            }
            other => panic!("a program does not send {other}"),
        }
    }
}

impl Transport for Kernel {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), ipq_sys::Error> {
        let datagram: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        let mut state = self.state();
        state.datagrams += 1;
        for message in messages::<NativeEndian>(&datagram) {
            let message = message.unwrap();
            let end = message.offset + message.header.len as usize;
            let decoded = Message::decode::<NativeEndian>(&message).unwrap();
            state.hear(&datagram[message.offset..end], decoded);
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Deadline) -> Result<Received, ipq_sys::Error> {
        let Some(message) = self.state().outbox.pop_front() else { return Ok(Received::TimedOut) };
        let len = message.len().min(buffer.len());
        buffer[..len].copy_from_slice(&message[..len]);
        Ok(if len == message.len() {
            Received::Datagram { len }
        } else {
            Received::Truncated { len, datagram_len: message.len() }
        })
    }

    fn step(&mut self, _: Deadline) -> Result<Stepped, ipq_sys::Error> {
        Ok(if self.state().outbox.is_empty() { Stepped::Ended } else { Stepped::Progressed })
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn protocol(&self) -> Protocol {
        Protocol::Netfilter
    }

    fn port_id(&self) -> u32 {
        4711
    }

    fn now(&self) -> Clock {
        Duration::ZERO
    }
}

fn session(first: u16, last: u16, options: impl Into<Options>) -> (Queue, Kernel) {
    let kernel = Kernel::default();
    let mut queue = Queue::with_nfqueue(kernel.clone(), first..=last, options).unwrap();
    queue.set_mode(CopyMode::Packet { range: 0 }).unwrap();
    kernel.state().datagrams = 0;
    (queue, kernel)
}

/// Reads all that is there.
fn read_all(queue: &mut Queue) -> Vec<PacketId> {
    let mut batch = Batch::new(8, queue.buffer_len());
    let mut ids = Vec::new();
    while queue
        .read_batch(&mut batch, None, |event| match event {
            Ok(Event::Packet(packet)) => ids.push(packet.id()),
            other => panic!("{other:?}"),
        })
        .unwrap()
        > 0
    {}
    ids
}

#[test]
fn equal_verdicts_for_the_oldest_become_one_batch() {
    let (mut queue, kernel) = session(3, 3, Families::Both);
    (1..=40).for_each(|id| kernel.queue(3, id, 2));
    let ids = read_all(&mut queue);
    let decisions: Vec<_> = ids.iter().map(|&id| (id, Verdict::Accept)).collect();
    queue.verdicts(&decisions).unwrap();
    let state = kernel.state();
    assert_eq!((state.datagrams, state.verdict_messages, state.batches), (1, 1, 1));
    assert_eq!(state.fates.len(), 40);
}

#[test]
fn an_older_packet_that_is_undecided_is_not_swept_along() {
    let (mut queue, kernel) = session(0, 0, Families::Both);
    (1..=4).for_each(|id| kernel.queue(0, id, 2));
    let ids = read_all(&mut queue);
    queue.verdicts(&[(ids[1], Verdict::Drop), (ids[2], Verdict::Drop)]).unwrap();
    assert_eq!(kernel.state().waiting, [(0, 1), (0, 4)]);
    queue.verdict(ids[0], Verdict::Accept).unwrap();
    queue.verdicts(&[(ids[3], Verdict::Accept)]).unwrap();
    let state = kernel.state();
    assert_eq!((state.batches, state.fates.len()), (0, 4));
    assert_eq!(state.fates[&(0, 2)].0, Verdict::Drop);
}

#[test]
fn a_mark_and_a_replacement_go_with_their_packet_alone() {
    let (mut queue, kernel) = session(0, 0, Families::Both);
    (1..=3).for_each(|id| kernel.queue(0, id, 10));
    let ids = read_all(&mut queue);
    queue.verdict_marked(ids[0], Verdict::Repeat, 0xabcd).unwrap();
    queue.verdict_with(ids[1], Verdict::Accept, &[0x60; 41]).unwrap();
    queue.verdict(ids[2], Verdict::Stop).unwrap();
    let fates: Vec<_> = kernel.state().fates.values().copied().collect();
    let expected =
        [(Verdict::Repeat, Some(0xabcd), 0), (Verdict::Accept, None, 41), (Verdict::Stop, None, 0)];
    assert_eq!(fates, expected);
    let error = queue.verdict_with(ids[2], Verdict::Accept, &vec![0; 65_532]).unwrap_err();
    assert!(matches!(error, Error::Number(_)), "{error:?}");
}

#[test]
fn a_packet_whose_replacement_is_too_long_still_waits_and_is_not_swept_along() {
    let (mut queue, kernel) = session(0, 0, Families::Both);
    (1..=3).for_each(|id| kernel.queue(0, id, 2));
    let ids = read_all(&mut queue);
    let error = queue.verdict_with(ids[0], Verdict::Drop, &vec![0; 65_532]).unwrap_err();
    assert!(matches!(error, Error::Number(_)), "{error:?}");
    queue.verdicts(&[(ids[1], Verdict::Accept), (ids[2], Verdict::Accept)]).unwrap();
    assert_eq!(kernel.state().waiting, [(0, 1)]);
    queue.verdict(ids[0], Verdict::Drop).unwrap();
    assert_eq!(kernel.state().fates[&(0, 1)].0, Verdict::Drop);
}

#[test]
fn packets_of_a_family_not_asked_for_are_dropped_and_counted() {
    let (mut queue, kernel) = session(0, 0, Families::Ipv4);
    for (id, family) in [(1, 10), (2, 2), (3, 10), (4, 7), (5, 2)] {
        kernel.queue(0, id, family);
    }
    // A bridge's packet goes by its first byte: here it is IPv6, as far as that can be told.
    let mut buffer = vec![0; queue.buffer_len()];
    let Ok(Some(Event::Packet(packet))) = queue.read(&mut buffer, None) else { panic!() };
    assert_eq!(packet.id(), PacketId::in_nfqueue(0, 2));
    assert_eq!(read_all(&mut queue), [PacketId::in_nfqueue(0, 5)]);
    assert_eq!((queue.statistics().unclaimed, queue.statistics().packets), (3, 2));
    assert_eq!(kernel.state().waiting, [(0, 2), (0, 5)]);
}

#[test]
fn a_late_verdict_is_refused_with_its_packet_and_nothing_else_happens() {
    let (mut queue, kernel) = session(7, 9, Families::Both);
    kernel.queue(8, 1, 2);
    let ids = read_all(&mut queue);
    kernel.state().waiting.clear();
    queue.verdict(ids[0], Verdict::Accept).unwrap();
    let mut buffer = vec![0; queue.buffer_len()];
    let Ok(Some(Event::Refused(refusal))) = queue.read(&mut buffer, None) else { panic!() };
    assert_eq!(refusal, Refusal { errno: Errno::ENOENT, packet: Some(ids[0]) });
    let elsewhere = PacketId::in_nfqueue(10, 1);
    assert!(matches!(queue.verdict(elsewhere, Verdict::Drop), Err(Error::WrongQueue(_))));
}

#[test]
fn a_cut_message_still_names_its_packet() {
    let (mut queue, kernel) = session(0, 0, Families::Both);
    kernel.queue(0, 9, 2);
    let mut buffer = [0; 64];
    let Ok(Some(Event::Truncated { packet: Some(packet), message_len })) =
        queue.read(&mut buffer, None)
    else {
        panic!()
    };
    assert!(message_len > 64 && packet.payload().len() < 60);
    queue.verdict(packet.id(), Verdict::Accept).unwrap();
    assert_eq!(kernel.state().fates.len(), 1);
}

#[test]
fn options_are_asked_for_and_their_refusals_explained() {
    let options = Options {
        max_length: Some(5000),
        fail_open: true,
        gso: true,
        ..Options::from(Families::Both)
    };
    let kernel = Kernel::default();
    let queue = Queue::with_nfqueue(kernel.clone(), 4..=5, options).unwrap();
    assert!(queue.queues().eq([QueueName::Nfqueue(4), QueueName::Nfqueue(5)]));
    let lengths: Vec<_> = kernel.state().configs.iter().filter_map(|c| c.max_length).collect();
    assert_eq!(lengths, [5000, 5000]);
    let flags: Vec<_> = kernel.state().configs.iter().filter_map(|c| c.flags).collect();
    assert_eq!(flags.iter().map(|flags| flags.0).collect::<Vec<_>>(), [1, 4, 1, 4]);

    let is_gso: Which = |config| config.flags.is_some_and(|f| f.0 == 4);
    kernel.state().refuses = Some((is_gso, Errno::EOPNOTSUPP));
    let error = Queue::with_nfqueue(kernel, 4..=5, options).unwrap_err();
    let text = "setting the option GSO of queue 4: EOPNOTSUPP (operation not supported); this kernel does not have it";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_missing_capability_and_a_taken_queue_are_told_apart() {
    let kernel = Kernel::default();
    kernel.state().refuses = Some((|_| true, Errno::EPERM));
    let error = Queue::with_nfqueue(kernel.clone(), 60_000..=60_000, Families::Both).unwrap_err();
    assert!(matches!(error, Error::BindRefused { errno: Errno::EPERM, .. }), "{error:?}");
    assert!(error.to_string().contains("unshare -Urn"), "{error}");
    let is_bind: Which =
        |config| config.command.is_some_and(|(command, _)| command == nfqueue::Command::BIND);
    for errno in [Errno::EPERM, Errno::EBUSY] {
        kernel.state().refuses = Some((is_bind, errno));
        let error = Queue::with_nfqueue(kernel.clone(), 60_000..=60_000, Families::Both);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::QueueTaken { queue: 60_000, .. }), "{error:?}");
        assert!(error.to_string().contains("taken by"), "{error}");
    }
    let is_handler: Which =
        |config| config.command.is_some_and(|(command, _)| command == nfqueue::Command::PF_BIND);
    kernel.state().refuses = Some((is_handler, Errno::EBUSY));
    let error = Queue::with_nfqueue(kernel, 0..=0, Families::Both).unwrap_err();
    assert!(matches!(error, Error::HandlerTaken), "{error:?}");
}

#[test]
fn an_unasked_acknowledgement_says_nothing() {
    let (mut queue, kernel) = session(0, 0, Families::Both);
    kernel.state().outbox.push_back(reply(0, &[0; 16], &[]));
    let mut buffer = [0; 256];
    let event = queue.read(&mut buffer, None).unwrap();
    assert!(matches!(event, Some(Event::Other(MessageType::ERROR))), "{event:?}");
}

/// What is done next: packets are queued, or some of those that wait are decided on.
#[derive(Clone, Debug)]
enum Step {
    Queue(Vec<bool>),
    Decide(Vec<(prop::sample::Index, bool)>),
    /// The oldest, all alike, as an application does that keeps up.
    DecideOldest(usize),
    One(prop::sample::Index, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let decision = || (any::<prop::sample::Index>(), any::<bool>());
    prop_oneof![
        vec(any::<bool>(), 1..20).prop_map(Step::Queue),
        vec(decision(), 1..20).prop_map(Step::Decide),
        (1_usize..20).prop_map(Step::DecideOldest),
        decision().prop_map(|(index, accept)| Step::One(index, accept)),
    ]
}

/// The number of a packet's queue, and its own.
fn key(id: PacketId) -> (u16, u32) {
    match id.queue() {
        QueueName::Nfqueue(queue) => (queue, u32::try_from(id.number()).unwrap()),
        other @ QueueName::IpQueue(_) => panic!("{other}"),
    }
}

const fn verdict(accept: bool) -> Verdict {
    if accept { Verdict::Accept } else { Verdict::Drop }
}

proptest! {
    /// Batches are an optimisation: the fates are those of the verdicts one by one, ids wrapping around included.
    #[test]
    fn each_packet_gets_the_verdict_it_was_given(
        steps in vec(step(), 1..30),
        start in prop_oneof![Just(1), Just(u32::MAX - 20), any::<u32>()],
    ) {
        let (mut queue, kernel) = session(0, 1, Families::Both);
        let mut next = [start; 2];
        let mut undecided: Vec<PacketId> = Vec::new();
        let mut given = BTreeMap::new();
        for step in steps {
            match step {
                Step::Queue(queues) => {
                    for number in queues {
                        let id = &mut next[usize::from(number)];
                        kernel.queue(number.into(), *id, 2);
                        *id = id.wrapping_add(1);
                    }
                    undecided.extend(read_all(&mut queue));
                }
                Step::Decide(which) => {
                    let mut decisions = Vec::new();
                    for (index, accept) in which {
                        if !undecided.is_empty() {
                            let id = undecided.remove(index.index(undecided.len()));
                            decisions.push((id, verdict(accept)));
                        }
                    }
                    given.extend(decisions.iter().map(|&(id, verdict)| (key(id), verdict)));
                    queue.verdicts(&decisions).unwrap();
                }
                Step::DecideOldest(count) => {
                    let oldest = undecided.drain(..count.min(undecided.len()));
                    let decisions: Vec<_> = oldest.map(|id| (id, Verdict::Accept)).collect();
                    given.extend(decisions.iter().map(|&(id, verdict)| (key(id), verdict)));
                    queue.verdicts(&decisions).unwrap();
                }
                Step::One(index, accept) => {
                    if !undecided.is_empty() {
                        let id = undecided.remove(index.index(undecided.len()));
                        given.insert(key(id), verdict(accept));
                        queue.verdict(id, verdict(accept)).unwrap();
                    }
                }
            }
            let state = kernel.state();
            let fates = state.fates.iter().map(|(&key, &(verdict, ..))| (key, verdict));
            let fates: BTreeMap<_, _> = fates.collect();
            prop_assert_eq!(&fates, &given);
            prop_assert_eq!(state.waiting.len(), undecided.len());
        }
    }
}
