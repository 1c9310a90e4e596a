//! Transports that lie, babble or keep silent: an error or an event each time, and the session survives.

use core::time::Duration;

use ipq::{CopyMode, Errno, Error, Event, Family, Fault, PacketId, Queue, QueueName, Verdict};
use ipq_proto::DataModel;
use ipq_sys::{Protocol, Transport};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::{
    MS, Said, Script, WHOLE, datagram, failed, message, packet, reply, saying, silent,
};

/// A session over what a script says.
fn over(lines: impl IntoIterator<Item = Said>) -> (Queue, Script) {
    let script = saying(lines);
    (Queue::with(script.clone()).unwrap(), script)
}

fn request_header(message_type: u16, sequence: u32) -> Vec<u8> {
    let mut header = message(message_type, sequence, &[0; 24])[..16].to_vec();
    header[6] = 1;
    header[12..16].copy_from_slice(&4711_u32.to_le_bytes());
    header
}

/// Reads the next packet, whose id must be this.
#[track_caller]
fn still_reads(queue: &mut Queue, number: u64) {
    let mut buffer = [0; 4096];
    let event = queue.read(&mut buffer, None).unwrap();
    let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
    assert_eq!(packet.id().number(), number);
}

#[test]
fn a_message_that_makes_no_sense_is_the_peers_fault_and_the_next_one_is_read() {
    let good = packet(7, b"payload");
    let with = |at: usize, bytes: &[u8]| {
        let mut damaged = good.clone();
        damaged[at..at + bytes.len()].copy_from_slice(bytes);
        datagram(damaged)
    };
    let mut senseless = vec![
        datagram(Vec::new()),
        datagram(vec![0; 16]),
        datagram(b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        datagram(message(0x13, 0, &[])),
        datagram(message(0x13, 0, &[0; 95])),
        datagram(message(2, 1, &[0; 19])),
        datagram(message(0x11, 0, &[0; 23])),
        datagram(message(0x12, 0, &[0; 23])),
        // The header's length, too small and too large.
        with(0, &15_u32.to_le_bytes()),
        with(0, &u32::MAX.to_le_bytes()),
        // The data length, a little and much too large.
        with(16 + 88, &8_u64.to_le_bytes()),
        with(16 + 88, &u64::MAX.to_le_bytes()),
        with(16 + 88, &(1_u64 << 63).to_le_bytes()),
    ];
    senseless.extend((0..good.len()).map(|len| datagram(good[..len].to_vec())));
    let count = senseless.len() as u64;
    let lines = senseless.into_iter().flat_map(|said| [said, datagram(packet(9, b"next"))]);
    let (mut queue, _) = over(lines);
    let mut buffer = [0; 4096];
    for index in 0..count {
        let error = queue.read(&mut buffer, None).unwrap_err();
        assert!(matches!(error, Error::Message(_)), "{index}: {error:?}");
        assert_eq!((error.fault(), error.is_temporary()), (Fault::Peer, false));
        still_reads(&mut queue, 9);
    }
    let statistics = queue.statistics();
    assert_eq!((statistics.malformed, statistics.packets), (count, count));
}

#[test]
fn foreign_messages_signals_and_overruns_are_events() {
    let (mut queue, _) =
        over([Said::Foreign(29), Said::Interrupted, Said::Overrun, datagram(packet(1, b"x"))]);
    let mut buffer = [0; 4096];
    let mut read = || format!("{:?}", queue.read(&mut buffer, None).unwrap().unwrap());
    assert_eq!(read(), "Foreign { port_id: 29 }");
    assert_eq!(read(), "Interrupted");
    assert_eq!(read(), "Overrun");
    assert!(read().starts_with("Packet"));
    let statistics = queue.statistics();
    assert_eq!((statistics.foreign, statistics.overruns, statistics.packets), (1, 1, 1));
}

#[test]
fn acknowledgements_nobody_asked_for_and_unknown_types_say_nothing() {
    let (mut queue, _) = over([
        datagram(reply(0, &request_header(0x12, 77), &[])),
        datagram(message(3, 0, &[])),
        datagram(message(0xffff, 0, b"whatever")),
        datagram(message(0x11, 0, &[0; 24])),
        datagram(packet(1, b"x")),
    ]);
    let mut buffer = [0; 4096];
    for expected in [2, 3, 0xffff, 0x11] {
        let event = queue.read(&mut buffer, None).unwrap();
        assert!(
            matches!(event, Some(Event::Other(message_type)) if message_type.0 == expected),
            "{event:?}"
        );
    }
    still_reads(&mut queue, 1);
}

#[test]
fn refusals_from_nowhere_are_events_with_what_can_be_made_out() {
    let verdict = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &42_u64.to_le_bytes(), &[0; 8]].concat();
    let (mut queue, _) = over([
        datagram(reply(-2, &request_header(0x12, 1), &verdict)),
        datagram(reply(-2, &request_header(0x12, 1), &verdict[..23])),
        datagram(reply(-1, &request_header(0x11, 1), &verdict)),
        datagram(reply(i32::MIN, &request_header(0xffff, u32::MAX), &[])),
        datagram(reply(16, &request_header(0, 0), &[])),
    ]);
    let mut buffer = [0; 4096];
    for (errno, number) in [(2, Some(42)), (2, None), (1, None), (i32::MAX, None), (16, None)] {
        let event = queue.read(&mut buffer, None).unwrap();
        let Some(Event::Refused(refusal)) = event else { panic!("{event:?}") };
        assert_eq!(refusal.errno, Errno(errno));
        assert_eq!(
            refusal.packet,
            number.map(|number| PacketId::in_ip_queue(Family::Ipv4, number))
        );
        assert!(!refusal.to_string().contains('\n'));
    }
    assert_eq!(queue.statistics().refused, 5);
}

#[test]
fn silence_is_no_answer() {
    let (mut queue, script) = over([]);
    script.state().acknowledges = false;
    let error = queue.set_mode(WHOLE).unwrap_err();
    assert!(
        matches!(error, Error::NoAnswer { queue: QueueName::IpQueue(Family::Ipv4) }),
        "{error:?}"
    );
    assert_eq!((error.fault(), error.is_temporary()), (Fault::Peer, false));
    assert!(script.state().now >= Duration::from_secs(5));
}

/// Each of these never ends by itself.
#[test]
fn endless_talk_is_no_answer_either() {
    for refrain in [
        datagram(reply(0, &request_header(0x11, 77), &[])),
        datagram(reply(-16, &request_header(0x11, 0), &[])),
        datagram(packet(1, b"flood")),
        datagram(b"garbage".to_vec()),
        datagram(Vec::new()),
        Said::Foreign(29),
        Said::Interrupted,
        Said::Overrun,
    ] {
        let (mut queue, script) = over([]);
        script.state().acknowledges = false;
        script.state().refrain = Some(refrain.clone());
        let error = queue.set_mode(WHOLE).unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{refrain:?}: {error:?}");
        assert!(script.state().now < Duration::from_secs(6), "{refrain:?}");
    }
}

#[test]
fn an_answer_behind_all_sorts_of_things_is_found_and_they_are_kept() {
    let (mut queue, script) = over([
        datagram(packet(1, b"one")),
        Said::Interrupted,
        Said::Foreign(29),
        datagram(b"garbage".to_vec()),
        datagram(reply(0, &request_header(0x12, 99), &[])),
        datagram(packet(2, b"two")),
    ]);
    queue.set_mode(WHOLE).unwrap();
    script.state().lines.push_back(datagram(packet(3, b"three")));
    still_reads(&mut queue, 1);
    let mut buffer = [0; 4096];
    let event = queue.read(&mut buffer, None).unwrap();
    assert!(matches!(event, Some(Event::Foreign { port_id: 29 })), "{event:?}");
    assert!(matches!(queue.read(&mut buffer, None), Err(Error::Message(_))));
    let event = queue.read(&mut buffer, None).unwrap();
    assert!(matches!(event, Some(Event::Other(_))), "{event:?}");
    still_reads(&mut queue, 2);
    still_reads(&mut queue, 3);
}

#[test]
fn after_an_overrun_the_request_is_repeated_once_all_is_read() {
    let (mut queue, script) =
        over([Said::Overrun, datagram(packet(1, b"one")), datagram(packet(2, b"two"))]);
    // No request is answered. The second one is sent as soon as the buffer is empty, the others when nothing came for
    // a while: after 0.1, 0.3, 0.7, 1.5 and 3.1 seconds of five.
    script.state().acknowledges = false;
    queue.set_mode(WHOLE).unwrap_err();
    let sent = script.state().sent.clone();
    assert_eq!(sent.len(), 2 + 5);
    assert!(sent.iter().all(|request| *request == sent[0]));
    let mut buffer = [0; 4096];
    let event = queue.read(&mut buffer, None).unwrap();
    assert!(matches!(event, Some(Event::Overrun)), "{event:?}");
    still_reads(&mut queue, 1);
    still_reads(&mut queue, 2);
}

#[test]
fn a_socket_that_fails_while_an_answer_is_awaited_says_so() {
    let (mut queue, _) = over([datagram(packet(1, b"kept")), failed(Errno(9))]);
    let error = queue.set_mode(WHOLE).unwrap_err();
    assert!(matches!(&error, Error::Transport(error) if error.errno == Errno(9)), "{error:?}");
    still_reads(&mut queue, 1);
}

#[test]
fn a_refused_mode_leaves_the_session_usable() {
    let (mut queue, script) = over([]);
    script.state().acknowledges = false;
    script.state().lines.push_back(datagram(reply(-16, &request_header(0x11, 1), &[])));
    let error = queue.set_mode(WHOLE).unwrap_err();
    assert!(matches!(error, Error::ModeRefused { errno: Errno::EBUSY, .. }), "{error:?}");
    script.state().acknowledges = true;
    queue.set_mode(WHOLE).unwrap();
}

#[test]
fn a_verdict_that_there_is_no_room_for_can_be_sent_again() {
    let (mut queue, script) = over([]);
    script.state().sendings.extend([Errno::EAGAIN, Errno::ENOBUFS, Errno::EINTR].map(Err));
    let id = PacketId::in_ip_queue(Family::Ipv4, 7);
    for _ in 0..3 {
        let error = queue.verdict(id, Verdict::Accept).unwrap_err();
        assert_eq!((error.is_temporary(), error.fault()), (true, Fault::System), "{error:?}");
    }
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_eq!(script.state().sent.len(), 1);
    assert_eq!(queue.statistics().accepted, 1);
}

#[test]
fn requests_are_made_as_libipq_makes_them() {
    let (mut queue, script) = over([]);
    queue.set_mode(CopyMode::Packet { range: 2048 }).unwrap();
    queue
        .verdict_with(
            PacketId::in_ip_queue(Family::Ipv4, 0xffff_8800_0017_e9c0),
            Verdict::Accept,
            b"new",
        )
        .unwrap();
    let sent = script.state().sent.clone();
    let mode = [
        &[40, 0, 0, 0, 0x11, 0, 5, 0, 1, 0, 0, 0, 0x67, 0x12, 0, 0][..],
        &[2, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(sent[0], mode.concat());
    let verdict = [
        &[43, 0, 0, 0, 0x12, 0, 1, 0, 2, 0, 0, 0, 0x67, 0x12, 0, 0][..],
        &[1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xe9, 0x17, 0, 0, 0x88, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0, 0],
        b"new",
    ];
    assert_eq!(sent[1], verdict.concat());
    assert_eq!(script.port_id(), 4711);
}

#[test]
fn one_lane_of_two_may_babble() {
    let scripts = [silent(Protocol::Firewall), silent(Protocol::Ip6Firewall)];
    scripts[0].state().refrain = Some(datagram(b"garbage".to_vec()));
    scripts[1].state().lines.extend((1..=3).map(|id| datagram(packet(id, b"x"))));
    let mut queue = Queue::with_sockets(scripts.clone()).unwrap();
    let mut buffer = [0; 4096];
    let mut ids = Vec::new();
    for _ in 0..6 {
        match queue.read(&mut buffer, None) {
            Ok(Some(Event::Packet(packet))) => ids.push((packet.family(), packet.id().number())),
            Err(Error::Message(_)) => (),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ids, [1, 2, 3].map(|id| (Family::Ipv6, id)), "in turn");
}

#[test]
fn a_timeout_is_measured_by_the_transports_clock() {
    let (mut queue, script) = over([]);
    script.state().now = Duration::from_secs(1000);
    let mut buffer = [0; 10];
    assert!(queue.read(&mut buffer, Some(250 * MS)).unwrap().is_none());
    assert_eq!(script.state().now, Duration::from_secs(1000) + 250 * MS);
}

fn said() -> impl Strategy<Value = Said> {
    let noise = vec(any::<u8>(), 0..150).prop_map(datagram);
    let nearly = (any::<u64>(), vec(any::<u8>(), 0..40), any::<prop::sample::Index>(), any::<u8>());
    let nearly = nearly.prop_map(|(id, payload, at, value)| {
        let mut message = packet(id, &payload);
        *at.get_mut(&mut message) = value;
        datagram(message)
    });
    let answer = (any::<i32>(), any::<u16>(), 0_u32..4, vec(any::<u8>(), 0..40));
    let answer = answer.prop_map(|(code, kind, sequence, rest)| {
        datagram(reply(code, &request_header(kind, sequence), &rest))
    });
    let others = select(vec![Said::Foreign(1), Said::Interrupted, Said::Overrun]);
    prop_oneof![noise, nearly, answer, others]
}

proptest! {
    #[test]
    fn whatever_is_said_a_session_neither_panics_nor_hangs(
        model in select(&DataModel::ALL[..]),
        lines in vec(said(), 0..30),
        buffer_len in 0_usize..300,
    ) {
        let script = saying(lines.clone());
        script.state().model = model;
        script.state().acknowledges = false;
        let mut queue = Queue::with(script.clone()).unwrap();
        let _ = queue.set_mode(WHOLE);
        script.state().lines.extend(lines);
        let mut buffer = vec![0; buffer_len];
        let mut packets = 0;
        loop {
            match queue.read(&mut buffer, Some(MS)) {
                Ok(None) => break,
                Ok(Some(Event::Packet(_) | Event::Truncated { .. })) => packets += 1,
                Ok(Some(_)) | Err(Error::Message(_)) => (),
                Err(other) => prop_assert!(false, "{:?}", other),
            }
        }
        prop_assert_eq!(queue.statistics().packets, packets);
    }
}
