//! The text format of Prometheus, read as strictly as Prometheus does: [`parse`].

use std::collections::BTreeMap;

/// Samples by name and labels.
pub(crate) type Samples = BTreeMap<(String, Vec<(String, String)>), u64>;

/// The samples of a text, by name and labels. Panics where Prometheus would refuse it.
pub(crate) fn parse(text: &str) -> Samples {
    let mut samples = BTreeMap::new();
    let mut announced: Option<(String, bool)> = None;
    let mut seen = Vec::new();
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && help.trim() == help, "{help:?}");
            assert!(!seen.contains(&name.to_owned()), "{name} twice");
            seen.push(name.to_owned());
            announced = Some((name.to_owned(), false));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge"].contains(&kind));
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert_eq!(announced, Some((name.to_owned(), false)));
            announced = Some((name.to_owned(), true));
        } else {
            let (series, number) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                Some((name, labels)) => (name, parse_labels(labels)),
                None => (series, Vec::new()),
            };
            assert_eq!(announced, Some((name.to_owned(), true)), "{line}");
            let earlier = samples.insert((name.to_owned(), labels), number.parse().unwrap());
            assert!(earlier.is_none(), "{line} twice");
        }
    }
    samples
}

/// The labels between braces, without escapes; the closing brace must be the end.
fn parse_labels(mut rest: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        assert!(name.chars().all(legal) && !name.is_empty(), "{name:?}");
        assert!(!name.starts_with(|first: char| first.is_ascii_digit()), "{name:?}");
        let mut text = String::new();
        let mut letters = value.char_indices();
        let end = loop {
            match letters.next().unwrap() {
                (end, '"') => break end,
                (_, '\\') => text.push(match letters.next().unwrap().1 {
                    'n' => '\n',
                    letter @ ('"' | '\\') => letter,
                    other => panic!("no such escape: {other:?}"),
                }),
                (_, letter) => text.push(letter),
            }
        };
        labels.push((name.to_owned(), text));
        match &value[end + 1..] {
            "}" => return labels,
            more => rest = more.strip_prefix(',').unwrap(),
        }
    }
}
