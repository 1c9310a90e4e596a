//! One session for both families.

use ipq::{Error, Event, Families, Family, Fault, Queue, QueueName, Verdict};
use ipq_sys::Protocol;

use crate::common::{
    MS, hears_nothing, native, next_packet, replay, send, session, silent, udp_payload,
};

#[test]
fn a_session_knows_its_families() {
    let kernel = native();
    for families in [Families::Ipv4, Families::Ipv6, Families::Both] {
        let queue = session(&kernel, families);
        assert!(queue.queues().eq(families.iter().map(QueueName::IpQueue)));
    }
    let one = Queue::with(kernel.socket(Family::Ipv6)).unwrap();
    assert!(one.queues().eq([QueueName::IpQueue(Family::Ipv6)]));
}

#[test]
fn the_busy_family_does_not_starve_the_other() {
    for (busy, quiet) in [(Family::Ipv4, Family::Ipv6), (Family::Ipv6, Family::Ipv4)] {
        let kernel = native();
        let mut queue = session(&kernel, Families::Both);
        for number in 0..100 {
            send(&kernel, busy, &[number]);
        }
        for number in 0..5 {
            send(&kernel, quiet, &[number]);
        }
        let mut seen = Vec::new();
        for _ in 0..105 {
            let (id, payload) = next_packet(&mut queue);
            seen.push((id.queue(), payload[0]));
            queue.verdict(id, Verdict::Accept).unwrap();
        }
        let quiet_at =
            seen.iter().rposition(|&(queue, _)| queue == QueueName::IpQueue(quiet)).unwrap();
        assert!(quiet_at < 10, "each in its turn: {quiet_at}");
        for family in Family::ALL {
            let numbers = seen
                .iter()
                .filter(|(of, _)| *of == QueueName::IpQueue(family))
                .map(|(_, number)| *number);
            assert!(numbers.is_sorted(), "the order within a family is kept");
        }
        assert_eq!(kernel.totals().delivered, 105);
    }
}

#[test]
fn packets_of_both_come_in_the_order_of_their_times() {
    let kernel = native();
    let mut queue = session(&kernel, Families::Both);
    replay(&kernel, Family::Ipv4, &[0, 2, 3, 7, 9]);
    replay(&kernel, Family::Ipv6, &[1, 4, 5, 6, 8, 10]);
    let mut buffer = vec![0; queue.buffer_len()];
    for ms in 0..=10_u32 {
        let event = queue.read(&mut buffer, None).unwrap();
        let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
        assert_eq!(udp_payload(&packet), u64::from(ms).to_be_bytes());
        assert_eq!(kernel.now(), ms * MS, "the kernel runs no further than to the next packet");
        let id = packet.id();
        queue.verdict(id, Verdict::Accept).unwrap();
    }
    assert!(queue.read(&mut buffer, None).unwrap().is_none());
}

#[test]
fn a_verdict_goes_to_the_family_of_its_packet() {
    let kernel = native();
    let mut queue = session(&kernel, Families::Both);
    for family in Family::ALL {
        send(&kernel, family, b"x");
    }
    let ids = [next_packet(&mut queue).0, next_packet(&mut queue).0];
    for id in ids.into_iter().rev() {
        queue.verdict(id, Verdict::Accept).unwrap();
        assert_eq!(QueueName::IpQueue(kernel.take_outcomes()[0].family), id.queue());
    }
    hears_nothing(&mut queue);
}

#[test]
fn the_same_family_twice_is_the_callers_mistake() {
    for family in Family::ALL {
        let kernel = native();
        let sockets = [kernel.socket(family), kernel.socket(family)];
        let error = Queue::with_sockets(sockets).unwrap_err();
        assert!(
            matches!(error, Error::TwoSockets(twice) if twice == QueueName::IpQueue(family)),
            "{error:?}"
        );
        assert_eq!((error.fault(), error.is_temporary()), (Fault::Caller, false));
    }
}

#[test]
fn a_transport_of_another_protocol_is_refused() {
    let error = Queue::with(silent(Protocol::Netfilter)).unwrap_err();
    assert!(matches!(error, Error::WrongProtocol(Protocol::Netfilter)), "{error:?}");
    assert!(error.to_string().contains("with_nfqueue"), "{error}");
    assert_eq!(error.fault(), Fault::Caller);
}

#[test]
fn families_have_names() {
    for (name, families) in
        [("ipv4", Families::Ipv4), ("ipv6", Families::Ipv6), ("both", Families::Both)]
    {
        assert_eq!(name.parse(), Ok(families));
        assert_eq!(families.to_string(), name);
        assert_eq!(format!("{families:>6}|"), format!("{name:>6}|"));
    }
    for wrong in ["", "IPv4", "ip", "4", "both ", "ipv4,ipv6"] {
        let error = wrong.parse::<Families>().unwrap_err();
        assert!(error.contains("ipv4, ipv6 or both"), "{error}");
    }
}

#[test]
fn families_contain_their_members() {
    assert_eq!(Families::default(), Families::Both);
    for family in Family::ALL {
        assert!(Families::Both.contains(family));
        let one = Families::from(family);
        assert!(one.iter().eq([family]));
        for other in Family::ALL {
            assert_eq!(one.contains(other), family == other);
        }
    }
    assert!(Families::Both.iter().eq(Family::ALL), "IPv4 first");
}
