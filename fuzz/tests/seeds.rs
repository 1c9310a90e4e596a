//! Replays the named seeds on stable Rust. A crash that the fuzzer finds becomes one of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use ipq_fuzz::{STRUCTURED, TARGETS};
use ipq_proto::DataModel;
use ipq_proto::ip_queue::{Message, datagram};

/// A seed is cut everywhere, or at about so many places if it is long.
const MOST_CUTS: usize = 48;

fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    paths
}

fn stems(folder: &str) -> BTreeSet<String> {
    let stem = |path: &PathBuf| path.file_stem().and_then(OsStr::to_str).map(str::to_owned);
    entries(folder).iter().filter_map(stem).collect()
}

#[test]
fn every_seed_is_survived() {
    for (name, body) in TARGETS {
        let seeds = entries(&format!("seeds/{name}"));
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            // Shown only if the body panics: it says which seed it was.
            println!("{}", seed.display());
            body(&fs::read(&seed).expect("a readable seed"));
        }
    }
}

#[test]
fn truncations_of_a_seed_are_survived() {
    for (name, body) in TARGETS {
        for seed in entries(&format!("seeds/{name}")) {
            let bytes = fs::read(&seed).expect("a readable seed");
            for len in (0..bytes.len()).step_by(bytes.len() / MOST_CUTS + 1) {
                println!("{} cut to {len} bytes", seed.display());
                body(&bytes[..len]);
            }
        }
    }
}

/// A seed of a structured input means something else as soon as a field or a variant is put elsewhere, or one is added.
/// Then its name is wrong, and what it was kept for is no longer tried.
#[test]
fn seeds_of_structures_say_what_they_said() {
    for (name, in_words) in STRUCTURED {
        let told = entries(&format!("seeds/{name}")).into_iter().map(|seed| {
            let lines = in_words(&fs::read(&seed).expect("a readable seed"));
            let lines = lines.unwrap_or_else(|| panic!("{} says nothing", seed.display()));
            let seed = seed.file_name().and_then(OsStr::to_str).expect("an ordinary name");
            format!("{seed}: {}", lines.join("\n  "))
        });
        let told = told.collect::<Vec<_>>().join("\n");
        insta::with_settings!({
            description => "What the seeds of this target say. If it has changed, so has the order or the number of fields or \
                            variants: put them back, or make the seeds anew; then INSTA_UPDATE=always writes this file.",
            omit_expression => true,
            prepend_module_to_snapshot => false,
        }, {
            insta::assert_snapshot!(*name, told);
        });
    }
}

#[test]
fn targets_programs_and_seeds_are_the_same_set() {
    let names: BTreeSet<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("seeds"), names);
}

#[test]
fn a_seed_named_after_a_layout_decodes_in_it() {
    let layouts = [
        ("ilp32-little-", DataModel::Ilp32Little),
        ("ilp32-big-", DataModel::Ilp32Big),
        ("lp64-big-", DataModel::Lp64Big),
    ];
    for (prefix, model) in layouts {
        for name in stems("seeds/round_trip").iter().filter(|name| name.starts_with(prefix)) {
            let path = format!("{}/seeds/round_trip/{name}.bin", env!("CARGO_MANIFEST_DIR"));
            let bytes = fs::read(path).expect("a readable seed");
            let (_, message) = datagram(model, &bytes).expect(name);
            assert!(!matches!(message, Message::Other(..)), "{name}: {message}");
        }
    }
}
