//! Room for several datagrams: [`Batch`].

use crate::{Deadline, Received};

/// Buffers for what one [`receive_many`](crate::Transport::receive_many) brings, allocated once and used again.
#[derive(Debug)]
pub struct Batch {
    storage: Vec<u8>,
    slot_len: usize,
    slots: usize,
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
        Self { storage: vec![0; len], slot_len, slots, outcomes: Vec::with_capacity(slots) }
    }

    /// How many datagrams there is room for.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// How many outcomes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// Whether nothing was received yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Forgets all outcomes.
    #[inline]
    pub fn clear(&mut self) {
        self.outcomes.clear();
    }

    /// The outcomes in the order they came, each with the bytes it put into its buffer.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (Received, &[u8])> {
        self.outcomes
            .iter()
            .zip(self.storage.chunks(self.slot_len))
            .map(|(&outcome, slot)| (outcome, slot.get(..outcome.len_in_buffer()).unwrap_or(slot)))
    }

    /// The outcomes alone.
    #[inline]
    pub fn outcomes(&self) -> &[Received] {
        &self.outcomes
    }

    /// The buffer for the next datagram; `None` when the batch is full.
    #[inline]
    pub fn vacant(&mut self) -> Option<&mut [u8]> {
        self.storage.chunks_mut(self.slot_len).nth(self.outcomes.len())
    }

    /// Records what came of receiving into the [vacant](Self::vacant) buffer.
    ///
    /// # Panics
    ///
    /// If the batch is full.
    #[inline]
    pub fn push(&mut self, outcome: Received) {
        assert!(self.outcomes.len() < self.slots, "batch is full");
        self.outcomes.push(outcome);
    }

    /// Fills it with what `receive` puts into one buffer after the other, waiting for the first until `deadline` and for no
    /// other: [`Transport::receive_many`](crate::Transport::receive_many) of who receives one datagram at a time.
    ///
    /// # Errors
    ///
    /// That of `receive`, if nothing was received before it.
    pub fn fill<E>(
        &mut self,
        deadline: Deadline,
        mut receive: impl FnMut(&mut [u8], Deadline) -> Result<Received, E>,
    ) -> Result<(), E> {
        self.clear();
        let mut deadline = deadline;
        while let Some(slot) = self.vacant() {
            match receive(slot, deadline) {
                Ok(Received::TimedOut | Received::Interrupted | Received::Ended)
                    if !self.is_empty() =>
                {
                    break;
                }
                Ok(outcome) => self.push(outcome),
                // A socket of no more use says so again; what came before must not be lost with it.
                Err(_) if !self.is_empty() => break,
                Err(error) => return Err(error),
            }
            if !self.ends_with_message() {
                break;
            }
            deadline = Deadline::Immediate;
        }
        Ok(())
    }

    /// The vacant buffers, for a transport that fills several at once.
    pub(crate) fn vacant_buffers(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.storage.chunks_mut(self.slot_len).skip(self.outcomes.len())
    }

    /// The length of each buffer in bytes.
    pub fn slot_len(&self) -> usize {
        self.slot_len
    }

    /// Whether the last outcome is a message, and another one may follow at once.
    #[inline]
    pub(crate) fn ends_with_message(&self) -> bool {
        matches!(
            self.outcomes.last(),
            Some(Received::Datagram { .. } | Received::Truncated { .. } | Received::Foreign { .. })
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts a datagram of `bytes` into the batch.
    fn receive(batch: &mut Batch, bytes: &[u8]) {
        batch.vacant().expect("there is room")[..bytes.len()].copy_from_slice(bytes);
        batch.push(Received::Datagram { len: bytes.len() });
    }

    #[test]
    fn keeps_outcomes_and_their_bytes_in_order() {
        let mut batch = Batch::new(4, 3);
        assert_eq!((batch.slots(), batch.slot_len(), batch.len()), (4, 3, 0));
        assert!(batch.is_empty() && batch.iter().next().is_none());

        receive(&mut batch, b"abc");
        batch.vacant().unwrap().fill(b'!');
        batch.push(Received::Foreign { port_id: 9 });
        receive(&mut batch, b"");
        batch.vacant().unwrap().copy_from_slice(b"xyz");
        batch.push(Received::Truncated { len: 3, datagram_len: 8 });

        assert_eq!(batch.len(), 4);
        assert!(!batch.is_empty() && batch.vacant().is_none());
        let expected = [
            (Received::Datagram { len: 3 }, &b"abc"[..]),
            (Received::Foreign { port_id: 9 }, b""),
            (Received::Datagram { len: 0 }, b""),
            (Received::Truncated { len: 3, datagram_len: 8 }, b"xyz"),
        ];
        assert!(batch.iter().eq(expected));
    }

    #[test]
    fn is_empty_again_when_cleared() {
        let mut batch = Batch::new(2, 3);
        receive(&mut batch, b"abc");
        receive(&mut batch, b"def");
        batch.clear();
        assert_eq!((batch.slots(), batch.len(), batch.iter().count()), (2, 0, 0));
        receive(&mut batch, b"g");
        assert!(batch.iter().eq([(Received::Datagram { len: 1 }, &b"g"[..])]));
    }

    #[test]
    fn shows_no_more_than_the_buffer_of_an_outcome_that_lies() {
        let mut batch = Batch::new(2, 3);
        batch.push(Received::Datagram { len: usize::MAX });
        receive(&mut batch, b"abc");
        assert!(batch.iter().map(|(_, bytes)| bytes).eq([&[0; 3][..], b"abc"]));
    }

    #[test]
    fn has_as_many_vacant_buffers_as_slots_are_left() {
        let mut batch = Batch::new(3, 5);
        for left in (0..=3).rev() {
            assert_eq!(batch.vacant_buffers().count(), left);
            assert!(batch.vacant_buffers().all(|buffer| buffer.len() == 5));
            let next = batch.vacant_buffers().next().map(|buffer| buffer.as_ptr());
            assert_eq!(batch.vacant().map(|buffer| buffer.as_ptr()), next);
            if left > 0 {
                batch.push(Received::Overrun);
            }
        }
    }

    #[test]
    fn ends_with_a_message_unless_the_last_outcome_is_none() {
        let mut batch = Batch::new(16, 1);
        assert!(!batch.ends_with_message());
        for (outcome, is_message) in [
            (Received::Datagram { len: 0 }, true),
            (Received::Overrun, false),
            (Received::Truncated { len: 1, datagram_len: 2 }, true),
            (Received::Interrupted, false),
            (Received::Foreign { port_id: 1 }, true),
            (Received::TimedOut, false),
            (Received::Ended, false),
        ] {
            batch.push(outcome);
            assert_eq!(batch.ends_with_message(), is_message, "{outcome:?}");
        }
    }

    #[test]
    #[should_panic(expected = "room for a datagram")]
    fn refuses_to_have_no_slots() {
        let _ = Batch::new(0, 1);
    }

    #[test]
    #[should_panic(expected = "room for a datagram")]
    fn refuses_to_have_empty_slots() {
        let _ = Batch::new(1, 0);
    }

    #[test]
    #[should_panic(expected = "batch size overflows")]
    fn refuses_a_size_that_overflows() {
        let _ = Batch::new(usize::MAX / 2, 3);
    }

    #[test]
    #[should_panic(expected = "capacity overflow")]
    fn refuses_more_than_the_address_space() {
        let _ = Batch::new(1, usize::MAX);
    }

    #[test]
    #[should_panic(expected = "batch is full")]
    fn refuses_an_outcome_too_many() {
        let mut batch = Batch::new(1, 1);
        batch.push(Received::Overrun);
        batch.push(Received::Overrun);
    }
}
