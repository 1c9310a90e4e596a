//! Simulated time: captures replayed, deadlines, and that time never runs back.

use core::time::Duration;

use ipq_proto::{CopyMode, DeviceName, Family, HardwareAddress, HardwareType, Hook, Verdict};
use ipq_sim::capture::{CaptureError, CapturedPacket, Entry, MalformedReason, Timestamp};
use ipq_sim::{Fate, Kernel, Match, Reason, SocketOptions, Target};
use ipq_sys::{Deadline, Received, Stepped, Transport};

use crate::common::{Heard, Program, builder, inbound, router, udp, udp_on};

const MS: Duration = Duration::from_millis(1);
const START: Timestamp = Timestamp::EPOCH;

fn at(milliseconds: u64) -> Timestamp {
    time(1_795_429_884).saturating_add(Duration::from_millis(milliseconds))
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::new(seconds, 0).unwrap()
}

fn entry(number: u64, timestamp: Timestamp, family: Family, data: Vec<u8>) -> Entry {
    Entry::Packet(CapturedPacket {
        number,
        timestamp,
        family,
        hardware_type: HardwareType::ETHERNET,
        hardware_address: HardwareAddress::new(&[2, 0, 0, 0, 0, 0xbb]).unwrap(),
        data,
        cut: None,
    })
}

/// A capture of datagrams that arrive at these times, in milliseconds.
fn capture(family: Family, times: &[u64]) -> Vec<Result<Entry, CaptureError>> {
    let data = udp_on(inbound(family), b"x");
    let entries = times.iter().zip(1..);
    entries.map(|(&ms, number)| Ok(entry(number, at(ms), family, data.clone()))).collect()
}

/// A kernel that queues what comes in, and its program.
fn queueing(family: Family) -> (Kernel, Program) {
    let kernel = router().build();
    kernel.rule(Hook::PreRouting, Match::any(), Target::Queue);
    let mut program = Program::open(&kernel, family, SocketOptions::default());
    program.set_mode(CopyMode::Packet { range: 0 });
    (kernel, program)
}

#[test]
fn a_capture_comes_in_at_its_own_times() {
    for family in Family::ALL {
        let (kernel, mut program) = queueing(family);
        let replay = kernel.replay("eth0", capture(family, &[0, 5, 5, 1000]).into_iter());
        assert_eq!(kernel.wall_clock(), at(0), "the first packet sets the clock");
        for (ms, entered) in [(0, 1), (5, 2), (5, 3), (1000, 4)] {
            let Some(Heard::Packet(packet)) = program.hear_until(Deadline::Never) else {
                panic!("a packet is to come");
            };
            assert_eq!(kernel.now(), Duration::from_millis(ms));
            assert_eq!(kernel.wall_clock(), at(ms));
            assert_eq!(packet.timestamp.seconds, at(ms).seconds());
            assert_eq!(packet.timestamp.microseconds, i64::from(at(ms).nanoseconds() / 1000));
            assert_eq!(packet.hw_type, HardwareType::ETHERNET);
            assert_eq!(packet.hw_address.to_string(), "02:00:00:00:00:bb");
            assert_eq!(packet.input, "eth0");
            assert_eq!(replay.status().entered, entered);
        }
        let mut buffer = [0; 64];
        let ended = program.socket.receive(&mut buffer, Deadline::Never);
        assert_eq!(ended, Ok(Received::Ended));
        assert_eq!(kernel.now(), 1000 * MS, "waiting for nothing takes no time");
    }
}

#[test]
fn the_builders_start_time_is_not_moved_by_a_capture() {
    let start = at(0).saturating_sub(Duration::from_secs(10));
    let kernel = router().start_time(start).build();
    kernel.replay("eth0", capture(Family::Ipv4, &[0, 500]).into_iter());
    assert_eq!(kernel.wall_clock(), start);
    kernel.run();
    assert_eq!(kernel.now(), Duration::from_millis(10_500));
    assert_eq!(kernel.wall_clock(), at(500));
}

#[test]
fn without_a_capture_the_clock_starts_at_the_epoch() {
    let kernel = router().build();
    assert_eq!((kernel.now(), kernel.wall_clock()), (Duration::ZERO, START));
    kernel.advance(3 * MS);
    assert_eq!(kernel.wall_clock(), START.saturating_add(3 * MS));
}

#[test]
fn a_capture_that_starts_later_sets_the_clock_to_its_first_packet() {
    let kernel = router().build();
    kernel.advance(Duration::from_secs(7));
    kernel.replay("eth0", capture(Family::Ipv4, &[0, 20]).into_iter());
    assert_eq!(kernel.wall_clock(), at(0));
    kernel.run();
    assert_eq!(kernel.now(), Duration::from_millis(7020));
    let times: Vec<_> = kernel.take_outcomes().iter().map(|o| o.timestamp.unwrap()).collect();
    assert_eq!(times, [at(0), at(20)]);
}

#[test]
fn time_never_runs_back() {
    // Out of order in the file, and a second capture that is older than the first.
    let (kernel, mut program) = queueing(Family::Ipv4);
    kernel.replay("eth0", capture(Family::Ipv4, &[100, 50, 120, 0, 119, 130]).into_iter());
    kernel.replay("tun0", capture(Family::Ipv4, &[0, 110]).into_iter());
    let mut seen = Vec::new();
    let mut now = kernel.now();
    while let Some(Heard::Packet(packet)) = program.hear_until(Deadline::Never) {
        assert!(kernel.now() >= now, "time runs back");
        now = kernel.now();
        let ms = now.as_millis();
        let sent = packet.timestamp.microseconds / 1000
            - 1000 * (packet.timestamp.seconds - at(0).seconds());
        seen.push((ms, packet.input, sent));
    }
    // Each carries the time of the capture, whenever it came in.
    let expected: Vec<_> = [
        (0, "eth0", 100),
        (0, "tun0", 0),
        (0, "eth0", 50),
        (10, "tun0", 110),
        (20, "eth0", 120),
        (20, "eth0", 0),
        (20, "eth0", 119),
        (30, "eth0", 130),
    ]
    .map(|(ms, device, sent)| (ms, device.to_owned(), sent))
    .into();
    assert_eq!(seen, expected);
}

#[test]
fn deadlines_are_kept_to_the_instant() {
    let (kernel, mut program) = queueing(Family::Ipv4);
    kernel.replay("eth0", capture(Family::Ipv4, &[0, 10]).into_iter());
    assert!(matches!(program.hear_within(Duration::ZERO), Some(Heard::Packet(_))), "due now");
    assert_eq!(program.hear(), None);
    assert_eq!(kernel.now(), Duration::ZERO, "to look takes no time, and lets none pass");
    assert_eq!(program.hear_within(9 * MS), None);
    assert_eq!(kernel.now(), 9 * MS);
    assert_eq!(program.hear_until(Deadline::At(5 * MS)), None);
    assert_eq!(kernel.now(), 9 * MS, "a deadline in the past");
    assert!(matches!(program.hear_until(Deadline::At(10 * MS)), Some(Heard::Packet(_))));
    assert_eq!(kernel.now(), 10 * MS);
    assert_eq!(program.hear_within(Duration::from_hours(1)), None);
    assert_eq!(kernel.now(), 10 * MS + Duration::from_hours(1));
    assert_eq!(program.hear_until(Deadline::Never), None);
}

#[test]
fn what_is_already_there_is_read_at_once() {
    let (kernel, mut program) = queueing(Family::Ipv6);
    kernel.receive("eth0", Family::Ipv6, &udp_on(inbound(Family::Ipv6), b"x"));
    kernel.replay("eth0", capture(Family::Ipv6, &[0, 1000]).into_iter());
    kernel.advance(MS);
    for _ in 0..2 {
        assert!(matches!(program.hear_until(Deadline::Never), Some(Heard::Packet(_))));
        assert_eq!(kernel.now(), MS);
    }
}

#[test]
fn immediate_does_not_let_the_kernel_run() {
    let (kernel, mut program) = queueing(Family::Ipv4);
    kernel.receive("eth0", Family::Ipv4, &udp_on(inbound(Family::Ipv4), b"x"));
    program.hears_nothing();
    assert_eq!(kernel.totals().queued, 0);
    assert!(matches!(program.hear_within(Duration::ZERO), Some(Heard::Packet(_))));
}

#[test]
fn one_step_does_one_thing() {
    let kernel = router().build();
    let mut socket = kernel.socket(Family::Ipv4);
    assert_eq!(kernel.step(), Stepped::Ended);
    for _ in 0..3 {
        kernel.send(Family::Ipv4, &udp(Family::Ipv4, b"x"));
    }
    for delivered in 1..=3 {
        assert_eq!(kernel.step(), Stepped::Progressed);
        assert_eq!(kernel.totals().delivered, delivered);
    }
    assert_eq!(kernel.step(), Stepped::Ended);
    assert_eq!(socket.step(Deadline::Immediate), Ok(Stepped::TimedOut));
    assert_eq!(socket.step(Deadline::Never), Ok(Stepped::Ended));
    assert_eq!(socket.step(Deadline::At(MS)), Ok(Stepped::TimedOut));
    assert_eq!(kernel.now(), MS);
}

#[test]
fn a_socket_with_something_to_read_needs_no_step() {
    let (kernel, mut program) = queueing(Family::Ipv4);
    let data = udp_on(inbound(Family::Ipv4), b"x");
    kernel.receive("eth0", Family::Ipv4, &data);
    kernel.receive("eth0", Family::Ipv4, &data);
    assert_eq!(program.socket.step(Deadline::Never), Ok(Stepped::Progressed));
    assert_eq!(program.socket.step(Deadline::Never), Ok(Stepped::Progressed));
    assert_eq!(kernel.totals().queued, 1, "the second packet has not come in yet");
}

#[test]
fn advance_does_what_is_due_and_nothing_more() {
    let (kernel, mut program) = queueing(Family::Ipv4);
    kernel.replay("eth0", capture(Family::Ipv4, &[0, 1, 2, 3, 10]).into_iter());
    for (ms, queued) in [(0, 1), (1, 2), (1, 3), (5, 4), (2, 4), (1, 5), (100, 5)] {
        kernel.advance(ms * MS);
        assert_eq!(kernel.totals().queued, queued);
    }
    assert_eq!(kernel.now(), 110 * MS);
    assert_eq!(program.packets().len(), 5);
    kernel.advance(Duration::MAX);
    assert_eq!(kernel.now(), Duration::MAX);
    kernel.advance(Duration::MAX);
    assert_eq!(kernel.now(), Duration::MAX);
}

#[test]
fn what_is_planned_for_the_same_time_happens_in_that_order() {
    let kernel = router().build();
    let data = udp_on(inbound(Family::Ipv4), b"x");
    kernel.receive("eth0", Family::Ipv4, &data);
    kernel.send(Family::Ipv4, &udp(Family::Ipv4, b"x"));
    kernel.receive("tun0", Family::Ipv4, &data);
    kernel.run();
    let inputs: Vec<String> =
        kernel.take_outcomes().iter().map(|o| o.input_device.to_string()).collect();
    assert_eq!(inputs, ["eth0", "lo", "tun0"]);
}

#[test]
fn captured_checksums_and_lengths_are_taken_as_they_are_until_replaced() {
    for family in Family::ALL {
        let mut wrong = udp_on(inbound(family), b"offloaded");
        *wrong.last_mut().unwrap() ^= 1;
        let cut =
            udp_on(inbound(family), b"cut by the snap length")[..family.header_len() + 20].to_vec();
        let (kernel, mut program) = queueing(family);
        let entries = [wrong.clone(), cut.clone(), wrong.clone()]
            .map(|data| Ok(entry(1, at(0), family, data)));
        kernel.replay("eth0", entries.into_iter());
        kernel.run();
        let packets = program.packets();
        assert_eq!(packets[1].payload, cut);
        program.verdict(packets[0].id, Verdict::Accept);
        program.verdict(packets[1].id, Verdict::Accept);
        program.verdict_with(packets[2].id, Verdict::Accept, &wrong);
        let fates: Vec<_> = kernel.take_outcomes().iter().map(|o| o.fate).collect();
        let refused = Fate::Dropped(Reason::TransportChecksum);
        assert_eq!(fates, [Fate::Delivered, Fate::Delivered, refused]);
    }
}

#[test]
fn frames_without_a_packet_are_passed_over_and_counted() {
    let kernel = router().build();
    let mut entries = capture(Family::Ipv4, &[0, 1]);
    let reason = MalformedReason::NflogWithoutPacket;
    entries.insert(1, Ok(Entry::NotIp { number: 2 }));
    entries.insert(2, Ok(Entry::Malformed { number: 3, reason }));
    let replay = kernel.replay("eth0", entries.into_iter());
    kernel.run();
    let status = replay.status();
    assert_eq!((status.entered, status.skipped, status.malformed), (2, 2, 1));
    let malformed = replay.take_malformed();
    assert_eq!(malformed.len(), 1);
    assert_eq!((malformed[0].number, malformed[0].reason), (3, reason));
    assert!(malformed[0].to_string().starts_with("packet 3: "));
    assert!(replay.take_malformed().is_empty(), "told once");
    assert!(replay.take_error().is_none());
    assert_eq!(kernel.totals().entered, 2);
}

#[test]
fn a_damaged_capture_ends_its_replay_and_not_the_kernel() {
    let damage = ipq_sim::capture::Reader::new(&b"no capture"[..]).err().unwrap();
    let text = damage.to_string();
    let kernel = router().build();
    let mut entries = capture(Family::Ipv4, &[0, 1]);
    entries.insert(1, Err(damage));
    let replay = kernel.replay("eth0", entries.into_iter());
    kernel.replay("tun0", capture(Family::Ipv4, &[5]).into_iter());
    kernel.run();
    assert_eq!(replay.status().entered, 1);
    assert_eq!(replay.take_error().unwrap().to_string(), text);
    assert!(replay.take_error().is_none(), "told once");
    assert_eq!(kernel.totals().delivered, 2);
}

#[test]
fn an_empty_capture_is_no_event() {
    let kernel = router().build();
    let replay = kernel.replay("eth0", core::iter::empty());
    assert_eq!(kernel.step(), Stepped::Ended);
    assert_eq!(replay.status(), ipq_sim::ReplayStatus::default());
}

#[test]
fn a_packet_that_arrives_while_its_device_is_down_is_lost() {
    let kernel = router().build();
    kernel.replay("eth0", capture(Family::Ipv4, &[0, 10, 20]).into_iter());
    kernel.advance(5 * MS);
    kernel.device_down("eth0");
    kernel.advance(10 * MS);
    kernel.device_up("eth0");
    kernel.run();
    let fates: Vec<_> = kernel.take_outcomes().iter().map(|o| o.fate).collect();
    let lost = Fate::Dropped(Reason::DeviceDown);
    assert_eq!(fates, [Fate::Delivered, lost, Fate::Delivered]);
}

#[test]
fn outcomes_can_be_counted_without_being_kept() {
    let kernel = builder().count_only().build();
    for _ in 0..10 {
        kernel.send(Family::Ipv4, &udp(Family::Ipv4, b"x"));
    }
    kernel.run();
    assert_eq!(kernel.totals().delivered, 10);
    assert!(kernel.take_outcomes().is_empty());
    assert!(kernel.delivered().is_empty());
}

#[test]
fn an_outcome_says_all_of_a_packet() {
    let kernel = router().build();
    let data = udp_on(inbound(Family::Ipv4), b"x");
    kernel.replay("eth0", capture(Family::Ipv4, &[3]).into_iter());
    kernel.run();
    let outcome = &kernel.delivered()[0];
    assert_eq!((outcome.number, outcome.family, outcome.mark), (1, Family::Ipv4, 0));
    assert_eq!((outcome.timestamp, &outcome.data), (Some(at(3)), &data));
    assert_eq!(outcome.input_device, DeviceName::new("eth0").unwrap());
    assert_eq!(kernel.delivered().len(), kernel.take_outcomes().len());
}
