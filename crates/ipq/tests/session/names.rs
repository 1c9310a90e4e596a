//! Transports by name.

use std::path::PathBuf;

use ipq::{Error, Families, Family, Queue, TransportName};
use proptest::prelude::*;

fn nfqueue(first: u16, last: u16) -> TransportName {
    TransportName::Nfqueue { first, last }
}

#[test]
fn good_names_are_understood() {
    for (name, expected) in [
        ("auto", TransportName::Auto),
        ("ip_queue", TransportName::IpQueue),
        ("nfqueue:0", nfqueue(0, 0)),
        ("nfqueue:65535", nfqueue(65_535, 65_535)),
        ("nfqueue:007", nfqueue(7, 7)),
        ("nfqueue:1-4", nfqueue(1, 4)),
        ("nfqueue:3-3", nfqueue(3, 3)),
        ("nfqueue:0-65535", nfqueue(0, 65_535)),
        ("unix:/run/ipq.sock", TransportName::Unix("/run/ipq.sock".into())),
        ("unix:a:b", TransportName::Unix("a:b".into())),
        ("sim:a.pcap", TransportName::Sim("a.pcap".into())),
        ("sim:auto", TransportName::Sim("auto".into())),
        ("sim: ", TransportName::Sim(" ".into())),
        ("sim:sim:x", TransportName::Sim("sim:x".into())),
    ] {
        assert_eq!(name.parse(), Ok(expected), "{name}");
    }
    assert_eq!(TransportName::default(), TransportName::Auto);
}

#[test]
fn bad_names_are_refused_with_the_reason_and_the_choice() {
    for (name, reason) in [
        ("", "no such name"),
        (" ", "no such name"),
        ("Auto", "no such name"),
        ("auto ", "no such name"),
        (" auto", "no such name"),
        ("ipqueue", "no such name"),
        ("nflog:0", "no such name"),
        (":", "no such name"),
        ("auto:", "nothing comes after it"),
        ("auto:1", "nothing comes after it"),
        ("ip_queue:0", "nothing comes after it"),
        ("nfqueue", "the queue number is missing"),
        ("nfqueue:", "a number up to 65535"),
        ("nfqueue:-", "a number up to 65535"),
        ("nfqueue:1-", "a number up to 65535"),
        ("nfqueue:-1", "a number up to 65535"),
        ("nfqueue:+1", "a number up to 65535"),
        ("nfqueue: 1", "a number up to 65535"),
        ("nfqueue:0x1", "a number up to 65535"),
        ("nfqueue:65536", "a number up to 65535"),
        ("nfqueue:99999999999999999999", "a number up to 65535"),
        ("nfqueue:1-2-3", "a number up to 65535"),
        ("nfqueue:1,2", "a number up to 65535"),
        ("nfqueue:٣", "a number up to 65535"),
        ("nfqueue:4-1", "the first queue is after the last one"),
        ("unix", "the path is missing"),
        ("unix:", "the path is missing"),
        ("sim", "the path is missing"),
        ("sim:", "the path is missing"),
        ("line\nbreak", "no such name"),
    ] {
        let error = name.parse::<TransportName>().unwrap_err().to_string();
        assert!(error.contains(reason), "{name:?}: {error}");
        assert!(error.contains("the transports are auto, ip_queue, nfqueue:N"), "{error}");
        assert!(error.starts_with(&format!("{name:?} is no transport: ")), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let name: TransportName = "unix:/nowhere/ipq.socket".parse().unwrap();
    let error = Queue::open(name, Family::Ipv4).unwrap_err();
    assert!(matches!(&error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("simulated kernel at /nowhere/ipq.socket:"), "{error}");
}

#[test]
fn a_capture_that_is_not_there_is_named() {
    let missing = TransportName::Sim("/nowhere/missing.pcap".into());
    let error = Queue::open(missing, Families::Both).unwrap_err();
    assert!(matches!(error, Error::Capture(_)), "{error:?}");
    assert!(error.to_string().contains("/nowhere/missing.pcap"), "{error}");
}

fn name() -> impl Strategy<Value = TransportName> {
    let path = "[^\u{0}]{1,30}".prop_map(PathBuf::from);
    prop_oneof![
        Just(TransportName::Auto),
        Just(TransportName::IpQueue),
        (any::<u16>(), any::<u16>()).prop_map(|(a, b)| nfqueue(a.min(b), a.max(b))),
        path.clone().prop_map(TransportName::Unix),
        path.prop_map(TransportName::Sim),
    ]
}

proptest! {
    #[test]
    fn a_name_printed_is_the_name(name in name()) {
        prop_assert_eq!(name.to_string().parse(), Ok(name));
    }

    #[test]
    fn any_text_is_a_name_or_not(text in ".{0,40}") {
        if let Ok(name) = text.parse::<TransportName>() {
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn text_like_a_queue_is_a_name_or_not(text in "nfqueue:[-+0-9 ]{0,12}") {
        if let Ok(name) = text.parse::<TransportName>() {
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }
    }
}
