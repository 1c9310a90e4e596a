//! What is read of a kernel that says anything: nothing that C sees of it may be untrue.

use std::collections::VecDeque;
use std::io::{self, IoSlice, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

use ipq_sys::{Clock, Error, Operation, Protocol, Transport};

use super::*;

/// How sessions are opened here.
const OPENED: Opened = Opened { process: 1, family: Family::Ipv4, number: None, is_sole: false };

/// A transport whose kernel says what it is told to.
#[derive(Debug)]
struct Script {
    says: VecDeque<Result<(Received, Vec<u8>), Errno>>,
    sent: Vec<Vec<u8>>,
    readable: PipeReader,
    _writer: PipeWriter,
}

impl Script {
    fn new(says: impl IntoIterator<Item = Result<(Received, Vec<u8>), Errno>>) -> Self {
        let (readable, mut writer) = io::pipe().unwrap();
        writer.write_all(b"x").unwrap();
        Self { says: says.into_iter().collect(), sent: Vec::new(), readable, _writer: writer }
    }

    fn error(operation: Operation, errno: Errno) -> Error {
        Error { operation, protocol: Protocol::Firewall, errno }
    }
}

impl Transport for Script {
    fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
        self.sent.push(parts.iter().flat_map(|part| part.iter().copied()).collect());
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
        assert_eq!(deadline, Deadline::Immediate, "waiting is done without the lock");
        match self.says.pop_front() {
            None => Ok(Received::TimedOut),
            Some(Ok((received, bytes))) => {
                let len = bytes.len().min(buffer.len());
                buffer[..len].copy_from_slice(&bytes[..len]);
                Ok(received)
            }
            Some(Err(errno)) => Err(Self::error(Operation::Receive, errno)),
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.readable.as_fd())
    }

    fn protocol(&self) -> Protocol {
        Protocol::Firewall
    }

    fn port_id(&self) -> u32 {
        4711
    }

    fn now(&self) -> Clock {
        Clock::ZERO
    }
}

fn session(says: impl IntoIterator<Item = Result<(Received, Vec<u8>), Errno>>) -> Session {
    Session::new(Kernel::Plain(Box::new(Script::new(says))), OPENED).unwrap()
}

/// A message with this type, that says it has this length, and has this body.
#[expect(clippy::unnecessary_wraps, reason = "beside others that have an error")]
fn message(len: u32, message_type: u16, body: &[u8]) -> Result<(Received, Vec<u8>), Errno> {
    let numbers = [&len.to_ne_bytes()[..], &message_type.to_ne_bytes(), &[0; 10], body].concat();
    Ok((Received::Datagram { len: numbers.len() }, numbers))
}

/// Reads once: the code and errno of the failure, or what was read.
fn read(session: &Session) -> Result<Read, (ErrorCode, Option<i32>)> {
    let failed = |failure: Failure| (failure.code, failure.errno.map(|Errno(errno)| errno));
    session.read(&mut [0; 256], -1).map_err(failed)
}

#[test]
fn hands_out_messages_and_counts_them() {
    let mut packet = vec![0; 96];
    packet[88] = 3;
    packet.extend([1, 2, 3, 0]);
    let refusal = [&(-2_i32).to_ne_bytes()[..], &[0; 16]].concat();
    let session = session([
        message(116, 0x13, &packet),
        message(36, 2, &refusal),
        message(36, 2, &[0; 20]),
        message(16, 1, &[]),
    ]);
    assert_eq!(read(&session), Ok(Read::Message(116)));
    assert_eq!(read(&session), Ok(Read::Message(36)));
    assert_eq!(read(&session), Ok(Read::Message(36)));
    assert_eq!(read(&session), Ok(Read::Message(16)));
    assert_eq!(read(&session), Ok(Read::Nothing));
    let Statistics { packets, bytes, refused, malformed, .. } = session.statistics();
    assert_eq!((packets, bytes, refused, malformed), (1, 3, 1, 0));
}

#[test]
fn refuses_messages_that_lie_and_goes_on() {
    let mut packet = vec![0; 96];
    packet[88] = 1;
    let lies = [
        message(15, 0x13, &packet),
        message(113, 0x13, &packet),
        message(112, 0x13, &packet),
        message(111, 0x13, &packet),
        message(35, 2, &[0; 20]),
        message(u32::MAX, 2, &[0; 20]),
        Ok((Received::Datagram { len: 15 }, vec![0; 15])),
        message(16, 1, &[]),
    ];
    let session = session(lies);
    for lie in 0..7 {
        assert_eq!(read(&session), Err((ErrorCode::Receive, Some(libc::EBADMSG))), "{lie}");
    }
    assert_eq!(read(&session), Ok(Read::Message(16)));
    assert_eq!(session.statistics().malformed, 7);
}

#[test]
fn says_what_was_no_message() {
    let nothing = |received| Ok((received, Vec::new()));
    let session = session([
        nothing(Received::Datagram { len: 0 }),
        nothing(Received::Truncated { len: 256, datagram_len: 300 }),
        nothing(Received::Foreign { port_id: 7 }),
        nothing(Received::Overrun),
        Err(Errno(libc::ENETDOWN)),
        nothing(Received::Ended),
    ]);
    assert_eq!(read(&session), Err((ErrorCode::EndOfFile, None)));
    assert_eq!(read(&session), Err((ErrorCode::ReceivedTruncated, None)));
    assert_eq!(read(&session), Err((ErrorCode::Receive, None)));
    assert_eq!(read(&session), Err((ErrorCode::Receive, Some(libc::ENOBUFS))));
    assert_eq!(read(&session), Err((ErrorCode::Receive, Some(libc::ENETDOWN))));
    assert_eq!(read(&session), Err((ErrorCode::EndOfFile, None)));
    let Statistics { truncated, foreign, overruns, .. } = session.statistics();
    assert_eq!((truncated, foreign, overruns), (1, 1, 1));
}

#[test]
fn waits_no_longer_than_it_is_told_to() {
    // Its descriptor is readable, and yet there is never anything.
    let session = session([]);
    let start = Instant::now();
    assert_eq!(session.read(&mut [0; 256], 2000).unwrap(), Read::Nothing);
    assert!(start.elapsed() >= Duration::from_millis(2));
    assert_eq!(session.last_error.load(Ordering::Relaxed), ErrorCode::Timeout as c_int);
}

#[test]
fn refuses_a_kernel_with_other_words() {
    #[derive(Debug)]
    struct Foreign(Script);
    impl Transport for Foreign {
        fn send(&mut self, parts: &[IoSlice<'_>]) -> Result<(), Error> {
            self.0.send(parts)
        }
        fn receive(&mut self, buffer: &mut [u8], deadline: Deadline) -> Result<Received, Error> {
            self.0.receive(buffer, deadline)
        }
        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            self.0.descriptor()
        }
        fn protocol(&self) -> Protocol {
            self.0.protocol()
        }
        fn port_id(&self) -> u32 {
            self.0.port_id()
        }
        fn data_model(&self) -> DataModel {
            DataModel::Ilp32Big
        }
        fn now(&self) -> Clock {
            self.0.now()
        }
    }
    let failure =
        Session::new(Kernel::Plain(Box::new(Foreign(Script::new([])))), OPENED).unwrap_err();
    assert_eq!((failure.code, failure.errno), (ErrorCode::Socket, Some(Errno::EOPNOTSUPP)));
}
