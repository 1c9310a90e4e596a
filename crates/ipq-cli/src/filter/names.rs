//! The names of the language that stand for numbers.

/// The protocols that are a test of their own, with their numbers and the IP versions that they come over.
pub(super) fn protocol(name: &str) -> Option<(u8, bool, bool)> {
    Some(match name {
        "icmp" => (1, true, false),
        "igmp" => (2, true, false),
        "tcp" => (6, true, true),
        "igrp" => (9, true, false),
        "udp" => (17, true, true),
        "esp" => (50, true, true),
        "ah" => (51, true, true),
        "icmp6" => (58, false, true),
        "pim" => (103, true, true),
        "vrrp" | "carp" => (112, true, false),
        "sctp" => (132, true, true),
        _ => return None,
    })
}

/// Services that have a name. There are no others: `/etc/services` would make an expression mean different things on
/// different machines.
pub(super) fn port(name: &str) -> Option<u16> {
    Some(match name {
        "ftp-data" => 20,
        "ftp" => 21,
        "ssh" => 22,
        "telnet" => 23,
        "smtp" => 25,
        "domain" => 53,
        "bootps" => 67,
        "bootpc" => 68,
        "tftp" => 69,
        "http" => 80,
        "pop3" => 110,
        "ntp" => 123,
        "imap" | "imap2" => 143,
        "snmp" => 161,
        "https" => 443,
        "syslog" => 514,
        "imaps" => 993,
        "pop3s" => 995,
        _ => return None,
    })
}

/// Offsets, types and flags by name, for relations.
pub(super) fn number(name: &str) -> Option<u32> {
    Some(match name {
        "icmp-echoreply" | "icmptype" | "icmp6type" => 0,
        "icmpcode" | "icmp6code" | "tcp-fin" => 1,
        "tcp-syn" => 2,
        "icmp-unreach" => 3,
        "icmp-sourcequench" | "tcp-rst" => 4,
        "icmp-redirect" => 5,
        "icmp-echo" | "tcp-push" => 8,
        "icmp-routeradvert" => 9,
        "icmp-routersolicit" => 10,
        "icmp-timxceed" => 11,
        "icmp-paramprob" => 12,
        "icmp-tstamp" | "tcpflags" => 13,
        "icmp-tstampreply" => 14,
        "icmp-ireq" => 15,
        "icmp-ireqreply" | "tcp-ack" => 16,
        "icmp-maskreq" => 17,
        "icmp-maskreply" => 18,
        "tcp-urg" => 32,
        "tcp-ece" => 64,
        "tcp-cwr" | "icmp6-echo" => 128,
        "icmp6-echoreply" => 129,
        "icmp6-routersolicit" => 133,
        "icmp6-routeradvert" => 134,
        "icmp6-neighborsolicit" => 135,
        "icmp6-neighboradvert" => 136,
        "icmp6-redirect" => 137,
        _ => return None,
    })
}
