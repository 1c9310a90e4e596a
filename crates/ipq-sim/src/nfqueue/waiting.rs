//! The packets that wait for a verdict: [`Waiting`].

use std::collections::VecDeque;

use ipq_proto::nfqueue::is_not_later;

use crate::packet::{Packet, Position};

/// How many ids there are.
const IDS: u64 = 1 << u32::BITS;

/// How many holes there may be besides one for each packet.
const HOLES: usize = 32;

/// Packets by id and in the order they came.
///
/// Ids count from 1 and wrap around after 2^32; one that still waits is passed over. So the order is that of the ids, and
/// the place of a packet follows from its id where none is missing before it, or none behind it. That is the rule; otherwise
/// it is found by halving.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The first and the last one wait. Those between that have gone leave holes, until these are more than half of all.
    entries: VecDeque<Entry>,
    holes: usize,
    /// The number of the id that was given out last.
    last: u64,
}

/// A packet, or the hole that it left.
#[derive(Debug)]
struct Entry {
    /// Counts the ids that were given out, or passed over: the lower half of it is the id.
    number: u64,
    held: Option<(Packet, Position)>,
}

/// The id of a number.
const fn id_of(number: u64) -> u32 {
    let [.., a, b, c, d] = number.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The first number from `number` on that has this id.
fn number_of(id: u32, number: u64) -> u64 {
    number + u64::from(id.wrapping_sub(id_of(number)))
}

impl Waiting {
    pub(super) fn len(&self) -> u64 {
        (self.entries.len() - self.holes) as u64
    }

    pub(super) fn last_id(&self) -> u32 {
        id_of(self.last)
    }

    pub(super) fn set_last_id(&mut self, id: u32) {
        self.last = number_of(id, self.last);
    }

    /// The next id. It is used up, whether or not its packet comes to wait.
    pub(super) fn take_id(&mut self) -> u32 {
        loop {
            self.last += 1;
            let id = id_of(self.last);
            // Only since they wrapped around can an id be in use.
            let is_later_round = |first: &Entry| self.last - first.number >= IDS;
            if !self.entries.front().is_some_and(is_later_round) || self.find(id).is_none() {
                return id;
            }
        }
    }

    /// Lets a packet wait under the id that was taken last; says whether that is the one, and no other packet has it.
    pub(super) fn insert(&mut self, id: u32, packet: Packet, position: Position) -> bool {
        let number = self.last;
        let is_new = self.entries.back().is_none_or(|last| last.number < number);
        self.entries.push_back(Entry { number, held: Some((packet, position)) });
        is_new && id == id_of(number)
    }

    pub(super) fn take(&mut self, id: u32) -> Option<(Packet, Position)> {
        let at = self.find(id)?;
        if at == 0 {
            return self.take_first();
        }
        let held = self.entries.get_mut(at)?.held.take();
        self.holes += 1;
        self.fill_holes();
        held
    }

    /// Takes the first packet, if its id is not later than `id`.
    pub(super) fn take_first_up_to(&mut self, id: u32) -> Option<(Packet, Position)> {
        let first = id_of(self.entries.front()?.number);
        if is_not_later(first, id) { self.take_first() } else { None }
    }

    fn take_first(&mut self) -> Option<(Packet, Position)> {
        let held = self.entries.pop_front()?.held;
        if self.holes > 0 {
            self.fill_holes();
        }
        held
    }

    /// Takes out the packets that `condition` holds for, in the order they came.
    pub(super) fn flush(&mut self, condition: impl Fn(&Packet) -> bool) -> Vec<Packet> {
        let mut flushed = Vec::new();
        for entry in &mut self.entries {
            if let Some((packet, _)) = entry.held.take_if(|(packet, _)| condition(packet)) {
                flushed.push(packet);
            }
        }
        self.entries.retain(|entry| entry.held.is_some());
        self.holes = 0;
        flushed
    }

    /// Where the packet of an id is.
    fn find(&self, id: u32) -> Option<usize> {
        let (first, last) = (self.entries.front()?.number, self.entries.back()?.number);
        let mut number = number_of(id, first);
        // Once, unless a packet has waited while the ids wrapped around.
        while number <= last {
            let at = self.find_number(number, first, last);
            if at.is_some() {
                return at;
            }
            number += IDS;
        }
        None
    }

    /// Where the packet of a number is, which is between those of the `first` and the `last` entry.
    fn find_number(&self, number: u64, first: u64, last: u64) -> Option<usize> {
        let distance = |from, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        // No two entries have the same number, so it is not behind the one place and not before the other.
        let at_most = distance(first, number);
        let at_least = self.entries.len().saturating_sub(distance(number, last).saturating_add(1));
        let is_there = |at: &usize| self.entries.get(*at).is_some_and(|it| it.number == number);
        let at = [at_most, at_least].into_iter().find(is_there);
        let at = at.or_else(|| self.entries.binary_search_by_key(&number, |it| it.number).ok());
        at.filter(|&at| self.entries.get(at).is_some_and(|entry| entry.held.is_some()))
    }

    /// Takes out the holes at both ends, and all of them if they are many.
    fn fill_holes(&mut self) {
        let before = self.entries.len();
        while self.entries.pop_front_if(|entry| entry.held.is_none()).is_some() {}
        while self.entries.pop_back_if(|entry| entry.held.is_none()).is_some() {}
        self.holes -= before - self.entries.len();
        if self.holes > self.entries.len() / 2 + HOLES {
            self.entries.retain(|entry| entry.held.is_some());
            self.holes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use ipq_proto::{Family, Hook};
    use proptest::prelude::*;

    use super::*;

    /// What is done to a queue.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// A packet comes; its id is used up even if it is not to wait.
        Come {
            waits: bool,
        },
        /// The packet of this id goes.
        Take(u32),
        /// The packet goes that is so many places from the oldest, or from the youngest.
        TakeOldest(usize),
        TakeYoungest(usize),
        /// Those up to this id go.
        Batch(u32),
        /// Those go whose number leaves this rest when it is divided by 3.
        Flush(u64),
        /// Ids count on from there.
        SetLastId(u32),
    }

    /// Ids on both sides of the end of all ids, and of the half.
    fn id() -> impl Strategy<Value = u32> {
        let near =
            |id: u32| (0..80_u32).prop_map(move |more| id.wrapping_sub(40).wrapping_add(more));
        prop_oneof![8 => near(40), 2 => near(0), 1 => near(1 << 31), 1 => any::<u32>()]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            24 => any::<bool>().prop_map(|waits| Step::Come { waits }),
            24 => Just(Step::Come { waits: true }),
            4 => id().prop_map(Step::Take),
            16 => (0..8_usize).prop_map(Step::TakeOldest),
            16 => (0..8_usize).prop_map(Step::TakeYoungest),
            1 => id().prop_map(Step::Batch),
            1 => (0..3_u64).prop_map(Step::Flush),
            1 => id().prop_map(Step::SetLastId),
        ]
    }

    proptest! {
        #[test]
        fn is_a_list_by_arrival(steps in proptest::collection::vec(step(), 0..600)) {
            // Ids and numbers of packets, in the order they came.
            let (mut waiting, mut list) = (Waiting::default(), Vec::<(u32, u64)>::new());
            let (mut last_id, mut count) = (0_u32, 0);
            for step in steps {
                let wanted = match step {
                    Step::Come { waits } => {
                        last_id = last_id.wrapping_add(1);
                        while list.iter().any(|&(id, _)| id == last_id) {
                            last_id = last_id.wrapping_add(1);
                        }
                        prop_assert_eq!(waiting.take_id(), last_id);
                        if waits {
                            count += 1;
                            let packet = Packet::new(None, count, Family::Ipv4, Vec::new());
                            prop_assert!(waiting.insert(last_id, packet, Position::at(Hook::LocalIn)));
                            list.push((last_id, count));
                        }
                        None
                    }
                    Step::Take(id) => Some(id),
                    Step::TakeOldest(at) => list.get(at).map(|(id, _)| *id),
                    Step::TakeYoungest(at) => list.iter().rev().nth(at).map(|(id, _)| *id),
                    Step::Batch(up_to) => {
                        while let Some((packet, _)) = waiting.take_first_up_to(up_to) {
                            let (id, number) = list.remove(0);
                            prop_assert!(packet.number == number && is_not_later(id, up_to));
                        }
                        prop_assert!(list.first().is_none_or(|&(id, _)| !is_not_later(id, up_to)));
                        None
                    }
                    Step::Flush(rest) => {
                        let flushed = waiting.flush(|packet| packet.number % 3 == rest);
                        let flushed: Vec<_> = flushed.iter().map(|packet| packet.number).collect();
                        let (gone, left) = list.iter().partition(|(_, number)| number % 3 == rest);
                        let gone: Vec<(u32, u64)> = gone;
                        list = left;
                        prop_assert_eq!(flushed, gone.iter().map(|(_, number)| *number).collect::<Vec<_>>());
                        None
                    }
                    Step::SetLastId(id) => {
                        waiting.set_last_id(id);
                        last_id = id;
                        None
                    }
                };
                if let Some(wanted) = wanted {
                    let at = list.iter().position(|&(id, _)| id == wanted);
                    let expected = at.map(|at| list.remove(at).1);
                    prop_assert_eq!(waiting.take(wanted).map(|(packet, _)| packet.number), expected);
                }
                prop_assert_eq!((waiting.len(), waiting.last_id()), (list.len() as u64, last_id));
                prop_assert!(waiting.entries.len() <= 2 * list.len() + 2 * HOLES + 1, "too many holes");
            }
        }
    }
}
