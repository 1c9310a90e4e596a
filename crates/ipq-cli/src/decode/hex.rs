//! Hex dumps, as people and programs write them: [`datagrams`].

use super::input::{Datagram, InputError};

/// The datagrams of a hex dump. An empty line ends one, and so does a line with the offset 0.
pub(super) fn datagrams(text: &str) -> Result<Vec<Datagram>, InputError> {
    let mut datagrams: Vec<Datagram> = Vec::new();
    let mut is_open = false;
    for (index, line) in text.lines().enumerate() {
        let (line, _comment) = line.split_once('#').unwrap_or((line, ""));
        if line.trim().is_empty() {
            is_open = false;
            continue;
        }
        let so_far = datagrams.last().filter(|_| is_open).map_or(0, |last| last.bytes.len());
        let (offset, digits) = without_offset(line, so_far);
        if !is_open || offset == Some(0) {
            datagrams
                .push(Datagram { place: format!("line {}", index + 1), ..Datagram::default() });
            is_open = true;
        }
        if let Some(open) = datagrams.last_mut() {
            bytes(digits, &mut open.bytes).map_err(|(token, byte)| {
                let column = line.len() - digits.len() + byte + 1;
                InputError::Hex { line: index + 1, column, token: token.to_owned() }
            })?;
        }
    }
    Ok(datagrams)
}

/// Whether `text` may be a hex dump: only of one are the first words hexadecimal.
pub(super) fn is_likely(text: &str) -> bool {
    let lines = text.lines().map(|line| line.split_once('#').map_or(line, |(line, _)| line));
    let mut lines = lines.filter(|line| !line.trim().is_empty());
    lines.next().is_none_or(|line| bytes(without_offset(line, 0).1, &mut Vec::new()).is_ok())
}

/// Takes the offset off the start of a line, and what repeats the bytes as characters off its end.
fn without_offset(line: &str, so_far: usize) -> (Option<usize>, &str) {
    let number = |digits: &str| {
        let digits = digits.trim();
        let is_offset = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_offset.then(|| usize::from_str_radix(digits, 16).ok()).flatten()
    };
    let cut = |digits: &'_ str, mark: &str| {
        let start = digits.len() - digits.trim_start().len();
        digits[start..].find(mark).map_or(digits.len(), |end| start + end)
    };
    // xxd, tcpdump.
    if let Some((label, digits)) = line.split_once(':') {
        let label = label.trim();
        if let Some(offset) = number(label.strip_prefix("0x").unwrap_or(label)) {
            return (Some(offset), &digits[..cut(digits, "  ")]);
        }
    }
    // hexdump -C, Wireshark: only blanks tell an offset from bytes, and that it is the right one.
    if let Some((label, digits)) = line.trim_start().split_once("  ") {
        match number(label) {
            Some(offset) if offset == so_far || offset == 0 => {
                let mark = if digits.contains('|') { "|" } else { "   " };
                return (Some(offset), &digits[..cut(digits, mark)]);
            }
            _ => (),
        }
    }
    (None, line)
}

/// Appends the bytes of a line: pairs of digits, with `0x`, `\x` and commas or without. An error is the word that is
/// none, and where it starts.
fn bytes<'t>(line: &'t str, bytes: &mut Vec<u8>) -> Result<(), (&'t str, usize)> {
    let is_between = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '"' | '{' | '}');
    for word in line.split(is_between).filter(|word| !word.is_empty()) {
        let wrong = || (word, word.as_ptr().addr() - line.as_ptr().addr());
        let digits = word.replace("\\x", "").replace("0x", "");
        if digits.len() % 2 != 0 || digits.is_empty() {
            return Err(wrong());
        }
        for pair in digits.as_bytes().chunks(2) {
            let byte = core::str::from_utf8(pair).ok().and_then(|pair| {
                let is_hex = pair.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_hex.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
            });
            bytes.push(byte.ok_or_else(wrong)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<(String, Vec<u8>)> {
        let datagrams = datagrams(text).unwrap();
        datagrams.into_iter().map(|datagram| (datagram.place, datagram.bytes)).collect()
    }

    #[test]
    fn every_way_to_write_bytes_is_read() {
        let expected: Vec<u8> = (0x40..0x54).collect();
        for text in [
            "404142434445464748494a4b4c4d4e4f50515253",
            "40 41 42 43 44 45 46 47 48 49 4A 4B 4C 4D 4E 4F\n50 51 52 53\n",
            "0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d,\n\
             0x4e, 0x4f, 0x50, 0x51, 0x52, 0x53",
            r#""\x40\x41\x42\x43\x44\x45\x46\x47\x48\x49\x4a\x4b\x4c\x4d\x4e\x4f\x50\x51\x52\x53""#,
            "00000000: 4041 4243 4445 4647 4849 4a4b 4c4d 4e4f  @ABCDEFGHIJKLMNO\n\
             00000010: 5051 5253                                PQRS",
            "00000000  40 41 42 43 44 45 46 47  48 49 4a 4b 4c 4d 4e 4f  |@ABCDEFGHIJKLMNO|\n\
             00000010  50 51 52 53                                       |PQRS|",
            "\t0x0000:  4041 4243 4445 4647 4849 4a4b 4c4d 4e4f  @ABCDEFGHIJKLMNO\n\t0x0010:  5051 5253",
            "0000   40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f   @ABCDEFGHIJKLMNO\n\
             0010   50 51 52 53                                       PQRS",
            "# said so\n  40 41 42 43 44 45 46 47 # eight\n48494a4b4c4d4e4f50515253",
        ] {
            assert_eq!(read(text).len(), 1, "{text}");
            assert_eq!(read(text)[0].1, expected, "{text}");
            assert!(is_likely(text), "{text}");
        }
    }

    #[test]
    fn empty_lines_and_the_offset_zero_begin_a_datagram() {
        let line = |number: usize| format!("line {number}");
        assert_eq!(read("01\n\n\n02 03\n04"), [(line(1), vec![1]), (line(4), vec![2, 3, 4])]);
        let two = "0000:  0102\n0002:  03\n0000:  04";
        assert_eq!(read(two), [(line(1), vec![1, 2, 3]), (line(3), vec![4])]);
        assert_eq!(read("\n# nothing\n"), []);
    }

    #[test]
    fn the_word_that_is_no_byte_is_named() {
        for (text, line, column, word) in
            [("01\n02 zz", 2, 4, "zz"), ("0", 1, 1, "0"), ("0000:  01 0é", 1, 11, "0é")]
        {
            let error = datagrams(text).unwrap_err();
            assert_eq!(error, InputError::Hex { line, column, token: word.to_owned() }, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = (datagrams(&text), is_likely(&text));
        }

        #[test]
        fn what_hexdump_writes_is_read(bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            let mut out = Vec::new();
            crate::hexdump::hexdump(&mut out, &bytes).unwrap();
            let read = read(&String::from_utf8(out).unwrap());
            prop_assert_eq!(&read[0].1, &bytes);
            prop_assert_eq!(read.len(), 1);
        }
    }
}
