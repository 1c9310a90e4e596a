//! The descriptor is readable when a datagram of `ip_queue` waits, and not otherwise.

use ipq_proto::ip_queue::{self, Message};
use ipq_proto::netlink::Flags;
use ipq_proto::{CopyMode, DataModel, Errno, Family, Verdict};
use ipq_tests::namespace::Outcome;

use crate::fixture::{Program, datagram_pair, in_own_networks, queue_output};

in_own_networks!(
    is_readable_for_packets_and_replies_in_their_order,
    is_not_readable_for_what_is_not_answered,
    is_readable_for_what_the_bridge_refuses_by_itself,
);

const ACK: Flags = Flags(5);

/// The errors of the replies that wait, `None` for an acknowledgement.
#[track_caller]
fn reply(program: &mut Program) -> Option<Errno> {
    assert!(program.is_readable());
    let bytes = program.receive();
    match ip_queue::datagram(DataModel::NATIVE, &bytes) {
        Ok((_, Message::Reply(reply))) => reply.errno(),
        other => panic!("no reply but {other:?}"),
    }
}

fn is_readable_for_packets_and_replies_in_their_order() -> Outcome {
    for family in Family::ALL {
        queue_output(family, 0)?;
        let mut program = Program::open(0, family)?;
        assert!(!program.is_readable(), "of claiming the queue nothing is left");
        program.set_mode(CopyMode::Packet { range: 0 }, ACK);
        let (from, to) = datagram_pair(family);
        from.send(b"first").unwrap();
        program.decide(0xdead_beef, Verdict::Accept, Flags::REQUEST, &[]);
        from.send(b"second").unwrap();
        program.decide(u64::MAX >> 1, Verdict::Stolen, ACK, &[]);

        assert_eq!(reply(&mut program), None);
        assert!(program.is_readable());
        let (first, payload) = program.packet();
        assert!(payload.ends_with(b"first"));
        assert_eq!(reply(&mut program), Some(Errno::ENOENT));
        assert!(program.is_readable());
        let (second, payload) = program.packet();
        assert!(payload.ends_with(b"second"));
        assert_eq!(reply(&mut program), Some(Errno::EINVAL));
        assert!(!program.is_readable());

        program.decide(second, Verdict::Repeat, ACK, &[]);
        assert!(program.is_readable());
        let (again, payload) = program.packet();
        assert!(payload.ends_with(b"second"));
        assert_eq!(reply(&mut program), None, "after the packet that it queued again");
        program.decide(again, Verdict::Accept, Flags::REQUEST, &[]);
        program.decide(first, Verdict::Accept, Flags::REQUEST, &[]);
        assert!(!program.is_readable());
        for text in [&b"second"[..], b"first"] {
            let mut buffer = [0; 64];
            let len = to.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], text);
        }
        assert_eq!(program.bridge.status().queue_length, 0);
    }
    Ok(())
}

fn is_not_readable_for_what_is_not_answered() -> Outcome {
    let mut program = Program::open(0, Family::Ipv4)?;
    program.set_mode(CopyMode::Metadata, Flags::REQUEST);
    program.bridge.set_max_length(7).unwrap();
    program.set_mode(CopyMode::None, Flags::REQUEST);
    assert!(!program.is_readable());
    Ok(())
}

fn is_readable_for_what_the_bridge_refuses_by_itself() -> Outcome {
    let mut program = Program::open(0, Family::Ipv4)?;
    program.set_mode(CopyMode::Metadata, Flags::NONE);
    program.decide(u64::MAX, Verdict::Accept, Flags::REQUEST, &[]);
    program.decide(1, Verdict(77), Flags::REQUEST, &vec![0xee; 100_000]);
    assert_eq!(reply(&mut program), Some(Errno::EINVAL));
    assert_eq!(reply(&mut program), Some(Errno::ENOENT));
    assert!(program.is_readable());
    // The reply repeats all of the request.
    assert!(program.receive()[80..].iter().all(|&byte| byte == 0xee));
    assert!(!program.is_readable());
    Ok(())
}
