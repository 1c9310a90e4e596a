//! `dump`, `drop` and `record` on the real kernel.

use nix::sys::signal::Signal;

use crate::common::{
    Capture, Rule, Started, ipq_cli, live, packets_of, ping_is_answered, ping_is_not_answered,
};

const ICMP: Rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 0");

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
fn drop_drops_what_is_meant() {
    live("show::live::drop_drops_what_is_meant", &[ICMP], || {
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
