//! The built-in programs of scenarios: they pass, drop or change packets.

use ipq::{Error, Event, Packet, PacketId, Queue, Rewrite, Verdict};
use ipq_sim::{Application as Described, ApplicationName, Kernel, Match};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A program, and where it is in its work.
#[derive(Clone, Debug)]
pub(crate) struct Application {
    described: Described,
    /// Which packets match its condition.
    condition: Match,
    /// Draws which of them are.
    random: ChaCha8Rng,
    /// Packets read.
    packets: u64,
    /// Those of them that matched.
    candidates: u64,
    mangled: u64,
}

/// How many numbers may be drawn: 2^32, which are exact enough for any rate that anybody writes down.
const DRAWS: f64 = 4_294_967_296.0;

/// How often something is tried that fails for now. Nothing but a fault that strikes always takes as many.
const MOST_ATTEMPTS: usize = 1000;

/// What is to become of a packet.
pub(crate) enum Decision {
    Verdict(Verdict),
    Replace(Vec<u8>),
}

impl Application {
    pub(crate) fn new(described: &Described, seed: u64) -> Self {
        let condition = described.condition();
        let random = ChaCha8Rng::seed_from_u64(seed);
        let described = described.clone();
        Self { described, condition, random, packets: 0, candidates: 0, mangled: 0 }
    }

    /// How many packets it has changed.
    pub(crate) fn mangled(&self) -> u64 {
        self.mangled
    }

    /// Whether it has read as many packets as it wants.
    pub(crate) fn has_enough(&self) -> bool {
        self.described.packets.is_some_and(|packets| self.packets >= packets)
    }

    /// Does its work until nothing can come any more, or it has enough. What fails for now is tried again.
    pub(crate) fn serve(&mut self, queue: &mut Queue, kernel: &Kernel) -> Result<(), Error> {
        let mut buffer = vec![0; queue.buffer_len()];
        let mut attempts = 0;
        while !self.has_enough() {
            let (id, decision) = match queue.read(&mut buffer, None) {
                Ok(None) => return Ok(()),
                Ok(Some(Event::Packet(packet) | Event::Truncated { packet: Some(packet), .. })) => {
                    (packet.id(), self.decide(&packet))
                }
                Ok(Some(_)) | Err(Error::Message(_)) => continue,
                Err(error) if error.is_temporary() && attempts < MOST_ATTEMPTS => {
                    attempts += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            attempts = 0;
            if !self.described.thinks.is_zero() {
                kernel.advance(self.described.thinks);
            }
            match send(queue, id, &decision) {
                // The message of the packet was damaged: it has another queue, or another id.
                Err(Error::WrongQueue(_) | Error::Number(_)) => (),
                sent => sent?,
            }
        }
        Ok(())
    }

    /// Decides on a packet, as far as it is there.
    pub(crate) fn decide(&mut self, packet: &Packet<'_>) -> Decision {
        self.packets += 1;
        let is_meant = self.is_meant(packet.payload());
        match self.described.name {
            ApplicationName::Drop if is_meant => Decision::Verdict(Verdict::Drop),
            ApplicationName::Mangle if is_meant => match self.mangle(packet.payload()) {
                Some(mangled) => {
                    self.mangled += 1;
                    Decision::Replace(mangled)
                }
                None => Decision::Verdict(Verdict::Accept),
            },
            _ => Decision::Verdict(Verdict::Accept),
        }
    }

    /// Whether its work is done to a packet with these bytes.
    fn is_meant(&mut self, packet: &[u8]) -> bool {
        if !self.condition.matches_bytes(packet) {
            return false;
        }
        self.candidates += 1;
        let in_turn =
            self.described.every().is_none_or(|every| self.candidates.is_multiple_of(every));
        // Drawn in any case, so that one condition moves nothing that another one draws.
        let drawn = match self.described.rate() {
            Some(rate) => f64::from(self.random.next_u32()) < rate * DRAWS,
            None => true,
        };
        in_turn && drawn
    }

    /// The packet with what is looked for replaced, if it is in there.
    fn mangle(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (find, replace) = self.described.replacement()?;
        let mut rewrite = Rewrite::of(packet).ok()?;
        let at = rewrite.payload().windows(find.len()).position(|window| window == find)?;
        if self.described.keep_checksums {
            let mut mangled = packet.to_vec();
            let at = rewrite.headers().len() + at;
            mangled[at..at + find.len()].copy_from_slice(replace);
            return Some(mangled);
        }
        rewrite.payload_mut()[at..at + find.len()].copy_from_slice(replace);
        rewrite.finish().ok()
    }
}

/// Sends a decision, again if it is not taken for now.
pub(crate) fn send(queue: &mut Queue, id: PacketId, decision: &Decision) -> Result<(), Error> {
    let mut sent = Ok(());
    for _ in 0..MOST_ATTEMPTS {
        sent = match decision {
            Decision::Verdict(verdict) => queue.verdict(id, *verdict),
            Decision::Replace(packet) => queue.verdict_with(id, Verdict::Accept, packet),
        };
        if !sent.as_ref().is_err_and(Error::is_temporary) {
            break;
        }
    }
    sent
}
