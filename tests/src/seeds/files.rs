//! Seeds that are files of people: captures, scenarios, filters, what is to be decoded.

use core::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

use ipq_proto::nfqueue::NETLINK_NETFILTER;
use ipq_sim::capture::{Entry, LinkType, PcapngWriter, Reader, Timestamp};
use zerocopy::LittleEndian;

use super::{Seed, messages, root};

/// Captures that are longer say the same again and again.
const LONGEST_CAPTURE: usize = 4 << 10;

/// Expressions with everything that the language has.
const FILTERS: [(&str, &str); 16] = [
    ("port", "tcp port 22"),
    ("qualifiers-that-hold", "tcp dst port 22 or 80 or (443 or 8080)"),
    ("flags", "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src net 192.0.2.0/24"),
    ("network", "src net 10.0.0.0 mask 255.0.0.0 && dst net 10/8"),
    ("ipv6-network", "ip6 net 2001:db8::/32 or host ::1"),
    ("range", "udp src or dst portrange 1000-2000"),
    ("names", "port domain or port http or proto \\tcp"),
    ("lengths", "less 100 or greater 1400 or len >= 0x40"),
    ("arithmetic", "ip[0] & 0xf != 5 and (ip[2:2] - ((ip[0] & 15) << 2)) / 4 % 7 > 1"),
    ("http-payload", "tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x47455420"),
    ("icmp", "icmp[icmptype] = icmp-echo or icmp6[icmp6type] == icmp6-echoreply"),
    ("fragments", "ip[6:2] & 0x1fff = 0 and sctp and src and dst port 9"),
    ("nested-not", "not ! (not ip6 and ! udp)"),
    ("octal", "ip proto 017 or ip6 proto 0x3a"),
    ("division-by-zero", "1 / (ip[0] - ip[0]) = 1"),
    ("cut-off", "tcp port ("),
];

pub(super) fn seeds() -> io::Result<Vec<Seed>> {
    let mut seeds = decoded();
    for (name, bytes) in folder("tests/traffic")? {
        let is_capture = name.contains(".pcap");
        if is_capture && bytes.len() <= LONGEST_CAPTURE {
            seeds.push(Seed::new("captures", name, bytes));
        }
    }
    for (name, bytes) in folder("tests/scenarios")? {
        seeds.push(Seed::new("scenarios", name, bytes));
    }
    // Some packet each.
    let packets = packets()?;
    for ((name, text), (_, packet)) in FILTERS.iter().zip(packets.iter().cycle()) {
        let bytes = [text.as_bytes(), b"\n", packet].concat();
        seeds.push(Seed::new("filters", format!("{name}.bin"), bytes));
    }
    Ok(seeds)
}

/// The first packet of each short capture, by its name.
pub(super) fn packets() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut packets = Vec::new();
    for (name, bytes) in folder("tests/traffic")? {
        let Ok(mut reader) = Reader::new(bytes.as_slice()) else { continue };
        let first = reader.find_map(|entry| match entry {
            Ok(Entry::Packet(packet)) if packet.data.len() < 2000 => Some(packet.data),
            _ => None,
        });
        packets.extend(first.map(|packet| (name, packet)));
    }
    Ok(packets)
}

/// The files of a folder of the project, by name.
fn folder(path: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let entries = fs::read_dir(root().join(path))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        fs::read(path).map(|bytes| (name, bytes))
    };
    paths.into_iter().map(read).collect()
}

/// What `ipq-cli decode` is given: messages as hex dumps of several programs, as a capture, and as they are.
fn decoded() -> Vec<Seed> {
    let recorded: Vec<_> = messages::recorded().into_values().collect();
    let [plain, xxd, canonical] = [plain, xxd, canonical].map(|dump: fn(&[u8]) -> String| {
        recorded.iter().map(|bytes| dump(bytes)).take(12).collect::<Vec<_>>().join("\n")
    });
    let nfqueue = messages::nfqueue::<LittleEndian>();
    vec![
        Seed::new("decode_command", "plain.hex", plain),
        Seed::new("decode_command", "xxd.hex", xxd),
        Seed::new("decode_command", "hexdump.hex", canonical),
        Seed::new(
            "decode_command",
            "c-array.hex",
            "{0x14, 0x00,\n\"\\x00\\x00\" # a comment\n02 00",
        ),
        Seed::new("decode_command", "wrong-digit.hex", "14 00 00 0g\n"),
        Seed::new("decode_command", "raw.bin", nfqueue[0].1.clone()),
        Seed::new("decode_command", "nlmon.pcapng", nlmon(&nfqueue).expect("into memory")),
    ]
}

fn plain(bytes: &[u8]) -> String {
    let mut dump = String::new();
    for line in bytes.chunks(16) {
        let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(dump, "{}", digits.join(" "));
    }
    dump
}

fn xxd(bytes: &[u8]) -> String {
    numbered(bytes, |number, digits| format!("{number:08x}: {digits}  ................"))
}

fn canonical(bytes: &[u8]) -> String {
    numbered(bytes, |number, digits| format!("{number:08x}  {digits}  |................|"))
}

fn numbered(bytes: &[u8], line: impl Fn(usize, &str) -> String) -> String {
    let lines = plain(bytes);
    let lines = lines.lines().enumerate().map(|(number, digits)| line(number * 16, digits));
    lines.map(|line| line + "\n").collect()
}

/// A capture of an nlmon device.
fn nlmon(messages: &[(&str, Vec<u8>)]) -> Result<Vec<u8>, ipq_sim::capture::CaptureError> {
    let mut writer = PcapngWriter::new(Vec::new())?;
    let interface = writer.add_interface("nlmon0", LinkType::NETLINK)?;
    for (name, message) in messages {
        let mut frame = vec![0, 0, 3, 56, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        frame.extend(u16::try_from(NETLINK_NETFILTER).unwrap_or(0).to_be_bytes());
        frame.extend(message);
        writer.write(interface, Timestamp::EPOCH, &frame, name)?;
    }
    writer.finish()
}
