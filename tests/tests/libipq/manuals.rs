//! The manual pages.

use std::fs;
use std::process::Command;

use ipq_tests::namespace::Skipped;

use ipq_tests::programs::{needs, prefix, succeed};

#[test]
fn are_without_a_fault() {
    let check = || {
        needs("mandoc", "-h").map_err(Skipped)?;
        let pages = prefix()?.join("share/man/man3");
        let mut mandoc = Command::new("mandoc");
        // What it finds, it prints; of warnings and worse, there is none.
        mandoc.args(["-T", "lint", "-W", "warning"]);
        mandoc.args(fs::read_dir(&pages).unwrap().map(|page| page.unwrap().path()));
        let found = succeed(&mut mandoc).stdout;
        assert_eq!(String::from_utf8_lossy(&found), "");
        Ok(())
    };
    if let Err(Skipped(reason)) = check() {
        eprintln!("skipped: manuals::are_without_a_fault: {reason}");
    }
}
