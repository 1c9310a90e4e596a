//! Which packets of a queue wait for a verdict: [`Outstanding`].

use std::collections::VecDeque;

use ipq_proto::nfqueue::is_not_later;

/// The packets of one queue that were read and not yet decided on, oldest first.
///
/// A batch verdict covers every packet up to one, so it may be sent only where nothing older is left. Ids come in
/// order, so one is found by halving.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    entries: VecDeque<Entry>,
    /// The id that was read last.
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    decided: bool,
}

impl Outstanding {
    /// A packet was read; returns how many were lost before it. The kernel gives an id to each packet that it announces,
    /// and drops those that the receive buffer has no room for.
    ///
    /// A kernel announces in order and once; what comes otherwise is put where it belongs.
    pub(crate) fn announce(&mut self, id: u32) -> u32 {
        if self.last.is_some_and(|last| is_not_later(id, last)) {
            self.announce_late(id);
            return 0;
        }
        self.entries.push_back(Entry { id, decided: false });
        let last = self.last.replace(id);
        last.map_or(0, |last| id.wrapping_sub(last).wrapping_sub(1))
    }

    /// A packet was read after a later one, or again.
    fn announce_late(&mut self, id: u32) {
        let at = self.position(id);
        if self.entries.get(at).is_none_or(|entry| entry.id != id) {
            self.entries.insert(at, Entry { id, decided: false });
        }
    }

    /// Where a packet is, or belongs.
    fn position(&self, id: u32) -> usize {
        // Where no id is missing, which is the rule, it says the place by itself.
        let distance = self.entries.front().map_or(0, |first| id.wrapping_sub(first.id));
        let guess = usize::try_from(distance).unwrap_or(usize::MAX);
        if self.entries.get(guess).is_some_and(|entry| entry.id == id) {
            return guess;
        }
        self.entries.partition_point(|entry| entry.id != id && is_not_later(entry.id, id))
    }

    /// The packets that are not decided on, oldest first.
    pub(crate) fn undecided(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().filter(|entry| !entry.decided).map(|entry| entry.id)
    }

    /// Whether a packet has been read, by its id: at some time, for ids wrap around.
    pub(crate) fn has_read(&self, id: u32) -> bool {
        self.last.is_some_and(|last| is_not_later(id, last))
    }

    /// The oldest packet that is not decided on.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.entries.front().map(|entry| entry.id)
    }

    /// A packet is decided on.
    pub(crate) fn settle(&mut self, id: u32) {
        if self.oldest() == Some(id) {
            self.entries.pop_front();
        } else {
            let at = self.position(id);
            if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.id == id) {
                entry.decided = true;
            }
        }
        while self.entries.front().is_some_and(|entry| entry.decided) {
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outstanding(ids: impl IntoIterator<Item = u32>) -> Outstanding {
        let mut outstanding = Outstanding::default();
        for id in ids {
            outstanding.announce(id);
        }
        outstanding
    }

    #[test]
    fn counts_the_ids_that_never_came() {
        let mut waiting = Outstanding::default();
        let lost = |id| waiting.announce(id);
        let ids = [u32::MAX - 1, u32::MAX, 2, 3, 3, 10];
        assert_eq!(ids.map(lost), [0, 0, 2, 0, 0, 6], "0 and 1 are missing, then 4 to 9");
    }

    #[test]
    fn what_comes_late_or_twice_is_put_where_it_belongs_and_is_not_lost() {
        let mut waiting = outstanding([1, 2, 5]);
        assert_eq!([4, 2, 5, 6].map(|id| waiting.announce(id)), [0; 4]);
        let mut oldest = Vec::new();
        while let Some(id) = waiting.oldest() {
            oldest.push(id);
            waiting.settle(id);
        }
        assert_eq!(oldest, [1, 2, 4, 5, 6]);
    }

    #[test]
    fn knows_the_oldest_whatever_the_order_of_verdicts() {
        let mut waiting = outstanding([1, 2, 4, 5]);
        waiting.settle(4);
        assert_eq!(waiting.oldest(), Some(1));
        waiting.settle(1);
        assert_eq!(waiting.oldest(), Some(2));
        waiting.settle(2);
        assert_eq!(waiting.oldest(), Some(5), "4 was decided before");
        waiting.settle(5);
        assert_eq!(waiting.oldest(), None);
    }

    #[test]
    fn ids_wrap_around() {
        let mut waiting = outstanding([u32::MAX - 1, u32::MAX, 0, 1]);
        waiting.settle(0);
        waiting.settle(u32::MAX);
        assert_eq!(waiting.oldest(), Some(u32::MAX - 1));
        waiting.settle(u32::MAX - 1);
        assert_eq!(waiting.oldest(), Some(1));
    }

    #[test]
    fn what_was_read_is_known_by_its_id() {
        let waiting = outstanding([u32::MAX, 0, 4]);
        assert_eq!(
            [u32::MAX, 4, 5, 1000].map(|id| waiting.has_read(id)),
            [true, true, false, false]
        );
        assert!(!Outstanding::default().has_read(1));
    }

    #[test]
    fn an_id_that_was_never_read_changes_nothing() {
        let mut waiting = outstanding([3, 5]);
        for id in [0, 4, 6, u32::MAX] {
            waiting.settle(id);
        }
        assert_eq!(waiting.oldest(), Some(3));
        waiting.settle(3);
        assert_eq!(waiting.oldest(), Some(5));
    }
}
