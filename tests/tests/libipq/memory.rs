//! The programs under valgrind's memcheck and with the address sanitizer: neither finds anything.

use std::path::Path;

use ipq_proto::Family::{Ipv4, Ipv6};
use ipq_tests::namespace::{Outcome, Skipped};

use crate::network::Network;
use ipq_tests::programs::{Build, built, needs, program, root};
use ipq_tests::running::Running;

/// Whose calls are looked at: reads and writes outside of what there is, use of what nobody has written, memory that is
/// never given back.
const MEMCHECK: [&str; 6] = [
    "valgrind",
    "--quiet",
    "--trace-children=yes",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--error-exitcode=99",
];

const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

/// A program, its arguments, and how many packets it takes of each family. `TRANSPORT` is what the network says it is, and
/// `MARK` a mark where there are any.
type Case = (&'static str, &'static [&'static str], usize);

const CASES: [Case; 12] = [
    ("passer", &["4", "2"], 2),
    ("two_families", &["3"], 3),
    ("delayed", &["9"], 9),
    ("replacer", &["2"], 2),
    ("small_range", &["2"], 2),
    ("short_buffer", &["2"], 2),
    ("forks", &["2"], 5),
    ("descriptor", &["4"], 4),
    ("signals", &[], 0),
    ("misuse", &[], 0),
    ("additions", &["TRANSPORT", "9", "MARK"], 10),
    ("busy_forks", &["10"], 0),
];

mod on_a_simulated_kernel {
    #[test]
    fn memcheck_finds_nothing() {
        crate::simulated::run("memory::memcheck_finds_nothing", super::under_memcheck);
    }

    #[test]
    fn the_sanitizers_find_nothing() {
        crate::simulated::run("memory::the_sanitizers_find_nothing", super::with_sanitizers);
    }
}

/// The kernel of the transport `sim:FILE` is in the program itself.
#[test]
fn nothing_is_found_with_a_kernel_inside() {
    let capture = root().join("tests/traffic/dns-badcookie.pcap");
    let transport = format!("sim:{}", capture.display());
    let run = |through: &[&str], program: &Path| {
        let running = Running::start(&transport, through, program, &["4"]);
        assert_eq!(running.finish(), "4 packets, Received EOF on netlink socket\n");
    };
    let run_all = || {
        run(&[], &built("until_end", Build::USUAL, &SANITIZERS)?);
        needs("valgrind", "--version").map_err(Skipped)?;
        run(&MEMCHECK, &program("until_end", Build::USUAL)?);
        Ok(())
    };
    if let Err(Skipped(reason)) = run_all() {
        eprintln!("skipped: memory::nothing_is_found_with_a_kernel_inside: {reason}");
    }
}

mod on_the_real_kernel {
    #[test]
    fn memcheck_finds_nothing() {
        let name = concat!(module_path!(), "::memcheck_finds_nothing");
        crate::real::run(name, super::under_memcheck);
    }

    #[test]
    fn the_sanitizers_find_nothing() {
        let name = concat!(module_path!(), "::the_sanitizers_find_nothing");
        crate::real::run(name, super::with_sanitizers);
    }
}

fn under_memcheck(network: &mut dyn Network) -> Outcome {
    needs("valgrind", "--version").map_err(Skipped)?;
    for case in CASES {
        run(network, case, &MEMCHECK, &program(case.0, Build::USUAL)?);
    }
    Ok(())
}

fn with_sanitizers(network: &mut dyn Network) -> Outcome {
    for case in CASES {
        run(network, case, &[], &built(case.0, Build::USUAL, &SANITIZERS)?);
    }
    Ok(())
}

fn run(
    network: &mut dyn Network,
    (name, arguments, packets): Case,
    through: &[&str],
    program: &Path,
) {
    let (transport, mark) = (network.transport(), if network.has_marks() { "0x17" } else { "0" });
    let meant = |&argument| match argument {
        "TRANSPORT" => transport.as_str(),
        "MARK" => mark,
        other => other,
    };
    let arguments: Vec<_> = arguments.iter().map(meant).collect();
    let mut running = Running::start(&transport, through, program, &arguments);
    if packets > 0 {
        running.wait_for("ready");
    }
    for number in 0..packets {
        network.send(Ipv4, &number.to_string());
        if name == "two_families" {
            network.send(Ipv6, &number.to_string());
        }
    }
    running.finish();
    while network.receive().is_some() {}
}
