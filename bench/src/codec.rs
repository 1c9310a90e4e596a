//! What it costs to read and to write a message, in three implementations: `ipq-proto` ([`ours`]) and two of the
//! `netlink-packet` family ([`packet_core`], [`packet_netfilter`]).
//!
//! A fourth is in C (`c/codec.c`), and a fifth, the `nfq` crate's, has a program of its own (`bin/codec_nfq.rs`). All of
//! them are programs `… DIRECTION MESSAGE TIMES`, which print a line: the processor time in nanoseconds, and a digest of
//! what they read or wrote. Those that did the same have the same digest.

use core::fmt;
use core::hint::black_box;
use core::time::Duration;

use clap::ValueEnum;
use ipq_proto::ip_queue as ipq;
use ipq_proto::nfqueue as nfq;

use crate::clock::processor_time;

pub mod messages;
pub mod ours;
pub mod packet_core;
pub mod packet_netfilter;

/// A kind of message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Message {
    /// `IPQM_PACKET`.
    IpQueuePacket,
    /// `IPQM_VERDICT`.
    IpQueueVerdict,
    /// `IPQM_MODE`.
    IpQueueMode,
    /// `NFQNL_MSG_PACKET` with ten attributes.
    NfqueuePacket,
    /// `NFQNL_MSG_VERDICT`.
    NfqueueVerdict,
    /// `NFQNL_MSG_VERDICT` with a packet that takes the other's place.
    NfqueueReplacement,
    /// `NFQNL_MSG_VERDICT_BATCH`.
    NfqueueBatch,
    /// `NFQNL_MSG_CONFIG` with a copy mode.
    NfqueueConfig,
}

/// Whether a message is read or written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Direction {
    /// From bytes to fields.
    Decode,
    /// From fields to bytes.
    Encode,
}

/// Whose code does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Implementation {
    /// `ipq-proto`.
    Ours,
    /// The iterators and traits of `netlink-packet-core`, with messages written for them here.
    PacketCore,
    /// `netlink-packet-netfilter`, which leaves the attributes of queues as bytes.
    PacketNetfilter,
}

/// What came of some repetitions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Measured {
    /// The processor time of all of them.
    pub time: Duration,
    /// What was read or written, in a number; `None` if it cannot be told.
    pub digest: Option<u64>,
}

impl Implementation {
    /// Reads or writes a message so many times; `None` if it cannot.
    pub fn run(self, direction: Direction, message: Message, times: u64) -> Option<Measured> {
        match self {
            Self::Ours => Some(ours::run(direction, message, times)),
            Self::PacketCore => packet_core::run(direction, message, times),
            Self::PacketNetfilter => packet_netfilter::run(direction, message, times),
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.time.as_nanos())?;
        self.digest.map_or(Ok(()), |digest| write!(f, " {digest}"))
    }
}

/// Has `read` look at `message` again and again.
fn decode<'m, T>(message: &'m [u8], times: u64, read: impl Fn(&'m [u8]) -> T) -> Measured
where
    T: Digest,
{
    let time = processor_time(|| {
        for _ in 0..times {
            black_box(&read(black_box(message)));
        }
    });
    Measured { time, digest: read(message).digest() }
}

/// Has `write` fill a buffer again and again; it says how much of it.
fn encode(times: u64, write: impl Fn(&mut [u8]) -> usize) -> Measured {
    let mut buffer = [0; 512];
    let mut len = 0;
    let time = processor_time(|| {
        for _ in 0..times {
            len = write(black_box(&mut buffer));
            black_box(&buffer);
        }
    });
    Measured { time, digest: Some(digest_of(buffer.get(..len).unwrap_or_default())) }
}

/// A digest of bytes.
fn digest_of(bytes: &[u8]) -> u64 {
    let next = |sum: u64, &byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    bytes.iter().fold(bytes.len() as u64, next)
}

/// What was read, in a number.
trait Digest {
    /// The sum of all numbers in it, and a digest of its bytes; `None` if it does not show them.
    fn digest(&self) -> Option<u64>;
}

impl<T: Digest, E> Digest for Result<T, E> {
    fn digest(&self) -> Option<u64> {
        self.as_ref().ok()?.digest()
    }
}

impl<T: Digest> Digest for Option<T> {
    fn digest(&self) -> Option<u64> {
        self.as_ref()?.digest()
    }
}

impl Digest for ipq::Packet<'_> {
    fn digest(&self) -> Option<u64> {
        let times = [self.timestamp.seconds, self.timestamp.microseconds].map(i64::cast_unsigned);
        let numbers = [self.id, self.mark, self.hook.0.into(), self.hw_protocol.0.into()];
        let names = [self.input_device, self.output_device].map(|name| digest_of(&name.field()));
        let link = [self.hw_type.0.into(), digest_of(&self.hw_address.field())];
        let all = [times.as_slice(), &numbers, &names, &link].concat();
        Some(all.into_iter().fold(digest_of(self.payload), u64::wrapping_add))
    }
}

impl Digest for ipq::VerdictRequest<'_> {
    fn digest(&self) -> Option<u64> {
        Some(self.id.wrapping_add(self.verdict.0.into()).wrapping_add(self.data_len))
    }
}

impl Digest for ipq::ModeRequest {
    fn digest(&self) -> Option<u64> {
        Some(u64::from(self.value) + self.range)
    }
}

impl Digest for nfq::Packet<'_> {
    fn digest(&self) -> Option<u64> {
        let time = self.timestamp.map_or(0, |time| time.seconds + time.microseconds);
        let address = self.hw_address.map_or(0, |address| digest_of(&address.field()));
        let always = [self.id, self.hook.0, self.queue.into(), self.hw_protocol.0.into()];
        let numbers = [self.mark, self.input_device, self.output_device, self.uid, self.gid];
        let numbers = numbers.into_iter().chain([self.skb_info.map(|info| info.0)]).flatten();
        let sum: u64 = always.into_iter().chain(numbers).map(u64::from).sum();
        Some(digest_of(self.payload?).wrapping_add(address).wrapping_add(time).wrapping_add(sum))
    }
}

impl Digest for nfq::VerdictRequest<'_> {
    fn digest(&self) -> Option<u64> {
        let numbers = [self.id, self.verdict.0, self.queue.into(), self.mark.unwrap_or(0)];
        let replacement = self.replacement.map_or(0, digest_of);
        Some(numbers.into_iter().map(u64::from).fold(replacement, u64::wrapping_add))
    }
}

impl Digest for nfq::ConfigRequest {
    fn digest(&self) -> Option<u64> {
        let (mode, range) = self.params?;
        Some(u64::from(self.queue) + u64::from(mode) + u64::from(range))
    }
}
