//! What the libraries export: what `libipq.map` lists, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use ipq_tests::namespace::Skipped;

use ipq_tests::programs::{needs, prefix, root, succeed};

/// The symbols of the original, and where they are.
const ORIGINAL: [(&str, char); 12] = [
    ("ipq_create_handle", 'T'),
    ("ipq_ctl", 'T'),
    ("ipq_destroy_handle", 'T'),
    ("ipq_errmap", 'D'),
    ("ipq_errstr", 'T'),
    ("ipq_get_msgerr", 'T'),
    ("ipq_get_packet", 'T'),
    ("ipq_message_type", 'T'),
    ("ipq_perror", 'T'),
    ("ipq_read", 'T'),
    ("ipq_set_mode", 'T'),
    ("ipq_set_verdict", 'T'),
];

/// What is new.
const ADDITIONS: [(&str, char); 7] = [
    ("ipq_create_handle_with", 'T'),
    ("ipq_errdetail", 'T'),
    ("ipq_get_statistics", 'T'),
    ("ipq_handle_error", 'T'),
    ("ipq_set_verdicts", 'T'),
    ("ipq_set_vwmark", 'T'),
    ("ipq_strerror", 'T'),
];

/// What nm says of a library: symbols with their versions and kinds.
fn symbols(library: &str, options: &[&str]) -> Result<BTreeMap<String, char>, Skipped> {
    needs("nm", "--version").map_err(Skipped)?;
    let mut nm = Command::new("nm");
    nm.args(options).args(["--defined-only", "--extern-only"]);
    nm.arg(prefix()?.join("lib").join(library));
    let listed = String::from_utf8(succeed(&mut nm).stdout).unwrap();
    let symbols = listed.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = words.next()?.chars().next()?;
        Some((words.next()?.to_owned(), kind))
    });
    Ok(symbols.collect())
}

/// Prints why a test was not done, if it was not.
fn done(test: &str, outcome: Result<(), Skipped>) {
    if let Err(reason) = outcome {
        eprintln!("skipped: symbols::{test}: {reason}");
    }
}

#[test]
fn the_shared_library_exports_what_is_listed_and_in_which_version() {
    let check = || {
        let versioned = |symbols: &'static [(&str, char)], version: &'static str| {
            symbols.iter().map(move |(name, kind)| (format!("{name}@@{version}"), *kind))
        };
        let versions = ["LIBIPQ_0", "LIBIPQ_0.1"].map(|name| (name.to_owned(), 'A'));
        let expected = versioned(&ORIGINAL, "LIBIPQ_0").chain(versioned(&ADDITIONS, "LIBIPQ_0.1"));
        assert_eq!(symbols("libipq.so.0", &["-D"])?, expected.chain(versions).collect());
        Ok(())
    };
    done("the_shared_library_exports_what_is_listed_and_in_which_version", check());
}

#[test]
fn the_static_library_exports_the_same() {
    let check = || {
        let expected = ORIGINAL.iter().chain(&ADDITIONS);
        let expected = expected.map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
        assert_eq!(symbols("libipq.a", &[])?, expected);
        Ok(())
    };
    done("the_static_library_exports_the_same", check());
}

#[test]
fn the_shared_library_is_found_by_its_name() {
    let check = || {
        needs("readelf", "--version").map_err(Skipped)?;
        let library = prefix()?.join("lib");
        let mut readelf = Command::new("readelf");
        let said = succeed(readelf.arg("-d").arg(library.join("libipq.so.0"))).stdout;
        assert!(String::from_utf8_lossy(&said).contains("Library soname: [libipq.so.0]"));
        let link = fs::read_link(library.join("libipq.so")).unwrap();
        assert_eq!(link.to_str(), Some("libipq.so.0"));
        Ok(())
    };
    done("the_shared_library_is_found_by_its_name", check());
}

/// Whoever adds a function has to say so in each of these places.
#[test]
fn each_function_is_declared_and_has_a_manual_page() {
    let check = || {
        let header = fs::read_to_string(root().join("crates/ipq-capi/include/libipq.h")).unwrap();
        let pages = prefix()?.join("share/man/man3");
        for (name, kind) in ORIGINAL.iter().chain(&ADDITIONS) {
            assert!(header.contains(name), "{name} is not declared");
            let page = pages.join(format!("{name}.3"));
            assert!(*kind == 'D' || page.exists(), "{} is missing", page.display());
        }
        Ok(())
    };
    done("each_function_is_declared_and_has_a_manual_page", check());
}
