//! The program at the queue of a scenario: [`Application`], and what it has done: [`ApplicationNumbers`].

use core::ops::RangeInclusive;
use core::time::Duration;

use ipq_proto::Errno;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::error::Problem;
use super::rule::{ConditionTable, numbers};
use crate::rule::Match;

/// What the program at the queue of a scenario is, and how it opens its queue.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Application {
    /// Which one it is.
    #[serde(default)]
    pub name: ApplicationName,
    #[serde(default)]
    queue: Queues,
    #[serde(default, rename = "match")]
    pub(super) condition: ConditionTable,
    rate: Option<Spanned<f64>>,
    every: Option<Spanned<u64>>,
    find: Option<Spanned<String>>,
    replace: Option<Spanned<String>>,
    /// Whether a mangler leaves checksums as they are, as a careless program does.
    #[serde(default)]
    pub keep_checksums: bool,
    #[serde(default)]
    copy: CopyName,
    #[serde(default)]
    range: u32,
    /// How many packets may wait in its queue of `nfnetlink_queue`.
    pub max_length: Option<u32>,
    /// Whether packets pass that its queue of `nfnetlink_queue` has no room for.
    #[serde(default)]
    pub fail_open: bool,
    /// The size of its receive buffer in bytes.
    pub receive_buffer: Option<usize>,
    /// Whether it does not want to know that its receive buffer was full.
    #[serde(default)]
    pub ignore_overruns: bool,
    /// Whether it runs without `CAP_NET_ADMIN`.
    #[serde(default)]
    pub unprivileged: bool,
    /// When it starts, in simulated time.
    #[serde(default, with = "humantime_serde")]
    pub starts: Duration,
    /// How long it thinks about each packet, in simulated time; packets may come meanwhile.
    #[serde(default, with = "humantime_serde")]
    pub thinks: Duration,
    /// After how many packets it ends; for ever if it is not said.
    pub packets: Option<u64>,
}

/// A built-in program.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub enum ApplicationName {
    /// It accepts packets.
    #[default]
    Pass,
    /// It drops those that match.
    Drop,
    /// It changes those that match, and accepts them.
    Mangle,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum CopyName {
    #[default]
    Packet,
    Metadata,
}

/// `ip_queue`, both of them, or these queues of `nfnetlink_queue`.
#[derive(Clone, Debug, Default)]
pub(crate) enum Queues {
    #[default]
    IpQueue,
    Nfqueue(RangeInclusive<u16>),
}

impl<'de> Deserialize<'de> for Queues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let nfqueue = name.strip_prefix("nfqueue:").and_then(numbers);
        match nfqueue.filter(|numbers| !numbers.is_empty()) {
            Some(numbers) => Ok(Self::Nfqueue(numbers)),
            None if name == "ip_queue" => Ok(Self::IpQueue),
            None => Err(de::Error::custom(format_args!(
                "{name:?} is no queue: ip_queue, nfqueue:N or nfqueue:A-B"
            ))),
        }
    }
}

impl Application {
    /// Its queues of `nfnetlink_queue`; `None` if it is a program for `ip_queue`.
    pub fn queues(&self) -> Option<RangeInclusive<u16>> {
        match &self.queue {
            Queues::IpQueue => None,
            Queues::Nfqueue(numbers) => Some(numbers.clone()),
        }
    }

    /// How many bytes of each packet it wants, 0 for all; `None` if it wants only the metadata.
    pub fn copy_range(&self) -> Option<u32> {
        (self.copy == CopyName::Packet).then_some(self.range)
    }

    /// Which packets match, by their bytes. All others pass.
    pub fn condition(&self) -> Match {
        self.condition.condition()
    }

    /// The share of these packets that are chosen, drawn from the seed.
    pub fn rate(&self) -> Option<f64> {
        self.rate.as_ref().map(|rate| *rate.as_ref())
    }

    /// Only each of them whose number is a multiple of this is chosen.
    pub fn every(&self) -> Option<u64> {
        self.every.as_ref().map(|every| *every.as_ref())
    }

    /// What a mangler looks for behind the headers of TCP and UDP, and what it puts in its place: as many bytes.
    pub fn replacement(&self) -> Option<(&[u8], &[u8])> {
        let (find, replace) = (self.find.as_ref()?, self.replace.as_ref()?);
        Some((find.as_ref().as_bytes(), replace.as_ref().as_bytes()))
    }

    /// That it can be run.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if let Some(rate) = self.rate.as_ref().filter(|rate| !(0.0..=1.0).contains(rate.as_ref())) {
            return Err(Problem::at(rate.span(), "a rate is between 0 and 1"));
        }
        if let Some(every) = self.every.as_ref().filter(|every| *every.as_ref() == 0) {
            let text = "every packet can be chosen, or every 2nd, but not every 0th";
            return Err(Problem::at(every.span(), text));
        }
        self.check_condition()?;
        self.check_mangler()
    }

    /// The program looks at bytes.
    fn check_condition(&self) -> Result<(), Problem> {
        let ConditionTable { input, output, mark, not_mark, .. } = &self.condition;
        let names = [input, output].into_iter().flatten().map(Spanned::span);
        let marks = [mark, not_mark].into_iter().flatten().map(Spanned::span);
        match names.chain(marks).next() {
            Some(span) => {
                let text = "an application looks at the bytes of packets: leave devices and marks to rules";
                Err(Problem::at(span, text))
            }
            None => Ok(()),
        }
    }

    fn check_mangler(&self) -> Result<(), Problem> {
        let is_mangler = self.name == ApplicationName::Mangle;
        match (&self.find, &self.replace) {
            (Some(find), Some(replace)) => {
                let [found, put] = [find, replace].map(|text| text.as_ref().len());
                if found == 0 {
                    return Err(Problem::at(find.span(), "there is nothing to find"));
                }
                if found != put {
                    let text = format!(
                        "what is found has {found} bytes, and this {put}: as many are needed, since TCP counts them"
                    );
                    return Err(Problem::at(replace.span(), text));
                }
            }
            (Some(one), None) | (None, Some(one)) => {
                let text = "a mangler needs both, what to find and what to replace it by";
                return Err(Problem::at(one.span(), text));
            }
            (None, None) if is_mangler => {
                let text =
                    "the application mangle needs something to `find`, and to `replace` it by";
                return Err(Problem::of_whole(text));
            }
            (None, None) => (),
        }
        if is_mangler && self.copy_range() != Some(0) {
            let text =
                "the application mangle needs whole packets: copy = \"packet\", and no range";
            return Err(Problem::of_whole(text));
        }
        Ok(())
    }
}

/// What the program of a scenario has done, for what is expected of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ApplicationNumbers {
    /// Packets that it has read.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets that it accepted, changed ones among them.
    pub accepted: u64,
    /// Packets that it dropped.
    pub dropped: u64,
    /// Packets that it changed.
    pub mangled: u64,
    /// Messages that were cut.
    pub truncated: u64,
    /// Requests and verdicts that the kernel refused.
    pub refused: u64,
    /// How often its receive buffer was full.
    pub overruns: u64,
    /// Packets that it knows were lost because of that.
    pub lost: u64,
    /// Messages that were not from the kernel.
    pub foreign: u64,
    /// Messages that made no sense.
    pub malformed: u64,
    /// What it failed with, if it ended with an error.
    pub failure: Option<Errno>,
    /// Whether it ended with an error.
    pub has_failed: bool,
}

pub(super) type NumberOf = fn(&ApplicationNumbers) -> u64;

impl ApplicationNumbers {
    /// All of them, by the names that they have in expectations behind `application.`.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::NAMES.into_iter().map(|(name, number)| (name, number(self)))
    }

    /// The names that its numbers have in expectations, behind `application.`.
    pub(super) const NAMES: [(&'static str, NumberOf); 13] = [
        ("packets", |numbers| numbers.packets),
        ("bytes", |numbers| numbers.bytes),
        ("accepted", |numbers| numbers.accepted),
        ("dropped", |numbers| numbers.dropped),
        ("mangled", |numbers| numbers.mangled),
        ("truncated", |numbers| numbers.truncated),
        ("refused", |numbers| numbers.refused),
        ("overruns", |numbers| numbers.overruns),
        ("lost", |numbers| numbers.lost),
        ("foreign", |numbers| numbers.foreign),
        ("malformed", |numbers| numbers.malformed),
        ("failed", |numbers| u64::from(numbers.has_failed)),
        ("errno", |numbers| numbers.failure.map_or(0, |errno| u64::from(errno.0.unsigned_abs()))),
    ];
}
