//! Room for several datagrams: [`Batch`].

use crate::Received;

/// Buffers for what one [`receive_many`](crate::Transport::receive_many) brings, allocated once and used again.
#[derive(Debug)]
pub struct Batch {
    storage: Vec<u8>,
    slot_len: usize,
    outcomes: Vec<Received>,
}

impl Batch {
    /// Room for `slots` datagrams of at most `slot_len` bytes each.
    ///
    /// # Panics
    ///
    /// If either is 0, or the memory they ask for together is more than the address space.
    pub fn new(slots: usize, slot_len: usize) -> Self {
        assert!(slots > 0 && slot_len > 0, "a batch needs room for a datagram");
        let len = slots.checked_mul(slot_len).expect("batch size overflows");
        Self { storage: vec![0; len], slot_len, outcomes: Vec::with_capacity(slots) }
    }

    /// How many datagrams there is room for.
    pub fn slots(&self) -> usize {
        self.storage.len() / self.slot_len
    }

    /// How many outcomes there are.
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether nothing was received yet.
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Forgets all outcomes.
    pub fn clear(&mut self) {
        self.outcomes.clear();
    }

    /// The outcomes in the order they came, each with the bytes it put into its buffer.
    pub fn iter(&self) -> impl Iterator<Item = (Received, &[u8])> {
        self.outcomes
            .iter()
            .zip(self.storage.chunks_exact(self.slot_len))
            .map(|(&outcome, slot)| (outcome, slot.get(..outcome.len_in_buffer()).unwrap_or(slot)))
    }

    /// The buffer for the next datagram; `None` when the batch is full.
    pub fn vacant(&mut self) -> Option<&mut [u8]> {
        self.storage.chunks_exact_mut(self.slot_len).nth(self.outcomes.len())
    }

    /// Records what came of receiving into the [vacant](Self::vacant) buffer.
    ///
    /// # Panics
    ///
    /// If the batch is full.
    pub fn push(&mut self, outcome: Received) {
        assert!(self.outcomes.len() < self.slots(), "batch is full");
        self.outcomes.push(outcome);
    }

    /// The vacant buffers, for a transport that fills several at once.
    pub(crate) fn vacant_buffers(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.storage.chunks_exact_mut(self.slot_len).skip(self.outcomes.len())
    }

    /// The length of each buffer in bytes.
    pub(crate) fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// Whether the last outcome is a message, and another one may follow at once.
    pub(crate) fn ends_with_message(&self) -> bool {
        matches!(
            self.outcomes.last(),
            Some(Received::Datagram { .. } | Received::Truncated { .. } | Received::Foreign { .. })
        )
    }
}
