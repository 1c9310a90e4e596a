//! `top` in a terminal of its own, which script(1) gives it.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{Capture, Run, ipq_cli, live, ping_is_answered, sim, skipped, traffic, udp4};

/// Longer than anything takes in a test that does not fail.
const PATIENCE: Duration = Duration::from_secs(20);

/// What puts a terminal into the other screen, and back.
const ENTERS: &str = "\x1b[?1049h";
const LEAVES: &str = "\x1b[?1049l";

/// A terminal with a shell that runs the program, and says what was before and after.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<String>,
    seen: String,
}

impl Terminal {
    /// Runs `top` with these arguments in a terminal of 80x24; `None` if there is no script(1), which is said.
    fn top(test: &str, arguments: &str) -> Option<Self> {
        let program = env!("CARGO_BIN_EXE_ipq-cli");
        let script = format!(
            "stty rows 24 cols 80; stty -g; sh -c 'echo pid=$$; exec {program} top {arguments}'; \
             echo status=$?; stty -g"
        );

        let mut command = Command::new("script");
        command.args(["-qec", &script, "/dev/null"]).env_remove("IPQ_TRANSPORT");
        command.env("TERM", "xterm").env_remove("NO_COLOR").env("SHELL", "/bin/sh");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                skipped(test, &format!("script: {error}"));
                return None;
            }
        };
        let keys = child.stdin.take().expect("it is a pipe");
        let mut stdout = child.stdout.take().expect("it is a pipe");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = stdout.read(&mut buffer) {
                // Where nobody listens, the test has failed.
                let _ = sender.send(String::from_utf8_lossy(&buffer[..len]).into_owned());
            }
        });
        Some(Self { child, keys, output, seen: String::new() })
    }

    /// Waits until this has been printed.
    #[track_caller]
    fn until(&mut self, text: &str) {
        let give_up = Instant::now() + PATIENCE;
        while !self.seen.contains(text) {
            let rest = give_up.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(rest) {
                Ok(more) => self.seen.push_str(&more),
                Err(error) => panic!("no {text:?} ({error}) in {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("there is a terminal");
        self.keys.flush().expect("there is a terminal");
    }

    fn signal(&self, signal: Signal) {
        let pid = self.seen.split("pid=").nth(1).and_then(|rest| rest.lines().next());
        let pid = pid.and_then(|pid| pid.trim().parse().ok()).expect("the shell says it");
        kill(Pid::from_raw(pid), signal).expect("it has not ended");
    }

    /// Checks that it ends with this status, and leaves the terminal as it was; returns what it says at the end.
    #[track_caller]
    fn ends(mut self, status: i32) -> String {
        self.until(&format!("status={status}\r\n"));
        let give_up = Instant::now() + PATIENCE;
        while let Ok(more) =
            self.output.recv_timeout(give_up.saturating_duration_since(Instant::now()))
        {
            self.seen.push_str(&more);
        }
        self.child.wait().expect("it has ended");
        let seen = &self.seen;
        let place =
            |text: &str| seen.rfind(text).unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
        assert!(place(ENTERS) < place(LEAVES), "{seen:?}");
        assert!(place("\x1b[?25l") < place("\x1b[?25h"), "the cursor is hidden: {seen:?}");
        let (before, after) = (seen.lines().next(), seen.lines().last());
        assert_eq!(before, after, "the terminal is not as it was: {seen:?}");
        seen[place(LEAVES)..].to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_capture_is_shown_until_a_key_ends_it() {
    let test = "top::terminal::a_capture_is_shown_until_a_key_ends_it";
    for key in ["q", "\x1b", "\x03"] {
        let arguments = format!("--speed max --transport {}", sim(&traffic("ssh.pcap")));
        let Some(mut terminal) = Terminal::top(test, &arguments) else { return };
        terminal.until("ended");
        terminal.until("202.108.87.165:62146");
        terminal.press(key);
        let end = terminal.ends(0);
        assert!(end.contains("54 packets, 11204 bytes in "), "{end:?}");
    }
}

#[test]
fn packets_are_counted_without_being_wanted() {
    let test = "top::terminal::packets_are_counted_without_being_wanted";
    let arguments = format!("--copy meta --speed max --transport {}", sim(&traffic("ssh.pcap")));
    let Some(mut terminal) = Terminal::top(test, &arguments) else { return };
    terminal.until("ended");
    terminal.until("busiest of 0 flows");
    terminal.press("q");
    let end = terminal.ends(0);
    assert!(end.contains("54 packets, "), "{end:?}");
}

#[test]
fn a_signal_ends_it_and_the_terminal_is_as_it_was() {
    let test = "top::terminal::a_signal_ends_it_and_the_terminal_is_as_it_was";
    for (signal, speed) in
        [(Signal::SIGTERM, "max"), (Signal::SIGINT, "max"), (Signal::SIGTERM, "0.001")]
    {
        let capture = Capture::of(&[(0, udp4(b"a")), (1000, udp4(b"b"))]);
        let arguments = format!("--speed {speed} --transport {}", sim(&capture.path));
        let Some(mut terminal) = Terminal::top(test, &arguments) else { return };
        terminal.until("10.0.0.1:40000");
        terminal.signal(signal);
        let end = terminal.ends(0);
        assert!(end.contains(" accepted, 0 dropped\r\n"), "{end:?}");
    }
}

#[test]
fn packets_come_at_their_time_and_a_pause_of_the_view_is_no_pause_of_the_queue() {
    let test = "top::terminal::packets_come_at_their_time_and_a_pause_of_the_view_is_no_pause_of_the_queue";
    let capture = Capture::of(&[(0, udp4(b"a")), (600, udp4(b"b")), (1200, udp4(b"c"))]);
    let arguments = format!("--transport {}", sim(&capture.path));
    let Some(mut terminal) = Terminal::top(test, &arguments) else { return };
    let started = Instant::now();
    terminal.until("quit");
    terminal.press("p");
    terminal.until("PAUSED");
    terminal.press("p");
    terminal.until("ended");
    assert!(started.elapsed() > Duration::from_secs(1), "{:?}", started.elapsed());
    terminal.press("s");
    terminal.press("q");
    assert!(terminal.ends(0).contains("3 packets, 87 bytes in 1.200 s"));
}

#[test]
fn a_real_queue_is_passed_while_it_is_watched() {
    let test = "top::terminal::a_real_queue_is_passed_while_it_is_watched";
    let rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 0");
    let udp = ("iptables", "-A OUTPUT -p udp -j NFQUEUE --queue-num 0");
    live(test, &[rule, udp], || {
        let Some(mut terminal) =
            Terminal::top(test, "--transport nfqueue:0 --verdict drop --filter udp")
        else {
            return;
        };
        terminal.until("quit");
        ping_is_answered("127.0.0.1");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // The packet is dropped, of which it may be told.
        let _ = socket.send_to(b"x", "127.0.0.1:9");
        terminal.until("icmp 127.0.0.1 > 127.0.0.1");
        terminal.until("127.0.0.1:9");
        terminal.press("q");
        let end = terminal.ends(0);
        assert!(end.contains("3 packets, "), "{end:?}");
        assert!(end.contains(": 2 accepted, 1 dropped\r\n"), "{end:?}");
    });
}

#[test]
fn what_is_said_before_the_view_stays_on_the_screen_before() {
    let test = "top::terminal::what_is_said_before_the_view_stays_on_the_screen_before";
    live(test, &[("iptables", "-A INPUT -p udp -j ACCEPT")], || {
        let arguments = "--transport nfqueue:0 --family ipv4 --install \"OUTPUT -p icmp\"";
        let Some(mut terminal) = Terminal::top(test, arguments) else { return };
        terminal.until("quit");
        let seen = &terminal.seen;
        let place =
            |text: &str| seen.find(text).unwrap_or_else(|| panic!("no {text:?} in {seen:?}"));
        assert!(place("put in, until the end: ") < place(ENTERS), "{seen:?}");
        ping_is_answered("127.0.0.1");
        terminal.press("q");
        assert!(terminal.ends(0).contains("2 packets, "));
    });
}

#[test]
fn a_terminal_that_takes_nothing_keeps_no_packet_waiting() {
    let test = "top::terminal::a_terminal_that_takes_nothing_keeps_no_packet_waiting";
    let rule = ("iptables", "-A OUTPUT -p icmp -j NFQUEUE --queue-num 0");
    live(test, &[rule], || {
        let Some(mut terminal) = Terminal::top(test, "--transport nfqueue:0") else { return };
        terminal.until("quit");
        let script = Pid::from_raw(i32::try_from(terminal.child.id()).unwrap());
        kill(script, Signal::SIGSTOP).expect("it has not ended");
        // Long enough for what is drawn to fill all buffers between.
        let mut ping = Command::new("ping");
        ping.args(["-q", "-n", "-c", "40", "-i", "0.1", "-W", "5", "127.0.0.1"]);
        let output = ping.stdin(Stdio::null()).output().expect("there is ping");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("40 received"), "{said}");
        kill(script, Signal::SIGCONT).expect("it has not ended");
        terminal.press("q");
        let end = terminal.ends(0);
        assert!(
            end.contains("80 packets, ") && end.contains(": 80 accepted, 0 dropped"),
            "{end:?}"
        );
    });
}

#[test]
fn without_a_terminal_it_says_so() {
    let run = Run::of(ipq_cli().arg("top").arg("--transport").arg(sim(&traffic("ssh.pcap"))));
    let run = run.ended(2).says(&["the standard output is no terminal: 'ipq-cli passer' prints"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn what_is_wrong_is_said_before_the_terminal_is_touched() {
    let test = "top::terminal::what_is_wrong_is_said_before_the_terminal_is_touched";
    for (arguments, status, says) in [
        ("--transport sim:/nowhere.pcap", 1, "/nowhere.pcap"),
        ("--transport nfqueue:0 --speed 2", 2, "--speed is for sim:FILE"),
        ("--copy meta --filter udp", 2, "--filter looks at the packets"),
        ("--copy meta --range 64", 2, "--copy meta wants none"),
        ("--speed 0", 2, "a speed is a number from 0.001 to 1000000, or max"),
        ("--verdict repeat --transport sim:/nowhere.pcap", 2, "back for ever"),
    ] {
        let Some(mut terminal) = Terminal::top(test, arguments) else { return };
        terminal.until(&format!("status={status}\r\n"));
        assert!(terminal.seen.contains(says), "{:?}", terminal.seen);
        assert!(!terminal.seen.contains(ENTERS), "{:?}", terminal.seen);
    }
    assert!(!Path::new("/nowhere.pcap").exists());
}
