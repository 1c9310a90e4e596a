//! Plans: conditions, and plans as text.

use core::time::Duration;

use ipq_proto::Errno;
use ipq_sim::fault::{Direction, Fault, FaultPlan, PlannedFault};

use crate::conversation::{Conversation, MS};

/// The messages of the first `count` that a fault strikes.
fn struck(fault: PlannedFault, count: usize) -> Vec<u64> {
    let mut conversation = Conversation::new([fault]);
    for _ in 0..count {
        conversation.queue(&["x"]);
        conversation.hear_all();
    }
    conversation.faults.take_log().iter().map(|record| record.number).collect()
}

#[test]
fn conditions_choose_messages() {
    let lose = Fault::Lose.to_program();
    assert_eq!(struck(lose, 4), [1, 2, 3, 4]);
    assert_eq!(struck(lose.nth(3), 9), [3]);
    assert_eq!(struck(lose.every(3), 9), [3, 6, 9]);
    assert_eq!(struck(lose.at_most(2), 9), [1, 2]);
    assert_eq!(struck(lose.every(2).at_most(3), 9), [2, 4, 6]);
    assert_eq!(struck(lose.rate(0.0), 100), [0; 0]);
    assert_eq!(struck(lose.rate(1.0), 3), [1, 2, 3]);
    let drawn = struck(lose.rate(0.3), 400);
    assert!((80..160).contains(&drawn.len()), "{} of 400", drawn.len());
    let fewer = struck(lose.rate(0.3).at_most(5), 400);
    assert_eq!(fewer, drawn[..5], "the same are drawn");
}

#[test]
fn nonsense_is_refused_where_it_is_written() {
    type Make = fn() -> PlannedFault;
    let refused: [(&str, Make); 8] = [
        ("the fault `overrun` can only happen to-program", || Fault::Overrun.to_kernel()),
        ("the fault `unknown-id` can only happen to-kernel", || Fault::UnknownId.to_program()),
        ("a rate is between 0 and 1, and not 1.5", || Fault::Lose.to_kernel().rate(1.5)),
        ("a rate is between 0 and 1, and not NaN", || Fault::Lose.to_kernel().rate(f64::NAN)),
        ("a rate is between 0 and 1, and not -1", || Fault::Lose.to_kernel().rate(-1.0)),
        ("messages are numbered from 1", || Fault::Lose.to_kernel().nth(0)),
        ("every 0th", || Fault::Lose.to_kernel().every(0)),
        ("not later than its first", || Fault::Lose.to_kernel().between(MS, MS)),
    ];
    for (expected, make) in refused {
        let panic = std::panic::catch_unwind(make).unwrap_err();
        let message = panic.downcast_ref::<String>().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}

/// Every fault, with every condition somewhere.
fn everything() -> FaultPlan {
    let faults = [
        Fault::Lose.to_program().rate(0.25),
        Fault::Delay { time: 1500 * MS }.to_kernel().nth(3),
        Fault::Hold { release: 2000 * MS }.to_program(),
        Fault::Reorder.to_program().every(4).at_most(5),
        Fault::Duplicate.to_kernel().between(MS, 3 * MS),
        Fault::Corrupt { bytes: 2 }.to_program(),
        Fault::Shorten { len: 10 }.to_kernel(),
        Fault::Die { errno: Errno(75) }.to_kernel(),
        Fault::Overrun.to_program(),
        Fault::Truncate { len: 100 }.to_program(),
        Fault::Foreign { port_id: 29 }.to_program(),
        Fault::Interrupt.to_program(),
        Fault::TimeOut.to_program(),
        Fault::SpuriousError { errno: Errno::ENOENT }.to_program(),
        Fault::Refuse { errno: Errno::ENOBUFS }.to_kernel(),
        Fault::UnknownId.to_kernel(),
    ];
    let mut plan = FaultPlan::new(0xff);
    plan.extend(faults);
    plan
}

#[test]
fn a_plan_prints_a_line_for_each_fault() {
    let expected = "\
seed 0xff
to-program: lose, rate 0.25
to-kernel: delay 1s 500ms, only message 3
to-program: hold until 2s
to-program: reorder, one of 4, at most 5
to-kernel: duplicate, from 1ms, until 3ms
to-program: corrupt 2 bytes
to-kernel: shorten to 10 bytes
to-kernel: die error 75
to-program: overrun
to-program: truncate to 100 bytes
to-program: foreign port id 29
to-program: interrupt
to-program: time-out
to-program: spurious-error ENOENT
to-kernel: refuse ENOBUFS
to-kernel: unknown-id";
    assert_eq!(everything().to_string(), expected);
}

#[test]
fn plans_survive_being_written_and_read() {
    let plan = everything();
    let text = toml::to_string(&plan).unwrap();
    assert_eq!(toml::from_str::<FaultPlan>(&text).unwrap(), plan, "{text}");
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<FaultPlan>(&text).unwrap(), plan, "{text}");
}

#[test]
fn a_plan_is_read_from_toml() {
    let text = r#"
        seed = 7
        [[faults]]
        fault = "delay"
        direction = "to-program"
        delay = "10ms"
        from = "1s"
        until = "1m 30s"
        at-most = 3
        [[faults]]
        fault = "foreign"
        port-id = 29
        rate = 0.5
        [[faults]]
        fault = "die"
        direction = "to-kernel"
        errno = 75
    "#;
    let second = Duration::from_secs(1);
    let delay = Fault::Delay { time: 10 * MS }.to_program();
    let expected = FaultPlan::new(7)
        .with(delay.between(second, 90 * second).at_most(3))
        .with(Fault::Foreign { port_id: 29 }.to_program().rate(0.5))
        .with(Fault::Die { errno: Errno(75) }.to_kernel());
    assert_eq!(toml::from_str::<FaultPlan>(text).unwrap(), expected);
    assert_eq!(toml::from_str::<FaultPlan>("").unwrap(), FaultPlan::default());
}

#[test]
fn text_that_makes_no_sense_is_refused_with_the_reason() {
    let refused = [
        (r#"{ "fault": "lose" }"#, "the fault `lose` needs a `direction`"),
        (r#"{ "fault": "loose", "direction": "to-kernel" }"#, "unknown variant `loose`"),
        (r#"{ "fault": "lose", "direction": "up" }"#, "unknown variant `up`"),
        (r#"{ "fault": "overrun", "direction": "to-kernel" }"#, "can only happen to-program"),
        (r#"{ "fault": "delay", "direction": "to-kernel" }"#, "the fault `delay` needs `delay`"),
        (r#"{ "fault": "refuse" }"#, "the fault `refuse` needs `errno`"),
        (r#"{ "fault": "overrun", "errno": 5 }"#, "the fault `overrun` takes no `errno`"),
        (r#"{ "fault": "refuse", "errno": "ENOSENSE" }"#, "unknown error `ENOSENSE`"),
        (r#"{ "fault": "refuse", "errno": -5 }"#, "unknown error `-5`"),
        (r#"{ "fault": "overrun", "rate": 2 }"#, "a rate is between 0 and 1, and not 2"),
        (r#"{ "fault": "overrun", "every": 0 }"#, "every 0th"),
        (r#"{ "fault": "overrun", "until": "0ms" }"#, "not later than its first"),
        (r#"{ "fault": "overrun", "from": "soon" }"#, "expected"),
        (r#"{ "fault": "overrun", "sometimes": true }"#, "unknown field `sometimes`"),
    ];
    for (text, expected) in refused {
        let error = serde_json::from_str::<PlannedFault>(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(toml::from_str::<FaultPlan>("sede = 7").is_err());
    let direction = |text| serde_json::from_str::<PlannedFault>(text).unwrap().direction();
    assert_eq!(direction(r#"{ "fault": "unknown-id" }"#), Direction::ToKernel);
}
