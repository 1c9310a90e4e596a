//! What happens to messages from the kernel.

use ipq_proto::Errno;
use ipq_sim::fault::{Direction, Fault};
use ipq_sys::{Batch, Deadline, Operation, Received, Stepped, Transport};

use crate::conversation::{Conversation, Heard};

#[test]
fn without_faults_all_of_it_passes_and_is_counted() {
    let mut conversation = Conversation::new([]);
    conversation.queue(&["a", "b"]);
    let id = conversation.id();
    conversation.accept(id).unwrap();
    assert_eq!(conversation.hear_all().len(), 2);
    assert_eq!(
        conversation.counts(),
        "to-program: 3 messages, 3 passed\nto-kernel: 1 messages, 1 passed"
    );
    assert_eq!(conversation.delivered(), ["a"]);
}

#[test]
fn a_lost_message_never_comes_and_its_packet_waits() {
    let mut conversation = Conversation::new([Fault::Lose.to_program().nth(2)]);
    conversation.queue(&["a", "b", "c"]);
    assert_eq!(conversation.texts(), ["a", "c"]);
    assert_eq!(conversation.log(), ["0s to-program message 2: lose"]);
    assert_eq!(
        conversation.counts(),
        "to-program: 3 messages, 2 passed, 1 lost\nto-kernel: 0 messages\n\
         1 times to-program: lose, only message 2"
    );
    assert_eq!(conversation.kernel.totals().queued, 3);
}

#[test]
fn an_overrun_is_told_and_loses_the_message() {
    let mut conversation = Conversation::new([Fault::Overrun.to_program().nth(2)]);
    conversation.queue(&["a", "b", "c"]);
    let _ = conversation.id();
    assert_eq!(conversation.hear(), Heard::Other(Received::Overrun));
    assert_eq!(conversation.texts(), ["c"]);
    assert!(conversation.counts().contains("1 lost"));
}

#[test]
fn an_overrun_is_not_told_to_a_program_that_asked_so() {
    let mut conversation = Conversation::new([Fault::Overrun.to_program().nth(2)]);
    conversation.socket.report_overruns(false).unwrap();
    conversation.queue(&["a", "b", "c"]);
    assert_eq!(conversation.texts(), ["a", "c"]);
    assert!(conversation.counts().contains("1 lost"));
}

#[test]
fn a_reordered_message_changes_places_with_the_next() {
    let mut conversation = Conversation::new([Fault::Reorder.to_program()]);
    conversation.queue(&["1", "2", "3", "4", "5"]);
    assert_eq!(conversation.texts(), ["2", "1", "4", "3"]);
    assert!(conversation.counts().contains("4 passed, 1 kept back"));
    // No next one comes, so it comes when the wait ends.
    assert!(
        matches!(conversation.hear_until(Deadline::Never), Heard::Packet(_, text) if text == "5")
    );
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Other(Received::Ended));
    assert_eq!(conversation.log().len(), 3, "2 and 4 were next to one that waited");
}

#[test]
fn a_duplicated_message_comes_twice() {
    let faults = [Fault::Duplicate.to_program().nth(1), Fault::Duplicate.to_program().nth(1)];
    let mut conversation = Conversation::new(faults);
    conversation.queue(&["a", "b"]);
    assert_eq!(conversation.texts(), ["a", "a", "a", "b"]);
    assert!(conversation.counts().contains("2 messages, 2 duplicated, 4 passed"));
}

#[test]
fn a_truncated_message_says_how_long_it_was() {
    let mut conversation = Conversation::new([Fault::Truncate { len: 40 }.to_program().nth(1)]);
    conversation.queue(&["a", "b"]);
    let cut = Received::Truncated { len: 40, datagram_len: 16 + 96 + 32 };
    assert_eq!(conversation.hear(), Heard::Other(cut));
    assert_eq!(conversation.texts(), ["b"]);
}

#[test]
fn a_shortened_message_says_nothing() {
    let mut conversation = Conversation::new([Fault::Shorten { len: 40 }.to_program().nth(1)]);
    conversation.queue(&["a", "b"]);
    let Heard::Nonsense(bytes) = conversation.hear() else { panic!("not cut") };
    assert_eq!((bytes.len(), bytes[0]), (40, 16 + 96 + 32), "the header has the true length");
    assert_eq!(conversation.texts(), ["b"]);
}

#[test]
fn messages_that_are_short_enough_are_not_cut() {
    let faults = [
        Fault::Truncate { len: 4096 }.to_program(),
        Fault::Shorten { len: 4096 }.to_program(),
        Fault::Corrupt { bytes: 0 }.to_program(),
    ];
    let mut conversation = Conversation::new(faults);
    conversation.queue(&["a"]);
    assert_eq!(conversation.texts(), ["a"]);
    assert_eq!(conversation.log(), [""; 0]);
}

#[test]
fn a_corrupted_message_differs_in_so_many_bits() {
    for bytes in [1, 3] {
        let receive = |faults: &[_]| {
            let mut conversation = Conversation::new(faults.iter().copied());
            conversation.queue(&["some text"]);
            let mut buffer = [0; 4096];
            let received = conversation.socket.receive(&mut buffer, Deadline::Immediate).unwrap();
            buffer[..received.len_in_buffer()].to_vec()
        };
        let (whole, corrupt) = (receive(&[]), receive(&[Fault::Corrupt { bytes }.to_program()]));
        assert_eq!(whole.len(), corrupt.len());
        let flipped = whole.iter().zip(&corrupt).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
        assert_eq!(flipped as usize, bytes);
    }
}

#[test]
fn foreign_senders_signals_and_errors_come_before_the_message() {
    let faults = [
        Fault::Foreign { port_id: 29 }.to_program().nth(2),
        Fault::Interrupt.to_program().nth(2),
        Fault::SpuriousError { errno: Errno::ENOENT }.to_program().nth(2),
        Fault::TimeOut.to_program().nth(3),
    ];
    let mut conversation = Conversation::new(faults);
    conversation.queue(&["a", "b", "c"]);
    let _ = conversation.id();
    assert_eq!(conversation.hear(), Heard::Other(Received::Foreign { port_id: 29 }));
    assert_eq!(conversation.hear(), Heard::Other(Received::Interrupted));
    assert_eq!(conversation.hear(), Heard::Answer(Some(Errno::ENOENT)));
    assert!(matches!(conversation.hear(), Heard::Packet(_, text) if text == "b"));
    assert_eq!(conversation.hear(), Heard::Other(Received::TimedOut));
    assert!(matches!(conversation.hear(), Heard::Packet(_, text) if text == "c"));
    assert!(conversation.counts().contains("3 messages, 1 injected, 4 passed"));
}

#[test]
fn a_wait_without_deadline_does_not_time_out() {
    let mut conversation = Conversation::new([Fault::TimeOut.to_program()]);
    conversation.queue(&["a"]);
    assert!(matches!(conversation.hear_until(Deadline::Never), Heard::Packet(..)));
}

#[test]
fn a_dead_transport_says_so_at_every_call() {
    let mut conversation =
        Conversation::new([Fault::Die { errno: Errno::ENOMEM }.to_program().nth(2)]);
    conversation.queue(&["a", "b", "c"]);
    let id = conversation.id();
    for _ in 0..2 {
        let error = conversation.socket.receive(&mut [0; 64], Deadline::Never).unwrap_err();
        assert_eq!((error.operation, error.errno), (Operation::Receive, Errno::ENOMEM));
        let error = conversation.accept(id).unwrap_err();
        assert_eq!((error.operation, error.errno), (Operation::Send, Errno::ENOMEM));
        let error = conversation.socket.step(Deadline::Never).unwrap_err();
        assert_eq!((error.operation, error.errno), (Operation::Wait, Errno::ENOMEM));
    }
    assert!(conversation.counts().contains("to-program: 2 messages, 1 passed, 1 lost"));
    assert_eq!(conversation.kernel.totals().queued, 3);
}

#[test]
fn a_batch_meets_the_same_faults() {
    let faults = [
        Fault::Lose.to_program().nth(2),
        Fault::Interrupt.to_program().nth(4),
        Fault::Die { errno: Errno::ENOMEM }.to_program().nth(6),
    ];
    let mut conversation = Conversation::new(faults);
    conversation.queue(&["1", "2", "3", "4", "5", "6", "7"]);
    let mut batch = Batch::new(16, 4096);
    conversation.socket.receive_many(&mut batch, Deadline::Immediate).unwrap();
    assert_eq!(batch.len(), 2, "a signal ends it");
    conversation.socket.receive_many(&mut batch, Deadline::Immediate).unwrap();
    assert_eq!(batch.len(), 2, "and then the error");
    assert!(conversation.socket.receive_many(&mut batch, Deadline::Immediate).is_err());
}

#[test]
fn a_message_is_kept_whole_however_small_the_buffer_is_when_it_comes() {
    let mut conversation = Conversation::new([Fault::Interrupt.to_program()]);
    conversation.queue(&["a"]);
    let received = conversation.socket.receive(&mut [0; 8], Deadline::Never);
    assert_eq!(received, Ok(Received::Interrupted));
    assert_eq!(conversation.texts(), ["a"]);
}

#[test]
fn what_is_ready_is_progress() {
    let mut conversation = Conversation::new([Fault::Duplicate.to_program()]);
    conversation.queue(&["a"]);
    let _ = conversation.id();
    assert_eq!(conversation.socket.step(Deadline::Immediate), Ok(Stepped::Progressed));
    let _ = conversation.id();
    assert_eq!(conversation.socket.step(Deadline::Immediate), Ok(Stepped::TimedOut));
    assert_eq!(conversation.socket.step(Deadline::Never), Ok(Stepped::Ended));
}

#[test]
fn faults_are_added_and_ended_while_it_runs() {
    let mut conversation = Conversation::new([]);
    conversation.queue(&["a", "b", "c"]);
    let _ = conversation.id();
    conversation.faults.add(Fault::Lose.to_program());
    assert_eq!(conversation.hear(), Heard::Other(Received::TimedOut));
    conversation.queue(&["d"]);
    conversation.faults.end_all();
    assert_eq!(conversation.texts(), ["d"]);
    let counts = conversation.faults.counts();
    assert_eq!((counts.to_program.lost, counts.faults[0].done), (2, 2));
    assert_eq!(counts.faults[0].planned.direction(), Direction::ToProgram);
}
