//! Filters, against what tcpdump makes of the same expression and the same packets.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use ipq_cli::Filter;
use ipq_sim::capture::{Precision, Reader, Record, Timestamp, Writer};
use proptest::prelude::*;

use crate::common::{Capture, packets_of, skipped, traffic};

/// Bytes of a packet and its length on the wire.
type Subject = (Vec<u8>, usize);

/// Real packets, some of each capture; the same cut everywhere; and such as no one sends.
fn subjects() -> &'static (Vec<Subject>, Capture) {
    static SUBJECTS: OnceLock<(Vec<Subject>, Capture)> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let mut subjects = Vec::new();
        let mut names: Vec<_> =
            std::fs::read_dir(traffic("")).unwrap().map(|one| one.unwrap().path()).collect();
        names.sort();
        for path in names.iter().filter(|path| path.extension().is_some_and(|kind| kind != "md")) {
            for packet in packets_of(path).into_iter().take(25) {
                let len = packet.cut.unwrap_or(packet.data.len());
                subjects.push((packet.data, len));
            }
        }
        assert!(subjects.len() > 100, "{}", subjects.len());
        let whole: Vec<Subject> = subjects.iter().step_by(37).cloned().collect();
        for (bytes, len) in &whole {
            subjects.extend((1..bytes.len().min(64)).map(|end| (bytes[..end].to_vec(), *len)));
        }
        let (sixes, fours) = (vec![0x66; 60], vec![0x44; 60]);
        subjects.extend([
            (sixes, 60),
            (fours, 60),
            (vec![0x15; 40], 40),
            (vec![0x4f; 30], 30),
            (vec![0x40; 30], 30),
        ]);
        let file = written(&subjects);
        (subjects, file)
    })
}

/// A capture of them, whose times tell which is which.
fn written(subjects: &[Subject]) -> Capture {
    let mut writer = Writer::new(Vec::new(), Precision::Microseconds).unwrap();
    for (number, (bytes, len)) in (1..).zip(subjects) {
        writer.write_cut(Timestamp::new(number, 0).unwrap(), bytes, *len).unwrap();
    }
    Capture::of_bytes(&writer.finish().unwrap())
}

/// The numbers of the packets that tcpdump takes, or what it says against the expression. It does not optimise, since
/// that may leave out a read behind the end of a packet.
fn by_tcpdump(file: &Path, expression: &str) -> Result<Vec<i64>, String> {
    let mut command = Command::new("tcpdump");
    command.args(["-O", "-n", "-w", "-", "-r"]).arg(file).arg("--").arg(expression);
    let output = command.output().expect("tcpdump can be run");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let mut records = Reader::new(output.stdout.as_slice()).expect("tcpdump writes a capture");
    let mut numbers = Vec::new();
    while let Some(record) = records.next_record() {
        match record.expect("tcpdump writes whole records") {
            Record::Frame { timestamp, .. } => numbers.push(timestamp.seconds()),
            record => panic!("{record:?}"),
        }
    }
    Ok(numbers)
}

fn is_tcpdump_there(test: &str) -> bool {
    let there = match Command::new("tcpdump").arg("--version").output() {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        output => output.is_ok(),
    };
    if !there {
        skipped(test, "tcpdump is not installed");
    }
    there
}

/// Checks that both take the same packets; returns how many.
#[track_caller]
fn same(expression: &str) -> usize {
    let (subjects, file) = subjects();
    let filter: Filter = expression.parse().unwrap_or_else(|error| panic!("{error}"));
    let ours: Vec<i64> = (1..)
        .zip(subjects)
        .filter(|(_, (bytes, len))| filter.matches(bytes, *len))
        .map(|(number, _)| number)
        .collect();
    let theirs =
        by_tcpdump(&file.path, expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    if ours != theirs {
        let differs = (1..)
            .zip(subjects)
            .find(|(number, _)| ours.contains(number) != theirs.contains(number));
        let (number, (bytes, len)) = differs.expect("one of them differs");
        let taker = if ours.contains(&number) { "we" } else { "tcpdump" };
        panic!(
            "{expression}: only {taker} takes packet {number} of length {len}: {:02x?}",
            &bytes[..bytes.len().min(64)]
        );
    }
    ours.len()
}

/// Expressions that some packet of the captures matches.
const TRUE_OF_SOME: &[&str] = &[
    "ip",
    "ip6",
    "tcp",
    "udp",
    "sctp",
    "not ip",
    "not tcp",
    "ip or ip6",
    "tcp or udp and ip6",
    "port 22",
    "tcp port ssh",
    "src port 53",
    "dst port domain",
    "udp dst port 53 or src port 53",
    "port 53 or 22",
    "src or dst port 22",
    "src and dst port 547 or port 6633",
    "portrange 20-60",
    "udp portrange 500-1000",
    "tcp dst portrange 1-1024",
    "ip6 and (port 547)",
    "ip proto 17",
    "ip6 proto 17",
    "proto 6",
    "ip proto \\tcp",
    "ip proto \\tcp or \\udp",
    "net 10.0.0.0/8 or net 192.168",
    "src net 192.168.0.0/16",
    "net 0.0.0.0/0",
    "net ::/0",
    "ip6 net fe80::/10",
    "src net fe80::/16 and dst net ff00::/8",
    "not net 10",
    "less 100",
    "greater 1000",
    "len > 60 and len <= 200",
    "len != 52",
    "len = 52 or len = 60",
    "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
    "tcp[13] & 2 != 0 and not tcp[tcpflags] & tcp-ack != 0",
    "tcp[tcpflags] == tcp-ack",
    "tcp[tcpflags] & tcp-push != 0",
    "ip[8] < 65",
    "ip[6:2] & 0x4000 != 0",
    "ip[0] & 0xf != 5 or ip[0] = 0x45",
    "ip[2:2] = len",
    "udp[4:2] > 100",
    "(tcp[12] >> 4) * 4 > 20",
    "ip[2:2] - ((ip[0] & 0xf) << 2) - 20 > 0",
    "(ip or ip6) and (udp or tcp)",
    "!(tcp)",
    "ip && !udp || ip6",
    "tcp port (22 or 80)",
    "-1 = 0xffffffff",
    "len % 2 = 1",
    "not (ip6 or tcp) and len - 20 > 8",
];

/// Expressions that may be true of none.
const ANY: &[&str] = &[
    "ip[0] ^ 0x40 & 0x44 = 5",
    "ip[0] & 0xf | 0x40 & 0x4f = 0x45",
    "ip[8] << 1 + 1 & 0xff = 0",
    "ip[8] + 2 * 3 - 1 > 68",
    "100 / 10 = 10 and net 10.0",
    "100 / len / 2 = 0",
    "icmp",
    "icmp6[icmp6type] = icmp6-neighborsolicit or icmp6[0] >= 130",
    "ip6[6] = 58",
    "dst net 192.168.0.0 mask 255.255.0.0",
    "icmp6",
    "host 10.0.0.1",
    "src host 192.168.1.1",
    "dst 10.0.0.2",
    "host fe80::1",
    "ip host 10.0.0.1 or 10.0.0.2",
    "ip6 host ::1",
    "src and dst host 127.0.0.1",
    "src or dst net 224.0.0.0/4",
    "ah",
    "esp",
    "igmp",
    "pim",
    "vrrp",
    "igrp",
    "carp",
    "sctp port 5060",
    "ip6 proto 44",
    "ip6 proto 0",
    "udp[100] = 0",
    "not udp[100] = 0",
    "icmp[icmptype] = icmp-echo",
    "ip[len - 1] = 0",
    "10 / (len - 52) = 0",
    "1 << len = 0 or tcp",
    "ip[0] ^ 0x45 | 1 = 1",
];

#[test]
fn every_expression_takes_what_tcpdump_takes() {
    if !is_tcpdump_there("every_expression_takes_what_tcpdump_takes") {
        return;
    }
    let of_none: Vec<_> = TRUE_OF_SOME.iter().filter(|expression| same(expression) == 0).collect();
    assert!(of_none.is_empty(), "{of_none:?}");
    for expression in ANY {
        same(expression);
    }
}

#[test]
fn what_is_no_expression_is_none_to_tcpdump_either() {
    if !is_tcpdump_there("what_is_no_expression_is_none_to_tcpdump_either") {
        return;
    }
    let file = &subjects().1.path;
    for expression in [
        "tcp prot 80",
        "port",
        "port 99999",
        "net 10.1.2.3/8",
        "tcp host 10.0.0.1",
        "(tcp",
        "tcp)",
        "tcp and",
        "tcp[13",
        "tcp[13:3] = 1",
        "len >",
        "icmp port 80",
        "net 1.2.3.4/33",
        "tcp udp",
        "and",
        "not",
        "ip[0]",
    ] {
        assert!(expression.parse::<Filter>().is_err(), "{expression}");
        assert!(by_tcpdump(file, expression).is_err(), "{expression}");
    }
}

/// An expression made up at random.
fn expression() -> impl Strategy<Value = String> {
    let ends = prop::sample::select(vec!["", "src ", "dst ", "src or dst ", "src and dst "]);
    let over = prop::sample::select(vec!["", "tcp ", "udp "]);
    let port = (
        over,
        ends.clone(),
        prop::sample::select(vec!["port 22", "port 53", "portrange 1-1023", "port 80"]),
    );
    let header = prop::sample::select(vec!["ip", "ip6", "tcp", "udp", "icmp", "icmp6"]);
    let load = (header, 0_u32..50, prop::sample::select(vec!["", ":1", ":2", ":4"]))
        .prop_map(|(header, offset, size)| format!("{header}[{offset}{size}]"));
    let number = prop_oneof![3 => load, 1 => Just("len".to_owned()), 2 => (0_u32..300).prop_map(|n| n.to_string())];
    let operator = prop::sample::select(vec![" & ", " | ", " + ", " - ", " * ", " >> ", " << "]);
    // Where bytes of one header meet those of another, or come second, tcpdump forgets to look for the header.
    let constant = (0_u32..300).prop_map(|number| number.to_string());
    let sum =
        (number.clone(), operator, constant.clone()).prop_map(|(a, by, b)| format!("({a}{by}{b})"));
    let comparison = prop::sample::select(vec![" = ", " != ", " < ", " <= ", " > ", " >= "]);
    let right = prop_oneof![constant, Just("len".to_owned())];
    let relation =
        (prop_oneof![number, sum], comparison, right).prop_map(|(a, is, b)| format!("{a}{is}{b}"));
    let names = vec![
        "ip",
        "ip6",
        "tcp",
        "udp",
        "icmp6",
        "ip6 proto 58",
        "proto 17",
        "less 80",
        "greater 90",
    ];
    let net = (
        ends,
        prop::sample::select(vec![
            "net 10.0.0.0/8",
            "net 192.168",
            "net fe80::/10",
            "host ff02::1:2",
        ]),
    );
    let leaf = prop_oneof![
        port.prop_map(|(over, ends, port)| format!("{over}{ends}{port}")),
        net.prop_map(|(ends, net)| format!("{ends}{net}")),
        relation,
        prop::sample::select(names).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(vec![" and ", " or "]), inner.clone())
                .prop_map(|(a, joint, b)| format!("{a}{joint}{b}")),
            inner.clone().prop_map(|inner| format!("not {inner}")),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
}

proptest! {
    // Each is a run of tcpdump.
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_expressions_take_what_tcpdump_takes(expression in expression()) {
        if is_tcpdump_there("random_expressions_take_what_tcpdump_takes") {
            // It refuses what can be true of no packet.
            let file = &subjects().1.path;
            match by_tcpdump(file, &expression) {
                Err(error) if error.contains("rejects all packets") => (),
                Err(error) if error.contains("shift by more than 31") => {
                    prop_assert!(expression.parse::<Filter>().is_err());
                }
                _ => drop(same(&expression)),
            }
        }
    }
}
