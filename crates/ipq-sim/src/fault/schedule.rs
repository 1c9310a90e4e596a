//! Which faults strike a message: a plan at work.

use core::time::Duration;

use ipq_proto::Errno;
use ipq_sys::{Clock, Deadline, Protocol, Received};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::damage::{Language, corrupt};
use super::{Direction, Fault, PlannedFault, Record, Tally};

/// The faults of a plan, and how often each has struck.
#[derive(Debug)]
pub(super) struct Schedule {
    seed: u64,
    protocol: Protocol,
    entries: Vec<Entry>,
    /// How many faults were ever added: each has draws of its own, whatever the others do.
    added: u64,
}

/// A planned fault.
#[derive(Debug)]
struct Entry {
    planned: PlannedFault,
    is_over: bool,
    /// Messages that it could have happened to.
    met: u64,
    done: u64,
    /// Draws whether, once for each of them.
    when: Generator,
    /// Draws how.
    how: Generator,
}

/// What a message looks like on its way through the faults.
#[derive(Debug)]
pub(super) struct Struck<'m> {
    pub(super) direction: Direction,
    pub(super) number: u64,
    pub(super) now: Clock,
    /// Until when the program waits for it, if it does.
    pub(super) deadline: Option<Deadline>,
    /// Whether another message waits to go after it.
    pub(super) is_swapping: bool,
    /// Its bytes.
    pub(super) bytes: &'m mut [u8],
    /// How many of them are left.
    pub(super) len: usize,
    /// How long it is said to have been.
    pub(super) datagram_len: usize,
}

/// What the faults do to a message, beyond its bytes.
#[derive(Debug, Default)]
pub(super) struct Treatment {
    /// What the program receives before it.
    pub(super) ahead: Vec<Received>,
    /// Messages that nobody sent, to come before it.
    pub(super) injected: Vec<Vec<u8>>,
    pub(super) end: End,
    pub(super) duplicates: u32,
    pub(super) delay: Duration,
    pub(super) waits_for_next: bool,
}

/// Whether a message goes on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum End {
    #[default]
    GoesOn,
    Lost,
    Refused(Errno),
    Dies(Errno),
}

impl Treatment {
    /// Whether the message goes straight on.
    pub(super) fn is_none(&self) -> bool {
        self.ahead.is_empty()
            && self.injected.is_empty()
            && self.end == End::GoesOn
            && self.duplicates == 0
            && self.delay.is_zero()
            && !self.waits_for_next
    }
}

impl Schedule {
    pub(super) fn new(seed: u64, protocol: Protocol) -> Self {
        Self { seed, protocol, entries: Vec::new(), added: 0 }
    }

    pub(super) fn add(&mut self, planned: PlannedFault) {
        let generator = |purpose| Generator::new(self.seed, self.protocol, self.added, purpose);
        let (when, how) = (generator(0), generator(1));
        self.entries.push(Entry { planned, is_over: false, met: 0, done: 0, when, how });
        self.added += 1;
    }

    /// Ends all faults that there are.
    pub(super) fn end(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.is_over = true);
    }

    pub(super) fn tallies(&self) -> impl Iterator<Item = Tally> {
        self.entries.iter().map(|entry| Tally { planned: entry.planned, done: entry.done })
    }

    /// Whether any fault can happen to messages in this direction.
    pub(super) fn concerns(&self, direction: Direction) -> bool {
        let concerns = |entry: &Entry| !entry.is_over && entry.planned.direction == direction;
        self.entries.iter().any(concerns)
    }

    /// Lets a message meet the faults in their order, until one loses it; `log` is told of those that strike.
    pub(super) fn treat(
        &mut self,
        message: &mut Struck<'_>,
        language: Language,
        log: &mut Vec<Record>,
    ) -> Treatment {
        let mut treatment = Treatment::default();
        for entry in &mut self.entries {
            let fault = entry.planned.fault;
            if entry.is_over
                || entry.planned.direction != message.direction
                || !message.can_meet(fault, &treatment, language)
            {
                continue;
            }
            // Asked of a lost message as well, so that what one fault does moves no other to another message.
            if !entry.strikes(message.now) || treatment.end != End::GoesOn {
                continue;
            }
            entry.done += 1;
            let Struck { now: time, direction, number, .. } = *message;
            log.push(Record { time, direction, number, fault });
            message.meet(fault, &mut treatment, language, &mut entry.how);
        }
        treatment
    }
}

impl Entry {
    /// Whether it happens to a message that it could happen to.
    fn strikes(&mut self, now: Clock) -> bool {
        self.met += 1;
        let PlannedFault { rate, nth, every, from, until, at_most, .. } = self.planned;
        // Drawn whatever the other conditions say, so that changing them moves no draw to another message.
        let is_drawn = rate.is_none_or(|rate| self.when.unit() < rate);
        is_drawn
            && nth.is_none_or(|number| self.met == number)
            && every.is_none_or(|messages| self.met.is_multiple_of(messages))
            && from.is_none_or(|from| from <= now)
            && until.is_none_or(|until| now < until)
            && at_most.is_none_or(|times| self.done < times)
    }
}

impl Struck<'_> {
    /// The bytes that are left.
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Whether a fault would make a difference.
    fn can_meet(&mut self, fault: Fault, treatment: &Treatment, language: Language) -> bool {
        match fault {
            Fault::Delay { time } => !time.is_zero(),
            Fault::Hold { release } => self.now < release,
            Fault::Reorder => !self.is_swapping && !treatment.waits_for_next,
            Fault::Corrupt { bytes } => bytes > 0 && self.len > 0,
            Fault::Shorten { len } | Fault::Truncate { len } => len < self.len,
            Fault::TimeOut => self.deadline != Some(Deadline::Never),
            Fault::UnknownId => language.id_bit(self.bytes()).is_some(),
            _ => true,
        }
    }

    /// Lets a fault happen.
    fn meet(
        &mut self,
        fault: Fault,
        treatment: &mut Treatment,
        language: Language,
        how: &mut Generator,
    ) {
        match fault {
            Fault::Lose => treatment.end = End::Lost,
            Fault::Die { errno } => treatment.end = End::Dies(errno),
            Fault::Refuse { errno } => treatment.end = End::Refused(errno),
            Fault::Delay { time } => treatment.delay = treatment.delay.saturating_add(time),
            Fault::Hold { release } => {
                treatment.delay = treatment.delay.max(release.saturating_sub(self.now));
            }
            Fault::Reorder => treatment.waits_for_next = true,
            Fault::Duplicate => treatment.duplicates += 1,
            Fault::Corrupt { bytes } => corrupt(self.bytes(), bytes, how),
            Fault::Shorten { len } => {
                self.len = len;
                self.datagram_len = len;
            }
            Fault::Truncate { len } => self.len = len,
            Fault::Overrun => {
                treatment.ahead.push(Received::Overrun);
                treatment.end = End::Lost;
            }
            Fault::Foreign { port_id } => treatment.ahead.push(Received::Foreign { port_id }),
            Fault::Interrupt => treatment.ahead.push(Received::Interrupted),
            Fault::TimeOut => treatment.ahead.push(Received::TimedOut),
            Fault::SpuriousError { errno } => {
                treatment.injected.push(language.spurious_error(errno));
            }
            Fault::UnknownId => {
                if let Some((at, bit)) = language.id_bit(self.bytes()) {
                    self.bytes[at] ^= bit;
                }
            }
        }
    }
}

/// Numbers that depend on a seed and on nothing else, on every machine and in every version.
#[derive(Debug)]
pub(super) struct Generator(ChaCha8Rng);

impl Generator {
    fn new(seed: u64, protocol: Protocol, entry: u64, purpose: u8) -> Self {
        // The key is written out here, since how a library makes one of a number may change.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..12].copy_from_slice(&protocol.number().to_le_bytes());
        key[12..20].copy_from_slice(&entry.to_le_bytes());
        key[20] = purpose;
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number from 0 to just below 1, in steps of 2^-53, which are exact.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what the number holds")]
    fn unit(&mut self) -> f64 {
        const STEPS: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
        (self.0.next_u64() >> (u64::BITS - f64::MANTISSA_DIGITS)) as f64 / STEPS
    }

    /// A number below `limit`, which is not 0. The bias is that of 64 bits.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        let product = u128::from(self.0.next_u64()) * limit as u128;
        usize::try_from(product >> u64::BITS).expect("less than the limit")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_same_for_ever() {
        let mut generator = Generator::new(7, Protocol::Firewall, 0, 0);
        let drawn: Vec<_> = (0..8).map(|_| generator.below(1000)).collect();
        // As a ChaCha with 8 rounds gives them that was written apart from this one, after RFC 8439.
        assert_eq!(drawn, [224, 146, 121, 599, 85, 797, 814, 450]);
    }

    #[test]
    fn seeds_protocols_faults_and_purposes_draw_apart() {
        let draw = |seed, protocol, entry, purpose| {
            Generator::new(seed, protocol, entry, purpose).0.next_u64()
        };
        let drawn = [
            draw(7, Protocol::Firewall, 0, 0),
            draw(8, Protocol::Firewall, 0, 0),
            draw(7, Protocol::Ip6Firewall, 0, 0),
            draw(7, Protocol::Firewall, 1, 0),
            draw(7, Protocol::Firewall, 0, 1),
        ];
        for (index, number) in drawn.iter().enumerate() {
            assert!(!drawn[..index].contains(number));
        }
    }

    #[test]
    fn a_unit_is_at_least_0_and_below_1() {
        let mut generator = Generator::new(1, Protocol::Netfilter, 0, 0);
        let drawn: Vec<_> = (0..1000).map(|_| generator.unit()).collect();
        assert!(drawn.iter().all(|unit| (0.0..1.0).contains(unit)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.45..0.55).contains(&mean), "{mean}");
    }
}
