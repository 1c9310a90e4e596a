//! `doctor` on the real kernel.

use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::{Rule, Run, Started, inside, ipq_cli, live, ping_is_answered, skipped};

const RULE: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 5");
const BYPASS: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 5 --queue-bypass");
const OTHER: Rule = ("iptables", "-A OUTPUT -p udp -j NFQUEUE --queue-balance 6:9");

fn doctor(args: &[&str]) -> Run {
    Run::of(ipq_cli().args(["doctor", "--json", "--queue", "5"]).args(args))
}

/// The findings with this name, as `level: message`.
#[track_caller]
fn found(run: &Run, name: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let findings = run.events("finding").into_iter().filter(|finding| finding["name"] == name);
    findings
        .map(|finding| format!("{}: {}", text(&finding["level"]), text(&finding["message"])))
        .collect()
}

/// What a shell says of this command, which has to succeed.
#[track_caller]
fn shell(command: &str) -> String {
    let output = Command::new("sh")
        .args(["-c", command])
        .env("XTABLES_LOCKFILE", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    assert!(output.status.success(), "{command}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_network_without_rule_is_told_the_commands_and_they_work() {
    live("doctor::live::a_network_without_rule_is_told_the_commands_and_they_work", &[], || {
        let before = doctor(&[]).ended(1);
        assert_eq!(found(&before, "none"), ["missing: no rule leads to queue 5"]);
        assert_eq!(found(&before, "loopback"), ["ok: the loopback device is up"]);
        assert_eq!(
            found(&doctor(&["--no-rule"]).ended(0), "none"),
            ["note: no rule leads to queue 5"]
        );
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        for command in before.events("command") {
            if !command["obstacle"].is_null() {
                // That is what it says of this machine, and then it is so.
                assert!(text(&command["obstacle"]).len() > 10);
                continue;
            }
            for line in command["install"].as_array().expect("an array") {
                shell(&text(line));
            }
            let run = doctor(&[]).ended(0);
            let rules = run.events("rule");
            assert_eq!(rules.len(), 1, "{rules:?}");
            assert_eq!((&rules[0]["queues"][0], &rules[0]["bypass"]), (&5.into(), &true.into()));
            shell(&text(&command["remove"]));
            doctor(&[]).ended(1);
        }
    });
}

#[test]
fn a_rule_without_program_is_a_finding() {
    live("doctor::live::a_rule_without_program_is_a_finding", &[RULE, OTHER], || {
        let run = doctor(&[]).ended(0);
        let rules = found(&run, "rule");
        assert_eq!(rules.len(), 2, "{rules:?}");
        for (rule, queues) in rules.iter().zip(["queue 5", "queues 6 to 9"]) {
            assert!(rule.starts_with("warning: iptables-"), "{rule}");
            let end = format!(" leads to {queues}, which nobody has: packets are dropped");
            assert!(rule.ends_with(&end), "{rule}");
        }
        assert_eq!(found(&run, "queue"), ["ok: queue 5 is free: no program has it"]);
    });
}

#[test]
fn a_rule_with_bypass_needs_no_program() {
    live("doctor::live::a_rule_with_bypass_needs_no_program", &[BYPASS], || {
        let rule = found(&doctor(&[]).ended(0), "rule").concat();
        assert!(rule.starts_with("ok: "), "{rule}");
        assert!(
            rule.ends_with(" leads to queue 5, which nobody has: packets pass (bypass)"),
            "{rule}"
        );
    });
}

#[test]
fn a_program_that_has_the_queue_is_seen_and_not_disturbed() {
    let test = "doctor::live::a_program_that_has_the_queue_is_seen_and_not_disturbed";
    live(test, &[RULE], || {
        let mut command = ipq_cli();
        command.args(["passer", "--quiet", "--json", "--transport", "nfqueue:5"]);
        let passer = Started::ready(&mut command);
        let run = doctor(&[]).ended(0);
        let rule = found(&run, "rule").concat();
        let queue = found(&run, "queue").concat();
        // Only root of the machine sees whose it is.
        if queue.contains("cannot be seen") {
            assert!(
                rule.ends_with("which a program that cannot be seen from here reads"),
                "{rule}"
            );
        } else {
            assert!(rule.ends_with("(ipq-cli) reads"), "{rule}");
            assert!(queue.ends_with("(ipq-cli); 0 packets wait in it"), "{queue}");
        }
        assert!(
            rule.starts_with("ok: ") && queue.starts_with("ok: queue 5 is read by "),
            "{queue}"
        );
        ping_is_answered("127.0.0.1");
        let run = passer.end_by(Signal::SIGINT).was_silent();
        run.sums_up("packets 2, accepted 2, errors 0, lost 0");
    });
}

#[test]
fn it_changes_nothing() {
    live("doctor::live::it_changes_nothing", &[RULE], || {
        let state = || {
            let rules = "for program in iptables-legacy-save iptables-nft-save ip6tables-legacy-save 'nft list ruleset'; \
                         do $program 2>/dev/null | grep -v '^#'; done; true";
            let files = "cat /proc/self/net/ip_tables_names /proc/self/net/ip6_tables_names \
                         /proc/self/net/netfilter/nfnetlink_queue /proc/modules /proc/self/net/netlink 2>/dev/null; true";
            // Where the kernel keeps a socket differs from socket to socket, and is not theirs to say.
            (shell(rules), shell(files))
        };
        let before = state();
        doctor(&[]).ended(0);
        assert_eq!(state(), before);
    });
}

#[test]
fn a_network_of_somebody_else_is_told_from_ones_own() {
    let test = "doctor::live::a_network_of_somebody_else_is_told_from_ones_own";
    inside(test, || {
        let mut command = Command::new("unshare");
        command.args([
            "--user",
            "--map-root-user",
            env!("CARGO_BIN_EXE_ipq-cli"),
            "doctor",
            "--json",
        ]);
        let run = Run::of(&mut command);
        if run.stdout.is_empty() {
            return skipped(test, "there can be no user namespace within another");
        }
        let run = run.ended(1);
        let capability = found(&run, "cap_net_admin").concat();
        assert!(
            capability.starts_with("missing: CAP_NET_ADMIN is effective, but not"),
            "{capability}"
        );
    });
}

#[test]
fn an_ordinary_user_is_told_what_is_missing() {
    let test = "doctor::live::an_ordinary_user_is_told_what_is_missing";
    let program = env!("CARGO_BIN_EXE_ipq-cli");
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all"]);
        command.arg(program);
        command
    } else {
        Command::new(program)
    };
    match command.args(["doctor", "--json"]).stdin(Stdio::null()).output() {
        Err(error) => skipped(test, &format!("setpriv: {error}")),
        Ok(output) if output.stdout.is_empty() => {
            skipped(test, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output) => {
            let run = Run::from(output).ended(1);
            assert_eq!(found(&run, "cap_net_admin"), ["missing: CAP_NET_ADMIN is not effective"]);
            assert_eq!(run.summary()["works"], false);
        }
    }
}
