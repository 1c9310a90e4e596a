//! What becomes of packets by their verdicts.

use ipq_proto::{Family, Hook};
use ipq_sim::{Table, Target};
use ipq_tests::namespace::{Outcome, Skipped};

use crate::network::{Network, Options};
use crate::request::{BATCH, REQUEST, Request, VERDICT};

in_own_networks!(
    each_verdict,
    each_verdict_in_a_batch,
    replacements,
    replacements_of_any_length,
    marks_and_priorities,
    what_a_batch_does_not_take,
    batches_and_ids,
    batches_half_way_round,
    in_any_order,
    to_another_queue,
    to_no_queue,
    again_and_past_the_rest,
    acknowledged_after_they_took_effect,
    by_a_stranger,
);

/// A queue at `LOCAL_OUT`, and one at `LOCAL_IN` which shows what came through.
const OUT: u16 = 1;
const IN: u16 = 2;

const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const QUEUE: u32 = 3;
const REPEAT: u32 = 4;
const STOP: u32 = 5;

fn network() -> Result<Network, Skipped> {
    let mut network = Network::new(2)?;
    for (number, hook) in [(OUT, Hook::LocalOut), (IN, Hook::LocalIn)] {
        network.queue_at(hook, number)?;
        network.tell(0, &Request::config(number).bind().mode(2, 0));
    }
    Ok(network)
}

/// Decides on a packet, and accepts what comes through.
fn decide(network: &mut Network, request: &Request) {
    network.tell(0, request);
    network.listen_all("after a verdict");
    network.status();
    network.tell(0, &Request::batch(IN, ACCEPT, u32::MAX / 4).flags(REQUEST));
    network.status();
    network.delivered();
}

/// Verdicts with their upper bits: a queue's number, or an error's, and flags.
fn verdicts() -> impl Iterator<Item = u32> {
    let plain = [DROP, ACCEPT, 2, STOP, 6, 7, 0xff];
    let bits = [0, 0x100, 0x8000, 0x1_0000, 0x8_0000, 0xffff_0000, 0x8000_0000];
    plain.into_iter().flat_map(move |verdict| bits.map(|bits| verdict | bits))
}

fn each_verdict() -> Outcome {
    let mut network = network()?;
    let mut id = 0;
    for verdict in verdicts() {
        for family in Family::ALL {
            network.send_text(family, b"hello");
            id += 1;
            decide(&mut network, &Request::verdict(OUT, verdict, id));
        }
    }
    decide(&mut network, &Request::batch(OUT, DROP, id));
    Ok(())
}

fn each_verdict_in_a_batch() -> Outcome {
    let mut network = network()?;
    let mut id = 0;
    for verdict in verdicts() {
        for family in Family::ALL {
            network.send_text(family, b"hello");
            id += 1;
        }
        decide(&mut network, &Request::batch(OUT, verdict, id - 1));
        decide(&mut network, &Request::batch(OUT, verdict, id));
    }
    Ok(())
}

/// A packet to the application with a text instead of what it says.
fn with_text(network: &Network, family: Family, text: &[u8]) -> Vec<u8> {
    network.packet(family, text)
}

fn replacements() -> Outcome {
    let mut network = network()?;
    let mut id = 0;
    for family in Family::ALL {
        let good = with_text(&network, family, b"something longer than before");
        let other = with_text(&network, other(family), b"of another family");
        let (mut bad_sum, mut bad_text, mut bad_header) =
            (good.clone(), good.clone(), good.clone());
        let udp = family.header_len();
        bad_sum[udp + 6] ^= 1;
        *bad_text.last_mut().unwrap() ^= 1;
        bad_header[udp / 2] ^= 1;
        let longer = [&good[..], &[0; 9]].concat();
        let shorter = &good[..good.len() - 1];
        let short_text = with_text(&network, family, b"x");
        let replacements =
            [&good, &bad_sum, &bad_text, &bad_header, &longer, shorter, &short_text, &other];
        for replacement in replacements {
            for verdict in [ACCEPT, DROP, STOP] {
                id += 1;
                network.send_text(family, b"hello");
                decide(&mut network, &Request::verdict(OUT, verdict, id).replacement(replacement));
            }
        }
        // The padding of the last attribute may be left out, and the last of several counts.
        for request in [
            Request::new(VERDICT, OUT).decides(ACCEPT, id + 1).unpadded(10, &short_text),
            Request::new(VERDICT, OUT)
                .unpadded(10, &[0; 4])
                .decides(ACCEPT, id + 2)
                .replacement(&good),
        ] {
            id += 1;
            network.send_text(family, b"hello");
            decide(&mut network, &request);
        }
    }
    Ok(())
}

const fn other(family: Family) -> Family {
    match family {
        Family::Ipv4 => Family::Ipv6,
        Family::Ipv6 => Family::Ipv4,
    }
}

fn replacements_of_any_length() -> Outcome {
    let mut network = network()?;
    let mut id = 0;
    for family in Family::ALL {
        let whole = with_text(&network, family, &[0x41; 60]);
        for len in 0..whole.len() {
            id += 1;
            network.send_text(family, b"hello");
            decide(&mut network, &Request::verdict(OUT, ACCEPT, id).replacement(&whole[..len]));
        }
        for len in [1480, 9000, 65_000, 65_480] {
            id += 1;
            network.send_text(family, b"hello");
            let replacement = with_text(&network, family, &vec![0x42; len]);
            decide(&mut network, &Request::verdict(OUT, ACCEPT, id).replacement(&replacement));
        }
    }
    // More than an IP packet can be, and what is one by its header alone.
    for len in [65_531, 65_530, 40_000] {
        id += 1;
        network.send_text(Family::Ipv4, b"hello");
        let mut replacement = with_text(&network, Family::Ipv4, b"hello");
        replacement.resize(len, 0);
        decide(&mut network, &Request::verdict(OUT, ACCEPT, id).replacement(&replacement));
    }
    Ok(())
}

fn marks_and_priorities() -> Outcome {
    let mut network = network()?;
    let mut id = 0;
    for message_type in [VERDICT, BATCH] {
        for (mark, priority) in [(0, 0), (7, 3)] {
            for number in [0, 1, 0xdead_beef, u32::MAX] {
                let changes: [fn(Request, u32) -> Request; 4] = [
                    |request, _| request,
                    |request, number| request.mark(number),
                    |request, number| request.attribute(21, &number.to_be_bytes()),
                    |request, number| {
                        request.mark(9).mark(number).attribute(21, &number.to_be_bytes())
                    },
                ];
                for change in changes {
                    id += 1;
                    let packet = network.packet(Family::Ipv4, b"hello");
                    network.send(&packet, Options { mark, priority });
                    let request = Request::new(message_type, OUT).decides(ACCEPT, id);
                    decide(&mut network, &change(request, number));
                }
            }
        }
    }
    Ok(())
}

fn what_a_batch_does_not_take() -> Outcome {
    let mut network = network()?;
    for _ in 0..3 {
        network.send_text(Family::Ipv4, b"hello");
    }
    let packet = with_text(&network, Family::Ipv4, b"another");
    decide(&mut network, &Request::batch(OUT, ACCEPT, 2).replacement(&packet));
    decide(&mut network, &Request::batch(OUT, ACCEPT, 3).replacement(&packet[..10]).mark(4));
    Ok(())
}

fn batches_and_ids() -> Outcome {
    let mut network = network()?;
    for id in [0, 1, 7, 3, 1 << 31, (1 << 31) + 5, u32::MAX, u32::MAX / 2] {
        for _ in 0..5 {
            network.send_text(Family::Ipv4, b"hello");
        }
        decide(&mut network, &Request::batch(OUT, ACCEPT, id));
        decide(&mut network, &Request::batch(OUT, ACCEPT, id));
    }
    Ok(())
}

/// Of packets whose ids are half way round from that of the batch, some count as later: a batch ends before the first.
fn batches_half_way_round() -> Outcome {
    let mut network = network()?;
    for _ in 0..7 {
        network.send_text(Family::Ipv4, b"hello");
    }
    for id in [(1 << 31) + 3, (1 << 31) + 1, (1 << 31) + 9, 1 << 31] {
        decide(&mut network, &Request::batch(OUT, ACCEPT, id));
    }
    Ok(())
}

fn in_any_order() -> Outcome {
    let mut network = network()?;
    for number in 0..10_u8 {
        network.send_text(Family::ALL[usize::from(number % 2)], &[number]);
    }
    for id in [10, 1, 5, 5, 4, 11] {
        decide(&mut network, &Request::verdict(OUT, ACCEPT, id));
    }
    for id in [4, 9, 9] {
        decide(&mut network, &Request::batch(OUT, ACCEPT, id));
    }
    let several: Vec<_> = (11..16).map(|id| Request::verdict(OUT, ACCEPT, id)).collect();
    for _ in 0..4 {
        network.send_text(Family::Ipv4, b"hello");
    }
    network.tell_all(0, &several);
    network.status();
    Ok(())
}

/// The verdict QUEUE, to a queue.
const fn queue_to(number: u16, bits: u32) -> u32 {
    QUEUE | bits | (number as u32) << 16
}

fn to_another_queue() -> Outcome {
    let mut network = network()?;
    network.tell(1, &Request::config(9).bind().mode(2, 0));
    for id in 1..4 {
        network.send_text(Family::Ipv4, b"hello");
        decide(&mut network, &Request::verdict(OUT, queue_to(9, 0), id));
        network.tell(1, &Request::verdict(9, ACCEPT, id));
        network.listen_all("the owner of the first queue");
        decide(&mut network, &Request::verdict(IN, ACCEPT, id));
    }
    // To itself, as a new packet; with something else in it.
    let packet = with_text(&network, Family::Ipv4, b"another");
    network.send_text(Family::Ipv4, b"hello");
    for id in 4..8 {
        decide(&mut network, &Request::verdict(OUT, queue_to(OUT, 0), id).replacement(&packet));
    }
    network.send_text(Family::Ipv4, b"hello");
    decide(&mut network, &Request::batch(OUT, queue_to(OUT, 0), 9));
    decide(&mut network, &Request::batch(OUT, queue_to(9, 0), u32::MAX / 4));
    network.tell(1, &Request::verdict(9, queue_to(OUT, 0), 4).mark(3));
    network.listen_all("the owner of the first queue");
    Ok(())
}

fn to_no_queue() -> Outcome {
    let mut network = network()?;
    network.tell(1, &Request::config(9).bind());
    network.tell(1, &Request::config(10).bind().mode(2, 0).max_length(0));
    network.tell(1, &Request::config(11).bind().mode(2, 0).max_length(0).sets(1));
    network.tell(1, &Request::config(12).bind().sets(1));
    let mut id = 0;
    for number in [7, 9, 10, 11, 12] {
        for bits in [0, 0x8000, 0x100, 0x4000, 0xff00] {
            id += 1;
            network.send_text(Family::Ipv4, b"hello");
            decide(&mut network, &Request::verdict(OUT, queue_to(number, bits), id));
        }
    }
    Ok(())
}

fn again_and_past_the_rest() -> Outcome {
    let mut network = Network::new(2)?;
    network.rule(Table::Mangle, Hook::LocalOut, Some(1), Target::nfqueue(1))?;
    network.rule(Table::Mangle, Hook::LocalOut, Some(2), Target::nfqueue(2))?;
    network.rule(Table::Filter, Hook::LocalOut, Some(3), Target::nfqueue(3))?;
    for number in 1..4 {
        network.tell(0, &Request::config(number).bind().mode(2, 0));
    }
    let everything = |network: &mut Network, verdict, mark| {
        for number in 1..4 {
            for id in [1, 2, 3, 4] {
                let request = Request::verdict(number, verdict, id).mark(mark).flags(REQUEST);
                network.tell(0, &request);
                network.status();
            }
        }
        network.delivered();
    };
    let bits = [0x100, 0x8000, 0x5_0000].map(|bits| REPEAT | bits);
    for verdict in [REPEAT, ACCEPT, STOP].into_iter().chain(bits) {
        for mark in [1, 2, 3, 0] {
            network.send_text(Family::Ipv4, b"hello");
            everything(&mut network, verdict, mark);
            for number in 1..4 {
                network.tell(0, &Request::config(number).unbind());
                network.tell(0, &Request::config(number).bind().mode(2, 0));
            }
        }
    }
    Ok(())
}

fn acknowledged_after_they_took_effect() -> Outcome {
    let mut network = network()?;
    network.rule(Table::Mangle, Hook::PostRouting, None, Target::nfqueue(3))?;
    network.tell(0, &Request::config(3).bind().mode(2, 0));
    for id in 1..5 {
        network.send_text(Family::Ipv4, b"hello");
        network.tell(0, &Request::verdict(OUT, ACCEPT, id));
        network.tell(0, &Request::verdict(3, ACCEPT, id));
        network.tell(0, &Request::verdict(IN, ACCEPT, id));
    }
    for _ in 0..3 {
        network.send_text(Family::Ipv4, b"hello");
    }
    for number in [OUT, 3, IN] {
        network.tell(0, &Request::batch(number, ACCEPT, 7));
    }
    assert_eq!(network.delivered().len(), 7);
    Ok(())
}

fn by_a_stranger() -> Outcome {
    let mut network = network()?;
    network.send_text(Family::Ipv4, b"hello");
    for message_type in [VERDICT, BATCH] {
        for request in [
            Request::new(message_type, OUT).decides(ACCEPT, 1),
            Request::new(message_type, OUT).decides(99, 1),
            Request::new(message_type, OUT).decides(ACCEPT, 9),
            Request::new(message_type, OUT),
        ] {
            network.tell(1, &request);
        }
    }
    decide(&mut network, &Request::verdict(OUT, ACCEPT, 1));
    Ok(())
}
