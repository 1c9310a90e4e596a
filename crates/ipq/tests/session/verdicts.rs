//! Verdicts: what is delivered, what is refused, and what the session counts.

use ipq::{
    CopyMode, Errno, Error, Event, Families, Family, Fault, PacketId, QueueName, Statistics,
    Verdict,
};
use ipq_proto::DataModel;
use ipq_sim::{Fate, Reason};

use crate::common::{everywhere, hears_nothing, kernel, native, next_packet, send, session, udp};

#[test]
fn every_verdict_does_what_it_says() {
    everywhere(|model, families| {
        for family in families.iter() {
            for (verdict, fate) in [
                (Verdict::Accept, Some(Fate::Delivered)),
                (Verdict::Drop, Some(Fate::Dropped(Reason::Verdict))),
                (Verdict::Stop, Some(Fate::Delivered)),
                (Verdict::Queue, None),
                (Verdict::Repeat, None),
            ] {
                let kernel = kernel(model);
                let mut queue = session(&kernel, families);
                send(&kernel, family, b"v");
                let (id, _) = next_packet(&mut queue);
                queue.verdict(id, verdict).unwrap();
                let ended = kernel.take_outcomes().first().map(|outcome| outcome.fate);
                assert_eq!(ended, fate, "{verdict}");
                if fate.is_none() {
                    let (again, payload) = next_packet(&mut queue);
                    assert_ne!(again, id);
                    assert_eq!(payload, b"v");
                }
                hears_nothing(&mut queue);
            }
        }
    });
}

#[test]
fn a_replacement_is_what_is_delivered() {
    everywhere(|model, families| {
        for family in families.iter() {
            for len in [0, 5, 40_001] {
                let kernel = kernel(model);
                let mut queue = session(&kernel, families);
                send(&kernel, family, b"original");
                let (id, _) = next_packet(&mut queue);
                let replacement = udp(family, &vec![0x42; len]);
                queue.verdict_with(id, Verdict::Accept, &replacement).unwrap();
                hears_nothing(&mut queue);
                assert_eq!(kernel.delivered()[0].data, replacement);
            }
        }
    });
}

#[test]
fn an_empty_replacement_is_none() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"original");
    let (id, _) = next_packet(&mut queue);
    queue.verdict_with(id, Verdict::Accept, &[]).unwrap();
    assert_eq!(kernel.delivered()[0].data, udp(Family::Ipv4, b"original"));
}

#[test]
fn a_replacement_is_taken_in_mode_metadata() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv6);
    queue.set_mode(CopyMode::Metadata).unwrap();
    send(&kernel, Family::Ipv6, b"original");
    let mut buffer = vec![0; queue.buffer_len()];
    let event = queue.read(&mut buffer, None).unwrap();
    let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
    assert_eq!(packet.payload(), b"");
    queue.verdict_with(packet.id(), Verdict::Accept, &udp(Family::Ipv6, b"other")).unwrap();
    assert_eq!(kernel.delivered()[0].data, udp(Family::Ipv6, b"other"));
}

#[test]
fn an_id_that_is_not_queued_is_refused_by_name() {
    everywhere(|model, families| {
        for family in families.iter() {
            let kernel = kernel(model);
            let mut queue = session(&kernel, families);
            for (number, replacement) in
                [(0, &[][..]), (0xdead_beef, &[]), (1, &udp(family, b"replacement"))]
            {
                let id = PacketId::in_ip_queue(family, number);
                queue.verdict_with(id, Verdict::Accept, replacement).unwrap();
                let mut buffer = vec![0; queue.buffer_len()];
                let event = queue.read(&mut buffer, None).unwrap();
                let Some(Event::Refused(refusal)) = event else { panic!("{event:?}") };
                assert_eq!((refusal.errno, refusal.packet), (Errno::ENOENT, Some(id)));
                assert!(refusal.to_string().contains("not queued any more"), "{refusal}");
            }
            assert_eq!(queue.statistics().refused, 3);
        }
    });
}

#[test]
fn a_verdict_that_comes_too_late_is_refused() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"x");
    let (id, _) = next_packet(&mut queue);
    kernel.device_down("lo");
    queue.verdict(id, Verdict::Accept).unwrap();
    let mut buffer = vec![0; queue.buffer_len()];
    let event = queue.read(&mut buffer, None).unwrap();
    assert!(
        matches!(event, Some(Event::Refused(refusal)) if refusal.packet == Some(id)),
        "{event:?}"
    );
}

#[test]
fn a_verdict_that_is_not_allowed_is_refused_and_the_packet_waits() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"x");
    let (id, _) = next_packet(&mut queue);
    for verdict in [Verdict::Stolen, Verdict(6), Verdict(0x1_0003)] {
        queue.verdict(id, verdict).unwrap();
        let mut buffer = vec![0; queue.buffer_len()];
        let event = queue.read(&mut buffer, None).unwrap();
        let Some(Event::Refused(refusal)) = event else { panic!("{event:?}") };
        assert_eq!((refusal.errno, refusal.packet), (Errno::EINVAL, Some(id)));
    }
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_eq!(kernel.totals().delivered, 1);
}

#[test]
fn an_id_beyond_the_kernels_words_is_the_callers_mistake() {
    for model in DataModel::ALL {
        let kernel = kernel(model);
        let mut queue = session(&kernel, Family::Ipv4);
        let sent = queue.verdict(PacketId::in_ip_queue(Family::Ipv4, 1 << 32), Verdict::Accept);
        match (model.word_len(), sent) {
            (8, Ok(())) => {
                let mut buffer = vec![0; queue.buffer_len()];
                let event = queue.read(&mut buffer, None).unwrap();
                assert!(matches!(event, Some(Event::Refused(_))), "{event:?}");
            }
            (4, Err(error @ Error::Number(_))) => {
                assert_eq!((error.fault(), error.is_temporary()), (Fault::Caller, false));
                assert_eq!(queue.statistics(), Statistics::default(), "nothing was sent");
                hears_nothing(&mut queue);
            }
            (_, other) => panic!("{model}: {other:?}"),
        }
    }
}

#[test]
fn a_packet_of_a_family_without_queue_is_the_callers_mistake() {
    for (family, other) in [(Family::Ipv4, Family::Ipv6), (Family::Ipv6, Family::Ipv4)] {
        let kernel = native();
        let mut queue = session(&kernel, family);
        let error = queue.verdict(PacketId::in_ip_queue(other, 1), Verdict::Accept).unwrap_err();
        assert!(
            matches!(error, Error::WrongQueue(id) if id.queue() == QueueName::IpQueue(other)),
            "{error:?}"
        );
        assert_eq!((error.fault(), error.is_temporary()), (Fault::Caller, false));
        let expected = Statistics { unknown_verdicts: 1, ..Statistics::default() };
        assert_eq!(queue.statistics(), expected);
        hears_nothing(&mut queue);
    }
}

#[test]
fn after_the_module_is_gone_a_verdict_fails() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"x");
    let (id, _) = next_packet(&mut queue);
    kernel.unload_ip_queue(Family::Ipv4);
    let error = queue.verdict(id, Verdict::Accept).unwrap_err();
    assert!(matches!(&error, Error::Transport(error) if error.errno == Errno::ECONNREFUSED));
    assert_eq!(queue.statistics().accepted, 0);
}

#[test]
fn statistics_add_up() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        assert_eq!(queue.statistics(), Statistics::default());
        let mut bytes = 0;
        let verdicts = [
            Verdict::Accept,
            Verdict::Drop,
            Verdict::Accept,
            Verdict::Stop,
            Verdict::Accept,
            Verdict::Drop,
        ];
        for family in families.iter() {
            for verdict in verdicts {
                send(&kernel, family, b"counted");
                bytes += udp(family, b"counted").len() as u64;
                let (id, _) = next_packet(&mut queue);
                queue.verdict(id, verdict).unwrap();
            }
            let unknown = PacketId::in_ip_queue(family, 1);
            queue.verdict(unknown, Verdict::Queue).unwrap();
            let mut buffer = vec![0; queue.buffer_len()];
            queue.read(&mut buffer, None).unwrap();
        }
        let n = families.iter().count() as u64;
        assert_eq!(
            queue.statistics(),
            Statistics {
                packets: 6 * n,
                bytes,
                accepted: 3 * n,
                dropped: 2 * n,
                other_verdicts: 2 * n,
                refused: n,
                late_verdicts: n,
                ..Statistics::default()
            }
        );
        assert_eq!(kernel.totals().delivered, 4 * n);
    });
}

#[test]
fn with_the_session_go_the_packets_without_verdict() {
    for families in [Families::Ipv4, Families::Ipv6, Families::Both] {
        let kernel = native();
        let queue = session(&kernel, families);
        for family in families.iter() {
            send(&kernel, family, b"x");
        }
        drop(queue);
        for outcome in kernel.take_outcomes() {
            assert_eq!(outcome.fate, Fate::Dropped(Reason::PeerClosed));
        }
        assert_eq!(kernel.totals().queued, 0);
    }
}
