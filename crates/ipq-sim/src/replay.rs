//! Captures whose packets come in: [`Replay`], and what the kernel keeps of each.

use core::fmt;
use std::io;

use crate::capture::{CaptureError, CapturedPacket, Entry, MalformedReason, Reader};
use crate::device::DeviceIndex;
use crate::kernel::Kernel;
use crate::machine::{Event, Machine};
use crate::memory::Buffers;
use crate::packet::{Checksums, Link};

/// A capture whose packets enter a simulated kernel, from [`Kernel::replay`].
///
/// It tells what became of the file; what becomes of the packets, the kernel tells.
#[derive(Clone, Debug)]
pub struct Replay {
    kernel: Kernel,
    index: usize,
}

/// How far a [`Replay`] has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReplayStatus {
    /// Packets that have entered the kernel.
    pub entered: u64,
    /// Frames that carry no IP, or are malformed, and were passed over.
    pub skipped: u64,
    /// Those of them that are malformed.
    pub malformed: u64,
}

/// A frame of a capture that was passed over because it contradicts itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Malformed {
    /// Its position in the file, from 1.
    pub number: u64,
    /// What is wrong with it.
    pub reason: MalformedReason,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet {}: {}", self.number, self.reason)
    }
}

impl Replay {
    pub(crate) fn new(kernel: Kernel, index: usize) -> Self {
        Self { kernel, index }
    }

    /// How far it has come.
    pub fn status(&self) -> ReplayStatus {
        self.kernel.lock().replays.0[self.index].status
    }

    /// The malformed frames met since the last call.
    pub fn take_malformed(&self) -> Vec<Malformed> {
        core::mem::take(&mut self.kernel.lock().replays.0[self.index].malformed)
    }

    /// What ended the replay before the end of the file, if anything did. It is told once.
    pub fn take_error(&self) -> Option<CaptureError> {
        self.kernel.lock().replays.0[self.index].error.take()
    }
}

/// The captures of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Replays(Vec<Source>);

/// Where the packets of a replay come from.
pub(crate) trait Entries: Send {
    /// The next one. A packet has its bytes in the memory of `buffer`, and takes it.
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Result<Entry, CaptureError>>;
}

impl<R: io::Read + Send> Entries for Reader<R> {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Result<Entry, CaptureError>> {
        self.next_in(buffer)
    }
}

/// Those that an iterator gives. Their bytes are copied, since nobody would take their memory when they have ended.
pub(crate) struct Given<I>(pub(crate) I);

impl<I: Iterator<Item = Result<Entry, CaptureError>> + Send> Entries for Given<I> {
    fn next(&mut self, buffer: &mut Vec<u8>) -> Option<Result<Entry, CaptureError>> {
        let mut entry = self.0.next()?;
        if let Ok(Entry::Packet(packet)) = &mut entry {
            buffer.clear();
            buffer.extend_from_slice(&packet.data);
            packet.data = core::mem::take(buffer);
        }
        Some(entry)
    }
}

/// A capture, read as far as the next packet.
struct Source {
    entries: Box<dyn Entries>,
    device: DeviceIndex,
    next: Option<CapturedPacket>,
    status: ReplayStatus,
    malformed: Vec<Malformed>,
    error: Option<CaptureError>,
}

impl Source {
    /// Reads on to the next packet.
    fn advance(&mut self, buffers: &mut Buffers) -> Option<&CapturedPacket> {
        self.next = None;
        let mut buffer = buffers.take();
        while let Some(entry) = self.entries.next(&mut buffer) {
            match entry {
                Ok(Entry::Packet(packet)) => return Some(self.next.insert(packet)),
                Ok(Entry::NotIp { .. }) => self.status.skipped += 1,
                Ok(Entry::Malformed { number, reason }) => {
                    self.status.skipped += 1;
                    self.status.malformed += 1;
                    self.malformed.push(Malformed { number, reason });
                }
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        buffers.give(buffer);
        None
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Machine {
    /// Lets the packets of `entries` come in by `device`, each at its time.
    pub(crate) fn start_replay(&mut self, entries: Box<dyn Entries>, device: DeviceIndex) -> usize {
        let index = self.replays.0.len();
        self.replays.0.push(Source {
            entries,
            device,
            next: None,
            status: ReplayStatus::default(),
            malformed: Vec::new(),
            error: None,
        });
        self.plan_next_of(index);
        index
    }

    /// The packet that a replay has ready comes in.
    pub(crate) fn replay_next(&mut self, index: usize) {
        let source = &mut self.replays.0[index];
        let Some(captured) = source.next.take() else { return };
        source.status.entered += 1;
        let device = source.device;
        let mut packet = self.new_packet_of(captured.family, captured.data);
        packet.timestamp = Some(captured.timestamp);
        packet.link = Link { hw_type: captured.hardware_type, address: captured.hardware_address };
        // A capture taken where the packet was made shows checksums that the hardware was still to fill in, and
        // one that was cut short lacks bytes: neither is the packet's fault.
        packet.checksums = Checksums::Verified;
        self.plan_next_of(index);
        self.note_entered(&packet, Some(device));
        self.receive_packet(packet, device);
    }

    fn plan_next_of(&mut self, index: usize) {
        let Some(next) = self.replays.0[index].advance(&mut self.memory.bytes) else { return };
        let timestamp = next.timestamp;
        let time = self.due(timestamp);
        self.plan(time, Event::Replay(index));
    }
}
