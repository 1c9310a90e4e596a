//! The loop of passer and its like allocates nothing for a packet, whatever it prints of it or writes down: twice the
//! packets take as many allocations.

use core::ops::Range;
use std::fs;

use etherparse::PacketBuilder;
use ipq::{CopyMode, Families, TransportName};
use tempfile::TempDir;

use super::*;

/// How a format prints to `out` and `messages`.
type Print = for<'w> fn(&'w mut Counted) -> Box<dyn Output + 'w>;

/// Counts what is written to it. What std does for its own sink would be less than to write it.
#[derive(Default)]
struct Counted {
    bytes: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const VERBOSE: Details = Details { verbose: true, hex: true, verdicts: true };
const BRIEF: Details = Details { verbose: false, hex: false, verdicts: true };

fn text(out: &mut Counted, details: Details) -> Box<dyn Output + '_> {
    Box::new(Text { out, messages: Counted::default(), details, is_coloured: true })
}

fn formats() -> [(&'static str, Print); 3] {
    [
        ("text", |out| text(out, BRIEF)),
        ("verbose text", |out| text(out, VERBOSE)),
        ("JSON", |out| Box::new(Json(out))),
    ]
}

/// UDP, TCP and ICMP of both families, of several lengths.
fn packets() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for payload_len in [0, 100, 1400] {
        let payload = vec![7; payload_len];
        let mut add = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = Vec::new();
            write(&mut packet);
            packets.push(packet);
        };
        let ipv4 = || PacketBuilder::ipv4([10, 7, 0, 9], [10, 7, 0, 1], 64);
        let ipv6 = || PacketBuilder::ipv6([0xfd; 16], [0xfe; 16], 64);
        for ip in [ipv4, ipv6] {
            add(&|packet| ip().udp(53, 40_000).write(packet, &payload).unwrap());
            add(&|packet| ip().tcp(22, 40_000, 1, 2).psh().ack(7).write(packet, &payload).unwrap());
        }
        add(&|packet| ipv4().icmpv4_echo_request(1, 2).write(packet, &payload).unwrap());
        add(&|packet| ipv6().icmpv6_echo_reply(1, 2).write(packet, &payload).unwrap());
    }
    packets
}

/// A capture of so many packets.
fn capture(path: &Path, count: usize) {
    let mut writer = Writer::create(path, Precision::Nanoseconds).unwrap();
    for (packet, second) in packets().iter().cycle().take(count).zip(0..) {
        writer.write(Timestamp::new(second, 0).unwrap(), packet).unwrap();
    }
    writer.finish().unwrap();
}

fn plan(path: &Path) -> Plan {
    Plan {
        transport: TransportName::Sim(path.to_owned()),
        options: Families::Both.into(),
        mode: CopyMode::Packet { range: 0 },
        timeout: None,
        waits_again: false,
        stops_exactly: false,
        settles_rest: false,
        rule: None,
    }
}

fn job(shows: Shows, filter: Option<&str>) -> Job {
    Job {
        verdict: Verdict::Drop,
        filter: filter.map(|filter| filter.parse().unwrap()),
        application: None,
        shows,
        shows_progress: false,
        count: None,
        counts: Counts::Read,
        write: None,
        record: None,
        log: None,
    }
}

/// How many allocations a run over so many packets takes, and how many bytes it prints.
fn run(count: usize, job: &Job, print: Print) -> (u64, usize) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("packets.pcap");
    capture(&path, count);
    let (plan, job) = (plan(&path), job.clone());
    let mut printed = Counted::default();
    let info = allocation_counter::measure(|| {
        let mut output = print(&mut printed);
        engine::run(plan, |source| Show::open(&mut *output, job, source)).unwrap();
    });
    (info.count_total, printed.bytes)
}

const LENGTHS: [usize; 2] = [1000, 2000];

#[track_caller]
fn takes_no_memory_for_a_packet(what: &str, job: &Job, print: Print, line_len: Range<usize>) {
    let [(few, _), (many, printed)] = LENGTHS.map(|count| run(count, job, print));
    // Signals are registered anew in each run, beside more and more of the runs before it: that is never quite the same.
    assert!(many < few + 20, "{what}: {few} allocations, then {many}");
    assert!(line_len.contains(&(printed / LENGTHS[1])), "{what}: {printed} bytes");
}

#[test]
fn printing_allocates_nothing_for_a_packet() {
    for (name, print) in formats() {
        takes_no_memory_for_a_packet(name, &job(Shows::All, None), print, 60..5000);
        takes_no_memory_for_a_packet(name, &job(Shows::Nothing, None), print, 0..1);
    }
}

#[test]
fn filtering_allocates_nothing_for_a_packet() {
    for filter in ["udp port 53", "tcp[tcpflags] & tcp-push != 0", "ip6 and not greater 500"] {
        for (name, print) in formats() {
            let job = job(Shows::Matching, Some(filter));
            takes_no_memory_for_a_packet(name, &job, print, 10..5000);
        }
    }
}

#[test]
fn writing_down_what_lives_and_every_verdict_allocates_nothing_for_a_packet() {
    let folder = TempDir::new().unwrap();
    let [alive, log] = ["alive.pcap", "verdicts.log"].map(|name| folder.path().join(name));
    let job = Job {
        verdict: Verdict::Accept,
        write: Some(alive.clone()),
        log: Some(log.clone()),
        ..job(Shows::Nothing, None)
    };
    takes_no_memory_for_a_packet("files", &job, formats()[0].1, 0..1);
    assert!(fs::metadata(alive).unwrap().len() > 2000 * 20);
    assert_eq!(fs::read_to_string(log).unwrap().lines().count(), 2000);
}

/// The counter counts: otherwise the tests above would prove nothing.
#[test]
fn the_counter_counts() {
    let info = allocation_counter::measure(|| drop(core::hint::black_box(packets())));
    assert!(info.count_total >= 18);
}
