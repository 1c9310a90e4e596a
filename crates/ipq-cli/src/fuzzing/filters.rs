//! Any text as a filter, and any packet before it.

use crate::Filter;

/// What stands between the packet and the filter in an input.
const SEPARATOR: u8 = b'\n';

/// Reads what is before the first line break as a filter, and has it look at the bytes behind, whole and cut.
///
/// # Panics
///
/// If a filter is not printed as it was written, if an error does not point into the text, or if what is true of filters
/// that are joined is not true of these.
pub fn filters(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == SEPARATOR).unwrap_or(data.len());
    let (text, packet) = data.split_at(end);
    let packet = packet.get(1..).unwrap_or(&[]);
    let Ok(text) = core::str::from_utf8(text) else { return };
    let filter: Filter = match text.parse() {
        Ok(filter) => filter,
        Err(error) => {
            let error: crate::FilterError = error;
            let said = error.to_string();
            assert_eq!(said.lines().count(), 3, "{said}");
            return;
        }
    };
    assert_eq!(filter.to_string(), text);
    core::hint::black_box(format!("{filter:?}"));
    // In parentheses it may be too deep.
    let joined = [format!("({text})"), format!("({text}) and ({text})"), format!("not ({text})")];
    let joined: Vec<Filter> = joined.iter().filter_map(|text| text.parse().ok()).collect();
    for len in [packet.len(), packet.len() / 2, 0] {
        let bytes = &packet[..len];
        let is_true = filter.matches(bytes, packet.len());
        let [same, both, not] = &*joined else { continue };
        assert_eq!(same.matches(bytes, packet.len()), is_true, "({text})");
        assert_eq!(both.matches(bytes, packet.len()), is_true, "({text}) and ({text})");
        // Neither is true of a packet that ends too early.
        assert!(!(is_true && not.matches(bytes, packet.len())), "not ({text})");
    }
}
