//! The same seed is the same faults.

use core::fmt::Write;

use ipq_proto::{Errno, Family};
use ipq_sim::assert_repeatable;
use ipq_sim::fault::{Fault, FaultPlan};
use ipq_sys::Deadline;

use crate::conversation::{Conversation, Heard, MS};

/// A bit of everything.
fn mixture(seed: u64) -> FaultPlan {
    let faults = [
        Fault::Lose.to_program().rate(0.05),
        Fault::Delay { time: 3 * MS }.to_program().rate(0.1),
        Fault::Reorder.to_program().rate(0.1),
        Fault::Duplicate.to_program().rate(0.1),
        Fault::Corrupt { bytes: 2 }.to_program().rate(0.1),
        Fault::Shorten { len: 20 }.to_program().rate(0.05),
        Fault::Overrun.to_program().rate(0.05),
        Fault::Interrupt.to_program().rate(0.1),
        Fault::TimeOut.to_program().rate(0.1),
        Fault::SpuriousError { errno: Errno::ENOENT }.to_program().rate(0.1),
        Fault::Refuse { errno: Errno::EAGAIN }.to_kernel().rate(0.1),
        Fault::Lose.to_kernel().rate(0.05),
        Fault::Delay { time: 5 * MS }.to_kernel().rate(0.1),
        Fault::Duplicate.to_kernel().rate(0.1),
        Fault::Corrupt { bytes: 1 }.to_kernel().rate(0.1),
        Fault::UnknownId.to_kernel().rate(0.1),
        Fault::Reorder.to_kernel().rate(0.1),
    ];
    let mut plan = FaultPlan::new(seed);
    plan.extend(faults);
    plan
}

/// All that a program hears that accepts what it can, and all faults.
fn transcript(seed: u64, family: Family) -> String {
    let mut conversation = Conversation::with(&mixture(seed), family);
    let mut transcript = String::new();
    for round in 0..60 {
        let text = round.to_string();
        conversation.queue(&[&text]);
        let end = conversation.kernel.now() + MS;
        // Not `Never`: a time-out may come where something was late.
        for _ in 0..3 {
            let heard = conversation.hear_until(Deadline::At(end));
            writeln!(transcript, "{heard:?}").unwrap();
            if let Heard::Packet(id, _) = heard {
                let sent = conversation.accept(id);
                writeln!(transcript, "{sent:?}").unwrap();
            }
        }
    }
    writeln!(transcript, "{}", conversation.counts()).unwrap();
    transcript + &conversation.log().join("\n")
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    ipq_sim::for_each_seed(20, |seed| {
        for family in Family::ALL {
            assert_repeatable(seed, |seed| transcript(seed, family));
        }
    });
}

#[test]
fn another_seed_and_another_family_give_other_faults() {
    let log = |seed, family| {
        let transcript = transcript(seed, family);
        transcript
            .lines()
            .filter(|line| line.contains(" message "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let first = log(1, Family::Ipv4);
    assert!(first.len() > 20);
    assert_ne!(first, log(2, Family::Ipv4));
    assert_ne!(first, log(1, Family::Ipv6));
}

#[test]
fn a_fault_draws_the_same_whatever_comes_after_it() {
    let lost = |plan: &FaultPlan| {
        let mut conversation = Conversation::with(plan, Family::Ipv4);
        for _ in 0..200 {
            conversation.queue(&["x"]);
            conversation.hear_all();
        }
        let log = conversation.faults.take_log().into_iter();
        let lost = log.filter(|record| record.fault == Fault::Lose);
        lost.map(|record| record.number).collect::<Vec<_>>()
    };
    let alone = FaultPlan::new(7).with(Fault::Lose.to_program().rate(0.1));
    let expected = lost(&alone);
    assert!(!expected.is_empty());
    let with_others = alone
        .with(Fault::Corrupt { bytes: 3 }.to_program())
        .with(Fault::Duplicate.to_program().rate(0.5));
    assert_eq!(lost(&with_others), expected);
}
