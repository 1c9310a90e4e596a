//! Sessions under any plan of faults, in every way of working, on both queues: what they count is the truth.
//!
//! The truth is what the simulated kernel says it did (its trace, its conversation with the program, how packets ended) and
//! what the faulty socket says it did to each message (its log). From these follows what a session must have counted:
//!
//! *Fates.* Each packet ends once: `entered = delivered + dropped` when the session is gone, and each number is there once.
//! A packet that got a verdict ended by the last one it got; any other was dropped by the kernel.
//!
//! *Reading.* Of every message that reached the program, in as many copies as the faults made of it:
//!
//! ```text
//! packets   = announcements that were handed over
//! truncated = those of them that were cut
//! refused   = errors that were handed over, those that nobody sent included
//! malformed = 0
//! overruns  = overruns by a fault, and at most as many by the kernel as it lost messages
//! foreign   = foreign messages by a fault
//! lost      = ids that are missing before one that was read (nfnetlink_queue, while messages come in order)
//! ```
//!
//! A message that was cut so far that not even its type is there counts as a packet; an answer that lacks the header of the
//! request says nothing. A message that was damaged (some bits flipped, an end missing that nobody told of) may count as
//! anything, once a copy; so with `d` copies of such, each number is that or up to `d` more.
//!
//! *Deciding.* A verdict that a session counts was sent, and everything that was sent came to an end:
//!
//! ```text
//! accepted + dropped + other = verdicts that the program gave and was not told of an error
//!                            = messages to the kernel - those whose sender was told of an error  (one message each)
//! messages + copies          = those that reached the kernel + lost + refused
//! reached the kernel         = verdicts that it carried out + errors that it answered or had no room for
//! late + unknown             = answers ENOENT that were handed over + verdicts for packets known to be gone
//! ```
//!
//! *Snapshots.* `packets_lost` is what the kernel dropped by a full queue or a full receive buffer.

#[path = "fault_plans/truth.rs"]
mod truth;
#[path = "fault_plans/ways.rs"]
mod ways;

use ipq::{Errno, Families, Queue};
use ipq_proto::DataModel;
use ipq_sim::fault::{Fault, FaultPlan, Faulty, PlannedFault};
use ipq_sim::{Device, Kernel, Match, SocketOptions, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{MS, WHOLE, replay};
use truth::Truth;
use ways::Way;

/// Which kernel, which program, and what goes wrong between them.
#[derive(Clone, Debug)]
struct Case {
    model: DataModel,
    /// Whether it is `nfnetlink_queue`; else `ip_queue`.
    is_nfqueue: bool,
    families: Families,
    way: Way,
    plan: FaultPlan,
    packets: u64,
    receive_buffer: usize,
}

/// How packets are dropped or accepted: by a number in them.
fn is_dropped(number: u64) -> bool {
    number.is_multiple_of(3)
}

fn fault() -> impl Strategy<Value = PlannedFault> {
    let both = vec![
        Fault::Lose,
        Fault::Delay { time: 7 * MS },
        Fault::Hold { release: 40 * MS },
        Fault::Reorder,
        Fault::Duplicate,
        Fault::Corrupt { bytes: 1 },
        Fault::Corrupt { bytes: 20 },
        Fault::Shorten { len: 20 },
        Fault::Shorten { len: 3 },
        Fault::Die { errno: Errno::ENOMEM },
    ];
    let to_program = vec![
        Fault::Overrun,
        Fault::Truncate { len: 4 },
        Fault::Truncate { len: 20 },
        Fault::Truncate { len: 34 },
        Fault::Truncate { len: 120 },
        Fault::Foreign { port_id: 29 },
        Fault::Interrupt,
        Fault::TimeOut,
        Fault::SpuriousError { errno: Errno::ENOENT },
        Fault::SpuriousError { errno: Errno::EINVAL },
    ];
    let refusals = [Errno::EAGAIN, Errno::ENOBUFS, Errno::EINTR, Errno::EPERM];
    let refusals = refusals.map(|errno| Fault::Refuse { errno });
    let to_kernel: Vec<_> = refusals.into_iter().chain([Fault::UnknownId]).collect();
    let planned = prop_oneof![
        select(both.clone()).prop_map(Fault::to_program),
        select(both).prop_map(Fault::to_kernel),
        select(to_program).prop_map(Fault::to_program),
        select(to_kernel).prop_map(Fault::to_kernel),
    ];
    let rates = select(vec![0.01, 0.05, 0.2, 0.5, 1.0]);
    (planned, rates, 0..4_u8, 1..20_u64).prop_map(|(fault, rate, kind, number)| match kind {
        // What ends a session is to leave something of it.
        _ if matches!(fault.fault(), Fault::Die { .. }) => fault.nth(number),
        0 => fault.every(number),
        1 => fault.nth(number),
        _ => fault.rate(rate),
    })
}

fn case() -> impl Strategy<Value = Case> {
    let families = select(vec![Families::Ipv4, Families::Ipv6, Families::Both]);
    let plan = (any::<u64>(), vec(fault(), 0..4))
        .prop_map(|(seed, faults)| faults.into_iter().fold(FaultPlan::new(seed), FaultPlan::with));
    let way = select(Way::ALL);
    let models = select(&DataModel::ALL[..]);
    let buffers = select(vec![212_992, 212_992, 10_000, 3000]);
    (models, any::<bool>(), families, way, plan, 1..60_u64, buffers).prop_map(
        |(model, is_nfqueue, families, way, plan, packets, receive_buffer)| Case {
            model,
            is_nfqueue,
            families,
            way,
            plan,
            packets,
            receive_buffer,
        },
    )
}

/// A session in order, and then the faults.
fn check(case: &Case) {
    let kernel = Kernel::builder()
        .data_model(case.model)
        .device(Device::ethernet("eth0"))
        .trace()
        .record()
        .build();
    kernel.rule(ipq::Hook::PreRouting, Match::any().input_device("eth0"), Target::Queue);
    let options = SocketOptions { receive_buffer: case.receive_buffer, ..SocketOptions::default() };
    let protocols: Vec<_> = if case.is_nfqueue {
        vec![ipq_sys::Protocol::Netfilter]
    } else {
        case.families.iter().map(ipq_sys::Protocol::ip_queue).collect()
    };
    let open = |&protocol| {
        let socket = kernel.open_socket_for(protocol, options).unwrap();
        Faulty::new(socket, &FaultPlan::new(case.plan.seed()))
    };
    let sockets: Vec<_> = protocols.iter().map(open).collect();
    let faults: Vec<_> = sockets.iter().map(Faulty::faults).collect();
    let mut queue = if case.is_nfqueue {
        let socket = sockets.into_iter().next().unwrap();
        Queue::with_nfqueue(socket, 0..=0, Families::Both).unwrap()
    } else {
        Queue::with_sockets(sockets).unwrap()
    };
    queue.set_mode(WHOLE).unwrap();
    let before = truth::Before::new(&faults);
    for (faults, fault) in
        faults.iter().flat_map(|faults| case.plan.faults().iter().map(move |fault| (faults, fault)))
    {
        faults.add(*fault);
    }
    let times: Vec<_> = (0..case.packets).collect();
    for family in case.families.iter() {
        replay(&kernel, family, &times);
    }
    let mut truth = Truth::default();
    ways::work(case.way, queue, |session, given| {
        truth = Truth::of(case, &kernel, &protocols, &faults, &before, given);
        truth.check(session, given);
    });
    kernel.run();
    truth::check_fates(case, &kernel, truth);
}

proptest! {
    #[test]
    fn what_a_session_counts_is_the_truth(case in case()) {
        check(&case);
    }
}
