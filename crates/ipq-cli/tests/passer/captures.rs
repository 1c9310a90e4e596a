//! Real traffic: what is counted in every file of the folder, and that tshark counts the same.

use std::collections::BTreeSet;

use crate::common::{Run, traffic, tshark};

/// Every file: packets, bytes of them, frames that were skipped, those of them that are malformed.
pub(crate) const FILES: [(&str, [u64; 4]); 27] = [
    ("802.1ad_QinQ.pcap", [0, 0, 2, 0]),
    ("LINKTYPE_IPV4.pcap", [1, 57, 0, 0]),
    ("LINKTYPE_IPV4_invalid.pcap", [0, 0, 1, 1]),
    ("LINKTYPE_IPV6.pcap", [1, 77, 0, 0]),
    ("LINKTYPE_IPV6_invalid.pcap", [0, 0, 1, 1]),
    ("LINKTYPE_RAW_ipv4.pcap", [1, 57, 0, 0]),
    ("LINKTYPE_RAW_ipv6.pcap", [1, 77, 0, 0]),
    ("afs.pcap", [601, 503_862, 0, 0]),
    ("babel.pcap", [25, 2496, 0, 0]),
    ("bigtcp-ipv4.pcap", [1, 80_052, 0, 0]),
    ("bigtcp-ipv6.pcap", [1, 80_040, 0, 0]),
    ("dhcp-mud.pcap", [2, 760, 0, 0]),
    ("dhcp-option-108.pcapng", [2, 679, 0, 0]),
    ("dhcpv6-ia-na.pcap", [4, 494, 0, 0]),
    ("dns-badcookie.pcap", [4, 395, 0, 0]),
    ("empty.pcapng", [0, 0, 0, 0]),
    ("isup.pcap", [6, 500, 0, 0]),
    ("mptcp-v1.pcap", [20, 21_924, 0, 0]),
    ("nflog.pcap", [4, 324, 0, 0]),
    ("of10_7050q.pcapng", [4, 312, 0, 0]),
    // A PPP frame with a control byte that no kernel takes.
    ("ppp_ip_udp_dns.pcap", [0, 0, 1, 0]),
    ("resp_1_benchmark.pcap", [150, 22_034, 0, 0]),
    ("slow-ossp.pcap", [0, 0, 1, 0]),
    ("ssh.pcap", [54, 11_204, 0, 0]),
    ("time_2107.pcapng", [1, 84, 0, 0]),
    ("unaligned-nfs-1.pcap", [1, 168, 0, 0]),
    ("unsupported-link-type-160.pcap", [0, 0, 1, 0]),
];

/// The frames of these are malformed for a kernel, which goes by the link layer; tshark goes by the IP header.
const GUESSED_BY_TSHARK: [&str; 2] = ["LINKTYPE_IPV4_invalid.pcap", "LINKTYPE_IPV6_invalid.pcap"];

#[test]
fn every_file_of_the_folder_is_considered() {
    let in_folder: BTreeSet<_> = std::fs::read_dir(traffic(""))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    let considered: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(in_folder, considered);
}

#[test]
fn counts_what_is_in_every_file() {
    for (name, [packets, bytes, skipped, malformed]) in FILES {
        let run = Run::passer(&traffic(name), &["--json"]).was_silent();
        let run = run.sums_up(&format!(
            "packets {packets}, bytes {bytes}, accepted {packets}, dropped 0, other 0, errors 0, lost 0, \
             skipped {skipped}, malformed {malformed}, unclaimed 0"
        ));
        assert_eq!(run.events("packet").len() as u64, packets, "{name}");
        assert_eq!(run.events("malformed").len() as u64, malformed, "{name}");
        assert_eq!(run.objects().len() as u64, packets + malformed + 1, "{name}");
    }
}

#[test]
fn measures_time_by_the_clock_of_the_kernel() {
    for (name, seconds) in [("ssh.pcap", "0.575377"), ("afs.pcap", "129.429532")] {
        let run = Run::passer(&traffic(name), &["--json", "--quiet"]).was_silent();
        assert_eq!(run.summary()["seconds"].to_string(), seconds, "{name}");
    }
}

#[test]
fn tshark_counts_the_same() {
    let mut total = 0;
    for (name, _) in FILES {
        let fields = ["frame.cap_len", "ip.version", "ip.len", "ipv6.version", "ipv6.plen"];
        let Some(frames) = tshark("tshark_counts_the_same", &traffic(name), &fields) else {
            return;
        };
        let run = Run::passer(&traffic(name), &["--json", "--quiet"]).was_silent();
        let n_frames = frames.len();
        total += n_frames;
        if GUESSED_BY_TSHARK.contains(&name) {
            run.sums_up(&format!("packets 0, skipped {n_frames}, malformed {n_frames}"));
            continue;
        }
        let lens: Vec<_> = frames.iter().filter_map(|frame| ip_len(frame)).collect();
        let (packets, bytes) = (lens.len(), lens.iter().sum::<u64>());
        let skipped = n_frames - packets;
        run.sums_up(&format!("packets {packets}, bytes {bytes}, skipped {skipped}, malformed 0"));
    }
    assert!(total > 880, "{total}");
}

/// The length of the IP packet in a frame, from its own header; `None` if the frame carries no IP.
fn ip_len(frame: &[String]) -> Option<u64> {
    const ETHERNET_HEADER_LEN: u64 = 14;
    const IPV6_HEADER_LEN: u64 = 40;
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let [captured, ipv4, ipv4_len, ipv6, ipv6_payload_len] = frame else { panic!("{frame:?}") };
    // Above 64 KiB only the frame tells. Those in the folder are Ethernet.
    let too_long_to_say = || number(captured) - ETHERNET_HEADER_LEN;
    // In IPv6, tshark fills the field of IPv4 too.
    match (ipv4.as_str(), ipv6.as_str()) {
        ("4", _) => Some(match number(ipv4_len) {
            0 => too_long_to_say(),
            len => len,
        }),
        ("6", "6") => Some(match number(ipv6_payload_len) {
            0 => too_long_to_say(),
            len => IPV6_HEADER_LEN + len,
        }),
        ("", "") => None,
        _ => panic!("{frame:?}"),
    }
}
