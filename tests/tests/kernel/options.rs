//! Options of a queue that say more of its packets, and what ends a wait.

use std::io::{self, Write};
use std::thread;

use ipq::{Errno, Error, Event, Family, Options, Verdict};

use crate::network::{Network, Outcome, Rule, Skipped};
use crate::support::{PATIENCE, assert_receives, decide, next};

on_every_kernel! {
    the_owner_of_a_socket_is_told,
    the_owner_is_not_told_unasked,
    an_option_that_a_kernel_lacks_is_refused,
    a_readable_descriptor_ends_a_wait,
    a_running_session_ends_by_a_descriptor,
}

fn the_owner_of_a_socket_is_told(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue_with(0, Options { uid_gid: true, ..Options::default() });
    network.send(from, address, b"mine");
    let (id, owner) = next(&mut queue, |packet| (packet.id(), packet.uid().zip(packet.gid())));
    assert_eq!(owner, Some(network.owner()));
    queue.verdict(id, Verdict::Accept).unwrap();
    assert_receives(network, to, &["mine"]);
    Ok(())
}

fn the_owner_is_not_told_unasked(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    network.send(from, address, b"mine");
    let owner = next(&mut queue, |packet| (packet.uid(), packet.gid()));
    assert_eq!(owner, (None, None));
    Ok(())
}

fn an_option_that_a_kernel_lacks_is_refused(network: &mut dyn Network) -> Outcome {
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    for (name, options) in [
        ("security context", Options { security_context: true, ..Options::default() }),
        ("connection tracking", Options { conntrack: true, ..Options::default() }),
    ] {
        match network.open_queue(0..=0, options) {
            Ok(queue) => drop(queue),
            Err(Error::OptionRefused { option, errno, .. }) => {
                assert_eq!((option, errno), (name, Errno::EOPNOTSUPP));
            }
            Err(error) => panic!("{error}"),
        }
        // Neither leaves anything behind.
        let mut queue = network.queue(0);
        network.send(from, address, name.as_bytes());
        decide(&mut queue, Verdict::Accept);
        assert_receives(network, to, &[name]);
    }
    Ok(())
}

/// A pipe; without one there is nothing to test.
fn pipe() -> Result<(io::PipeReader, io::PipeWriter), Skipped> {
    io::pipe().map_err(|error| Skipped(format!("pipe: {error}")))
}

fn a_readable_descriptor_ends_a_wait(network: &mut dyn Network) -> Outcome {
    network.waits_for_descriptors()?;
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    let (reader, mut writer) = pipe()?;
    queue.interrupt_on(reader.into());
    network.send(from, address, b"before");
    let mut buffer = vec![0; queue.buffer_len()];
    thread::scope(|scope| {
        let _ = decide(&mut queue, Verdict::Accept);
        scope.spawn(|| writer.write_all(b"x").unwrap());
        let event = queue.read(&mut buffer, None).unwrap();
        assert!(matches!(event, Some(Event::Interrupted)), "{event:?}");
    });
    // What is there comes first, and then it is interrupted for as long as the descriptor is readable.
    network.send(from, address, b"after");
    decide(&mut queue, Verdict::Accept);
    let event = queue.read(&mut buffer, Some(PATIENCE)).unwrap();
    assert!(matches!(event, Some(Event::Interrupted)), "{event:?}");
    assert_receives(network, to, &["before", "after"]);
    Ok(())
}

fn a_running_session_ends_by_a_descriptor(network: &mut dyn Network) -> Outcome {
    network.waits_for_descriptors()?;
    let (from, to) = (network.udp(Family::Ipv4), network.udp(Family::Ipv4));
    let address = network.address_of(to);
    network.rule(Rule::queue_to(address, 0))?;
    let mut queue = network.queue(0);
    let (reader, writer) = pipe()?;
    queue.interrupt_on(reader.into());
    let statistics = thread::scope(|scope| {
        let running = scope.spawn(move || {
            queue.run(|packet| match packet.payload().last() {
                Some(b'-') => Verdict::Drop,
                _ => Verdict::Accept,
            })?;
            Ok::<_, Error>(queue.statistics())
        });
        // One by one: nothing decided may be held back.
        for round in 0..500 {
            network.send(from, address, b"-");
            let text = format!("{round}+");
            network.send(from, address, text.as_bytes());
            assert_receives(network, to, &[&text]);
        }
        drop(writer);
        running.join().unwrap().unwrap()
    });
    assert_eq!((statistics.accepted, statistics.dropped, statistics.overruns), (500, 500, 0));
    Ok(())
}
