//! The packets that wait for a verdict: [`Waiting`].

use slab::Slab;

use crate::packet::{Packet, Position};

/// Packets by id, in constant time however many there are.
///
/// An id looks like the address of a kernel object, which it is in a real kernel: a base, and a multiple of the
/// object's size. The one that was released last is used again first.
#[derive(Debug)]
pub(crate) struct Waiting {
    slots: Slab<Option<Entry>>,
    len: u64,
    arrivals: u64,
    base: u64,
    stride: u64,
    /// The largest id that fits the kernel's words.
    last_id: u64,
}

/// Where a packet was that has been taken out.
#[derive(Debug)]
pub(crate) struct Slot(usize);

#[derive(Debug)]
struct Entry {
    packet: Packet,
    position: Position,
    /// Orders the packets as they came.
    arrival: u64,
}

impl Waiting {
    /// An empty queue whose ids depend on `seed` and fit words of `word_len` bytes.
    pub(crate) fn new(seed: u64, word_len: usize) -> Self {
        // The places and sizes of the real thing: queue entries of 96 bytes behind 0xffff880000000000 on x86_64,
        // of 48 bytes behind 0xc0000000 on i386, on some page of the first half gigabyte.
        let page = (seed & 0x1_ffff) << 12;
        let (base, stride, last_id) = match word_len {
            4 => (0xc000_0000 + page, 48, u32::MAX.into()),
            _ => (0xffff_8800_0000_0000 + page, 96, u64::MAX),
        };
        Self { slots: Slab::new(), len: 0, arrivals: 0, base, stride, last_id }
    }

    /// Whether no packet more can have an id: a 32-bit kernel has no room for so many.
    pub(crate) fn is_out_of_ids(&self) -> bool {
        self.next_id() > self.last_id
    }

    /// How many packets wait.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.base + self.stride * self.slots.vacant_key() as u64
    }

    pub(crate) fn insert(&mut self, packet: Packet, position: Position) {
        let arrival = self.arrivals;
        self.slots.insert(Some(Entry { packet, position, arrival }));
        self.arrivals += 1;
        self.len += 1;
    }

    /// Takes a packet out, whose id stays in use until its slot is [released](Self::release).
    pub(crate) fn take(&mut self, id: u64) -> Option<(Packet, Position, Slot)> {
        let slot = self.slot(id)?;
        let entry = self.slots.get_mut(slot)?.take()?;
        self.len -= 1;
        Some((entry.packet, entry.position, Slot(slot)))
    }

    pub(crate) fn release(&mut self, Slot(slot): Slot) {
        self.slots.try_remove(slot);
    }

    /// Takes out the packets that `condition` holds for, in the order they came.
    pub(crate) fn flush(&mut self, condition: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        let mut flushed = Vec::new();
        self.slots.retain(|_, slot| {
            let Some(entry) = slot.take_if(|entry| condition(&entry.packet)) else { return true };
            flushed.push(entry);
            false
        });
        self.len -= flushed.len() as u64;
        flushed.sort_unstable_by_key(|entry| entry.arrival);
        flushed.into_iter().map(|entry| entry.packet).collect()
    }

    /// The slot that an id names, whether or not it is in use.
    fn slot(&self, id: u64) -> Option<usize> {
        let offset = id.checked_sub(self.base)?;
        if offset % self.stride == 0 { usize::try_from(offset / self.stride).ok() } else { None }
    }
}
