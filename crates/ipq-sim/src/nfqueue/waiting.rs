//! The packets that wait for a verdict: [`Waiting`].

use ipq_proto::nfqueue::is_not_later;
use slab::Slab;

use super::places::Places;
use crate::packet::{Packet, Position};

/// Packets by id and in the order they came, both in constant time however many there are.
///
/// Ids count from 1 and wrap around after 2^32; one that still waits is passed over.
#[derive(Debug)]
pub(super) struct Waiting {
    entries: Slab<Entry>,
    /// Where the packet of an id is.
    places: Places,
    first: Option<usize>,
    last: Option<usize>,
    last_id: u32,
}

/// A packet between those that came before and after it.
#[derive(Debug)]
struct Entry {
    packet: Packet,
    position: Position,
    id: u32,
    previous: Option<usize>,
    next: Option<usize>,
}

impl Waiting {
    pub(super) fn new() -> Self {
        let (entries, places) = (Slab::new(), Places::default());
        Self { entries, places, first: None, last: None, last_id: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(super) fn last_id(&self) -> u32 {
        self.last_id
    }

    pub(super) fn set_last_id(&mut self, id: u32) {
        self.last_id = id;
    }

    /// The next id. It is used up, whether or not its packet comes to wait.
    pub(super) fn take_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.places.contains(self.last_id) {
                return self.last_id;
            }
        }
    }

    /// Lets a packet wait under an id; says whether no other one has it.
    pub(super) fn insert(&mut self, id: u32, packet: Packet, position: Position) -> bool {
        let entry = Entry { packet, position, id, previous: self.last, next: None };
        let place = self.entries.insert(entry);
        match self.last.replace(place) {
            Some(previous) => self.entries[previous].next = Some(place),
            None => self.first = Some(place),
        }
        self.places.insert(id, place)
    }

    pub(super) fn take(&mut self, id: u32) -> Option<(Packet, Position)> {
        let place = self.places.remove(id)?;
        let entry = self.unlink(place);
        Some((entry.packet, entry.position))
    }

    /// The id of the first packet that waits, if it is not later than `id`.
    pub(super) fn first_up_to(&self, id: u32) -> Option<u32> {
        let first = self.entries[self.first?].id;
        is_not_later(first, id).then_some(first)
    }

    /// Takes out the packets that `condition` holds for, in the order they came.
    pub(super) fn flush(&mut self, condition: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        let mut flushed = Vec::new();
        let mut place = self.first;
        while let Some(at) = place {
            place = self.entries[at].next;
            if condition(&self.entries[at].packet) {
                let entry = self.unlink(at);
                self.places.remove(entry.id);
                flushed.push(entry.packet);
            }
        }
        flushed
    }

    fn unlink(&mut self, place: usize) -> Entry {
        let entry = self.entries.remove(place);
        match entry.previous {
            Some(previous) => self.entries[previous].next = entry.next,
            None => self.first = entry.next,
        }
        match entry.next {
            Some(next) => self.entries[next].previous = entry.previous,
            None => self.last = entry.previous,
        }
        entry
    }
}
