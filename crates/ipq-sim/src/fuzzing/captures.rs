//! Any bytes as a capture file.

use crate::capture::{
    CaptureError, CapturedPacket, Entry, LinkType, PcapngWriter, Precision, Reader, Record, Writer,
};

/// A record of either format has a header of at least this many bytes.
const LEAST_RECORD_LEN: usize = 12;

/// What writers cut longer packets to.
const SNAP_LEN: usize = 262_144;

/// Reads `data` as a capture, both as records and as packets, and writes the packets to captures of both formats.
///
/// # Panics
///
/// If a reader gives more than there is, if its two ways to read differ, or if what was written is not read again.
pub fn captures(data: &[u8]) {
    let records = records(data);
    let entries = entries(data);
    assert_eq!(records.len(), entries.len());
    for (record, entry) in records.iter().zip(&entries) {
        compare(record, entry);
    }
    let packets: Vec<CapturedPacket> =
        entries.into_iter().filter_map(packet).filter(is_writable).collect();
    let again = |file: Vec<u8>| {
        let entries = self::entries(&file);
        let read: Vec<_> = entries.into_iter().filter_map(packet).collect();
        assert_eq!(read.len(), packets.len());
        for (read, packet) in read.iter().zip(&packets) {
            let same = |packet: &CapturedPacket| (packet.timestamp, packet.family, packet.cut);
            assert_eq!(same(read), same(packet));
            assert_eq!(read.data, packet.data);
        }
    };
    again(pcap(&packets).expect("their times fit"));
    again(pcapng(&packets).expect("their times fit"));
}

fn packet(entry: Entry) -> Option<CapturedPacket> {
    if let Entry::Packet(packet) = entry { Some(packet) } else { None }
}

/// All records there are before the file ends or makes no sense.
fn records(data: &[u8]) -> Vec<Record> {
    let mut reader = match Reader::new(data) {
        Ok(reader) => reader,
        Err(error) => return print(&error),
    };
    let mut records = Vec::new();
    while let Some(record) = reader.next_record() {
        match record {
            Ok(record) => records.push(record),
            Err(error) => print(&error),
        }
        assert!(records.len() <= data.len() / LEAST_RECORD_LEN, "more records than bytes for them");
    }
    assert!(reader.next_record().is_none(), "it went on after its end");
    let held = records.iter().map(|record| match record {
        Record::Frame { data, .. } => data.len(),
        Record::Malformed { .. } => 0,
    });
    assert!(held.sum::<usize>() <= data.len(), "more bytes than there are");
    records
}

/// All packets, likewise.
fn entries(data: &[u8]) -> Vec<Entry> {
    let Ok(reader) = Reader::new(data) else { return Vec::new() };
    reader.map_while(Result::ok).collect()
}

/// An error is one line.
fn print<T: Default>(error: &CaptureError) -> T {
    assert!(!error.to_string().contains('\n'), "{error}");
    T::default()
}

/// A packet is in its frame.
fn compare(record: &Record, entry: &Entry) {
    match (record, entry) {
        (Record::Frame { number, timestamp, data, .. }, Entry::Packet(packet)) => {
            assert_eq!((*number, *timestamp), (packet.number, packet.timestamp));
            assert!(packet.data.len() >= packet.family.header_len());
            assert!(data.windows(packet.data.len()).any(|part| part == packet.data));
            assert!(packet.cut.is_none_or(|len| len > packet.data.len()));
        }
        (Record::Frame { number, .. }, entry) => assert_eq!(*number, entry.number()),
        (Record::Malformed { number, reason }, entry) => {
            let of_record = Entry::Malformed { number: *number, reason: *reason };
            assert_eq!(*entry, of_record);
        }
    }
}

/// Whether both formats can express when it came, and how long it was, and have room for it.
fn is_writable(packet: &CapturedPacket) -> bool {
    let is_short = |len: usize| u32::try_from(len).is_ok();
    packet.data.len() <= SNAP_LEN
        && packet.cut.is_none_or(is_short)
        && u32::try_from(packet.timestamp.seconds()).is_ok()
}

fn pcap(packets: &[CapturedPacket]) -> Result<Vec<u8>, CaptureError> {
    let mut writer = Writer::new(Vec::new(), Precision::Nanoseconds)?;
    for packet in packets {
        let len = packet.cut.unwrap_or(packet.data.len());
        writer.write_cut(packet.timestamp, &packet.data, len)?;
    }
    writer.finish()
}

fn pcapng(packets: &[CapturedPacket]) -> Result<Vec<u8>, CaptureError> {
    let mut writer = PcapngWriter::new(Vec::new())?;
    let interface = writer.add_interface("any", LinkType::RAW)?;
    for packet in packets {
        let len = packet.cut.unwrap_or(packet.data.len());
        writer.write_cut(interface, packet.timestamp, &packet.data, len, "a comment")?;
    }
    writer.finish()
}
