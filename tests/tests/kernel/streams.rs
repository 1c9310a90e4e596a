//! TCP through a queue.

use core::time::Duration;

use etherparse::{SlicedPacket, TransportSlice};
use ipq::{Batch, Event, Family, Hook, Options, Packet, Queue, SkbInfo, Verdict};

use crate::network::{Network, Outcome, Place, Protocol, Rule, Skipped, Target};
use crate::support::PATIENCE;

on_every_kernel! {
    a_transfer_on_the_loopback_arrives,
    a_transfer_over_ipv6_arrives,
    a_transfer_between_hosts_arrives,
    without_gso_packets_are_as_long_as_the_device_takes,
    with_gso_packets_are_longer,
    a_transfer_survives_lost_packets,
}

/// Accepts, or whatever `decide` says, until the transfer is done.
fn serve(
    network: &mut dyn Network,
    queue: &mut Queue,
    [from, to]: [Place; 2],
    family: Family,
    mut decide: impl FnMut(&Packet<'_>) -> Verdict,
) {
    let bytes: Vec<u8> = (0..600_000_u32).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
    let transfer = network.start_transfer(from, to, family, bytes.clone());
    let mut batch = Batch::new(64, queue.buffer_len());
    let mut decisions = Vec::new();
    let end = queue.clock() + 3 * PATIENCE;
    let received = loop {
        let shortly = Some(Duration::from_millis(50));
        queue
            .read_batch(&mut batch, shortly, |event| match event {
                Ok(Event::Packet(packet)) => decisions.push((packet.id(), decide(&packet))),
                other => panic!("no packet but {other:?}"),
            })
            .unwrap();
        queue.verdicts(&decisions).unwrap();
        decisions.clear();
        if let Some(received) = network.transferred(transfer) {
            break received;
        }
        assert!(queue.clock() < end, "the transfer does not end");
    };
    assert!(received == bytes, "{} of {} bytes, or wrong ones", received.len(), bytes.len());
    assert_eq!(queue.statistics().refused, 0);
}

/// Transfers on the loopback, whose device takes 1500 bytes as others do; the longest packet, and all that their
/// checksums said.
fn loopback(
    network: &mut dyn Network,
    family: Family,
    options: Options,
) -> Result<(usize, Vec<SkbInfo>), Skipped> {
    network.set_mtu("lo", 1500)?;
    let rule = Rule::output(Protocol::Tcp, Target::Nfqueue(0, 0));
    network.rule(Rule { family, ..rule })?;
    let mut queue = network.queue_with(0, options);
    let (mut longest, mut infos) = (0, Vec::new());
    serve(network, &mut queue, [Place::Here; 2], family, |packet| {
        longest = longest.max(packet.payload().len());
        infos.extend(packet.skb_info());
        Verdict::Accept
    });
    Ok((longest, infos))
}

fn a_transfer_on_the_loopback_arrives(network: &mut dyn Network) -> Outcome {
    loopback(network, Family::Ipv4, Options::default()).map(drop)
}

fn a_transfer_over_ipv6_arrives(network: &mut dyn Network) -> Outcome {
    loopback(network, Family::Ipv6, Options::default()).map(drop)
}

fn a_transfer_between_hosts_arrives(network: &mut dyn Network) -> Outcome {
    let hosts = [network.add_host()?, network.add_host()?];
    let rule = Rule::output(Protocol::Tcp, Target::Nfqueue(0, 0));
    for family in Family::ALL {
        network.rule(Rule { hook: Hook::Forward, family, ..rule.clone() })?;
    }
    for (gso, family) in [(false, Family::Ipv4), (true, Family::Ipv4), (true, Family::Ipv6)] {
        let mut queue = network.queue_with(0, Options { gso, ..Options::default() });
        serve(network, &mut queue, hosts, family, |_| Verdict::Accept);
    }
    Ok(())
}

fn without_gso_packets_are_as_long_as_the_device_takes(network: &mut dyn Network) -> Outcome {
    let (longest, infos) = loopback(network, Family::Ipv4, Options::default())?;
    assert_eq!(longest, 1500);
    assert!(!infos.iter().any(|info| info.contains(SkbInfo::GSO)));
    Ok(())
}

fn with_gso_packets_are_longer(network: &mut dyn Network) -> Outcome {
    network.segments_in_hardware()?;
    let options = Options { gso: true, ..Options::default() };
    let (longest, infos) = loopback(network, Family::Ipv4, options)?;
    assert!(longest > 1500, "{longest}");
    let both = SkbInfo(SkbInfo::GSO.0 | SkbInfo::CHECKSUM_NOT_READY.0);
    assert!(infos.iter().any(|info| info.contains(both)), "{infos:?}");
    Ok(())
}

fn a_transfer_survives_lost_packets(network: &mut dyn Network) -> Outcome {
    network.set_mtu("lo", 1500)?;
    network.rule(Rule::output(Protocol::Tcp, Target::Nfqueue(0, 0)))?;
    let mut queue = network.queue(0);
    let mut data = 0;
    serve(network, &mut queue, [Place::Here; 2], Family::Ipv4, |packet| {
        let has_data = match SlicedPacket::from_ip(packet.payload()).unwrap().transport {
            Some(TransportSlice::Tcp(tcp)) => !tcp.payload().is_empty(),
            _ => false,
        };
        data += u32::from(has_data);
        if has_data && data % 50 == 7 { Verdict::Drop } else { Verdict::Accept }
    });
    assert!(queue.statistics().dropped > 0);
    Ok(())
}
