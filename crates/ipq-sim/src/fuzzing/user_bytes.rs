//! Any bytes of programs against the simulated kernel, with a model that says what comes of each.

use core::iter;

use ipq_proto::{Family, Hook};
use ipq_sys::Protocol;

use super::model::packet::{Datagram, Destination, Device, Flaw};
use super::model::{Rule, Target};
use super::operation::{Operation, Options, SLOTS, Setup};
use super::run::Run;

/// More than this does no input good.
const MOST_DATAGRAMS: usize = 100;

/// What is said to the kernel: which program says it, whether it knows the id of a packet that waits, in how many parts.
///
/// The first byte of an input is the kernel: its lowest bits say whether it has long words and is big-endian, whether
/// `ip_queue` and `ip6_queue` are at work. Then come datagrams: a byte that says who and how, two with the length, and the
/// bytes.
struct Said<'d> {
    slot: usize,
    knows_id: bool,
    parts: usize,
    bytes: &'d [u8],
}

/// Sends what is in `data` to a simulated kernel and to a model of it, from several programs, while packets come.
///
/// # Panics
///
/// If the two differ in an answer, a message, a file, a counter or the end of a packet.
pub fn user_bytes(data: &[u8]) {
    let Some((&kind, mut rest)) = data.split_first() else { return };
    let mut run = start(kind);
    let said = iter::from_fn(|| next(&mut rest));
    for said in said.take(MOST_DATAGRAMS) {
        for family in Family::ALL {
            run.apply(&packet(family));
        }
        run.apply(&Operation::Run);
        let mut datagram = said.bytes.to_vec();
        if said.knows_id {
            run.write_id(said.slot, &mut datagram);
        }
        let part_len = datagram.len().div_ceil(said.parts).max(1);
        let parts: Vec<_> = datagram.chunks(part_len).collect();
        run.send(said.slot, &parts);
        for slot in 0..SLOTS {
            run.apply(&Operation::HearAll(slot));
        }
    }
    run.end();
}

fn next<'d>(rest: &mut &'d [u8]) -> Option<Said<'d>> {
    let (&[how, low, high], behind) = rest.split_first_chunk()?;
    let len = usize::from(u16::from_le_bytes([low, high])).min(behind.len());
    let bytes;
    (bytes, *rest) = behind.split_at(len);
    let slot = usize::from(how & 7) % SLOTS;
    let parts = usize::from(how >> 3 & 3) + 1;
    Some(Said { slot, knows_id: how & 0x80 != 0, parts, bytes })
}

/// A kernel that queues what comes for it, behind which nobody but the receiver looks at a packet; and programs.
fn start(kind: u8) -> Run {
    let target = Target::Queue { number: 0, bypass: false };
    let rule = Rule { hook: Hook::LocalIn, table: 2, family: None, mark: None, target };
    let has = |bit: u8| kind & bit != 0;
    let setup = Setup { seed: 0, is_wide: has(1), is_big_endian: has(2), rules: vec![rule] };
    let mut run = Run::new(&setup);
    let privileged = Options {
        port_id: None,
        is_privileged: true,
        receive_buffer: 10_000,
        reports_overruns: true,
    };
    let open = |run: &mut Run, slot, protocol, is_privileged| {
        let options = Options { is_privileged, ..privileged };
        run.apply(&Operation::Open { slot, protocol, options });
    };
    if has(4) {
        open(&mut run, 0, Protocol::ip_queue(Family::Ipv4), true);
        open(&mut run, 1, Protocol::ip_queue(Family::Ipv4), !has(16));
    }
    if has(8) {
        open(&mut run, 2, Protocol::ip_queue(Family::Ipv6), true);
    }
    open(&mut run, 3, Protocol::Netfilter, true);
    open(&mut run, 4, Protocol::Netfilter, true);
    open(&mut run, 5, Protocol::Netfilter, false);
    run
}

fn packet(family: Family) -> Operation {
    let to = Destination::Near;
    let datagram =
        Datagram { family, to, flaw: Flaw::Nothing, hops: 64, payload_len: 5, fill: b'x' };
    Operation::Receive { device: Device::Eth0, sender: None, datagram, mark: 0 }
}
