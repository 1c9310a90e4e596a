//! What the tests share: requests, their answers, and children that run one test somewhere else.

use core::time::Duration;
use std::env;
use std::io::{self, IoSlice, Write};
use std::process::Command;

use ipq_sys::{
    Batch, Clock, Deadline, NetlinkSocket, Protocol, Received, SocketOptions, Transport,
};

/// `NLMSG_ERROR`, which also acknowledges.
const ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const REQUEST_ACK: u16 = 5;
/// `NLMSG_NOOP`.
const NOOP: u16 = 1;

/// The length of the answer to a [`ping`]: a header, an error number, the header of the request.
pub(crate) const ANSWER_LEN: usize = 16 + 4 + 16;

/// A socket for nfnetlink with the default options.
pub(crate) fn open() -> NetlinkSocket {
    open_with(SocketOptions::default())
}

/// A socket for nfnetlink.
pub(crate) fn open_with(options: SocketOptions) -> NetlinkSocket {
    NetlinkSocket::open(Protocol::Netfilter, options).expect("nfnetlink is in every kernel")
}

/// A netlink message that asks to be acknowledged.
pub(crate) fn request(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    let mut message = Vec::new();
    message.extend(len.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(REQUEST_ACK.to_ne_bytes());
    message.extend(sequence.to_ne_bytes());
    message.extend(0_u32.to_ne_bytes());
    message.extend(body);
    message
}

/// A request that does nothing but be acknowledged, or refused for lack of privilege.
pub(crate) fn ping(sequence: u32) -> Vec<u8> {
    request(NOOP, sequence, &[])
}

/// What the kernel said to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Answer {
    pub(crate) sequence: u32,
    pub(crate) port_id: u32,
    /// 0 or a negative error number.
    pub(crate) error: i32,
}

impl Answer {
    /// Reads an acknowledgement; panics if it is none.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let word = |at: usize| bytes[at..at + 4].try_into().map(u32::from_ne_bytes).unwrap();
        assert_eq!(bytes[4..6], ERROR.to_ne_bytes(), "not an acknowledgement: {bytes:?}");
        Self { sequence: word(8), port_id: word(12), error: word(16).cast_signed() }
    }
}

/// Sends one datagram.
pub(crate) fn send(socket: &mut dyn Transport, datagram: &[u8]) {
    socket.send(&[IoSlice::new(datagram)]).unwrap();
}

/// Sends pings numbered from `first` to `last`.
pub(crate) fn send_pings(socket: &mut dyn Transport, first: u32, last: u32) {
    let pings: Vec<_> = (first..=last).map(ping).collect();
    let datagrams: Vec<_> = pings.iter().map(|ping| IoSlice::new(ping)).collect();
    assert_eq!(socket.send_many(&datagrams), Ok(pings.len()));
}

/// Receives the answer to a request that was sent: the kernel gives it before `send` returns.
pub(crate) fn answer(socket: &mut dyn Transport) -> Answer {
    let mut buffer = [0xa5; 256];
    match socket.receive(&mut buffer, Deadline::Immediate) {
        Ok(Received::Datagram { len }) => Answer::parse(&buffer[..len]),
        other => panic!("no answer but {other:?}"),
    }
}

/// That the socket is fit for use: a new request is answered, and that is all there is.
pub(crate) fn assert_works(socket: &mut dyn Transport) {
    let sequence = 0x7777_0001;
    send(socket, &ping(sequence));
    let answer = answer(socket);
    assert_eq!((answer.sequence, answer.port_id), (sequence, socket.port_id()));
    assert_eq!(socket.receive(&mut [0; 64], Deadline::Immediate), Ok(Received::TimedOut));
}

/// The outcomes of a batch and the sequence numbers of the answers among them.
pub(crate) fn outcomes(batch: &Batch) -> Vec<(Received, Option<u32>)> {
    let sequence = |bytes: &[u8]| (bytes.len() >= 20).then(|| Answer::parse(bytes).sequence);
    batch.iter().map(|(received, bytes)| (received, sequence(bytes))).collect()
}

/// A deadline that is reached only by a test that fails.
pub(crate) fn far_off(socket: &dyn Transport) -> Deadline {
    Deadline::At(later(socket, Duration::from_mins(1)))
}

/// A time on the socket's clock.
pub(crate) fn later(socket: &dyn Transport, by: Duration) -> Clock {
    socket.now() + by
}

/// A namespace in which everybody is root, and no network is but the loopback's.
pub(crate) const NAMESPACE: &[&str] = &["unshare", "--user", "--map-root-user", "--net"];

/// Names the test that a child runs.
const INSIDE: &str = "IPQ_SYS_TEST_INSIDE";

/// Says on the real standard error that a test was not done, and why.
pub(crate) fn skip(test: &str, reason: &str) {
    let reason = reason.trim().replace('\n', " ");
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}

/// Runs `body`, the whole of the test named `test`, in a child of this program that `wrapper` starts.
///
/// Returns what the child wrote on standard error, or `None` in the child itself and where the wrapper does not work.
pub(crate) fn inside(wrapper: &[&str], test: &str, body: impl FnOnce()) -> Option<String> {
    if env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        body();
        return None;
    }
    let (program, arguments) = wrapper.split_first().unwrap();
    match Command::new(program).args(arguments).arg("true").output() {
        Ok(tried) if tried.status.success() => (),
        Ok(tried) => {
            skip(test, &String::from_utf8_lossy(&tried.stderr));
            return None;
        }
        Err(error) => {
            skip(test, &format!("{program}: {error}"));
            return None;
        }
    }
    let child = Command::new(program)
        .args(arguments)
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, test)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&child.stdout);
    let stderr = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && stdout.contains(" 1 passed"),
        "{test} inside {wrapper:?}: {}\n{stdout}\n{stderr}",
        child.status,
    );
    stderr.lines().filter(|line| line.starts_with("skipped: ")).for_each(|line| {
        let _ = writeln!(io::stderr(), "{line}");
    });
    Some(stderr.into_owned())
}
