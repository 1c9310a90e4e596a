//! The recorded conversations, replayed against the simulated kernel, which must say what the real one said. What is
//! compared and what is not, `ipq_tests::conformance` says.
//!
//! The other tests here change the recordings, and want each change to be noticed: nothing passes for lack of looking.

use std::collections::BTreeSet;

use ipq_tests::conformance::{self, Arm, Report};
use ipq_tests::namespace;
use ipq_tests::recording::{self, Counters, Event, Packet, Received, Recording};

/// Where the id is in a packet message.
const ID_OF_PACKET: core::ops::Range<usize> = 16..24;

/// The bytes of a packet message before its payload, netlink header included.
const PACKET_HEAD: usize = 16 + 96;

/// Both recordings.
fn recordings() -> [Recording; 2] {
    [recording::probe().expect("the probe"), recording::packets().expect("the packets")]
}

#[test]
fn the_simulated_kernel_says_what_the_real_one_said() {
    let report = conformance::replay(&recordings());
    assert_eq!(report.differences().count(), 0, "\n{report}");
    assert_eq!((report.conversations.len(), report.exchanges()), (60, 981));
}

#[test]
fn the_bridge_over_the_simulated_kernel_says_what_ip_queue_said() {
    let report = conformance::replay_on(Arm::BridgeOnSimulated, &recordings()).expect("an arm");
    assert_eq!(report.differences().count(), 0, "\n{report}");
    assert_eq!((report.conversations.len(), report.left_out.len()), (59, 1));
}

#[test]
fn the_bridge_over_the_real_kernel_says_what_ip_queue_said() {
    let name = "conformance::the_bridge_over_the_real_kernel_says_what_ip_queue_said";
    namespace::run(name, || {
        let report = conformance::replay_on(Arm::BridgeOnReal, &recordings())?;
        assert_eq!(report.differences().count(), 0, "\n{report}");
        assert_eq!((report.conversations.len(), report.left_out.len()), (46, 14));
        Ok(())
    });
}

#[test]
fn a_report_is_the_same_every_time() {
    assert_eq!(conformance::replay(&recordings()), conformance::replay(&recordings()));
}

/// Plants a difference in every event that `change` likes to change, and wants a report of each of these lines, and
/// of no others. Returns how many they were.
///
/// `change` is told whether the event is the first message of its conversation.
#[track_caller]
fn plant(change: impl Fn(&mut Event, bool) -> bool) -> usize {
    let mut recordings = recordings();
    let mut planted = BTreeSet::new();
    for recording in &mut recordings {
        for conversation in &mut recording.conversations {
            let mut is_first = true;
            for item in &mut conversation.items {
                if change(&mut item.event, is_first) {
                    planted.insert((recording.file, item.line));
                }
                is_first &= !matches!(item.event, Event::Receive(_));
            }
        }
    }
    if !planted.is_empty() {
        assert_eq!(lines(&conformance::replay(&recordings)), planted);
    }
    planted.len()
}

/// Where a report has differences.
fn lines(report: &Report) -> BTreeSet<(&'static str, usize)> {
    report.differences().map(|difference| (difference.file, difference.line)).collect()
}

/// Flips a bit of the recorded byte `at`, if there is one and it belongs to the message.
fn flip(received: &mut Received, at: usize) -> bool {
    let message_len = match &received.packet {
        Some(packet) => PACKET_HEAD + usize::try_from(packet.data_len).expect("a length"),
        None => usize::try_from(received.header.len).expect("a length"),
    };
    let byte = received.bytes.get_mut(at).filter(|_| at < message_len);
    byte.map(|byte| *byte ^= 1).is_some()
}

#[test]
fn every_byte_of_every_reply_counts() {
    let flips = (0..80).map(|at| {
        plant(|event, _| match event {
            Event::Receive(received) if received.error.is_some() => flip(received, at),
            _ => false,
        })
    });
    assert_eq!(flips.sum::<usize>(), 5862);
}

/// But for the id, and for the payload of the first message, with which the packet entered.
#[test]
fn every_byte_of_every_packet_message_counts() {
    let offsets = (0..600).filter(|at| !ID_OF_PACKET.contains(at));
    let flips = offsets.map(|at| {
        plant(|event, is_first| match event {
            Event::Receive(received) if received.packet.is_some() => {
                !(is_first && at >= PACKET_HEAD) && flip(received, at)
            }
            _ => false,
        })
    });
    assert_eq!(flips.sum::<usize>(), 2516);
}

#[test]
fn every_printed_field_of_a_packet_message_counts() {
    let edits: [fn(&mut Packet); 5] = [
        |packet| packet.mark ^= 1,
        |packet| packet.hook ^= 1,
        |packet| packet.indev.push('x'),
        |packet| packet.outdev.push('x'),
        |packet| packet.data_len += 1,
    ];
    for edit in edits {
        let changed = plant(|event, _| match event {
            Event::Receive(Received { packet: Some(packet), bytes, .. }) if bytes.is_empty() => {
                edit(packet);
                true
            }
            _ => false,
        });
        assert_eq!(changed, 76);
    }
}

#[test]
fn every_counter_counts() {
    let edits: [fn(&mut Counters); 7] = [
        |counters| counters.peer_pid ^= 1,
        |counters| counters.copy_mode ^= 1,
        |counters| counters.copy_range ^= 1,
        |counters| counters.queue_len ^= 1,
        |counters| counters.queue_max_len ^= 1,
        |counters| counters.queue_dropped ^= 1,
        |counters| counters.netlink_dropped ^= 1,
    ];
    for edit in edits {
        let changed = plant(|event, _| match event {
            Event::Counters { counters, .. } => {
                edit(counters);
                true
            }
            _ => false,
        });
        assert_eq!(changed, 180);
    }
}

#[test]
fn every_delivery_counts() {
    let texts = plant(|event, _| match event {
        Event::Delivered { text, .. } => {
            text.insert(0, 'x');
            true
        }
        _ => false,
    });
    let lengths = plant(|event, _| match event {
        Event::Delivered { len, .. } => {
            *len += 1;
            true
        }
        _ => false,
    });
    let made_up = plant(|event, _| {
        let is_silence = matches!(event, Event::NotDelivered { .. });
        if is_silence {
            *event = Event::Delivered { len: 0, text: String::new() };
        }
        is_silence
    });
    let left_out = plant(|event, _| {
        let is_delivery = matches!(event, Event::Delivered { .. });
        if is_delivery {
            *event = Event::NotDelivered { waited_ms: 0 };
        }
        is_delivery
    });
    assert_eq!([texts, lengths, made_up, left_out], [51, 51, 24, 51]);
}

#[test]
fn silence_counts_and_so_does_a_full_buffer() {
    let overruns = plant(|event, _| {
        let is_silence = matches!(event, Event::Silence { .. });
        if is_silence {
            *event = Event::ReceiveFailed { errno: 105 };
        }
        is_silence
    });
    let silences = plant(|event, _| {
        let has_failed = matches!(event, Event::ReceiveFailed { .. });
        if has_failed {
            *event = Event::Silence { waited_ms: 0 };
        }
        has_failed
    });
    assert_eq!([overruns, silences], [63, 2]);
}

/// A packet that a verdict queues again is announced before the verdict is acknowledged.
#[test]
fn the_order_of_messages_counts() {
    let mut recordings = recordings();
    let mut swapped = 0;
    for conversation in recordings.iter_mut().flat_map(|recording| &mut recording.conversations) {
        for at in 1..conversation.items.len() {
            let [one, two] = &mut conversation.items[at - 1..=at] else { continue };
            if let (Event::Receive(first), Event::Receive(second)) = (&one.event, &two.event)
                && first.packet.is_some()
                && second.error.is_some()
            {
                core::mem::swap(&mut one.event, &mut two.event);
                swapped += 1;
            }
        }
    }
    let report = conformance::replay(&recordings);
    let differing =
        report.conversations.iter().filter(|conversation| !conversation.differences.is_empty());
    assert_eq!((swapped, differing.count()), (4, 4));
}

#[test]
fn other_lines_count() {
    let edits = [
        ("nlmsg_len 1", "nlmsg_len 2", 2),
        ("msg_flags 0x20", "msg_flags 0x0", 2),
        ("errno 98", "errno 99", 1),
        ("ip6_queue", "ip_queue", 1),
    ];
    for (from, to, expected) in edits {
        let changed = plant(|event, _| match event {
            Event::Other(text) if text.contains(from) => {
                *text = text.replace(from, to);
                true
            }
            _ => false,
        });
        assert_eq!(changed, expected, "{from}");
    }
}
