//! Sessions over faulty sockets: whatever happens to the conversation, no panic, no hang, and every packet ends once.

use ipq::{CopyMode, Errno, Error, Event, Families, Family, Queue, QueueName, Statistics, Verdict};
use ipq_proto::DataModel;
use ipq_sim::fault::{Counts, Direction, Fault, FaultPlan, Faults, Faulty, PlannedFault};
use ipq_sim::{Kernel, SocketOptions, assert_repeatable, for_each_seed};
use ipq_sys::{Protocol, Transport};

use crate::common::{
    MS, WHOLE, datagram, kernel, message, native, next_packet, packet, replay, saying, send, silent,
};

/// How many packets come in each family.
const PACKETS: u64 = 100;

/// A session over faulty sockets, which has asked for nothing, and the hold on each socket.
fn faulty_session(
    kernel: &Kernel,
    families: Families,
    plan: &FaultPlan,
    options: SocketOptions,
) -> (Queue, Vec<Faults>) {
    let open = |family| Faulty::new(kernel.open_socket(family, options).unwrap(), plan);
    let sockets: Vec<_> = families.iter().map(open).collect();
    let faults = sockets.iter().map(Faulty::faults).collect();
    (Queue::with_sockets(sockets).unwrap(), faults)
}

/// What a session and its faulty sockets say of a run.
struct Outcome {
    statistics: Statistics,
    counts: Vec<Counts>,
    /// Whether the session came to the end of the kernel's run.
    ended: bool,
    kernel: Kernel,
}

impl Outcome {
    /// How many messages a fault struck, over all sockets.
    fn done(&self, fault: Fault) -> u64 {
        let tallies = self.counts.iter().flat_map(|counts| &counts.faults);
        tallies.filter(|tally| tally.planned.fault() == fault).map(|tally| tally.done).sum()
    }
}

/// Asks until it is answered, or refused for good.
fn set_mode(queue: &mut Queue) -> bool {
    // Whatever the faults are, they are not always all there.
    (0..20).any(|_| queue.set_mode(WHOLE).is_ok())
}

/// An application that goes on after what is temporary, and gives up otherwise: every third packet is dropped.
fn application(queue: &mut Queue) -> bool {
    let mut read = 0;
    loop {
        let ended = queue.run(|_| {
            read += 1;
            if read % 3 == 0 { Verdict::Drop } else { Verdict::Accept }
        });
        match ended {
            Ok(()) => return true,
            Err(error) if error.is_temporary() => (),
            Err(_) => return false,
        }
    }
}

/// Lets an application run under these faults to the end, and checks what always holds.
fn run(plan: &FaultPlan, model: DataModel, families: Families) -> Outcome {
    let kernel = kernel(model);
    let (mut queue, faults) = faulty_session(&kernel, families, plan, SocketOptions::default());
    let times: Vec<_> = (0..PACKETS).collect();
    for family in families.iter() {
        replay(&kernel, family, &times);
    }
    let ended = set_mode(&mut queue) && application(&mut queue);
    kernel.run();

    let totals = kernel.totals();
    let entered = PACKETS * families.iter().count() as u64;
    assert_eq!(totals.entered, entered, "{plan}");
    assert_eq!(totals.delivered + totals.dropped + totals.queued, entered, "{plan}");
    let statistics = queue.statistics();
    let counts: Vec<_> = faults.iter().map(Faults::counts).collect();
    for traffic in counts.iter().flat_map(|counts| [counts.to_program, counts.to_kernel]) {
        assert_eq!(
            traffic.messages + traffic.duplicated + traffic.injected,
            traffic.passed + traffic.lost + traffic.refused + traffic.failed + traffic.kept,
            "{plan}"
        );
    }
    drop(queue);
    let totals = kernel.totals();
    assert_eq!((totals.delivered + totals.dropped, totals.queued), (entered, 0), "{plan}");
    let outcomes = kernel.take_outcomes();
    let numbers: std::collections::BTreeSet<_> =
        outcomes.iter().map(|outcome| outcome.number).collect();
    assert_eq!((outcomes.len() as u64, numbers.len() as u64), (entered, entered), "{plan}");
    Outcome { statistics, counts, ended, kernel }
}

/// Every fault that a session survives.
fn each_fault() -> Vec<PlannedFault> {
    let both = |fault: Fault| [fault.to_program(), fault.to_kernel()];
    let mut faults = vec![
        Fault::Overrun.to_program(),
        Fault::Truncate { len: 20 }.to_program(),
        Fault::Truncate { len: 120 }.to_program(),
        Fault::Foreign { port_id: 29 }.to_program(),
        Fault::Interrupt.to_program(),
        Fault::TimeOut.to_program(),
        Fault::SpuriousError { errno: Errno::ENOENT }.to_program(),
        Fault::UnknownId.to_kernel(),
    ];
    for errno in [Errno::EAGAIN, Errno::ENOBUFS, Errno::EINTR] {
        faults.push(Fault::Refuse { errno }.to_kernel());
    }
    for fault in [
        Fault::Lose,
        Fault::Delay { time: 7 * MS },
        Fault::Reorder,
        Fault::Duplicate,
        Fault::Corrupt { bytes: 1 },
        Fault::Corrupt { bytes: 20 },
        Fault::Shorten { len: 20 },
    ] {
        faults.extend(both(fault));
    }
    faults
}

#[test]
fn a_session_survives_each_fault_to_the_end() {
    for fault in each_fault() {
        for families in [Families::Ipv4, Families::Ipv6, Families::Both] {
            for model in DataModel::ALL {
                let plan = FaultPlan::new(1).with(fault.every(3));
                let outcome = run(&plan, model, families);
                assert!(outcome.ended, "{plan}");
                // One socket is waited for without a deadline, which does not pass early.
                let strikes = families == Families::Both || fault.fault() != Fault::TimeOut;
                assert_eq!(outcome.done(fault.fault()) > 0, strikes, "{plan}");
            }
        }
    }
}

#[test]
fn a_session_survives_what_happens_to_every_message() {
    for fault in each_fault() {
        for families in [Families::Ipv4, Families::Both] {
            run(&FaultPlan::new(1).with(fault), DataModel::NATIVE, families);
        }
    }
}

#[test]
fn a_session_ends_by_an_error_when_its_socket_dies_or_refuses_for_good() {
    for fault in [
        Fault::Die { errno: Errno::ENOMEM }.to_program(),
        Fault::Die { errno: Errno::ECONNREFUSED }.to_kernel(),
        Fault::Refuse { errno: Errno::EPERM }.to_kernel(),
        Fault::Refuse { errno: Errno::ECONNREFUSED }.to_kernel(),
    ] {
        for number in [1, 2, 30] {
            let plan = FaultPlan::new(1).with(fault.nth(number));
            let outcome = run(&plan, DataModel::NATIVE, Families::Both);
            let dies = matches!(fault.fault(), Fault::Die { .. });
            assert_eq!(outcome.ended, !dies && number == 1, "{plan}");
        }
    }
}

#[test]
fn a_session_counts_what_happened_to_it() {
    let outcome = |fault: PlannedFault| {
        run(&FaultPlan::new(1).with(fault.rate(0.2)), DataModel::NATIVE, Families::Both)
    };
    let all = 2 * PACKETS;
    let sure = |fault: PlannedFault| {
        let outcome = outcome(fault);
        let done = outcome.done(fault.fault());
        assert!((20..60).contains(&done), "{done}");
        (done, outcome.statistics)
    };
    let (done, statistics) = sure(Fault::Overrun.to_program());
    assert_eq!(statistics.overruns, done);
    let (done, statistics) = sure(Fault::Foreign { port_id: 29 }.to_program());
    assert_eq!((statistics.foreign, statistics.packets), (done, all));
    let (done, statistics) = sure(Fault::SpuriousError { errno: Errno::ENOENT }.to_program());
    assert_eq!((statistics.refused, statistics.packets), (done, all));
    let (done, statistics) = sure(Fault::UnknownId.to_kernel());
    assert_eq!((statistics.refused, statistics.packets), (done, all));
    let (_, statistics) = sure(Fault::Interrupt.to_program());
    assert_eq!((statistics.packets, statistics.accepted + statistics.dropped), (all, all));
    for fault in [Fault::Delay { time: 7 * MS }, Fault::Reorder] {
        let (_, statistics) = sure(fault.to_program());
        assert_eq!((statistics.packets, statistics.refused), (all, 0));
    }
}

#[test]
fn delays_and_changed_orders_lose_no_packet() {
    for fault in [Fault::Delay { time: 7 * MS }, Fault::Reorder] {
        for fault in [fault.to_program(), fault.to_kernel()] {
            let plan = FaultPlan::new(1).with(fault.rate(0.5));
            let outcome = run(&plan, DataModel::NATIVE, Families::Both);
            let totals = outcome.kernel.totals();
            let statistics = outcome.statistics;
            assert_eq!(
                (totals.delivered, totals.dropped),
                (statistics.accepted, statistics.dropped),
                "{plan}"
            );
        }
    }
}

/// A bit of everything, how much of each depends on the seed.
fn mixture(seed: u64) -> FaultPlan {
    let mut plan = FaultPlan::new(seed);
    let rates = [0.0, 0.0, 0.01, 0.05, 0.3];
    let faults = each_fault().into_iter().zip(0_u32..);
    plan.extend(faults.map(|(fault, index)| {
        let drawn = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(index * 7);
        fault.rate(rates[usize::try_from(drawn % 5).unwrap()])
    }));
    plan
}

#[test]
fn a_session_survives_any_mixture() {
    for_each_seed(60, |seed| {
        let model = DataModel::ALL[usize::try_from(seed % 4).unwrap()];
        run(&mixture(seed), model, Families::Both);
    });
}

#[test]
fn the_same_seed_is_the_same_run() {
    for_each_seed(10, |seed| {
        assert_repeatable(seed, |seed| {
            let outcome = run(&mixture(seed), DataModel::NATIVE, Families::Both);
            let counts: Vec<_> = outcome.counts.iter().map(ToString::to_string).collect();
            format!("{:?}\n{}", outcome.statistics, counts.join("\n"))
        });
    });
}

#[test]
fn a_lost_request_or_answer_is_repeated() {
    for lost in [Fault::Lose.to_kernel(), Fault::Lose.to_program()] {
        let kernel = native();
        let plan = FaultPlan::new(1).with(lost.at_most(3));
        let (mut queue, _) =
            faulty_session(&kernel, Families::Ipv4, &plan, SocketOptions::default());
        queue.set_mode(WHOLE).unwrap();
        // After 0.1, 0.3 and 0.7 seconds.
        assert_eq!(queue.clock(), 700 * MS);
        send(&kernel, Family::Ipv4, b"x");
        assert_eq!(next_packet(&mut queue).1, b"x");
    }
}

#[test]
fn what_one_socket_keeps_back_is_read_when_the_time_of_the_other_is_over() {
    let kernel = native();
    let plan = FaultPlan::default();
    let (mut queue, faults) =
        faulty_session(&kernel, Families::Both, &plan, SocketOptions::default());
    queue.set_mode(WHOLE).unwrap();
    send(&kernel, Family::Ipv6, b"x");
    // IPv4 is asked first, and has nothing.
    faults[1].add(Fault::TimeOut.to_program());
    let mut buffer = [0; 256];
    let event = queue.read(&mut buffer, Some(MS)).unwrap();
    assert!(matches!(event, Some(Event::Packet(_))), "{event:?}");
}

#[test]
fn an_answer_that_was_cut_is_not_counted_as_a_packet() {
    for len in [16, 20, 35] {
        let kernel = native();
        let plan = FaultPlan::default();
        let (mut queue, faults) =
            faulty_session(&kernel, Families::Ipv4, &plan, SocketOptions::default());
        queue.set_mode(WHOLE).unwrap();
        send(&kernel, Family::Ipv4, b"x");
        let (id, _) = next_packet(&mut queue);
        queue.verdict(id, Verdict::Accept).unwrap();
        faults[0].add(Fault::Truncate { len }.to_program());
        // The second one is refused.
        queue.verdict(id, Verdict::Accept).unwrap();
        let mut buffer = [0; 256];
        let event = queue.read(&mut buffer, None).unwrap();
        assert!(matches!(event, Some(Event::Other(_))), "{event:?}");
        assert_eq!((queue.statistics().packets, queue.statistics().truncated), (1, 0));
    }
}

#[test]
fn a_mode_is_not_asked_for_for_ever() {
    let plan = FaultPlan::new(1).with(Fault::Overrun.to_program());
    let kernel = native();
    let (mut queue, _) = faulty_session(&kernel, Families::Ipv4, &plan, SocketOptions::default());
    let error = queue.set_mode(WHOLE).unwrap_err();
    assert!(
        matches!(error, Error::NoAnswer { queue: QueueName::IpQueue(Family::Ipv4) }),
        "{error:?}"
    );
}

/// Nothing says that the answer had no room.
#[test]
fn a_mode_can_be_set_while_the_buffer_is_full_and_overruns_are_ignored() {
    let kernel = native();
    let options =
        SocketOptions { receive_buffer: 2240, ignores_overrun: true, ..SocketOptions::default() };
    let (mut queue, _) = faulty_session(&kernel, Families::Ipv4, &FaultPlan::default(), options);
    queue.set_mode(WHOLE).unwrap();
    for number in 0..12 {
        send(&kernel, Family::Ipv4, &[number]);
    }
    let fitted = kernel.totals().queued;
    queue.set_mode(CopyMode::Packet { range: 200 }).unwrap();
    assert_eq!(queue.clock(), 100 * MS);
    for number in 0..fitted {
        assert_eq!(u64::from(next_packet(&mut queue).1[0]), number);
    }
    assert_eq!(queue.statistics().overruns, 0);
}

#[test]
fn verdicts_are_decided_in_the_order_that_a_test_releases() {
    let kernel = native();
    let (mut queue, faults) =
        faulty_session(&kernel, Families::Ipv4, &FaultPlan::default(), SocketOptions::default());
    queue.set_mode(WHOLE).unwrap();
    for payload in [b"a", b"b"] {
        send(&kernel, Family::Ipv4, payload);
    }
    faults[0].hold(Direction::ToKernel);
    let ids = [next_packet(&mut queue).0, next_packet(&mut queue).0];
    queue.verdicts(&ids.map(|id| (id, Verdict::Accept))).unwrap();
    assert_eq!(kernel.totals().queued, 2);
    let held = faults[0].held(Direction::ToKernel);
    for &number in held.iter().rev() {
        assert!(faults[0].release(Direction::ToKernel, number));
    }
    assert!(queue.read(&mut [0; 256], None).unwrap().is_none());
    let payloads: Vec<_> =
        kernel.delivered().iter().map(|outcome| *outcome.data.last().unwrap()).collect();
    assert_eq!(payloads, *b"ba");
}

/// `nfnetlink_queue`'s message about a packet, as a 64-bit little-endian kernel sends it.
fn announced(id: u32) -> Vec<u8> {
    let mut body = vec![2, 0, 0, 0, 11, 0, 1, 0];
    body.extend(id.to_be_bytes());
    body.extend([8, 0, 3, 0]);
    message(0x0300, 0, &body)
}

#[test]
fn a_message_whose_id_cannot_be_read_is_not_counted_as_lost() {
    let cut = |plan: FaultPlan| {
        let script = silent(Protocol::Netfilter);
        let socket = Faulty::new(script.clone(), &FaultPlan::default());
        let faults = socket.faults();
        let mut queue = Queue::with_nfqueue(socket, 0..=0, Family::Ipv4).unwrap();
        plan.faults().iter().for_each(|&fault| faults.add(fault));
        script.state().lines.extend([1, 2, 3, 4, 7].map(|id| datagram(announced(id))));
        let mut buffer = [0; 4096];
        let mut seen = Vec::new();
        for _ in 0..5 {
            if let Ok(Some(Event::Packet(packet))) = queue.read(&mut buffer, Some(MS)) {
                seen.push(packet.id().number());
            }
        }
        let statistics = queue.statistics();
        (seen, statistics.lost, statistics.truncated, statistics.malformed)
    };
    let plan = |fault: Fault| FaultPlan::new(1).with(fault.to_program().nth(2));
    assert_eq!(cut(FaultPlan::new(1)), (vec![1, 2, 3, 4, 7], 2, 0, 0));
    assert_eq!(cut(plan(Fault::Lose)), (vec![1, 3, 4, 7], 3, 0, 0));
    for len in [4, 16, 22] {
        assert_eq!(cut(plan(Fault::Truncate { len })), (vec![1, 3, 4, 7], 2, 1, 0), "{len}");
        assert_eq!(cut(plan(Fault::Shorten { len })), (vec![1, 3, 4, 7], 2, 0, 1), "{len}");
    }
    // No kernel announces out of order, so a missing id counts at once.
    assert_eq!(cut(plan(Fault::Reorder)), (vec![1, 3, 2, 4, 7], 3, 0, 0));
}

#[test]
fn a_faulty_transport_is_any_transport() {
    let script = saying([datagram(packet(7, b"x"))]);
    let socket = Faulty::new(script, &FaultPlan::default());
    assert_eq!((socket.port_id(), socket.data_model()), (4711, DataModel::Lp64Little));
    let mut queue = Queue::with(socket).unwrap();
    let mut buffer = [0; 4096];
    let event = queue.read(&mut buffer, None).unwrap();
    assert!(matches!(event, Some(Event::Packet(packet)) if packet.id().number() == 7));
}
