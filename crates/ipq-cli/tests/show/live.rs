//! `dump`, `drop` and `record` on the real kernel.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::common::{
    Capture, Rule, Run, Started, ipq_cli, live, packets_of, ping_is_answered, ping_is_not_answered,
    skipped,
};

const ICMP: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 0");

const ICMP6: Rule = ("ip6tables", "-A OUTPUT -p ipv6-icmp -j NFQUEUE --queue-num 0");

/// A command that has claimed queue 0.
fn ready(args: &[&str]) -> Started {
    Started::ready(ipq_cli().args(args).args(["--transport", "nfqueue:0"]))
}

#[test]
fn dump_lets_everything_pass_also_what_waits_at_its_end() {
    live("show::live::dump_lets_everything_pass_also_what_waits_at_its_end", &[ICMP], || {
        let mut dump = ready(&["dump", "-v", "-c", "1", "icmp[icmptype] = icmp-echo"]);
        ping_is_answered("127.0.0.1");
        let line = dump.line();
        assert!(
            line.contains("LOCAL_OUT out lo IP 127.0.0.1 > 127.0.0.1: ICMP echo request"),
            "{line}"
        );
        let line = dump.line();
        assert!(line.contains("queue 0 id 0x1, hook LOCAL_OUT"), "{line}");
        dump.end().ended(0).says(&[" 0 dropped"]);
    });
}

#[test]
fn drop_drops_what_matches() {
    live("show::live::drop_drops_what_matches", &[ICMP], || {
        let drop = ready(&["drop", "--json", "icmp[icmptype] = icmp-echo and dst 127.0.0.1"]);
        ping_is_answered("127.0.0.7");
        ping_is_not_answered("127.0.0.1");
        drop.end_by(Signal::SIGINT).was_silent().sums_up("accepted 2, dropped 1");
    });
}

#[test]
fn record_keeps_what_the_kernel_said() {
    live("show::live::record_keeps_what_the_kernel_said", &[ICMP], || {
        let there = Capture::of_bytes(&[]);
        let file = there.beside("queue.pcapng");
        let record = ready(&["record", "--json", file.to_str().unwrap()]);
        ping_is_answered("127.0.0.1");
        record.end_by(Signal::SIGINT).was_silent().sums_up("packets 2, accepted 2");
        assert_eq!(packets_of(&file).len(), 2);
        let bytes = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for said in
            ["verdict accept, queue 0 id 0x1, hook LOCAL_OUT, protocol 0x0800, out lo", "id 0x2"]
        {
            assert!(text.contains(said), "{said}");
        }
    });
}

#[test]
fn dump_shows_ipv6_and_lets_it_pass() {
    live("show::live::dump_shows_ipv6_and_lets_it_pass", &[ICMP6], || {
        let mut dump = ready(&["dump", "-v", "-c", "1", "icmp6 and ip6[40] = 128"]);
        ping_is_answered("::1");
        let line = dump.line();
        assert!(line.contains("LOCAL_OUT out lo IP6 ::1 > ::1: ICMP6, echo request"), "{line}");
        let line = dump.line();
        assert!(line.contains("hook LOCAL_OUT, protocol 0x86dd"), "{line}");
        dump.end().ended(0).says(&[" 0 dropped"]);
    });
}

#[test]
fn drop_drops_ipv6_that_matches() {
    live("show::live::drop_drops_ipv6_that_matches", &[ICMP, ICMP6], || {
        let drop = ready(&["drop", "--json", "ip6 and icmp6"]);
        ping_is_answered("127.0.0.1");
        ping_is_not_answered("::1");
        drop.end_by(Signal::SIGINT).was_silent().sums_up("accepted 2, dropped 1");
    });
}

#[test]
fn record_keeps_both_families_in_one_file() {
    live("show::live::record_keeps_both_families_in_one_file", &[ICMP, ICMP6], || {
        let there = Capture::of_bytes(&[]);
        let file = there.beside("queue.pcapng");
        let record = ready(&["record", "--json", file.to_str().unwrap()]);
        ping_is_answered("::1");
        ping_is_answered("127.0.0.1");
        record.end_by(Signal::SIGINT).was_silent().sums_up("packets 4, accepted 4");
        let versions: Vec<_> = packets_of(&file).iter().map(|packet| packet.data[0] >> 4).collect();
        assert_eq!(versions, [6, 6, 4, 4]);
        let run = Run::of(ipq_cli().arg("replay").arg(&file).args(["--json", "--family", "ipv6"]));
        run.ended(0).sums_up("packets 2, unclaimed 2");
    });
}

/// The rules of OUTPUT that queue packets, of both iptables; `None` if neither is there.
fn rules() -> Option<Vec<String>> {
    let mut rules = Vec::new();
    let mut is_there = false;
    for program in ["iptables-nft", "iptables-legacy"] {
        let Ok(output) = Command::new(program).args(["-S", "OUTPUT"]).output() else { continue };
        is_there |= output.status.success();
        let text = String::from_utf8(output.stdout).unwrap();
        rules.extend(text.lines().filter(|rule| rule.contains("NFQUEUE")).map(str::to_owned));
    }
    is_there.then_some(rules)
}

/// A run with a rule of its own; `None`, having said so for `test`, where no rule can be put in.
fn installing(test: &str, args: &[&str]) -> Option<Started> {
    let mut probe = ipq_cli();
    probe.args([
        "passer",
        "--transport",
        "nfqueue:9",
        "--timeout",
        "1ms",
        "--install",
        "OUTPUT -p icmp",
    ]);
    let probe = probe.output().unwrap();
    if !probe.status.success() {
        skipped(test, &String::from_utf8_lossy(&probe.stderr).replace('\n', " "));
        return None;
    }
    let mut command = ipq_cli();
    command.args(args).args([
        "--transport",
        "nfqueue:0",
        "--family",
        "ipv4",
        "--install",
        "OUTPUT -p icmp",
    ]);
    let started = Started::new(&mut command);
    // It is in when one can see it.
    while rules().is_none_or(|rules| rules.is_empty()) {
        std::thread::yield_now();
    }
    Some(started)
}

#[test]
fn a_rule_is_in_force_until_the_end() {
    let test = "show::live::a_rule_is_in_force_until_the_end";
    live(test, &[], || {
        let Some(passer) = installing(test, &["passer", "--json"]) else { return };
        let found = rules().unwrap();
        assert_eq!(found, ["-A OUTPUT -p icmp -j NFQUEUE --queue-num 0 --queue-bypass"]);
        ping_is_answered("127.0.0.1");
        let run = passer.end_by(Signal::SIGINT).ended(0);
        run.sums_up("packets 2, accepted 2").says(&["put in, until the end: iptables"]);
        assert_eq!(rules().unwrap(), [""; 0]);

        let Some(dump) = installing(test, &["dump", "-c", "1"]) else { return };
        ping_is_answered("127.0.0.1");
        dump.end().ended(0).says(&["0 dropped"]);
        assert_eq!(rules().unwrap(), [""; 0]);
    });
}

#[test]
fn a_rule_goes_also_when_the_program_is_killed_and_cuts_nobody_off() {
    let test = "show::live::a_rule_goes_also_when_the_program_is_killed_and_cuts_nobody_off";
    live(test, &[], || {
        let Some(passer) = installing(test, &["passer", "--verdict", "drop"]) else { return };
        ping_is_not_answered("127.0.0.1");
        drop(passer.end_by(Signal::SIGKILL));
        // With the rule still in or no more.
        ping_is_answered("127.0.0.1");
        while rules().is_none_or(|rules| !rules.is_empty()) {
            std::thread::yield_now();
        }
        ping_is_answered("127.0.0.1");
    });
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    for (rule, status, said) in
        [("-p icmp", 2, "--install wants a chain first"), ("OUTPUT -j DROP", 2, "-j is not for it")]
    {
        let args = ["passer", "--transport", "nfqueue:0", "--install", rule];
        Run::of(ipq_cli().args(args)).ended(status).says(&[said]);
    }
    let args = ["dump", "--transport", "sim:x.pcap", "--install", "OUTPUT"];
    Run::of(ipq_cli().args(args)).ended(2).says(&["a simulated one has no firewall"]);
    let test = "show::live::a_rule_that_makes_no_sense_is_refused";
    live(test, &[], || {
        let args = ["passer", "--transport", "nfqueue:0", "--install", "NO_SUCH_CHAIN -p icmp"];
        let run = Started::new(ipq_cli().args(args)).end().ended(1);
        run.says(&["putting in the rule: iptables: ", "ip6tables"]);
    });
}
