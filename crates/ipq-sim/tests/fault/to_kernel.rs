//! What happens to requests.

use ipq_proto::{DataModel, Errno, Family};
use ipq_sim::fault::{Fault, FaultPlan, Faulty};
use ipq_sim::{Builder, SocketOptions};
use ipq_sys::{Deadline, Operation, Received, Transport};

use crate::common::{ACK, REQUEST, VERDICT, World, message, verdict_body};
use crate::conversation::{Conversation, Heard};

/// A conversation in which the program has heard of these packets, and their ids.
fn after_packets(
    faults: impl IntoIterator<Item = ipq_sim::fault::PlannedFault>,
    texts: &[&str],
) -> (Conversation, Vec<u64>) {
    let mut conversation = Conversation::new(faults);
    conversation.queue(texts);
    let ids = texts.iter().map(|_| conversation.id()).collect();
    (conversation, ids)
}

#[test]
fn a_refused_request_is_an_error_and_may_be_sent_again() {
    use Errno as E;
    for errno in [E::EAGAIN, E::ENOBUFS, E::EINTR, E::EPERM, E::ECONNREFUSED] {
        let (mut conversation, ids) =
            after_packets([Fault::Refuse { errno }.to_kernel().nth(1)], &["a"]);
        let error = conversation.accept(ids[0]).unwrap_err();
        assert_eq!((error.operation, error.errno), (Operation::Send, errno));
        assert_eq!(conversation.kernel.totals().queued, 1);
        conversation.accept(ids[0]).unwrap();
        assert_eq!(conversation.delivered(), ["a"]);
        assert!(conversation.counts().contains("to-kernel: 2 messages, 1 passed, 1 refused"));
    }
}

#[test]
fn a_lost_request_is_never_answered() {
    let (mut conversation, ids) = after_packets([Fault::Lose.to_kernel().nth(1)], &["a"]);
    conversation.accept(ids[0]).unwrap();
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Other(Received::Ended));
    conversation.accept(ids[0]).unwrap();
    assert_eq!(conversation.hear(), Heard::Answer(None));
    assert!(conversation.counts().contains("to-kernel: 2 messages, 1 passed, 1 lost"));
}

#[test]
fn a_duplicated_verdict_is_refused_the_second_time() {
    let (mut conversation, ids) = after_packets([Fault::Duplicate.to_kernel()], &["a"]);
    conversation.accept(ids[0]).unwrap();
    let answers = [Heard::Answer(None), Heard::Answer(Some(Errno::ENOENT))];
    assert_eq!(conversation.hear_all(), answers);
    assert_eq!(conversation.delivered(), ["a"]);
    assert!(conversation.counts().contains("1 messages, 1 duplicated, 2 passed"));
}

#[test]
fn reordered_verdicts_change_places() {
    let (mut conversation, ids) =
        after_packets([Fault::Reorder.to_kernel().nth(1)], &["a", "b", "c"]);
    for &id in &ids {
        conversation.accept(id).unwrap();
    }
    assert_eq!(conversation.delivered(), ["b", "a", "c"]);
}

#[test]
fn a_verdict_that_waits_for_the_next_goes_when_the_wait_ends() {
    let (mut conversation, ids) = after_packets([Fault::Reorder.to_kernel()], &["a"]);
    conversation.accept(ids[0]).unwrap();
    assert_eq!(conversation.delivered(), [""; 0]);
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Answer(None));
    assert_eq!(conversation.delivered(), ["a"]);
}

#[test]
fn a_shortened_request_is_one_that_the_kernel_does_not_understand() {
    let (mut conversation, ids) = after_packets([Fault::Shorten { len: 15 }.to_kernel()], &["a"]);
    conversation.accept(ids[0]).unwrap();
    assert_eq!(conversation.hear(), Heard::Other(Received::TimedOut));
    assert_eq!(conversation.kernel.totals().queued, 1);
}

#[test]
fn an_unknown_id_is_not_found_in_any_data_model() {
    for model in DataModel::ALL {
        for family in Family::ALL {
            let builder = Builder::default().data_model(model);
            let mut world = World::of(builder, family, SocketOptions::default());
            world.program.set_mode(ipq_proto::CopyMode::Metadata);
            let id = world.queued(b"x").id;
            let plan = FaultPlan::new(1).with(Fault::UnknownId.to_kernel().nth(1));
            let mut socket = Faulty::new(world.program.socket, &plan);
            let body = verdict_body(model, 1, id, 0);
            let verdict = message(model, VERDICT, REQUEST | ACK, 1, socket.port_id(), &body);
            let mut buffer = [0; 256];
            for expected in [Some(Errno::ENOENT), None] {
                socket.send(&[std::io::IoSlice::new(&verdict)]).unwrap();
                let received = socket.receive(&mut buffer, Deadline::Immediate).unwrap();
                let bytes = &buffer[..received.len_in_buffer()];
                let (_, answer) = ipq_proto::ip_queue::datagram(model, bytes).unwrap();
                let ipq_proto::ip_queue::Message::Reply(reply) = answer else { panic!("{answer}") };
                assert_eq!(reply.errno(), expected);
            }
            assert_eq!(world.kernel.totals().delivered, 1);
        }
    }
}

#[test]
fn what_is_no_verdict_keeps_its_bytes() {
    let (mut conversation, ids) = after_packets([Fault::UnknownId.to_kernel()], &["a"]);
    // An odd id is unknown as it is.
    conversation.accept(ids[0] | 1).unwrap();
    conversation.socket.send(&[std::io::IoSlice::new(b"nonsense")]).unwrap();
    conversation.socket.send(&[]).unwrap();
    assert_eq!(conversation.log(), [""; 0]);
}

#[test]
fn a_corrupted_request_reaches_the_kernel_with_other_bits() {
    let (mut conversation, ids) =
        after_packets([Fault::Corrupt { bytes: 1 }.to_kernel().nth(1)], &["a"]);
    conversation.accept(ids[0]).unwrap();
    assert!(conversation.counts().contains("1 messages, 1 passed"));
    let totals = conversation.kernel.totals();
    assert_eq!(totals.entered, totals.delivered + totals.dropped + totals.queued);
}

#[test]
fn a_transport_that_dies_of_a_request_is_dead() {
    let (mut conversation, ids) =
        after_packets([Fault::Die { errno: Errno::ECONNREFUSED }.to_kernel()], &["a", "b"]);
    for &id in &ids {
        assert_eq!(conversation.accept(id).unwrap_err().errno, Errno::ECONNREFUSED);
    }
    let error = conversation.socket.receive(&mut [0; 64], Deadline::Immediate).unwrap_err();
    assert_eq!(error.errno, Errno::ECONNREFUSED);
    assert!(conversation.counts().contains("to-kernel: 1 messages, 1 lost"));
}

#[test]
fn what_the_kernel_refuses_is_counted_and_told() {
    let (mut conversation, ids) =
        after_packets([Fault::Delay { time: crate::conversation::MS }.to_kernel().nth(1)], &["a"]);
    conversation.accept(ids[0]).unwrap();
    conversation.kernel.unload_ip_queue(Family::Ipv4);
    assert_eq!(conversation.accept(ids[0]).unwrap_err().errno, Errno::ECONNREFUSED);
    // The sender of a delayed request is not there any more to be told.
    assert_eq!(conversation.hear_until(Deadline::Never), Heard::Other(Received::Ended));
    assert!(conversation.counts().contains("to-kernel: 2 messages, 2 failed"));
}
