//! Delays, in simulated time.

use core::time::Duration;

use ipq_proto::Family;
use ipq_sim::fault::{Fault, FaultPlan, Faulty};
use ipq_sys::{Deadline, Received, Stepped, Transport, Waited, wait_any};

use crate::common::{World, udp};
use crate::conversation::{Conversation, Heard, MS};

fn says(heard: &Heard, expected: &str) -> bool {
    matches!(heard, Heard::Packet(_, text) if text == expected)
}

#[test]
fn a_delayed_message_comes_at_its_time() {
    let mut conversation = Conversation::new([Fault::Delay { time: 10 * MS }.to_program().nth(1)]);
    conversation.queue(&["late", "early"]);
    assert!(says(&conversation.hear_until(Deadline::Never), "early"));
    assert_eq!(conversation.kernel.now(), Duration::ZERO);
    assert_eq!(conversation.socket.due(), Some(10 * MS));
    // Until then it is as if nothing had come.
    assert_eq!(conversation.hear(), Heard::Other(Received::TimedOut));
    assert_eq!(conversation.hear_until(Deadline::At(9 * MS)), Heard::Other(Received::TimedOut));
    assert_eq!(conversation.kernel.now(), 9 * MS);
    assert!(says(&conversation.hear_until(Deadline::Never), "late"));
    assert_eq!((conversation.kernel.now(), conversation.socket.due()), (10 * MS, None));
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Other(Received::Ended));
}

#[test]
fn messages_are_held_until_a_time_and_come_in_order() {
    let hold = Fault::Hold { release: 10 * MS }.to_program();
    let mut conversation = Conversation::new([hold]);
    conversation.queue(&["a", "b"]);
    assert_eq!(conversation.hear_until(Deadline::At(9 * MS)), Heard::Other(Received::TimedOut));
    for text in ["a", "b"] {
        assert!(says(&conversation.hear_until(Deadline::Never), text));
        assert_eq!(conversation.kernel.now(), 10 * MS);
    }
    // What comes after that time is not held.
    conversation.queue(&["c"]);
    assert!(says(&conversation.hear(), "c"));
}

#[test]
fn a_message_that_is_due_at_the_deadline_comes() {
    let mut conversation = Conversation::new([Fault::Delay { time: 10 * MS }.to_program()]);
    conversation.queue(&["a"]);
    assert!(says(&conversation.hear_until(Deadline::At(10 * MS)), "a"));
}

#[test]
fn delays_add_up_and_copies_are_late_together() {
    let delay = |ms| Fault::Delay { time: ms * MS }.to_program();
    let faults = [delay(3), Fault::Duplicate.to_program(), delay(4)];
    let mut conversation = Conversation::new(faults);
    conversation.queue(&["a"]);
    for _ in 0..2 {
        assert!(says(&conversation.hear_until(Deadline::Never), "a"));
        assert_eq!(conversation.kernel.now(), 7 * MS);
    }
}

#[test]
fn the_kernel_goes_on_while_a_message_is_late() {
    let mut conversation = Conversation::new([Fault::Delay { time: 10 * MS }.to_program().nth(1)]);
    conversation.queue(&["late"]);
    assert_eq!(conversation.hear_until(Deadline::At(4 * MS)), Heard::Other(Received::TimedOut));
    conversation.kernel.send(Family::Ipv4, &udp(Family::Ipv4, b"early"));
    assert!(says(&conversation.hear_until(Deadline::Never), "early"));
    assert_eq!(conversation.kernel.now(), 4 * MS);
    assert!(says(&conversation.hear_until(Deadline::Never), "late"));
}

#[test]
fn a_delayed_request_is_heard_at_its_time() {
    let mut conversation = Conversation::new([Fault::Delay { time: 10 * MS }.to_kernel()]);
    conversation.queue(&["a"]);
    let id = conversation.id();
    conversation.accept(id).unwrap();
    assert_eq!(conversation.hear_until(Deadline::At(9 * MS)), Heard::Other(Received::TimedOut));
    assert_eq!(conversation.delivered(), [""; 0]);
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Answer(None));
    assert_eq!(conversation.kernel.now(), 10 * MS);
    assert_eq!(conversation.delivered(), ["a"]);
}

#[test]
fn a_step_lets_time_run_to_what_is_late() {
    let mut conversation = Conversation::new([Fault::Delay { time: 10 * MS }.to_program()]);
    conversation.queue(&["a"]);
    assert_eq!(conversation.hear(), Heard::Other(Received::TimedOut));
    assert_eq!(conversation.socket.step(Deadline::Immediate), Ok(Stepped::TimedOut));
    assert_eq!(conversation.socket.step(Deadline::At(4 * MS)), Ok(Stepped::TimedOut));
    assert_eq!(conversation.socket.step(Deadline::Never), Ok(Stepped::Progressed));
    assert_eq!(conversation.kernel.now(), 10 * MS);
    assert_eq!(conversation.texts(), ["a"]);
    assert_eq!(conversation.socket.step(Deadline::Never), Ok(Stepped::Ended));
}

#[test]
fn faults_strike_between_two_times() {
    let lose = Fault::Lose.to_program().between(2 * MS, 4 * MS);
    let mut conversation = Conversation::new([lose]);
    for text in ["0", "1", "2", "3", "4", "5"] {
        conversation.queue(&[text]);
        let heard = conversation.hear();
        assert_eq!(says(&heard, text), !["2", "3"].contains(&text), "{text}: {heard:?}");
        conversation.kernel.advance(MS);
    }
}

/// Waiting for two sockets steps the kernel behind the first; what the second keeps back is not forgotten.
#[test]
fn what_the_second_of_two_sockets_keeps_back_ends_a_wait_in_time() {
    let delayed = FaultPlan::new(1).with(Fault::Delay { time: 10 * MS }.to_program());
    let swapped = FaultPlan::new(1).with(Fault::Reorder.to_program());
    for (plan, time) in [(delayed, 10 * MS), (swapped, Duration::ZERO)] {
        let mut world = World::new(Family::Ipv6);
        let first = world.kernel.socket(Family::Ipv4);
        world.program.set_mode(ipq_proto::CopyMode::Metadata);
        let second = Faulty::new(world.program.socket, &plan);
        let (mut first, mut second) = (Faulty::new(first, &FaultPlan::default()), second);
        world.kernel.send(Family::Ipv6, &udp(Family::Ipv6, b"x"));
        world.kernel.run();
        let mut buffer = [0; 256];
        let received = second.receive(&mut buffer, Deadline::Immediate);
        assert_eq!(received, Ok(Received::TimedOut));
        let transports = [&mut first as &mut dyn Transport, &mut second];
        let waited = wait_any(transports.into_iter(), None, Deadline::Never);
        assert_eq!((waited, world.kernel.now()), (Ok(Waited::Ready), time));
        let received = second.receive(&mut buffer, Deadline::Immediate).unwrap();
        assert!(matches!(received, Received::Datagram { .. }), "{received:?}");
        let transports = [&mut first as &mut dyn Transport, &mut second];
        assert_eq!(wait_any(transports.into_iter(), None, Deadline::Never), Ok(Waited::Ended));
    }
}
