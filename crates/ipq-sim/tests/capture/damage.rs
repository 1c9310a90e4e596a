//! Damaged files: a clear error or fewer packets, and never a panic.

use std::io::{self, Read};

use ipq_sim::capture::{CaptureError, CaptureErrorKind, Reader};

use super::build::{File, MICROSECONDS, MODIFIED, TSOFFSET, TSRESOL, ipv4, ipv6};
use super::{check_error, read, read_all, traffic};

/// The small files of real traffic, and some of what there is none of.
fn small_files() -> Vec<Vec<u8>> {
    let options: [(u16, &[u8]); 2] = [(TSRESOL, &[9]), (TSOFFSET, &[1; 8])];
    let mut files = vec![
        File::pcap(true, MODIFIED, 101).bytes,
        File::pcap(false, MICROSECONDS, 9)
            .record((1, 2), &[&[0x21], &*ipv4(30)].concat(), 31)
            .bytes,
        File::pcapng(true)
            .interface(101, 96, &options)
            .enhanced(0, 1, &ipv4(21), 21)
            .simple(&ipv4(20), 20)
            .block(5, |body| body.u32(0).u32(1))
            .other_section()
            .interface(229, 0, &[])
            .obsolete(0, 1, &ipv6(3), 43)
            .bytes,
    ];
    for (name, _) in traffic::FILES {
        let file = std::fs::read(traffic::path(name)).expect("the file is there");
        if file.len() < 1500 {
            files.push(file);
        }
    }
    files
}

#[test]
fn survives_truncation_at_every_byte() {
    for file in small_files() {
        let whole = read_all(&file);
        let mut n_clean_ends = 0;
        for len in 0..file.len() {
            let (entries, error) = read(&file[..len]);
            assert!(whole.starts_with(&entries), "at {len}");
            match error.as_ref().map(CaptureError::kind) {
                None => n_clean_ends += 1,
                Some(CaptureErrorKind::Empty) => assert_eq!(len, 0),
                Some(CaptureErrorKind::Truncated { needed, found }) => assert!(found < needed),
                Some(kind) => panic!("at {len}: {kind}"),
            }
        }
        // Before each record of a pcap file, and nowhere else, the end is no surprise.
        if !file.starts_with(&[0x0a, 0x0d]) {
            assert_eq!(n_clean_ends, whole.len());
        }
    }
}

#[test]
fn survives_every_byte_being_wrong() {
    let mut n_errors = 0;
    for mut file in small_files() {
        for at in 0..file.len() {
            let right = file[at];
            for wrong in [0, 1, 0x7f, 0x80, 0xff, right ^ 1, right ^ 0x80, !right] {
                file[at] = wrong;
                let (entries, error) = read(&file);
                n_errors += u32::from(error.is_some());
                let text = entries.iter().map(super::describe);
                let text: String = text.chain(error.map(|error| error.to_string())).collect();
                assert!(!text.contains('\n'), "{text}");
            }
            file[at] = right;
        }
    }
    assert!(n_errors > 1000, "{n_errors}");
}

#[test]
fn names_what_is_no_capture() {
    check_error(
        &[],
        "reading a capture: offset 0: the file is empty: not even the header of a capture is there",
    );
    check_error(
        b"GIF89a",
        "reading a capture: offset 0: it starts with 47 49 46 38, which is no pcap or pcapng file",
    );
    check_error(
        &[0x1f, 0x8b, 8, 0, 0],
        "reading a capture: offset 0: it starts with 1f 8b 08 00, which is no pcap or pcapng file \
            but a compressed one: unpack it first",
    );
    check_error(
        &[0xd4],
        "reading a capture: offset 0: 1 of 4 bytes are there: the file was cut short",
    );
    let mut old = File::pcap(true, MICROSECONDS, 1).bytes;
    old[5] = 1;
    check_error(&old, "reading a capture: offset 0: version 1.4 of the file format is unknown");
    let error = Reader::open(traffic::path("README.md")).unwrap_err().to_string();
    assert!(error.ends_with(
        "README.md: offset 0: it starts with 23 20 43 61, which is no pcap or pcapng file"
    ));
}

#[test]
fn refuses_lengths_that_lie() {
    let start = File::pcap(false, MICROSECONDS, 101).record((0, 0), &ipv4(20), 20);
    let file = start.clone().u32(0).u32(0).u32(4_000_000_000).u32(0);
    check_error(
        &file.bytes,
        "reading a capture: packet 2 at offset 60: record claims 4000000000 bytes, \
            more than 16777216: the file is damaged",
    );
    let file = start.clone().u32(0).u32(0).u32(16 << 20).u32(0);
    check_error(
        &file.bytes,
        "reading a capture: packet 2 at offset 60: 16 of 16777232 bytes are there: \
            the file was cut short",
    );
    let file = start.u32(0).u32(0);
    check_error(
        &file.bytes,
        "reading a capture: packet 2 at offset 60: 8 of 16 bytes are there: the file was cut short",
    );
}

#[test]
fn refuses_block_lengths_that_lie() {
    for (claimed, end, expected) in [
        (0, 0, "block claims 0 bytes, not a multiple of 4 from 12 on: the file is damaged"),
        (8, 8, "block claims 8 bytes, not a multiple of 4 from 12 on: the file is damaged"),
        (13, 13, "block claims 13 bytes, not a multiple of 4 from 12 on: the file is damaged"),
        (16, 20, "block claims 16 bytes at its start and 20 at its end: the file is damaged"),
        (20, 20, "16 of 20 bytes are there: the file was cut short"),
        (
            u32::MAX,
            u32::MAX,
            "record claims 4294967295 bytes, more than 16777216: the file is damaged",
        ),
    ] {
        let file = File::pcapng(false).u32(0x0bad).u32(claimed).u32(0).u32(end);
        check_error(&file.bytes, &format!("reading a capture: packet 1 at offset 28: {expected}"));
    }
    let header = |body: &[u8]| File::default().block(0x0a0d_0d0a, |block| block.raw(body)).bytes;
    let expected =
        "reading a capture: offset 0: the section header makes no sense: the file is damaged";
    check_error(&header(&[0; 16]), expected);
    check_error(&header(&[0x4d, 0x3c, 0x2b, 0x1a]), expected);
    check_error(
        &header(&[0x4d, 0x3c, 0x2b, 0x1a, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        "reading a capture: offset 0: version 2.0 of the file format is unknown",
    );
    check_error(
        &File::pcapng(true).block(1, |body| body.u32(0)).bytes,
        "reading a capture: packet 1 at offset 28: the interface description makes no sense: \
            the file is damaged",
    );
}

/// A stream that fails after some bytes.
struct Failing<'a>(&'a [u8]);

impl Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::Error::other("the tape tore")),
            len => Ok(len),
        }
    }
}

#[test]
fn a_failing_stream_is_reported_once() {
    let file = File::pcap(false, MICROSECONDS, 101).record((0, 0), &ipv4(20), 20).bytes;
    let mut reader = Reader::new(Failing(&file)).unwrap();
    assert!(reader.next().is_some_and(|entry| entry.is_ok()));
    let error = reader.next().unwrap().unwrap_err();
    assert_eq!((error.packet(), error.offset()), (Some(2), Some(60)));
    assert_eq!(error.to_string(), "reading a capture: packet 2 at offset 60: the tape tore");
    assert!(reader.next().is_none());
    assert!(reader.next().is_none());
}
