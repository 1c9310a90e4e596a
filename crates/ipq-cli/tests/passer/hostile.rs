//! Captures made to break things: the program says what it makes of them, and never panics.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::captures::FILES;
use crate::common::{Capture, traffic};

/// One thing done to the bytes of a file.
#[derive(Clone, Debug)]
enum Damage {
    /// A byte is another.
    Set(Index, u8),
    /// Four bytes are a number.
    Word(Index, u32),
    /// The file ends here.
    Cut(Index),
    /// A piece comes twice.
    Repeat(Index, Index),
}

impl Damage {
    fn apply(&self, file: &mut Vec<u8>) {
        let len = file.len();
        match self {
            _ if len == 0 => (),
            Self::Set(at, byte) => file[at.index(len)] = *byte,
            Self::Word(at, word) => {
                let room = file[at.index(len)..].iter_mut();
                room.zip(word.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Self::Cut(at) => file.truncate(at.index(len)),
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(len), to.index(len));
                file.extend_from_within(from.min(to)..from.max(to));
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let word = prop_oneof![0..100_u32, any::<u32>(), Just(u32::MAX), Just(1 << 31)];
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        2 => (any::<Index>(), word).prop_map(|(at, word)| Damage::Word(at, word)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

/// A small file of the folder, damaged.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let files = FILES.iter().map(|(name, _)| std::fs::read(traffic(name)).expect("it is there"));
    let small: Vec<_> = files.filter(|file| file.len() < 1500).collect();
    (select(small), vec(damage(), 1..8)).prop_map(|(mut file, damages)| {
        for damage in damages {
            damage.apply(&mut file);
        }
        file
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_capture_never_panics(
        file in hostile(),
        verdict in select(vec!["accept", "drop", "stop"]),
        family in select(vec!["both", "ipv4", "ipv6"]),
        range in select(vec!["0", "1", "21", "60", "65535"]),
        write in any::<bool>(),
    ) {
        let capture = Capture::of_bytes(&file);
        let written = capture.beside("written.pcap");
        let mut args = vec!["--verdict", verdict, "--family", family, "--range", range];
        if write {
            args.extend(["--write", written.to_str().unwrap()]);
        }

        let run = capture.passer(&args);
        let status = i32::from(run.stderr.contains("ipq-cli: reading ") || run.stderr.contains("ipq-cli: writing "));
        let text = run.ended(status);

        args.push("--json");
        let run = capture.passer(&args).ended(status);
        let packets = run.events("packet");
        prop_assert_eq!(text.stdout.lines().count(), packets.len());
        if run.stdout.is_empty() {
            prop_assert_eq!(status, 1);
            return Ok(());
        }
        let summary = run.summary();
        let count = |key: &str| summary[key].as_u64().unwrap();
        prop_assert_eq!(count("packets"), packets.len() as u64);
        prop_assert_eq!(count("accepted") + count("dropped") + count("other"), count("packets"));
        prop_assert_eq!(count("malformed"), run.events("malformed").len() as u64);
        prop_assert!(count("malformed") <= count("skipped"));
        prop_assert!(family != "both" || count("unclaimed") == 0);
        prop_assert_eq!((count("lost"), count("errors")), (0, 0));
    }
}
