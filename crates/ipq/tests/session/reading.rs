//! Reading: timeouts, what a packet says, messages that are cut, and those that are lost.

use core::time::Duration;

use ipq::{
    Errno, EtherType, Event, Families, Family, HardwareType, Hook, PacketId, QueueName, Verdict,
};
use ipq_sim::SocketOptions;

use crate::common::{
    MS, everywhere, hears_nothing, kernel, native, next_packet, replay, send, session,
    session_with, udp,
};

#[test]
fn a_timeout_lets_simulated_time_pass_and_no_more() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        let family = families.iter().next().unwrap();
        replay(&kernel, family, &[0, 1000]);
        let mut buffer = vec![0; queue.buffer_len()];
        let mut is_packet = |timeout| {
            let event = queue.read(&mut buffer, timeout).unwrap();
            matches!(event, Some(Event::Packet(_)))
        };
        assert!(is_packet(Some(Duration::ZERO)), "zero takes what is due now");
        assert!(!is_packet(Some(Duration::ZERO)));
        assert_eq!(kernel.now(), Duration::ZERO);
        assert!(!is_packet(Some(300 * MS)));
        assert_eq!(kernel.now(), 300 * MS);
        assert!(!is_packet(Some(699 * MS)));
        assert!(is_packet(Some(5000 * MS)));
        assert_eq!(kernel.now(), 1000 * MS, "it returns as soon as there is something");
        assert!(!is_packet(Some(MS)));
        assert_eq!(kernel.now(), 1001 * MS);
    });
}

#[test]
fn without_a_timeout_nothing_means_the_end() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        let family = families.iter().last().unwrap();
        replay(&kernel, family, &[0, 5000, 10_000]);
        let mut buffer = vec![0; queue.buffer_len()];
        for _ in 0..3 {
            assert!(queue.read(&mut buffer, None).unwrap().is_some());
        }
        for _ in 0..2 {
            assert!(queue.read(&mut buffer, None).unwrap().is_none());
        }
        assert_eq!(kernel.now(), 10_000 * MS);
        // Something more happens, and reading goes on.
        send(&kernel, family, b"more");
        assert_eq!(next_packet(&mut queue).1, b"more");
    });
}

#[test]
fn the_longest_timeout_is_for_ever() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    kernel.advance(MS);
    let mut buffer = vec![0; queue.buffer_len()];
    assert!(queue.read(&mut buffer, Some(Duration::MAX)).unwrap().is_none());
}

#[test]
fn a_packet_says_where_it_is_and_where_it_came_from() {
    everywhere(|model, families| {
        for family in families.iter() {
            let kernel = kernel(model);
            let mut queue = session(&kernel, families);
            replay(&kernel, family, &[3]);
            let mut buffer = vec![0; queue.buffer_len()];
            let event = queue.read(&mut buffer, None).unwrap();
            let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
            assert_eq!(packet.hook(), Hook::PreRouting);
            assert_eq!(
                (packet.family(), packet.id().queue()),
                (family, QueueName::IpQueue(family))
            );
            assert_eq!(packet.input_device().to_string(), "eth0");
            assert!(packet.output_device().is_empty());
            assert_eq!(packet.hw_type(), HardwareType::ETHERNET);
            assert_eq!(packet.hw_protocol(), family.ether_type());
            assert!(packet.hw_address().is_empty());
            let timestamp = packet.timestamp().unwrap();
            assert_eq!(timestamp.to_string(), "1795429884.003000");
            assert_eq!(packet.payload(), udp(family, &3_u64.to_be_bytes()));
        }
    });
}

#[test]
fn a_packet_of_this_host_has_a_mark_and_no_time() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv6);
    kernel.send_marked(Family::Ipv6, &udp(Family::Ipv6, b"x"), 0xabcd);
    let mut buffer = vec![0; queue.buffer_len()];
    let event = queue.read(&mut buffer, None).unwrap();
    let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
    assert_eq!((packet.mark(), packet.timestamp()), (0xabcd, None));
    assert_eq!((packet.hook(), packet.hw_protocol()), (Hook::LocalOut, EtherType::NONE));
    assert_eq!(packet.output_device().to_string(), "lo");
}

#[test]
fn a_packet_outlives_the_next_call() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"1");
    send(&kernel, Family::Ipv4, b"2");
    let (mut one, mut two) = (vec![0; queue.buffer_len()], vec![0; queue.buffer_len()]);
    let Some(Event::Packet(first)) = queue.read(&mut one, None).unwrap() else { panic!() };
    let Some(Event::Packet(second)) = queue.read(&mut two, None).unwrap() else { panic!() };
    queue.verdict(second.id(), Verdict::Accept).unwrap();
    queue.verdict(first.id(), Verdict::Accept).unwrap();
    assert_eq!((first.payload()[28], second.payload()[28]), (b'1', b'2'));
}

#[test]
fn a_message_longer_than_the_buffer_is_cut_and_its_packet_can_be_decided() {
    everywhere(|model, families| {
        for family in families.iter() {
            let head_len = 16 + 6 * model.word_len() + 48;
            let whole = udp(family, b"truncate me");
            for payload_len in [0, 1, 20, whole.len() - 1] {
                let kernel = kernel(model);
                let mut queue = session(&kernel, families);
                send(&kernel, family, b"truncate me");
                let mut buffer = vec![0; head_len + payload_len];
                let event = queue.read(&mut buffer, None).unwrap();
                let Some(Event::Truncated { packet: Some(packet), message_len }) = event else {
                    panic!("{event:?}");
                };
                assert_eq!(packet.payload(), &whole[..payload_len], "{model}");
                assert_eq!(message_len, (head_len + whole.len()).next_multiple_of(4));
                let id = packet.id();
                queue.verdict(id, Verdict::Accept).unwrap();
                hears_nothing(&mut queue);
                assert_eq!(kernel.delivered()[0].data, whole);
                assert_eq!(queue.statistics().truncated, 1);
            }
        }
    });
}

#[test]
fn a_buffer_too_small_even_for_the_id_is_no_panic() {
    everywhere(|model, families| {
        let family = families.iter().next().unwrap();
        let head_len = 16 + 6 * model.word_len() + 48;
        for len in 0..head_len {
            let kernel = kernel(model);
            let mut queue = session(&kernel, families);
            send(&kernel, family, b"x");
            let mut buffer = vec![0xa5; len];
            let event = queue.read(&mut buffer, None).unwrap();
            assert!(matches!(event, Some(Event::Truncated { packet: None, .. })), "{event:?}");
            // It is queued until the session ends.
            assert_eq!(kernel.totals().queued, 1);
            drop(queue);
            assert_eq!(kernel.totals().queued, 0);
        }
    });
}

#[test]
fn only_padding_that_does_not_fit_loses_nothing() {
    let kernel = native();
    let mut queue = session(&kernel, Family::Ipv4);
    send(&kernel, Family::Ipv4, b"hello");
    let mut buffer = vec![0; queue.buffer_len().min(16 + 96 + 33)];
    let event = queue.read(&mut buffer, None).unwrap();
    let Some(Event::Truncated { packet: Some(packet), .. }) = event else { panic!("{event:?}") };
    assert_eq!(packet.payload(), udp(Family::Ipv4, b"hello"));
}

/// The kernel repeats a refused request, replacement and all. What matters of it is at its beginning.
#[test]
fn a_refusal_that_is_cut_says_what_was_refused_all_the_same() {
    everywhere(|model, families| {
        let kernel = kernel(model);
        let mut queue = session(&kernel, families);
        let family = families.iter().next().unwrap();
        send(&kernel, family, b"x");
        let (id, _) = next_packet(&mut queue);
        queue.verdict(id, Verdict::Accept).unwrap();
        queue.verdict_with(id, Verdict::Accept, &udp(family, &[0x41; 5000])).unwrap();
        let mut buffer = [0; 1024];
        let event = queue.read(&mut buffer, None).unwrap();
        let Some(Event::Refused(refusal)) = event else { panic!("{event:?}") };
        assert_eq!((refusal.errno, refusal.packet), (Errno::ENOENT, Some(id)));
        let statistics = queue.statistics();
        assert_eq!((statistics.refused, statistics.truncated, statistics.packets), (1, 0, 1));
    });
}

#[test]
fn an_overrun_is_told_once_before_what_did_fit() {
    everywhere(|model, families| {
        for family in families.iter() {
            let kernel = kernel(model);
            let options = SocketOptions { receive_buffer: 2240, ..SocketOptions::default() };
            let mut queue = session_with(&kernel, families, options);
            for number in 0..12 {
                send(&kernel, family, &[number]);
            }
            let fitted = kernel.totals().queued;
            assert!((1..12).contains(&fitted));
            let mut buffer = vec![0; queue.buffer_len()];
            let event = queue.read(&mut buffer, None).unwrap();
            assert!(matches!(event, Some(Event::Overrun)), "{event:?}");
            for number in 0..fitted {
                let (id, payload) = next_packet(&mut queue);
                assert_eq!(u64::from(payload[0]), number);
                queue.verdict(id, Verdict::Accept).unwrap();
            }
            hears_nothing(&mut queue);
            let statistics = queue.statistics();
            assert_eq!((statistics.overruns, statistics.packets), (1, fitted));
        }
    });
}

#[test]
fn ids_print_as_the_kernels_addresses() {
    assert_eq!(
        PacketId::in_ip_queue(Family::Ipv4, 0xffff_8800_1e10_52a0).to_string(),
        "0xffff88001e1052a0"
    );
}

#[test]
fn a_session_can_move_to_another_thread() {
    let kernel = native();
    let mut queue = session(&kernel, Families::Both);
    send(&kernel, Family::Ipv4, b"x");
    let worker = std::thread::spawn(move || {
        let (id, _) = next_packet(&mut queue);
        queue.verdict(id, Verdict::Accept)
    });
    worker.join().unwrap().unwrap();
    assert_eq!(kernel.totals().delivered, 1);
}
