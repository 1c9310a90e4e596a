//! `nfnetlink_queue` over a simulated kernel: whole sessions, and what a kernel does to them.

use core::ops::RangeInclusive;

use ipq::{
    CopyMode, DefaultVerdict, Errno, Event, Families, Family, Hook, Options, PacketId, Queue,
    QueueName, Verdict,
};
use ipq_proto::DataModel;
use ipq_sim::{Action, Extras, Fate, Kernel, Match, Reason, SocketOptions, Target};
use ipq_sys::{Protocol, Transport};

use crate::common::{WHOLE, hears_nothing, next_packet, send, udp};

/// A kernel that queues what this host sends, in queue 3.
fn kernel(model: DataModel) -> Kernel {
    let kernel = Kernel::builder().data_model(model).build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(3));
    kernel
}

/// A session that has asked for whole packets of queue 3.
#[track_caller]
fn session(kernel: &Kernel, options: impl Into<Options>) -> Queue {
    session_of(kernel, 3..=3, options)
}

#[track_caller]
fn session_of(kernel: &Kernel, numbers: RangeInclusive<u16>, options: impl Into<Options>) -> Queue {
    let mut queue = Queue::with_nfqueue(kernel.nfqueue_socket(), numbers, options).unwrap();
    queue.set_mode(WHOLE).unwrap();
    queue
}

/// The fates of the packets that ended since the last call.
fn fates(kernel: &Kernel) -> Vec<Fate> {
    kernel.take_outcomes().iter().map(|outcome| outcome.fate).collect()
}

#[test]
fn packets_are_read_and_decided_in_every_byte_order() {
    for model in DataModel::ALL {
        let kernel = kernel(model);
        let mut queue = session(&kernel, Families::Both);
        for (id, family) in (1..).zip(Family::ALL) {
            send(&kernel, family, b"hello");
            assert_eq!(next_packet(&mut queue), (PacketId::in_nfqueue(3, id), b"hello".to_vec()));
            queue.verdict(PacketId::in_nfqueue(3, id), Verdict::Accept).unwrap();
        }
        assert_eq!(fates(&kernel), [Fate::Delivered; 2], "{model}");
        hears_nothing(&mut queue);
    }
}

#[test]
fn what_was_read_and_not_decided_over_gets_the_default_at_the_end() {
    for (default, expected) in [
        (DefaultVerdict::Accept, Fate::Delivered),
        (DefaultVerdict::Drop, Fate::Dropped(Reason::Verdict)),
    ] {
        let kernel = kernel(DataModel::NATIVE);
        let mut queue = session(&kernel, Families::Both);
        for number in 0..4 {
            send(&kernel, Family::Ipv4, &[number]);
        }
        let [_, second, _] = core::array::from_fn(|_| next_packet(&mut queue).0);
        queue.verdict(second, Verdict::Accept).unwrap();
        assert_eq!(fates(&kernel), [Fate::Delivered]);
        queue.settle_rest(default).unwrap();
        kernel.run();
        assert_eq!(fates(&kernel), [expected; 3]);
        let statistics = queue.statistics();
        assert_eq!((statistics.defaulted, statistics.refused), (3, 0));
    }
}

#[test]
fn a_run_over_many_packets_ends_with_the_kernels_work() {
    let kernel = kernel(DataModel::NATIVE);
    let mut queue = session(&kernel, Options { max_length: Some(64), ..Options::default() });
    for number in 0..50_u8 {
        send(&kernel, Family::ALL[usize::from(number % 2)], &[number]);
    }
    let mut seen = 0;
    queue
        .run(|packet| {
            seen += 1;
            if packet.payload().ends_with(&[7]) { Verdict::Drop } else { Verdict::Accept }
        })
        .unwrap();
    assert_eq!(seen, 50);
    let fates = fates(&kernel);
    assert_eq!(fates.iter().filter(|&&fate| fate == Fate::Delivered).count(), 49);
    assert_eq!(fates.iter().filter(|&&fate| fate == Fate::Dropped(Reason::Verdict)).count(), 1);
    assert_eq!(kernel.totals().queued, 0);
}

#[test]
fn ids_go_on_after_they_wrap() {
    let kernel = kernel(DataModel::NATIVE);
    let mut queue = session(&kernel, Families::Both);
    kernel.set_last_nfqueue_id(3, u32::MAX - 2);
    let mut decisions = Vec::new();
    for _ in 0..5 {
        send(&kernel, Family::Ipv4, b"x");
        decisions.push((next_packet(&mut queue).0, Verdict::Accept));
    }
    assert_eq!(decisions[2].0, PacketId::in_nfqueue(3, 0));
    queue.verdicts(&decisions).unwrap();
    assert_eq!(fates(&kernel), [Fate::Delivered; 5]);
    hears_nothing(&mut queue);
}

#[test]
fn a_mark_and_a_replacement_reach_the_packet() {
    let kernel = kernel(DataModel::NATIVE);
    let mut queue = session(&kernel, Families::Both);
    send(&kernel, Family::Ipv6, b"before");
    let (id, _) = next_packet(&mut queue);
    queue.verdict_marked(id, Verdict::Accept, 0xfeed).unwrap();
    assert_eq!(kernel.take_outcomes()[0].mark, 0xfeed);
    send(&kernel, Family::Ipv6, b"before");
    let (id, _) = next_packet(&mut queue);
    let after = udp(Family::Ipv6, b"and after");
    queue.verdict_with(id, Verdict::Accept, &after).unwrap();
    assert_eq!(kernel.take_outcomes()[0].data, after);
}

#[test]
fn a_packet_tells_what_was_asked_for() {
    let kernel = Kernel::builder().with_conntrack().build();
    kernel.rule(Hook::LocalOut, Match::any(), Target::nfqueue(3));
    let all =
        Options { uid_gid: true, security_context: true, conntrack: true, ..Options::default() };
    let extras = Extras {
        priority: 6,
        owner: Some((1000, 100)),
        security_context: Some(b"label".to_vec()),
        conntrack: Some((vec![4, 0, 1, 0], 2)),
        ..Extras::default()
    };
    for (options, tells) in [(all, true), (Options::default(), false)] {
        let mut queue = session(&kernel, options);
        kernel.send_with(Family::Ipv4, &udp(Family::Ipv4, b"x"), extras.clone());
        let mut buffer = vec![0; queue.buffer_len()];
        let event = queue.read(&mut buffer, None).unwrap();
        let Some(Event::Packet(packet)) = event else { panic!("{event:?}") };
        let asked = |value: Option<u32>| value.filter(|_| tells);
        assert_eq!((packet.uid(), packet.gid()), (asked(Some(1000)), asked(Some(100))));
        assert_eq!(packet.security_context(), Some(&b"label"[..]).filter(|_| tells));
        assert_eq!(packet.conntrack().is_some(), tells);
        assert_eq!(packet.conntrack_info(), asked(Some(2)));
        assert_eq!(packet.priority(), Some(6));
    }
}

#[test]
fn what_the_kernel_does_not_have_is_refused_when_it_is_asked_for() {
    let kernel = kernel(DataModel::NATIVE);
    let options = Options { conntrack: true, ..Options::default() };
    let error = Queue::with_nfqueue(kernel.nfqueue_socket(), 3..=3, options).unwrap_err();
    assert!(error.to_string().contains("connection tracking"), "{error}");
}

#[test]
fn a_queue_has_one_session_and_is_free_after_it() {
    let kernel = kernel(DataModel::NATIVE);
    let queue = session(&kernel, Families::Both);
    let second = Queue::with_nfqueue(kernel.nfqueue_socket(), 3..=3, Families::Both);
    let error = second.unwrap_err();
    assert!(error.to_string().contains("another"), "{error}");
    drop(queue);
    let mut third = session(&kernel, Families::Both);
    send(&kernel, Family::Ipv4, b"x");
    next_packet(&mut third);
}

#[test]
fn without_privileges_the_error_says_so() {
    let kernel = kernel(DataModel::NATIVE);
    let options = SocketOptions { privileged: false, ..SocketOptions::default() };
    let socket = kernel.open_socket_for(Protocol::Netfilter, options).unwrap();
    let error = Queue::with_nfqueue(socket, 3..=3, Families::Both).unwrap_err();
    assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
}

#[test]
fn several_queues_are_one_session() {
    let kernel = Kernel::builder().build();
    kernel.rule(Hook::LocalOut, Match::any().family(Family::Ipv4), Target::nfqueue(5));
    kernel.rule(Hook::LocalOut, Match::any().family(Family::Ipv6), Target::nfqueue(6));
    let mut queue = session_of(&kernel, 5..=6, Families::Both);
    for (family, number) in [(Family::Ipv6, 6), (Family::Ipv4, 5)] {
        send(&kernel, family, b"x");
        let (id, _) = next_packet(&mut queue);
        assert_eq!(id.queue(), QueueName::Nfqueue(number));
        queue.verdict(id, Verdict::Accept).unwrap();
    }
    assert_eq!(fates(&kernel), [Fate::Delivered; 2]);
}

#[test]
fn a_full_queue_that_fails_open_loses_nothing() {
    for fail_open in [false, true] {
        let kernel = kernel(DataModel::NATIVE);
        let options = Options { fail_open, max_length: Some(2), ..Options::default() };
        let _queue = session(&kernel, options);
        for _ in 0..3 {
            send(&kernel, Family::Ipv4, b"x");
        }
        let fate = if fail_open { Fate::Delivered } else { Fate::Dropped(Reason::QueueFull) };
        assert_eq!(fates(&kernel), [fate]);
    }
}

#[test]
fn a_verdict_for_a_packet_that_is_gone_is_refused() {
    let kernel = Kernel::builder().device(ipq_sim::Device::ethernet("eth0")).build();
    kernel.rule(Hook::PreRouting, Match::any(), Target::nfqueue(3));
    let mut queue = session(&kernel, Families::Both);
    kernel.receive("eth0", Family::Ipv4, &udp(Family::Ipv4, b"x"));
    let (id, _) = next_packet(&mut queue);
    kernel.device_down("eth0");
    queue.verdict(id, Verdict::Accept).unwrap();
    let mut buffer = vec![0; queue.buffer_len()];
    match queue.read(&mut buffer, None).unwrap() {
        Some(Event::Refused(refusal)) => {
            assert_eq!((refusal.errno, refusal.packet), (Errno::ENOENT, Some(id)));
        }
        other => panic!("no refusal but {other:?}"),
    }
}

#[test]
fn a_killed_program_gets_an_error_and_no_hang() {
    let kernel = kernel(DataModel::NATIVE);
    let socket = kernel.nfqueue_socket();
    let port_id = socket.port_id();
    let mut queue = Queue::with_nfqueue(socket, 3..=3, Families::Both).unwrap();
    queue.set_mode(CopyMode::Metadata).unwrap();
    kernel.act(&Action::Kill(port_id));
    let mut buffer = vec![0; queue.buffer_len()];
    assert!(queue.read(&mut buffer, None).is_err());
}
