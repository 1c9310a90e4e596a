//! What was written is what is read.

use std::path::Path;

use ipq_sim::capture::{CaptureErrorKind, Entry, Precision, Reader, Timestamp, Writer};
use proptest::collection::vec;
use proptest::prelude::*;

use super::build::{ipv4, ipv6};
use super::{check, read, read_all};

fn packet() -> impl Strategy<Value = Vec<u8>> {
    (vec(any::<u8>(), 40..200), prop_oneof![Just(4_u8), Just(6)]).prop_map(|(mut data, version)| {
        data[0] = version << 4 | data[0] & 0x0f;
        data
    })
}

fn time() -> impl Strategy<Value = Timestamp> {
    (any::<u32>(), 0..1_000_000_000_u32)
        .prop_filter_map("a second", |(seconds, rest)| Timestamp::new(seconds.into(), rest))
}

proptest! {
    #[test]
    fn packets_come_back(
        packets in vec((time(), packet(), 0..3_usize), 0..10),
        micros in any::<bool>(),
    ) {
        let precision = if micros { Precision::Microseconds } else { Precision::Nanoseconds };
        let mut writer = Writer::new(Vec::new(), precision).unwrap();
        for (time, packet, missing) in &packets {
            writer.write_cut(*time, packet, packet.len() + missing).unwrap();
        }
        let entries = read_all(&writer.finish().unwrap());
        prop_assert_eq!(entries.len(), packets.len());
        for (entry, (time, packet, missing)) in entries.iter().zip(&packets) {
            let Entry::Packet(read) = entry else { panic!("{entry:?}") };
            prop_assert_eq!(&read.data, packet);
            prop_assert_eq!(read.cut, (*missing > 0).then_some(packet.len() + missing));
            prop_assert_eq!(read.timestamp.seconds(), time.seconds());
            let unit = if micros { 1000 } else { 1 };
            prop_assert_eq!(read.timestamp.nanoseconds(), time.nanoseconds() / unit * unit);
        }
    }

    #[test]
    fn any_bytes_are_written_and_read(packets in vec(vec(any::<u8>(), 0..60), 0..10)) {
        let mut writer = Writer::new(Vec::new(), Precision::default()).unwrap();
        for packet in &packets {
            writer.write(Timestamp::EPOCH, packet).unwrap();
        }
        prop_assert_eq!(read_all(&writer.finish().unwrap()).len(), packets.len());
    }

    #[test]
    fn noise_never_panics(start in 0..8_usize, noise in vec(any::<u8>(), 0..300)) {
        const STARTS: [&[u8]; 8] = [
            &[],
            &[0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4],
            &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0],
            &[0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0],
            &[0xa1, 0xb2, 0xcd, 0x34, 0, 2, 0, 4],
            &[0x0a, 0x0d, 0x0d, 0x0a],
            &[0x0a, 0x0d, 0x0d, 0x0a, 64, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
            &[0x0a, 0x0d, 0x0d, 0x0a, 0, 0, 0, 64, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0],
        ];
        let (_, error) = read(&[STARTS[start], noise.as_slice()].concat());
        prop_assert!(!error.map(|error| error.to_string()).unwrap_or_default().contains('\n'));
    }
}

#[test]
fn the_longest_packets_are_cut_as_by_any_capture() {
    let mut packet = ipv4(20);
    packet.resize(300_000, 0);
    let mut writer = Writer::new(Vec::new(), Precision::default()).unwrap();
    writer.write(Timestamp::EPOCH, &packet).unwrap();
    check(&writer.finish().unwrap(), &["1 0.000000000 ipv4 262144 of 300000"]);
}

#[test]
fn refuses_a_time_that_pcap_cannot_express() {
    let mut writer = Writer::new(Vec::new(), Precision::default()).unwrap();
    for seconds in [-1, 1 << 32] {
        let error = writer.write(Timestamp::new(seconds, 7).unwrap(), &ipv4(20)).unwrap_err();
        assert!(matches!(error.kind(), CaptureErrorKind::Time(_)));
    }
    let error = writer.write(Timestamp::new(1 << 32, 7).unwrap(), &[]).unwrap_err();
    let expected = "writing a capture: packet 1: time 4294967296.000000007 is out of the range \
        of a pcap file: 1970 to 2106";
    assert_eq!(error.to_string(), expected);
    writer.write(Timestamp::new((1 << 32) - 1, 0).unwrap(), &ipv6(0)).unwrap();
    check(&writer.finish().unwrap(), &["1 4294967295.000000000 ipv6 40"]);
}

#[test]
fn files_come_back_by_name() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("round_trip.pcap");
    let mut writer = Writer::create(&path, Precision::Microseconds).unwrap();
    writer.write(Timestamp::EPOCH, &ipv4(20)).unwrap();
    writer.finish().unwrap();
    assert_eq!(Reader::open(&path).unwrap().count(), 1);

    let path = path.join("below-a-file");
    let error = Writer::create(&path, Precision::default()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("writing {}: ", path.display())), "{error}");
    let error = Reader::open(&path).unwrap_err();
    assert_eq!(error.path(), Some(path.as_path()));
    assert!(error.to_string().starts_with(&format!("reading {}: ", path.display())), "{error}");
}
