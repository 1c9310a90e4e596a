//! What the program says of itself.

use insta::assert_snapshot;

use crate::common::{Run, ipq_cli};

/// What it prints when it is called like this, without spaces at line ends. It exits with 0 and has no messages.
#[track_caller]
fn says(args: &[&str]) -> String {
    let text = Run::of(ipq_cli().args(args)).was_silent().stdout;
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

#[test]
fn explains_itself() {
    assert_snapshot!(says(&["--help"]), @"
    Userspace packet queuing: look at, pass, drop and count queued packets.

    Exit status: 0 done, 1 failed, 2 wrong usage. Data go to stdout, messages to stderr.

    Usage: ipq-cli <COMMAND>

    Commands:
      passer       Give every queued packet the same verdict, and show it
      dump         Look at queued packets without touching them: every one is accepted
      drop         Drop queued packets that match a filter expression, and accept all others
      record       Record a queue to a file: every packet with what the kernel said of it and its
                   verdict
      replay       Put the packets of a capture through a rule offline, and report what would become of
                   them
      compare      Compare two logs of verdicts, packet by packet
      status       Show the kernel's packet queues: who has them, what waits in them, what was lost
      decode       Say what messages of a packet queue mean, and where they are wrong
      doctor       Say what is missing to make a queue work here, and how to get it
      top          Watch a queue live: rates, what waits, verdicts, losses and the busiest flows
      run          Run an unmodified program, and carry its queue sockets over a transport
      sim          Run a simulated kernel
      completions  Print what a shell needs to complete commands and options
      man          Print the manual page, or write the pages of all commands

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
}

#[test]
fn explains_passer() {
    assert_snapshot!(says(&["passer", "--help"]), @"
    Give every queued packet the same verdict, and show it

    Usage: ipq-cli passer [OPTIONS]

    Options:
          --transport <T>
              Which kernel to talk to: auto, ip_queue, nfqueue:N, nfqueue:A-B, unix:PATH or sim:FILE.
              The default is what the environment variable `IPQ_TRANSPORT` says, else auto

          --family <FAMILY>
              Which packets: ipv4, ipv6 or both

              [default: both]

          --range <BYTES>
              Copy at most this many bytes of each packet, up to 65535; 0 copies all of it

              [default: 0]

          --timeout <DURATION>
              Stop when no packet has come for this long, for example 500ms or 2m

          --queue-maxlen <N>
              How many packets may wait for a verdict (nfnetlink_queue)

          --fail-open
              Let packets pass when the queue is full, instead of dropping them (nfnetlink_queue)

          --gso
              Take GSO packets whole, larger than the MTU, instead of in segments (nfnetlink_queue)

          --rcvbuf <BYTES>
              Size of the socket's receive buffer; by default it follows from the queue's length and the
              range

          --install <RULE>
              Put a rule into the firewall that queues these packets, for example 'OUTPUT -p icmp', and
              take it out at the end, also after a signal or a crash. While no program has the queue,
              they pass

          --copy <MODE>
              How much of each packet is wanted: its metadata, or the packet too

              Possible values:
              - meta:   The metadata, and no payload
              - packet: Metadata and payload

              [default: packet]

          --verdict <VERDICT>
              What becomes of each packet

              Possible values:
              - accept: Let it go on
              - drop:   Discard it
              - repeat: Call the same hook again, which may queue it again
              - queue:  Queue it again
              - stop:   Let it go on, past the rest of the hook

              [default: accept]

          --filter <EXPR>
              Give the verdict only to packets that match this pcap filter expression, and accept all
              others

      -c, --count <N>
              Stop after this many packets

          --json
              Print JSON, one object a line

          --quiet
              Print no packets, only the summary

          --write <FILE.pcap>
              Write the packets that left the queue alive to this file, as pcap

          --log <FILE.jsonl>
              Write each verdict to this file, for 'ipq-cli compare'

      -h, --help
              Print help (see a summary with '-h')

    Examples:
      ipq-cli passer --transport sim:capture.pcap
      ipq-cli passer --transport sim:capture.pcap --json | jq -r .summary
      ipq-cli passer --transport sim:capture.pcap --verdict drop --count 10
      ipq-cli passer --transport sim:capture.pcap --verdict drop --filter 'udp port 53'
      ipq-cli passer --transport sim:scenario.toml
      ipq-cli passer --transport nfqueue:0 --install 'OUTPUT -p icmp'
    ");
}

#[test]
fn has_a_short_help() {
    let (short, long) = (says(&["passer", "-h"]), says(&["passer", "--help"]));
    assert!(short.lines().count() < long.lines().count(), "{short}");
    for option in long.split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(short.contains(option), "{option} is missing in {short}");
    }
}

#[test]
fn has_a_version() {
    assert_eq!(says(&["--version"]), concat!("ipq-cli ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_a_command_it_explains_itself_as_a_wrong_usage() {
    Run::of(&mut ipq_cli()).ended(2).says(&["Usage: ipq-cli <COMMAND>", "passer"]);
    Run::of(ipq_cli().arg("help")).ended(2).says(&["unrecognized subcommand 'help'"]);
}
