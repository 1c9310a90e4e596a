//! Messages held and released by hand.

use ipq_sim::fault::Direction::{ToKernel, ToProgram};
use ipq_sim::fault::Fault;
use ipq_sys::{Deadline, Received, Transport};

use crate::conversation::{Conversation, Heard, MS};

#[test]
fn held_messages_come_in_the_order_of_the_test() {
    let mut conversation = Conversation::new([]);
    let faults = conversation.faults.clone();
    faults.hold(ToProgram);
    conversation.queue(&["1", "2", "3", "4"]);
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Other(Received::Ended));
    assert_eq!(faults.held(ToProgram), [1, 2, 3, 4]);
    assert!(faults.release(ToProgram, 3) && faults.release(ToProgram, 1));
    assert!(!faults.release(ToProgram, 3), "it is gone");
    assert_eq!(conversation.texts(), ["3", "1"]);
    faults.release_all(ToProgram);
    conversation.queue(&["5"]);
    assert_eq!(conversation.texts(), ["2", "4", "5"]);
    assert!(conversation.counts().contains("5 messages, 5 passed"));
}

#[test]
fn some_messages_are_held_and_the_next_are_not() {
    let mut conversation = Conversation::new([]);
    conversation.faults.hold_next(ToProgram, 2);
    conversation.queue(&["1", "2", "3"]);
    assert_eq!(conversation.texts(), ["3"]);
    assert!(conversation.counts().contains("1 passed, 2 kept back"));
    conversation.faults.release_all(ToProgram);
    assert_eq!(conversation.texts(), ["1", "2"]);
}

#[test]
fn a_held_verdict_is_sent_at_the_next_call() {
    let mut conversation = Conversation::new([]);
    conversation.queue(&["a", "b"]);
    let ids = [conversation.id(), conversation.id()];
    conversation.faults.hold(ToKernel);
    for &id in &ids {
        conversation.accept(id).unwrap();
    }
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Other(Received::Ended));
    assert!(conversation.faults.release(ToKernel, 2));
    assert_eq!(conversation.hear_all(), [Heard::Answer(None)]);
    assert_eq!(conversation.delivered(), ["b"]);
    conversation.faults.release_all(ToKernel);
    assert_eq!(conversation.socket.step(Deadline::Never), Ok(ipq_sys::Stepped::Progressed));
    assert_eq!(conversation.delivered(), ["a"]);
}

#[test]
fn held_is_what_the_faults_have_left() {
    let faults = [
        Fault::Lose.to_program().nth(1),
        Fault::Delay { time: MS }.to_program(),
        Fault::Truncate { len: 30 }.to_program(),
        Fault::Interrupt.to_program().nth(2),
    ];
    let mut conversation = Conversation::new(faults);
    conversation.faults.hold(ToProgram);
    conversation.queue(&["1", "2"]);
    assert_eq!(conversation.hear(), Heard::Other(Received::Interrupted), "that is no message");
    assert_eq!(conversation.hear(), Heard::Other(Received::TimedOut));
    assert_eq!(conversation.faults.held(ToProgram), [2]);
    conversation.faults.release_all(ToProgram);
    let cut = Received::Truncated { len: 30, datagram_len: 144 };
    assert_eq!(conversation.hear(), Heard::Other(cut), "by hand, and not later");
}
