//! What is on the screen after packets that were fed by hand.

use core::time::Duration;
use std::sync::LazyLock;

use etherparse::PacketBuilder;
use insta::assert_snapshot;
use ipq::{KernelStatus, NfqueueStatus, Snapshot, Verdict};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::flows::Order;
use super::pace::Pace;
use super::screen::{View, draw};
use super::state::{Picture, State, Title};

const VIEW: View = View { is_paused: false, order: Order::Packets, is_coloured: true };

/// A UDP datagram of this host's number and port.
fn udp(host: u8, port: u16, payload_len: usize) -> Vec<u8> {
    let mut packet = Vec::new();
    PacketBuilder::ipv4([192, 0, 2, host], [198, 51, 100, 7], 64)
        .udp(port, 53)
        .write(&mut packet, &vec![0; payload_len])
        .unwrap();
    packet
}

fn snapshot(waiting: u64, by_queue: u32, by_buffer: u32) -> Snapshot {
    let status = NfqueueStatus {
        queue: 3,
        port_id: 4711,
        queue_length: waiting,
        copy_mode: 2,
        copy_range: 128,
        queue_dropped: by_queue,
        user_dropped: by_buffer,
        last_id: 0,
    };
    let mut snapshot = Snapshot::default();
    snapshot.kernel = KernelStatus { nfqueues: vec![status], ..KernelStatus::default() };
    snapshot
}

fn empty() -> State {
    let title = Title {
        transport: "nfqueue:3".to_owned(),
        copies: "128 bytes of each".to_owned(),
        verdict: "drop if udp port 53".to_owned(),
    };
    State::new(title, Pace::Packets)
}

/// A minute in which the traffic swells, a queue fills up and packets are lost.
fn busy() -> State {
    let mut state = empty();
    for second in 0..60_u64 {
        let at = Duration::from_secs(second);
        for number in 0..second * 3 {
            let verdict = if number % 5 == 0 { Verdict::Drop } else { Verdict::Accept };
            let host = u8::try_from(number % 4).unwrap();
            let packet = udp(host, 40_000 + u16::from(host), usize::from(host) * 300);
            state.packet(at, &packet, packet.len() as u64, verdict);
        }
        let lost = u32::try_from(second.saturating_sub(40)).unwrap();
        state.snapshot(at, &snapshot(second * second % 97, lost, lost / 2));
    }
    state
}

static BUSY: LazyLock<Picture> = LazyLock::new(|| busy().picture());

fn screen(picture: &Picture, view: View, (width, height): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, picture, view)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn fits_an_ordinary_terminal() {
    assert_snapshot!(screen(&BUSY, VIEW, (80, 24)));
}

#[test]
fn uses_a_large_terminal() {
    assert_snapshot!(screen(&BUSY, VIEW, (120, 40)));
}

#[test]
fn shows_what_is_lost_in_a_tiny_terminal() {
    assert_snapshot!(screen(&BUSY, VIEW, (20, 5)));
}

#[test]
fn shows_nothing_that_has_not_come() {
    assert_snapshot!(screen(&empty().picture(), VIEW, (80, 24)));
}

#[test]
fn says_that_it_is_paused_what_is_wrong_and_that_flows_are_forgotten() {
    let mut state = empty();
    for port in 0..3000 {
        state.packet(Duration::ZERO, &udp(1, port, 10), 38, Verdict::Repeat);
    }
    state.packet(Duration::ZERO, b"\x05", 1, Verdict::Accept);
    state.trouble("the receive buffer was full:\x1b[2J packets were lost");
    let view = View { is_paused: true, order: Order::Bytes, is_coloured: false };
    assert_snapshot!(screen(&state.picture(), view, (80, 18)));
}

#[test]
fn says_that_it_does_not_know_what_waits() {
    let mut state = empty();
    let mut snapshot = Snapshot::default();
    snapshot.kernel.problems.push("reading /proc: Permission denied".to_owned());
    state.snapshot(Duration::ZERO, &snapshot);
    let screen = screen(&state.picture(), VIEW, (80, 24));
    assert!(screen.contains("  waiting ?  lost 0"), "{screen}");
    assert!(screen.contains("only root may see what waits"), "{screen}");
}

#[test]
fn says_that_no_more_packets_come() {
    let mut state = busy();
    state.end();
    let screen = screen(&state.picture(), VIEW, (80, 24));
    assert!(screen.lines().next().unwrap().contains("00:59 ended"), "{screen}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_size_is_drawn(width in 1_u16..200, height in 1_u16..80, is_paused: bool, is_busy: bool) {
        let picture = if is_busy { BUSY.clone() } else { empty().picture() };
        let view = View { is_paused, ..VIEW };
        let screen = screen(&picture, view, (width, height));
        prop_assert_eq!(screen.lines().count(), usize::from(height));
    }
}
