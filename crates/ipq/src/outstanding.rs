//! Which packets of a queue wait for a verdict: [`Outstanding`].

use std::collections::VecDeque;

use ipq_proto::nfqueue::is_not_later;

/// The packets of one queue that were read and not yet decided over, oldest first.
///
/// A batch verdict covers every packet up to one, so it may be sent only where nothing older is left. Ids come in
/// order, so one is found by halving.
#[derive(Debug, Default)]
pub(crate) struct Outstanding(VecDeque<Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u32,
    decided: bool,
}

impl Outstanding {
    /// A packet was read.
    pub(crate) fn announce(&mut self, id: u32) {
        self.0.push_back(Entry { id, decided: false });
    }

    /// The oldest packet that is not decided over.
    pub(crate) fn oldest(&self) -> Option<u32> {
        self.0.front().map(|entry| entry.id)
    }

    /// A packet is decided over.
    pub(crate) fn settle(&mut self, id: u32) {
        if self.oldest() == Some(id) {
            self.0.pop_front();
        } else {
            let at = self.0.partition_point(|entry| entry.id != id && is_not_later(entry.id, id));
            if let Some(entry) = self.0.get_mut(at).filter(|entry| entry.id == id) {
                entry.decided = true;
            }
        }
        while self.0.front().is_some_and(|entry| entry.decided) {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outstanding(ids: impl IntoIterator<Item = u32>) -> Outstanding {
        let mut outstanding = Outstanding::default();
        ids.into_iter().for_each(|id| outstanding.announce(id));
        outstanding
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
