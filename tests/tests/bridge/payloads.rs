//! What a packet looks like that this host has made: whole, with its checksums, whoever was to fill them in.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;

use etherparse::{LaxPacketHeaders, SlicedPacket, TransportSlice};
use ipq_proto::netlink::Flags;
use ipq_proto::{CopyMode, Family, Verdict};
use ipq_tests::namespace::{Outcome, tool};

use crate::fixture::{Program, datagram_pair, in_own_networks, queue_output};

in_own_networks!(
    has_its_checksums_filled_in,
    has_a_verdict_with_a_mark,
    is_cut_to_what_an_attribute_holds,
    of_the_other_family_is_dropped_and_counted,
);

/// Whether the checksum of TCP or UDP is right, as its receiver computes it.
fn has_checksum(packet: &[u8]) -> bool {
    let sliced = SlicedPacket::from_ip(packet).unwrap();
    let net = LaxPacketHeaders::from_ip(packet).unwrap().net.unwrap();
    let (given, computed) = match (sliced.transport.unwrap(), net) {
        (TransportSlice::Udp(udp), etherparse::NetHeaders::Ipv4(ip, _)) => {
            let header = udp.to_header();
            (header.checksum, header.calc_checksum_ipv4(&ip, udp.payload()).unwrap())
        }
        (TransportSlice::Udp(udp), etherparse::NetHeaders::Ipv6(ip, _)) => {
            let header = udp.to_header();
            (header.checksum, header.calc_checksum_ipv6(&ip, udp.payload()).unwrap())
        }
        (TransportSlice::Tcp(tcp), etherparse::NetHeaders::Ipv4(ip, _)) => {
            let header = tcp.to_header();
            (header.checksum, header.calc_checksum_ipv4(&ip, tcp.payload()).unwrap())
        }
        (TransportSlice::Tcp(tcp), etherparse::NetHeaders::Ipv6(ip, _)) => {
            let header = tcp.to_header();
            (header.checksum, header.calc_checksum_ipv6(&ip, tcp.payload()).unwrap())
        }
        other => panic!("{other:?}"),
    };
    given == computed
}

fn has_its_checksums_filled_in() -> Outcome {
    for family in Family::ALL {
        queue_output(family, 0)?;
        let (iptables, here) = match family {
            Family::Ipv4 => ("iptables-nft", "127.0.0.1"),
            Family::Ipv6 => ("ip6tables-nft", "::1"),
        };
        let tcp = ["-A", "OUTPUT", "-p", "tcp", "-j", "NFQUEUE", "--queue-num", "0"];
        tool(iptables, &tcp)?;
        let mut program = Program::open(0, family)?;
        program.set_mode(CopyMode::Packet { range: 0 }, Flags::REQUEST);

        let (from, _to) = datagram_pair(family);
        from.send(b"a datagram").unwrap();
        let (id, payload) = program.packet();
        assert!(has_checksum(&payload), "{payload:02x?}");
        program.decide(id, Verdict::Accept, Flags::REQUEST, &[]);

        let listener = TcpListener::bind((here, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let sender = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&[b'x'; 9000]).unwrap();
        });
        // The handshake, the data in however many pieces, and what acknowledges them.
        let mut data_len = 0;
        while data_len < 9000 {
            let (id, payload) = program.packet();
            assert!(has_checksum(&payload), "{payload:02x?}");
            if let Some(TransportSlice::Tcp(tcp)) =
                SlicedPacket::from_ip(&payload).unwrap().transport
            {
                data_len += tcp.payload().len();
            }
            program.decide(id, Verdict::Accept, Flags::REQUEST, &[]);
        }
        sender.join().unwrap();
    }
    Ok(())
}

fn has_a_verdict_with_a_mark() -> Outcome {
    queue_output(Family::Ipv4, 0)?;
    // Marked, it is queued no more.
    tool("iptables-nft", &["-I", "OUTPUT", "-m", "mark", "--mark", "7", "-j", "ACCEPT"])?;
    let mut program = Program::open(0, Family::Ipv4)?;
    program.set_mode(CopyMode::Metadata, Flags::REQUEST);
    let (from, to) = datagram_pair(Family::Ipv4);
    from.send(b"marked").unwrap();
    let (id, _) = program.packet();
    program.decide_marked(id, Verdict::Repeat, 7);
    let mut buffer = [0; 16];
    assert_eq!(to.recv(&mut buffer).unwrap(), 6);
    assert!(!program.is_readable());
    Ok(())
}

/// An IP packet may have 65,535 bytes, an attribute of netlink 65,531.
fn is_cut_to_what_an_attribute_holds() -> Outcome {
    queue_output(Family::Ipv4, 0)?;
    let mut program = Program::open(0, Family::Ipv4)?;
    program.set_mode(CopyMode::Packet { range: 0 }, Flags::REQUEST);
    let (from, to) = datagram_pair(Family::Ipv4);
    from.send(&vec![b'x'; 65_507]).unwrap();
    let (id, payload) = program.packet();
    assert_eq!(payload.len(), 65_531);
    program.decide(id, Verdict::Accept, Flags::REQUEST, &[]);
    assert_eq!(to.recv(&mut vec![0; 1 << 16]).unwrap(), 65_507);
    Ok(())
}

fn of_the_other_family_is_dropped_and_counted() -> Outcome {
    for family in Family::ALL {
        queue_output(family, 3)?;
    }
    let mut program = Program::open(3, Family::Ipv6)?;
    program.set_mode(CopyMode::Packet { range: 0 }, Flags::REQUEST);
    let (from, to) = datagram_pair(Family::Ipv4);
    from.send(b"not wanted").unwrap();
    let (from, _to) = datagram_pair(Family::Ipv6);
    from.send(b"wanted").unwrap();
    let (_, payload) = program.packet();
    assert!(payload.ends_with(b"wanted"));
    assert_eq!(program.bridge.statistics().unwanted, 1);
    assert_eq!(program.bridge.status().queue_length, 1);
    to.set_nonblocking(true).unwrap();
    to.recv(&mut [0; 16]).unwrap_err();
    Ok(())
}
