//! Which packets come to wait, which do not, and what is counted.

use ipq_proto::{Family, Hook};
use ipq_sim::{Table, Target};
use ipq_tests::namespace::{Outcome, Skipped, tool};

use crate::network::Network;
use crate::request::{REQUEST, Request};

in_own_networks!(
    nobody_has_the_queue,
    copy_mode_none,
    a_full_queue,
    a_full_queue_that_fails_open,
    a_maximum_that_changes,
    a_mode_that_changes,
    a_queue_that_is_given_up,
    a_queue_whose_owner_closes,
    a_device_that_goes_down,
    a_full_receive_buffer,
    a_full_receive_buffer_that_fails_open,
    several_queues,
);

const QUEUE: u16 = 1;
const FAIL_OPEN: u32 = 1;
const ACCEPT: u32 = 1;

/// All packets are queued at `LOCAL_OUT`, and only there.
fn network() -> Result<Network, Skipped> {
    let mut network = Network::new(2)?;
    network.queue_at(Hook::LocalOut, QUEUE)?;
    network.tell(0, &config().bind().mode(2, 0));
    Ok(network)
}

fn config() -> Request {
    Request::config(QUEUE)
}

/// Sends so many packets, and looks at the counters after each.
#[track_caller]
fn send(network: &mut Network, packets: usize) {
    for number in 0..packets {
        network.send_text(Family::ALL[number % 2], b"hello");
        network.status();
    }
    network.delivered();
}

/// Accepts all that waits.
#[track_caller]
fn accept_all(network: &mut Network) {
    network.tell(0, &Request::batch(QUEUE, ACCEPT, u32::MAX / 4));
    network.status();
    network.delivered();
}

fn nobody_has_the_queue() -> Outcome {
    let mut network = Network::new(1)?;
    network.rule(Table::Raw, Hook::LocalOut, None, passing(7))?;
    network.queue_at(Hook::LocalIn, QUEUE)?;
    send(&mut network, 2);
    network.tell(0, &config().bind().mode(2, 0));
    send(&mut network, 2);
    accept_all(&mut network);
    network.tell(0, &Request::config(7).bind());
    send(&mut network, 2);
    network.tell(0, &Request::config(7).mode(2, 0).max_length(1));
    send(&mut network, 3);
    network.tell(0, &Request::verdict(7, ACCEPT, 1).flags(REQUEST));
    network.tell(0, &Request::verdict(7, ACCEPT, 2).flags(REQUEST));
    accept_all(&mut network);
    Ok(())
}

/// To a queue, or past it where nobody has it.
fn passing(number: u16) -> Target {
    Target::Nfqueue { first: number, last: number, bypass: true }
}

fn copy_mode_none() -> Outcome {
    let mut network = network()?;
    for flags in [0, FAIL_OPEN] {
        network.tell(0, &config().mode(2, 0).queue_flags(flags).mask(FAIL_OPEN));
        send(&mut network, 2);
        network.tell(0, &config().mode(0, 0));
        send(&mut network, 3);
        network.tell(0, &config().max_length(2));
        send(&mut network, 3);
        network.tell(0, &config().max_length(1024).mode(1, 0));
        send(&mut network, 2);
        accept_all(&mut network);
    }
    Ok(())
}

fn a_full_queue() -> Outcome {
    let mut network = network()?;
    for max_length in [3, 0, 1, u32::MAX, 2] {
        network.tell(0, &config().max_length(max_length));
        send(&mut network, 5);
        network.tell(0, &Request::verdict(QUEUE, ACCEPT, 2));
        send(&mut network, 2);
        accept_all(&mut network);
    }
    Ok(())
}

fn a_full_queue_that_fails_open() -> Outcome {
    let mut network = network()?;
    for (max_length, flags) in [(2, FAIL_OPEN), (0, FAIL_OPEN), (0, 0), (1, FAIL_OPEN)] {
        let request = config().max_length(max_length).queue_flags(flags).mask(FAIL_OPEN);
        network.tell(0, &request);
        send(&mut network, 5);
        accept_all(&mut network);
    }
    Ok(())
}

fn a_maximum_that_changes() -> Outcome {
    let mut network = network()?;
    send(&mut network, 5);
    for max_length in [3, 6, 5, 0, 7] {
        network.tell(0, &config().max_length(max_length));
        send(&mut network, 2);
    }
    accept_all(&mut network);
    Ok(())
}

fn a_mode_that_changes() -> Outcome {
    let mut network = network()?;
    send(&mut network, 2);
    network.tell(0, &config().mode(1, 0));
    send(&mut network, 2);
    network.tell(0, &config().mode(0, 0));
    send(&mut network, 2);
    network.tell(0, &Request::verdict(QUEUE, ACCEPT, 3));
    accept_all(&mut network);
    Ok(())
}

fn a_queue_that_is_given_up() -> Outcome {
    let mut network = network()?;
    send(&mut network, 3);
    network.tell(0, &config().unbind());
    network.status();
    network.tell(0, &Request::verdict(QUEUE, ACCEPT, 1));
    send(&mut network, 2);
    network.tell(1, &config().bind().mode(2, 0));
    send(&mut network, 2);
    network.tell(1, &Request::batch(QUEUE, ACCEPT, 2));
    assert_eq!(network.delivered().len(), 2);
    Ok(())
}

fn a_queue_whose_owner_closes() -> Outcome {
    let mut network = Network::new(2)?;
    network.queue_at(Hook::LocalOut, QUEUE)?;
    network.tell(1, &config().bind().mode(2, 0));
    send(&mut network, 3);
    network.close_last();
    send(&mut network, 1);
    network.tell(0, &config().bind().mode(2, 0));
    send(&mut network, 1);
    accept_all(&mut network);
    Ok(())
}

fn a_device_that_goes_down() -> Outcome {
    let mut network = network()?;
    send(&mut network, 3);
    tool("ip", &["link", "set", "lo", "down"])?;
    network.simulated.device_down("lo");
    network.status();
    network.tell(0, &Request::verdict(QUEUE, ACCEPT, 1));
    tool("ip", &["link", "set", "lo", "up"])?;
    network.simulated.device_up("lo");
    network.send_text(Family::Ipv4, b"hello");
    network.tell(0, &Request::batch(QUEUE, ACCEPT, 4));
    network.delivered();
    Ok(())
}

fn a_full_receive_buffer() -> Outcome {
    fill_the_receive_buffer(0)
}

fn a_full_receive_buffer_that_fails_open() -> Outcome {
    fill_the_receive_buffer(FAIL_OPEN)
}

/// The kernels agree on what is counted, not on when the buffer is full.
fn fill_the_receive_buffer(flags: u32) -> Outcome {
    const SENT: u32 = 400;
    let mut network = network()?;
    network.set_receive_buffers(8192);
    network.tell(0, &config().sets(flags));
    let packet = network.packet(Family::Ipv4, &[0x41; 500]);
    for _ in 0..SENT {
        network.send_unheard(&packet);
    }
    for (kernel, line) in network.statuses() {
        let counts: Vec<u32> =
            line.split_ascii_whitespace().map(|number| number.parse().unwrap()).collect();
        let [_, _, waiting, mode, _, full, lost, last_id, _] = counts[..] else {
            panic!("{kernel}: {line}");
        };
        assert!(0 < waiting && waiting < SENT, "{kernel}: {line}");
        let expected = if flags == FAIL_OPEN { 0 } else { SENT - waiting };
        assert_eq!((mode, full, lost, last_id), (2, 0, expected, SENT), "{kernel}: {line}");
    }
    network.overruns_are_told_once();
    Ok(())
}

fn several_queues() -> Outcome {
    let mut network = Network::new(2)?;
    network.rule(Table::Raw, Hook::LocalOut, None, Target::nfqueue(1))?;
    network.rule(Table::Mangle, Hook::LocalOut, None, Target::nfqueue(2))?;
    network.rule(Table::Filter, Hook::LocalOut, None, Target::nfqueue(1))?;
    let owners = [(0, 1), (1, 2)];
    for (who, number) in owners {
        network.tell(who, &Request::config(number).bind().mode(2, 0));
    }
    send(&mut network, 4);
    for (who, number) in [owners[0], owners[1], owners[0]] {
        for id in [2, 1, 4, 3, 6, 5, 8, 7] {
            network.tell(who, &Request::verdict(number, ACCEPT, id).flags(REQUEST));
            network.listen_all("after a verdict");
            network.status();
        }
    }
    assert_eq!(network.delivered().len(), 4);
    Ok(())
}
