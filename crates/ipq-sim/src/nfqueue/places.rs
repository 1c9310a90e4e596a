//! Where the packet of an id is: [`Places`].

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use slab::Slab;

/// How many ids that follow one another share a page.
const PAGE_LEN: u8 = 64;

/// A place that no packet has.
const VACANT: u32 = u32::MAX;

/// A table of places by id, for ids that mostly follow one another.
///
/// It is in pages, so that neighbours in a queue are neighbours in memory: with a hundred thousand packets waiting, a table
/// that scatters them is in no cache. One packet that waits for ever keeps one page.
#[derive(Debug, Default)]
pub(super) struct Places {
    pages: Slab<Page>,
    /// Which page is which. Only ever looked up, so that the order in it does not matter.
    numbers: HashMap<u32, usize, FxBuildHasher>,
}

#[derive(Debug)]
struct Page {
    places: [u32; PAGE_LEN as usize],
    occupied: u8,
}

impl Page {
    const EMPTY: Self = Self { places: [VACANT; PAGE_LEN as usize], occupied: 0 };
}

/// The number of an id's page, and where it is in there.
fn split(id: u32) -> (u32, usize) {
    let len = u32::from(PAGE_LEN);
    (id / len, (id % len) as usize)
}

impl Places {
    pub(super) fn contains(&self, id: u32) -> bool {
        let (number, at) = split(id);
        self.numbers.get(&number).is_some_and(|&page| self.pages[page].places[at] != VACANT)
    }

    /// Keeps the place of an id; says whether it had none.
    ///
    /// # Panics
    ///
    /// If the place is no number of 32 bits: there are no more ids than that.
    pub(super) fn insert(&mut self, id: u32, place: usize) -> bool {
        let place = u32::try_from(place).ok().filter(|&place| place != VACANT);
        let place = place.expect("there are fewer packets than ids");
        let (number, at) = split(id);
        let page = *self.numbers.entry(number).or_insert_with(|| self.pages.insert(Page::EMPTY));
        let page = &mut self.pages[page];
        let is_new = core::mem::replace(&mut page.places[at], place) == VACANT;
        page.occupied += u8::from(is_new);
        is_new
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<usize> {
        let (number, at) = split(id);
        let index = *self.numbers.get(&number)?;
        let page = &mut self.pages[index];
        let place = core::mem::replace(&mut page.places[at], VACANT);
        if place == VACANT {
            return None;
        }
        page.occupied -= 1;
        if page.occupied == 0 {
            self.pages.remove(index);
            self.numbers.remove(&number);
        }
        Some(place as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Ids on both sides of the ends of pages, and of the end of all ids.
    fn id() -> impl Strategy<Value = u32> {
        prop_oneof![0..200_u32, u32::MAX - 70..=u32::MAX, any::<u32>()]
    }

    proptest! {
        #[test]
        fn is_a_table(steps in proptest::collection::vec((any::<bool>(), id(), 0..1000_usize), 0..400)) {
            let (mut places, mut table) = (Places::default(), BTreeMap::new());
            for (inserts, id, place) in steps {
                if inserts {
                    prop_assert_eq!(places.insert(id, place), table.insert(id, place).is_none());
                } else {
                    prop_assert_eq!(places.remove(id), table.remove(&id));
                }
                prop_assert_eq!(places.contains(id), table.contains_key(&id));
            }
            for id in table.keys().copied() {
                prop_assert!(places.remove(id).is_some());
            }
            prop_assert!(places.pages.is_empty() && places.numbers.is_empty(), "empty pages are given back");
        }
    }
}
