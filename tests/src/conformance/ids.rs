//! Which packet of the simulated kernel a recorded id stands for: [`Ids`].

use std::collections::BTreeMap;

/// The packets of a conversation, by the id that they had in the recording.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: BTreeMap<u64, Known>,
    /// The packet whose message was cut before its id was printed.
    unprinted: Option<u64>,
}

/// What a recorded id stands for. One whose packet has left the queue still does, since a program may use it again.
#[derive(Clone, Copy, Debug)]
struct Known {
    here: u64,
    waits: bool,
}

impl Ids {
    /// A packet was announced, `recorded` there and `here`.
    ///
    /// # Errors
    ///
    /// If another packet that waits is known by that id here; with its recorded id.
    pub(super) fn announced(&mut self, recorded: u64, here: u64) -> Result<(), u64> {
        let mut waiting = self.known.iter().filter(|(_, known)| known.waits);
        let taken = waiting.find(|(_, known)| known.here == here).map(|(&other, _)| other);
        self.known.insert(recorded, Known { here, waits: true });
        taken.map_or(Ok(()), Err)
    }

    /// A packet was announced by a message of which too little was read to know its id there.
    pub(super) fn announced_unprinted(&mut self, here: u64) {
        self.unprinted = Some(here);
    }

    /// The id here. A small number is made up by the program and stands for itself; an address that was never
    /// printed is that of the packet whose message was cut.
    pub(super) fn here(&mut self, recorded: u64) -> u64 {
        const KERNEL_MEMORY: u64 = 0xffff_0000_0000_0000;
        if let Some(known) = self.known.get(&recorded) {
            return known.here;
        }
        if recorded < KERNEL_MEMORY {
            return recorded;
        }
        let Some(here) = self.unprinted.take() else { return recorded };
        self.known.insert(recorded, Known { here, waits: true });
        here
    }

    /// A packet got a verdict that makes it leave the queue.
    pub(super) fn decided(&mut self, recorded: u64) {
        if let Some(known) = self.known.get_mut(&recorded) {
            known.waits = false;
        }
    }

    /// The queue was emptied.
    pub(super) fn flushed(&mut self) {
        self.known.values_mut().for_each(|known| known.waits = false);
    }
}
