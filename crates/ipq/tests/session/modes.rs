//! Setting a copy mode: its answer, and what comes while it is awaited.

use ipq::{CopyMode, Errno, Error, Event, Families, Family, Fault, Queue, QueueName, Verdict};
use ipq_sim::SocketOptions;

use crate::common::{
    WHOLE, everywhere, hears_nothing, kernel, native, next_packet, quiet_session, send, session,
    session_with,
};

#[test]
fn a_mode_says_how_much_of_a_packet_comes() {
    everywhere(|model, families| {
        for (mode, len) in [
            (CopyMode::Metadata, 0),
            (CopyMode::Packet { range: 7 }, 7),
            (CopyMode::Packet { range: 5000 }, 1000),
            (WHOLE, 1000),
        ] {
            for family in families.iter() {
                let kernel = kernel(model);
                let mut queue = quiet_session(&kernel, families, SocketOptions::default());
                queue.set_mode(mode).unwrap();
                send(&kernel, family, &vec![0x41; 1000 - family.header_len() - 8]);
                let mut buffer = vec![0; queue.buffer_len()];
                let Some(Event::Packet(packet)) = queue.read(&mut buffer, None).unwrap() else {
                    panic!("{mode} of {model}: no packet");
                };
                assert_eq!((packet.family(), packet.payload().len()), (family, len), "{mode}");
            }
        }
    });
}

#[test]
fn the_answer_is_no_event() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        hears_nothing(&mut queue);
        for family in families.iter() {
            assert_eq!(kernel.ip_queue_status(family).unwrap().copy_mode, WHOLE);
        }
    });
}

#[test]
fn without_the_capability_it_is_refused() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let options = SocketOptions { privileged: false, ..SocketOptions::default() };
        let mut queue = quiet_session(&kernel, families, options);
        let error = queue.set_mode(CopyMode::Metadata).unwrap_err();
        let first = families.iter().next().unwrap();
        assert!(
            matches!(error, Error::ModeRefused { mode: CopyMode::Metadata, queue: QueueName::IpQueue(family), errno: Errno::EPERM }
                if family == first),
            "{error:?}"
        );
        assert_eq!((error.fault(), error.is_temporary()), (Fault::System, false));
        hears_nothing(&mut queue);
    });
}

#[test]
fn while_another_program_has_the_queue_it_is_refused() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut owner = session(&kernel, families);
        let mut queue = quiet_session(&kernel, families, SocketOptions::default());
        let error = queue.set_mode(WHOLE).unwrap_err();
        assert!(matches!(error, Error::ModeRefused { errno: Errno::EBUSY, .. }), "{error:?}");
        assert_eq!((error.fault(), error.is_temporary()), (Fault::System, false));
        // The owner goes, and the same call succeeds.
        hears_nothing(&mut owner);
        drop(owner);
        queue.set_mode(WHOLE).unwrap();
        let family = families.iter().next().unwrap();
        send(&kernel, family, b"mine");
        assert_eq!(next_packet(&mut queue).1, b"mine");
    });
}

#[test]
fn with_both_families_it_may_be_refused_for_one() {
    let kernel = native();
    let _owner = session(&kernel, Family::Ipv6);
    let mut queue = quiet_session(&kernel, Families::Both, SocketOptions::default());
    let error = queue.set_mode(CopyMode::Packet { range: 40 }).unwrap_err();
    assert!(
        matches!(
            error,
            Error::ModeRefused { queue: QueueName::IpQueue(Family::Ipv6), errno: Errno::EBUSY, .. }
        ),
        "{error:?}"
    );
    // The other one works.
    send(&kernel, Family::Ipv4, b"x");
    let (id, _) = next_packet(&mut queue);
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_eq!(kernel.totals().delivered, 1);
}

#[test]
fn packets_that_come_before_the_answer_are_kept_in_order() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        let family = families.iter().last().unwrap();
        for number in 0..5 {
            send(&kernel, family, &[number]);
        }
        queue.set_mode(CopyMode::Packet { range: 100 }).unwrap();
        send(&kernel, family, &[5]);
        queue.set_mode(WHOLE).unwrap();
        send(&kernel, family, &[6]);
        for number in 0..7 {
            let (id, payload) = next_packet(&mut queue);
            assert_eq!(payload, [number], "{model} {families}");
            queue.verdict(id, Verdict::Accept).unwrap();
        }
        hears_nothing(&mut queue);
        assert_eq!(kernel.totals().delivered, 7);
    });
}

#[test]
fn a_kept_packet_can_be_cut_like_any_other() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"hello");
    queue.set_mode(CopyMode::Metadata).unwrap();
    let mut buffer = [0; 120];
    let event = queue.read(&mut buffer, None).unwrap();
    let Some(Event::Truncated { packet: Some(packet), message_len: 148 }) = event else {
        panic!("{event:?}");
    };
    assert_eq!(packet.payload().len(), 8);
    queue.verdict(packet.id(), Verdict::Accept).unwrap();
    assert_eq!(kernel.totals().delivered, 1);
}

/// A full buffer has no room for the answer; the session must neither wait for it in vain nor lose a packet.
#[test]
fn a_mode_can_be_set_while_the_receive_buffer_is_full() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let options = SocketOptions { receive_buffer: 2240, ..SocketOptions::default() };
        let mut queue = session_with(&kernel, families, options);
        let family = families.iter().next().unwrap();
        for number in 0..12 {
            send(&kernel, family, &[number]);
        }
        let fitted = kernel.totals().queued;
        queue.set_mode(CopyMode::Packet { range: 200 }).unwrap();
        let status = kernel.ip_queue_status(family).unwrap();
        assert_eq!(status.copy_mode, CopyMode::Packet { range: 200 });

        let mut buffer = vec![0; queue.buffer_len()];
        let event = queue.read(&mut buffer, None).unwrap();
        assert!(matches!(event, Some(Event::Overrun)), "{event:?}");
        for number in 0..fitted {
            assert_eq!(u64::from(next_packet(&mut queue).1[0]), number);
        }
        hears_nothing(&mut queue);
        assert_eq!(queue.statistics().overruns, 1);
    });
}

#[test]
fn a_buffer_of_the_length_it_says_holds_any_message_of_the_mode() {
    everywhere(|model, families| {
        for mode in [CopyMode::Metadata, CopyMode::Packet { range: 1 }, WHOLE] {
            let kernel = kernel(model);
            let mut queue = quiet_session(&kernel, families, SocketOptions::default());
            queue.set_mode(mode).unwrap();
            for family in families.iter() {
                send(&kernel, family, &vec![0x41; 65_000]);
                send(&kernel, family, b"");
            }
            let mut buffer = vec![0; queue.buffer_len()];
            while let Some(event) = queue.read(&mut buffer, None).unwrap() {
                let Event::Packet(packet) = event else { panic!("{mode}: {event:?}") };
                queue.verdict(packet.id(), Verdict::Drop).unwrap();
            }
        }
    });
}

#[test]
fn a_small_range_needs_a_small_buffer_and_the_largest_of_two_counts() {
    let kernel = native();
    let mut queue = quiet_session(&kernel, Families::Both, SocketOptions::default());
    for (mode, len) in [
        (CopyMode::None, 0),
        (CopyMode::Metadata, 0),
        (CopyMode::Packet { range: 41 }, 44),
        (CopyMode::Packet { range: u32::MAX }, 0x1_0000),
        (CopyMode::Packet { range: 44 }, 44),
    ] {
        queue.set_mode(mode).unwrap();
        assert_eq!(queue.buffer_len(), 16 + 96 + len, "{mode}");
    }
    // One family changes, the other one is refused: the buffer must do for both.
    kernel.unload_ip_queue(Family::Ipv6);
    queue.set_mode(WHOLE).unwrap_err();
    assert!(queue.buffer_len() > 0x1_0000);
}

#[test]
fn an_unloaded_module_refuses_the_connection() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    kernel.unload_ip_queue(Family::Ipv4);
    let error = queue.set_mode(WHOLE).unwrap_err();
    assert!(matches!(&error, Error::Transport(error) if error.errno == Errno::ECONNREFUSED));
    assert_eq!((error.fault(), error.is_temporary()), (Fault::System, false));
    kernel.load_ip_queue(Family::Ipv4);
    queue.set_mode(WHOLE).unwrap();
}

#[test]
fn a_session_without_sockets_has_nothing_to_say() {
    let mut queue = Queue::with_sockets(Vec::<ipq_sim::Socket>::new()).unwrap();
    queue.set_mode(WHOLE).unwrap();
    assert_eq!(queue.queues().count(), 0);
    assert!(queue.read(&mut [0; 100], None).unwrap().is_none());
}
