//! The doctor on machines that are not here: folders with what their `/proc` and the like say.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use clap::Parser;
use insta::assert_snapshot;
use ipq::Errno;
use proptest::prelude::*;
use tempfile::TempDir;

use super::machine::{Machine, Senses};
use super::{Diagnosis, report};
use crate::args::{Args, Command};

/// A machine that is not here.
#[derive(Debug)]
struct Elsewhere {
    root: TempDir,
    programs: BTreeMap<&'static str, Result<String, String>>,
    answer: Result<Option<Errno>, String>,
    loopback_is_up: Option<bool>,
    network_is_ours: Option<bool>,
    unshare: Result<(), String>,
}

impl Senses for Elsewhere {
    fn ask(&self, _queue: u16) -> Result<Option<Errno>, String> {
        self.answer.clone()
    }

    fn listing(&self, program: &str, _arguments: &[&str]) -> Result<String, String> {
        self.programs[program].clone()
    }

    fn has_program(&self, program: &str) -> bool {
        self.programs.contains_key(program)
    }

    fn loopback_is_up(&self) -> Option<bool> {
        self.loopback_is_up
    }

    fn network_is_ours(&self) -> Option<bool> {
        self.network_is_ours
    }

    fn unshare(&self) -> Result<(), String> {
        self.unshare.clone()
    }
}

/// Root's process in the first user namespace.
const ROOT: &str = "Name:\tipq-cli\nCapEff:\t000001ffffffffff\n";
const NOBODY: &str = "Name:\tipq-cli\nCapEff:\t0000000000000000\n";

impl Elsewhere {
    /// One with these files, where nothing is known else.
    fn with(files: &[(&str, &str)]) -> Self {
        let elsewhere = Self {
            root: TempDir::new().unwrap(),
            programs: BTreeMap::new(),
            answer: Ok(Some(Errno::ENODEV)),
            loopback_is_up: Some(true),
            network_is_ours: Some(true),
            unshare: Ok(()),
        };
        let user = elsewhere.file("proc/self/ns/user");
        symlink("user:[4026531837]", user).unwrap();
        for first_or_own in ["proc/self/ns/net", "proc/1/ns/net"] {
            symlink("net:[4026531840]", elsewhere.file(first_or_own)).unwrap();
        }
        fs::create_dir_all(elsewhere.root.path().join("proc/self/net")).unwrap();
        for (path, text) in files {
            fs::write(elsewhere.file(path), text).unwrap();
        }
        elsewhere
    }

    /// The path of a file, in a folder that is there.
    fn file(&self, path: &str) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    /// With programs, each with what it lists.
    fn lists(mut self, programs: &[(&'static str, &str)]) -> Self {
        let listings = programs.iter().map(|(name, text)| (*name, Ok((*text).to_owned())));
        self.programs.extend(listings);
        self
    }

    /// With a process that has the socket of this inode.
    fn runs(self, pid: u32, name: &str, inode: u64) -> Self {
        fs::write(self.file(&format!("proc/{pid}/comm")), format!("{name}\n")).unwrap();
        let descriptor = self.file(&format!("proc/{pid}/fd/3"));
        symlink(format!("socket:[{inode}]"), descriptor).unwrap();
        self
    }

    fn diagnose(&self, args: &[&str]) -> Diagnosis {
        let line = ["ipq-cli", "doctor"].iter().chain(args);
        let Command::Doctor(args) = Args::parse_from(line).command else { unreachable!() };
        let machine = Machine { root: self.root.path().to_owned(), senses: self };
        Diagnosis::of(&machine, &args)
    }

    /// What is printed for people.
    fn says(&self, args: &[&str]) -> String {
        let mut out = Vec::new();
        report::text(&mut out, &self.diagnose(args)).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }

    /// The findings with this name, as `level: message`.
    fn finds(&self, name: &str, args: &[&str]) -> Vec<String> {
        let findings = self.diagnose(args).findings.into_iter();
        let named = findings.filter(|finding| finding.name == name);
        named.map(|finding| format!("{}: {}", finding.level.name(), finding.message)).collect()
    }
}

/// A distribution's kernel of today.
fn modern(status: &str) -> Elsewhere {
    let dep =
        ["nfnetlink_queue", "xt_NFQUEUE", "nft_queue", "ip_tables", "ip6_tables", "nft_compat"]
            .map(|module| format!("kernel/net/{module}.ko.xz:\n"))
            .concat();
    Elsewhere::with(&[
        ("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n"),
        ("proc/self/status", status),
        ("proc/modules", "nf_tables 290816 0 - Live 0x0\n"),
        ("lib/modules/6.1.0-28-amd64/modules.dep", &dep),
        ("lib/modules/6.1.0-28-amd64/modules.builtin", "kernel/net/packet/af_packet.ko\n"),
        ("proc/sys/net/core/rmem_max", "212992\n"),
        ("proc/sys/net/core/rmem_default", "212992\n"),
        ("proc/sys/user/max_user_namespaces", "0\n"),
    ])
}

const NFT: &str = r#"{"nftables": [
    {"metainfo": {"version": "1.0.6"}},
    {"rule": {"family": "inet", "table": "t", "chain": "out", "handle": 4, "expr": [
        {"queue": {"num": 3, "flags": "bypass"}}]}},
    {"rule": {"family": "inet", "table": "t", "chain": "out", "handle": 5, "expr": [
        {"queue": {"num": {"range": [0, 1]}}}]}}]}"#;

#[test]
fn a_server_whose_queues_are_read_or_not() {
    let queues = "    0   4711     7 2 65531     0     0       40  1\n\
                  \x20   9    900     0 2 65531    12    34       99  1\n";
    let sockets = "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n\
                   0000 12 4711 00000000 0 0 0 2 0 555\n\
                   0000 12 900 00000000 0 0 0 2 0 556\n";
    let machine = Elsewhere::with(&[
        ("proc/sys/kernel/osrelease", "6.1.0-28-amd64\n"),
        ("proc/self/status", ROOT),
        ("proc/modules", "nfnetlink_queue 1 0 - Live 0x0\nnf_tables 1 0 - Live 0x0\n"),
        (
            "boot/config-6.1.0-28-amd64",
            "CONFIG_NF_TABLES=m\nCONFIG_IP_NF_IPTABLES=m\n# CONFIG_NFT_QUEUE is not set\n",
        ),
        ("proc/self/net/ip_tables_targets", "NFQUEUE\nDNAT\n"),
        ("proc/self/net/netfilter/nfnetlink_queue", queues),
        ("proc/self/net/netlink", sockets),
    ])
    .lists(&[("nft", NFT), ("iptables-legacy-save", ""), ("iptables", "")])
    .runs(4711, "suricata", 555);
    assert_snapshot!(machine.says(&["--queue", "1", "--protocol", "all"]));
    assert!(machine.diagnose(&[]).works());
}

#[test]
fn a_user_who_may_nothing() {
    let denied = || Err("Operation not permitted (you must be root)".to_owned());
    let mut machine = modern(NOBODY);
    machine.unshare = Err("unshare: unshare failed: No space left on device".to_owned());
    machine.programs.extend([("nft", denied()), ("iptables-nft-save", denied())]);
    machine.programs.insert("iptables", Ok(String::new()));
    assert_snapshot!(machine.says(&["--range", "2048", "--hook", "forward", "--protocol", "udp"]));
    assert!(!machine.diagnose(&[]).works());
}

#[test]
fn a_kernel_with_ip_queue() {
    let status = "Peer PID          : 41\nCopy mode         : 2\nCopy range        : 2048\n\
                  Queue length      : 3\nQueue max. length : 1024\nQueue dropped     : 5\nNetlink dropped   : 7\n";
    let machine = Elsewhere::with(&[
        ("proc/sys/kernel/osrelease", "2.6.32-5-686\n"),
        ("proc/self/status", "CapEff:\tffffffffffffffff\n"),
        ("proc/modules", "ip_queue 5488 1 - Live 0xf8\nip_tables 7706 1 - Live 0xf8\n"),
        ("boot/config-2.6.32-5-686", "CONFIG_IP_NF_QUEUE=m\nCONFIG_IP_NF_IPTABLES=m\n"),
        ("proc/self/net/ip_queue", status),
        ("proc/self/net/netlink", "0 3 41 0 0 0 0 2 0 77\n"),
        ("proc/sys/net/core/rmem_max", "131071\n"),
    ])
    .lists(&[("iptables-save", "*filter\n-A OUTPUT -p icmp -j QUEUE\nCOMMIT\n"), ("iptables", "")])
    .runs(41, "snort_inline", 77);
    assert_snapshot!(machine.says(&[]));
}

#[test]
fn a_kernel_with_nothing() {
    let machine = Elsewhere::with(&[
        ("proc/sys/kernel/osrelease", "6.6.0-tiny\n"),
        ("proc/self/status", ROOT),
        ("lib/modules/6.6.0-tiny/config", "CONFIG_NET=y\n"),
    ]);
    assert_snapshot!(machine.says(&["--queue", "7"]));
}

#[test]
fn what_is_not_loaded_has_no_rules_and_nothing_loads_it() {
    // There is a program, but asking it would load nf_tables; there is no listing to be had from it here.
    let machine =
        modern(ROOT).lists(&[("iptables-legacy-save", "-A x -j NFQUEUE"), ("iptables", "")]);
    fs::write(machine.file("proc/modules"), "").unwrap();
    assert_eq!(machine.finds("rule", &[]), [""; 0]);
    assert_eq!(machine.finds("none", &[]), ["missing: no rule leads to queue 0"]);
    assert_eq!(machine.finds("none", &["--no-rule"]), ["note: no rule leads to queue 0"]);
    assert_eq!(machine.finds("queue", &[]), ["ok: queue 0 is free: no program has it"]);
}

#[test]
fn where_proc_does_not_list_queues_the_kernel_is_asked() {
    let mut machine =
        modern(ROOT).lists(&[("nft", r#"{"nftables": []}"#), ("iptables-nft-save", "")]);
    machine.programs.insert(
        "iptables-nft-save",
        Ok("*filter\n-A OUTPUT -j NFQUEUE --queue-num 0\nCOMMIT\n".to_owned()),
    );
    // As it is in a user namespace: the file is there, and cannot be read.
    fs::create_dir_all(machine.root.path().join("proc/self/net/netfilter/nfnetlink_queue"))
        .unwrap();
    let rule = "iptables-nft: table filter: -A OUTPUT -j NFQUEUE --queue-num 0 leads to queue 0";
    for (answer, queue, says) in [
        (
            Ok(Some(Errno::ENODEV)),
            "ok: queue 0 is free: no program has it",
            format!("warning: {rule}, which nobody has: packets are dropped"),
        ),
        (
            Ok(Some(Errno::EPERM)),
            "ok: queue 0 is read by a program that cannot be seen from here",
            format!("ok: {rule}, which a program that cannot be seen from here reads"),
        ),
        (
            Err("no answer".to_owned()),
            "unknown: queue 0 may have a program: it cannot be seen from here",
            format!("unknown: {rule}; whether a program has it cannot be seen"),
        ),
    ] {
        machine.answer = answer;
        assert_eq!(machine.finds("queue", &[]), [queue]);
        assert_eq!(machine.finds("rule", &[]), [says]);
    }
    // Without the right to ask, the same number says nothing.
    fs::write(machine.file("proc/self/status"), NOBODY).unwrap();
    machine.answer = Ok(Some(Errno::EPERM));
    assert!(machine.finds("queue", &[])[0].starts_with("unknown: "));
}

#[test]
fn rights_count_only_in_a_network_of_ones_own() {
    let mut machine = modern(ROOT);
    machine.network_is_ours = Some(false);
    assert!(
        machine.finds("cap_net_admin", &[])[0]
            .starts_with("missing: CAP_NET_ADMIN is effective, but not")
    );
    machine.network_is_ours = None;
    assert_eq!(
        machine.finds("cap_net_admin", &[]),
        ["ok: CAP_NET_ADMIN is effective in this network"]
    );
    fs::remove_file(machine.file("proc/self/status")).unwrap();
    assert!(machine.finds("cap_net_admin", &[])[0].starts_with("unknown: "));
}

#[test]
fn a_receive_buffer_is_limited_unless_one_is_root() {
    let machine = modern(ROOT);
    assert!(
        machine.finds("rmem_max", &[])[0]
            .starts_with("ok: 1024 packets in a queue want a receive buffer of 33554432")
    );
    fs::write(machine.file("proc/self/status"), NOBODY).unwrap();
    assert!(machine.finds("rmem_max", &[])[0].starts_with("warning: "));
    let small = ["--range", "100", "--queue-maxlen", "10"];
    assert_eq!(
        machine.finds("rmem_max", &small),
        [
            "ok: 10 packets in a queue want a receive buffer of 212992 bytes, and net.core.rmem_max is 212992"
        ]
    );
    fs::write(machine.file("proc/sys/net/core/rmem_max"), "many").unwrap();
    assert!(machine.finds("rmem_max", &small)[0].ends_with("net.core.rmem_max cannot be read"));
}

#[test]
fn what_is_down_or_unknown_is_said() {
    let mut machine = modern(ROOT);
    for (is_up, level) in [(Some(true), "ok"), (Some(false), "warning"), (None, "unknown")] {
        machine.loopback_is_up = is_up;
        assert!(machine.finds("loopback", &[])[0].starts_with(&format!("{level}: ")));
    }
}

#[test]
fn the_commands_fit_the_hook_and_what_is_installed() {
    let machine = modern(ROOT).lists(&[("iptables-nft", ""), ("ip6tables", ""), ("nft", "")]);
    let [ipv4, ipv6, nft] =
        machine.diagnose(&["--hook", "postrouting", "--protocol", "all"]).recipes;
    let target = "POSTROUTING -j NFQUEUE --queue-num 0 --queue-bypass";
    assert_eq!(ipv4.install, [format!("iptables-nft -t mangle -I {target}")]);
    assert_eq!(ipv6.remove, format!("ip6tables -t mangle -D {target}"));
    assert_eq!(nft.install[2], "nft 'add rule inet ipq postrouting queue num 0 bypass'");
    assert_eq!((ipv4.obstacle, ipv6.obstacle, nft.obstacle), (None, None, None));
}

#[test]
fn json_has_a_schema() {
    let machine = modern(ROOT).lists(&[("nft", NFT)]);
    let mut out = Vec::new();
    report::json(&mut out, &machine.diagnose(&[])).unwrap();
    let mut keys = BTreeMap::new();
    for line in String::from_utf8(out).unwrap().lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        let found: Vec<_> = object.as_object().unwrap().keys().cloned().collect();
        let event = object["event"].as_str().unwrap().to_owned();
        let known = keys.entry(event).or_insert_with(|| found.join(" "));
        assert_eq!(*known, found.join(" "));
    }
    let schema: Vec<_> = keys.iter().map(|(event, keys)| format!("{event}: {keys}")).collect();
    assert_snapshot!(schema.join("\n"), @"
    command: event tool install remove obstacle
    finding: event topic name level message remedy
    rule: event program family table chain queues bypass rule
    summary: event queue missing warnings unknown works
    ");
}

/// Every file that is read.
const FILES: [&str; 13] = [
    "proc/sys/kernel/osrelease",
    "proc/self/status",
    "proc/modules",
    "proc/config.gz",
    "boot/config-6.1.0",
    "lib/modules/6.1.0/modules.dep",
    "lib/modules/6.1.0/modules.builtin",
    "proc/self/net/ip_queue",
    "proc/self/net/ip_tables_targets",
    "proc/self/net/netfilter/nfnetlink_queue",
    "proc/self/net/netlink",
    "proc/sys/net/core/rmem_max",
    "proc/sys/user/max_user_namespaces",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn files_may_say_anything(texts in prop::collection::vec("(6\\.1\\.0|[ -~\n\t:]{0,80})", FILES.len() + 2)) {
        let files: Vec<_> = FILES.iter().zip(&texts).map(|(path, text)| (*path, text.as_str())).collect();
        let listings = [("nft", texts[13].as_str()), ("iptables-save", texts[14].as_str())];
        let machine = Elsewhere::with(&files).lists(&listings);
        prop_assert!(machine.says(&[]).contains("\nqueue 0"));
    }
}

#[test]
fn a_machine_without_proc_is_unknown_and_no_failure() {
    let machine = Elsewhere::with(&[]);
    fs::remove_dir_all(machine.root.path().join("proc")).unwrap();
    assert!(machine.finds("nfnetlink_queue", &[])[0].starts_with("unknown: "));
    assert!(machine.finds("network", &[])[0].starts_with("unknown: "));
    assert_eq!(machine.finds("user", &[]), ["unknown: the user namespace cannot be told"]);
}
