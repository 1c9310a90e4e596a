//! The programs under valgrind's memcheck and with the address sanitizer: neither finds anything.

use ipq_proto::Family::{Ipv4, Ipv6};
use ipq_tests::namespace::{Outcome, Skipped};

use crate::network::Network;
use ipq_tests::programs::{Build, built, needs, program};
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

/// A program, its arguments, and how many packets it takes of each family.
type Case = (&'static str, &'static [&'static str], usize);

const CASES: [Case; 10] = [
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
    program: &std::path::Path,
) {
    let mut running = Running::start(&network.transport(), through, program, arguments);
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
