//! Real traffic: what is in every file of the folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ipq_proto::{Family, HardwareType};
use ipq_sim::capture::{CapturedPacket, Entry, Reader};

/// Every file: its IPv4 packets, IPv6 packets, packets without IP, malformed ones.
pub(crate) const FILES: [(&str, [usize; 4]); 27] = [
    ("802.1ad_QinQ.pcap", [0, 0, 2, 0]),
    ("LINKTYPE_IPV4.pcap", [1, 0, 0, 0]),
    ("LINKTYPE_IPV4_invalid.pcap", [0, 0, 0, 1]),
    ("LINKTYPE_IPV6.pcap", [0, 1, 0, 0]),
    ("LINKTYPE_IPV6_invalid.pcap", [0, 0, 0, 1]),
    ("LINKTYPE_RAW_ipv4.pcap", [1, 0, 0, 0]),
    ("LINKTYPE_RAW_ipv6.pcap", [0, 1, 0, 0]),
    ("afs.pcap", [601, 0, 0, 0]),
    ("babel.pcap", [0, 25, 0, 0]),
    ("bigtcp-ipv4.pcap", [1, 0, 0, 0]),
    ("bigtcp-ipv6.pcap", [0, 1, 0, 0]),
    ("dhcp-mud.pcap", [2, 0, 0, 0]),
    ("dhcp-option-108.pcapng", [2, 0, 0, 0]),
    ("dhcpv6-ia-na.pcap", [0, 4, 0, 0]),
    ("dns-badcookie.pcap", [4, 0, 0, 0]),
    ("empty.pcapng", [0, 0, 0, 0]),
    ("isup.pcap", [6, 0, 0, 0]),
    ("mptcp-v1.pcap", [20, 0, 0, 0]),
    ("nflog.pcap", [4, 0, 0, 0]),
    ("of10_7050q.pcapng", [4, 0, 0, 0]),
    // A PPP frame with a control byte that no kernel takes.
    ("ppp_ip_udp_dns.pcap", [0, 0, 1, 0]),
    ("resp_1_benchmark.pcap", [150, 0, 0, 0]),
    ("slow-ossp.pcap", [0, 0, 1, 0]),
    ("ssh.pcap", [54, 0, 0, 0]),
    ("time_2107.pcapng", [1, 0, 0, 0]),
    ("unaligned-nfs-1.pcap", [1, 0, 0, 0]),
    ("unsupported-link-type-160.pcap", [0, 0, 1, 0]),
];

pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/traffic")).join(name)
}

/// All entries of a file of the folder.
#[track_caller]
pub(crate) fn entries(name: &str) -> Vec<Entry> {
    let reader = Reader::open(path(name));
    let entries = reader.and_then(Iterator::collect);
    entries.unwrap_or_else(|error| panic!("{error}"))
}

fn packets(name: &str) -> Vec<CapturedPacket> {
    let packet = |entry| match entry {
        Entry::Packet(packet) => Some(packet),
        _ => None,
    };
    entries(name).into_iter().filter_map(packet).collect()
}

#[test]
fn every_file_has_what_the_table_says() {
    for (name, expected) in FILES {
        let entries = entries(name);
        let mut found = [0; 4];
        for (entry, number) in entries.iter().zip(1..) {
            assert_eq!(entry.number(), number, "{name}");
            found[match entry {
                Entry::Packet(packet) if packet.family == Family::Ipv4 => 0,
                Entry::Packet(_) => 1,
                Entry::NotIp { .. } => 2,
                _ => 3,
            }] += 1;
        }
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_table_and_the_folder_have_the_same_files() {
    let names = std::fs::read_dir(path("")).unwrap();
    let mut names: BTreeSet<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.remove("README.md"));
    let expected: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_wrong_version_is_named() {
    for (name, expected) in [
        ("LINKTYPE_IPV4_invalid.pcap", "1 link type says IPv4, the header says version 6"),
        ("LINKTYPE_IPV6_invalid.pcap", "1 link type says IPv6, the header says version 4"),
    ] {
        assert_eq!(entries(name).iter().map(super::describe).collect::<Vec<_>>(), [expected]);
    }
}

#[test]
fn the_senders_address_is_kept() {
    for (name, hardware_type, address) in [
        ("ssh.pcap", HardwareType::ETHERNET, "8c:85:90:3f:77:dd"),
        ("mptcp-v1.pcap", HardwareType::ETHERNET, "32:32:87:aa:04:02"),
        ("resp_1_benchmark.pcap", HardwareType::LOOPBACK, "00:00:00:00:00:00"),
        ("dns-badcookie.pcap", HardwareType::NONE, ""),
        ("nflog.pcap", HardwareType::NONE, ""),
    ] {
        let packet = &packets(name)[0];
        assert_eq!(packet.hardware_type, hardware_type, "{name}");
        assert_eq!(packet.hardware_address.to_string(), address, "{name}");
    }
}

#[test]
fn packets_above_64_kib_stay_whole() {
    assert_eq!(packets("bigtcp-ipv4.pcap")[0].data.len(), 0x138c2 - 14);
    assert_eq!(packets("bigtcp-ipv6.pcap")[0].data.len(), 0x138b6 - 14);
}

#[test]
fn a_time_beyond_32_bits_is_right() {
    // 2107-01-01 00:00:00 UTC.
    assert_eq!(packets("time_2107.pcapng")[0].timestamp.to_string(), "4323283200.000000000");
}

#[test]
fn ethernet_padding_is_gone() {
    let ends =
        |packet: &CapturedPacket| usize::from(u16::from_be_bytes([packet.data[2], packet.data[3]]));
    for packet in packets("ssh.pcap") {
        assert_eq!((packet.data.len(), packet.cut), (ends(&packet), None), "{}", packet.number);
    }
}
