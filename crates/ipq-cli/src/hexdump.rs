//! Bytes as tcpdump's `-x` prints them: [`hexdump`], and [`pointed_at`] one of them.

use core::ops::Range;
use std::io::{self, Write};

/// Bytes in a row.
const ROW: usize = 16;

/// Writes `bytes`, sixteen a line.
pub(crate) fn hexdump(out: &mut (impl Write + ?Sized), bytes: &[u8]) -> io::Result<()> {
    (0..).step_by(ROW).zip(bytes.chunks(ROW)).try_for_each(|(at, row)| line(out, at, row))
}

/// Writes the line that the first byte of `range` is in, and below it a caret for each byte of the range; also where
/// that byte is missing, because the bytes end before it.
pub(crate) fn pointed_at(
    out: &mut (impl Write + ?Sized),
    bytes: &[u8],
    range: &Range<usize>,
) -> io::Result<()> {
    let start = range.start.min(bytes.len());
    let row = start - start % ROW;
    let there = bytes.get(row..).unwrap_or_default();
    line(out, row, there.get(..ROW).unwrap_or(there))?;
    let column = |byte: usize| LABEL + byte * 2 + byte / 2;
    let first = start - row;
    let last = (range.end.max(start + 1) - 1 - row).min(ROW - 1).max(first);
    let carets = column(last) + 2 - column(first);
    writeln!(out, "{:blank$}{:^<carets$}", "", "", blank = column(first))
}

/// Characters before the first byte of a line.
const LABEL: usize = 13;

fn line(out: &mut (impl Write + ?Sized), at: usize, row: &[u8]) -> io::Result<()> {
    write!(out, "    {at:#06x}:")?;
    for (index, pair) in row.chunks(2).enumerate() {
        out.write_all(if index == 0 { b"  ".as_slice() } else { b" " })?;
        pair.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?;
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn pointed(len: u8, range: Range<usize>) -> String {
        let bytes: Vec<u8> = (0..len).collect();
        let mut out = Vec::new();
        pointed_at(&mut out, &bytes, &range).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_carets_are_below_the_bytes() {
        assert_snapshot!(pointed(40, 20..24), @"
            0x0010:  1011 1213 1415 1617 1819 1a1b 1c1d 1e1f
                               ^^^^^^^^^
        ");
        assert_snapshot!(pointed(40, 15..19), @"
        0x0000:  0001 0203 0405 0607 0809 0a0b 0c0d 0e0f
                                                      ^^
        ");
        assert_snapshot!(pointed(3, 3..4), @"
            0x0000:  0001 02
                            ^^
        ");
        assert_snapshot!(pointed(16, 16..17), @"
            0x0010:
                     ^^
        ");
        assert_snapshot!(pointed(0, 7..7), @"
        0x0000:
                 ^^^^^^^^^^^^^^^^^
        ");
    }

    #[test]
    fn a_row_has_sixteen_bytes() {
        let bytes: Vec<u8> = (0..19).collect();
        let mut out = Vec::new();
        hexdump(&mut out, &bytes).unwrap();
        assert_snapshot!(String::from_utf8(out).unwrap(), @"
        0x0000:  0001 0203 0405 0607 0809 0a0b 0c0d 0e0f
        0x0010:  1011 12
        ");
    }
}
