//! What the message of a packet says, at each hook of a host that sends to itself.

use ipq_proto::{Family, Hook};
use ipq_sim::Table;
use ipq_tests::namespace::Outcome;

use crate::network::{Network, Options};
use crate::request::{REQUEST, Request};

in_own_networks!(
    at_each_hook,
    with_mark_and_priority,
    in_each_copy_mode,
    cut_to_each_range,
    of_each_length,
);

const HOOKS: [Hook; 4] = [Hook::LocalOut, Hook::PostRouting, Hook::PreRouting, Hook::LocalIn];
const UID_GID: u32 = 8;

/// All packets pass a queue at each hook: 1 to 4 in the order of their way.
fn all_hooks() -> Result<Network, ipq_tests::namespace::Skipped> {
    let mut network = Network::new(1)?;
    for (number, hook) in (1..).zip(HOOKS) {
        network.rule(Table::Mangle, hook, None, ipq_sim::Target::nfqueue(number))?;
        network.tell(0, &Request::config(number).bind().mode(2, 0));
    }
    Ok(network)
}

/// The packets pass all queues, which have had `before` packets.
#[track_caller]
fn pass(network: &mut Network, id: u32) {
    for number in 1..5 {
        network.tell(0, &Request::verdict(number, 1, id).flags(REQUEST));
        network.status();
    }
}

fn at_each_hook() -> Outcome {
    let mut network = all_hooks()?;
    for id in 1..3 {
        for (twice, family) in Family::ALL.into_iter().enumerate() {
            network.send_text(family, b"hello");
            pass(&mut network, 2 * id - 1 + u32::try_from(twice).unwrap());
            assert_eq!(network.delivered(), [b"hello"]);
        }
        for number in 1..5 {
            network.tell(0, &Request::config(number).sets(UID_GID));
        }
    }
    Ok(())
}

fn with_mark_and_priority() -> Outcome {
    let mut network = all_hooks()?;
    let options = [(7, 0), (0, 3), (u32::MAX, 6)];
    for (id, (mark, priority)) in (1..).zip(options) {
        let packet = network.packet(Family::Ipv4, b"hello");
        network.send(&packet, Options { mark, priority });
        pass(&mut network, id);
    }
    assert_eq!(network.delivered().len(), options.len());
    Ok(())
}

fn in_each_copy_mode() -> Outcome {
    let mut network = all_hooks()?;
    let mut id = 0;
    for (mode, range) in [(1, 0), (1, 9), (2, 10), (0, 0), (2, 0)] {
        for number in 1..5 {
            network.tell(0, &Request::config(number).mode(mode, range));
        }
        for family in Family::ALL {
            id += 1;
            network.send_text(family, b"hello");
            pass(&mut network, id);
        }
        network.delivered();
    }
    Ok(())
}

fn cut_to_each_range() -> Outcome {
    let mut network = all_hooks()?;
    let len = u32::try_from(network.packet(Family::Ipv4, b"hello").len()).unwrap();
    let ranges = (0..24).chain([len - 1, len, len + 1, 65_531, u32::MAX]);
    for (id, range) in (1..).zip(ranges) {
        for number in 1..5 {
            network.tell(0, &Request::config(number).mode(2, range));
        }
        network.send_text(Family::Ipv4, b"hello");
        pass(&mut network, id);
    }
    Ok(())
}

fn of_each_length() -> Outcome {
    let mut network = all_hooks()?;
    for (id, len) in (1..).zip((0..9).chain([1472, 1473, 16_356, 65_000, 65_507])) {
        network.send_text(Family::Ipv4, &vec![0x41; len]);
        pass(&mut network, id);
        assert_eq!(network.delivered(), [vec![0x41; len]], "{len}");
    }
    Ok(())
}
