//! What is to come of a scenario, and whether it did: [`Finding`].

use core::fmt;

use ipq_proto::Family;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::application::{ApplicationNumbers, NumberOf};
use super::error::Problem;
use super::format::File;
use super::traffic::Traffic;
use crate::fate::{Fate, Totals};
use crate::fault::errno_named;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct ExpectationTable {
    that: Spanned<String>,
    equals: Option<Amount>,
    at_least: Option<Amount>,
    at_most: Option<Amount>,
}

/// A number, or the name of an error in its place.
#[derive(Clone, Copy, Debug)]
struct Amount(u64);

/// A number that something is expected of.
#[derive(Clone, Debug)]
pub(crate) struct Expectation {
    name: String,
    pub(crate) number: Number,
    equals: Option<u64>,
    at_least: Option<u64>,
    at_most: Option<u64>,
}

/// What can be expected: what a number's name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Number {
    Total(fn(&Totals) -> u64),
    Milliseconds,
    /// Packets that ended so.
    Fate(String),
    /// Of the traffic with this position.
    Traffic(usize, &'static str),
    Application(NumberOf),
    /// How often faults of this name struck.
    Fault(String),
    /// A counter of `ip_queue` or `ip6_queue`.
    IpQueue(Family, IpQueueCounter),
    /// A counter of this queue of `nfnetlink_queue`.
    Nfqueue(u16, NfqueueCounter),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum IpQueueCounter {
    Length,
    QueueDropped,
    NetlinkDropped,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NfqueueCounter {
    Length,
    QueueDropped,
    UserDropped,
    LastId,
}

/// What became of an expectation. It prints as a line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What was looked at.
    pub that: String,
    /// What it was to be, in words.
    pub expected: String,
    /// What it was.
    pub found: u64,
    /// Whether it was as expected.
    pub holds: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { that, expected, found, holds } = self;
        let holds = if *holds { "ok" } else { "FAILED" };
        write!(f, "{holds}: {that}: {found}, expected {expected}")
    }
}

type TotalOf = fn(&Totals) -> u64;

/// The kernel's own numbers.
const TOTALS: [(&str, TotalOf); 7] = [
    ("entered", |totals| totals.entered),
    ("delivered", |totals| totals.delivered),
    ("dropped", |totals| totals.dropped),
    ("fragmented", |totals| totals.fragmented),
    ("reassembled", |totals| totals.reassembled),
    ("incomplete", |totals| totals.incomplete),
    ("queued", |totals| totals.queued),
];

const MILLISECONDS: &str = "milliseconds";

/// What comes before the point in numbers that are not of traffic.
pub(super) const RESERVED: [&str; 4] = ["application", "fault", "ip_queue", "ip6_queue"];

impl ExpectationTable {
    /// What it is about, if there is such a number and anything is expected of it.
    pub(super) fn plan(
        &self,
        file: &File,
        traffic: &[(Option<String>, Traffic)],
    ) -> Result<Expectation, Problem> {
        let name = self.that.as_ref();
        let number = Number::named(name, file, traffic);
        let number = number.map_err(|text| Problem::at(self.that.span(), text))?;
        let [equals, at_least, at_most] =
            [self.equals, self.at_least, self.at_most].map(|amount| amount.map(|Amount(it)| it));
        if equals.or(at_least).or(at_most).is_none() {
            let text =
                format!("what is {name:?} expected to be? It needs equals, at-least or at-most");
            return Err(Problem::at(self.that.span(), text));
        }
        Ok(Expectation { name: name.clone(), number, equals, at_least, at_most })
    }
}

impl Expectation {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What became of it.
    pub(crate) fn find(&self, found: u64) -> Finding {
        let Self { name, equals, at_least, at_most, .. } = self;
        let words = [("", *equals), ("at least ", *at_least), ("at most ", *at_most)];
        let words =
            words.iter().filter_map(|(words, number)| number.map(|n| format!("{words}{n}")));
        let holds = equals.is_none_or(|number| found == number)
            && at_least.is_none_or(|number| found >= number)
            && at_most.is_none_or(|number| found <= number);
        let expected = words.collect::<Vec<_>>().join(" and ");
        Finding { that: name.clone(), expected, found, holds }
    }
}

impl Number {
    fn named(
        name: &str,
        file: &File,
        traffic: &[(Option<String>, Traffic)],
    ) -> Result<Self, String> {
        if let Some((_, total)) = TOTALS.iter().find(|(known, _)| *known == name) {
            return Ok(Self::Total(*total));
        }
        if name == MILLISECONDS {
            return Ok(Self::Milliseconds);
        }
        if Fate::all().any(|fate| fate.to_string() == name) {
            return Ok(Self::Fate(name.to_owned()));
        }
        if let Some(reason) = name.strip_prefix("dropped: ") {
            let fates = Fate::all().map(|fate| fate.to_string());
            let reasons = fates.filter_map(|fate| Some(fate.strip_prefix("dropped: ")?.to_owned()));
            let reasons = reasons.collect::<Vec<_>>().join(", ");
            return Err(format!("no packet is dropped {reason:?}; the reasons are {reasons}"));
        }
        let Some((owner, what)) = name.rsplit_once('.') else { return Err(unknown(name, traffic)) };
        match owner {
            "application" => {
                let known = ApplicationNumbers::NAMES.map(|(name, _)| name);
                let position = position(&known, what, name)?;
                Ok(Self::Application(ApplicationNumbers::NAMES[position].1))
            }
            "fault" => {
                let planned = |name: &&str| *name == what;
                let mut names = file.fault.iter().map(|planned| planned.fault().name());
                let found = names.find(planned);
                found.map(|name| Self::Fault(name.to_owned())).ok_or_else(|| {
                    format!("the scenario has no fault {what:?} that could be counted")
                })
            }
            "ip_queue" => Self::of_ip_queue(Family::Ipv4, what, name),
            "ip6_queue" => Self::of_ip_queue(Family::Ipv6, what, name),
            _ => match owner.strip_prefix("nfqueue:") {
                Some(number) => Self::of_nfqueue(number, what, name),
                None => Self::of_traffic(traffic, owner, what, name),
            },
        }
    }

    fn of_ip_queue(family: Family, what: &str, name: &str) -> Result<Self, String> {
        const ALL: [IpQueueCounter; 3] =
            [IpQueueCounter::Length, IpQueueCounter::QueueDropped, IpQueueCounter::NetlinkDropped];
        let known = ["length", "queue-dropped", "netlink-dropped"];
        Ok(Self::IpQueue(family, ALL[position(&known, what, name)?]))
    }

    fn of_nfqueue(number: &str, what: &str, name: &str) -> Result<Self, String> {
        const ALL: [NfqueueCounter; 4] = [
            NfqueueCounter::Length,
            NfqueueCounter::QueueDropped,
            NfqueueCounter::UserDropped,
            NfqueueCounter::LastId,
        ];
        let number = number.parse().map_err(|_| format!("{number:?} is no number of a queue"))?;
        let known = ["length", "queue-dropped", "user-dropped", "last-id"];
        Ok(Self::Nfqueue(number, ALL[position(&known, what, name)?]))
    }

    fn of_traffic(
        traffic: &[(Option<String>, Traffic)],
        owner: &str,
        what: &str,
        name: &str,
    ) -> Result<Self, String> {
        let mut all = traffic.iter();
        let index = all.position(|(own, _)| own.as_deref() == Some(owner));
        let Some(index) = index else { return Err(unknown(name, traffic)) };
        let known = traffic[index].1.numbers();
        Ok(Self::Traffic(index, known[position(known, what, name)?]))
    }
}

/// Which of the `known` names `what` is.
fn position(known: &[&str], what: &str, name: &str) -> Result<usize, String> {
    known.iter().position(|known| *known == what).ok_or_else(|| {
        let owner = name.strip_suffix(what).unwrap_or_default();
        let names = known.iter().map(|known| format!("{owner}{known}"));
        format!("there is no number {name:?}, but {}", names.collect::<Vec<_>>().join(", "))
    })
}

fn unknown(name: &str, traffic: &[(Option<String>, Traffic)]) -> String {
    let totals = TOTALS.iter().map(|(name, _)| (*name).to_owned());
    let fates = ["a fate of packets such as \"dropped: by a verdict\"".to_owned()];
    let of_traffic = traffic.iter().filter_map(|(name, _)| Some(format!("{}.…", name.as_ref()?)));
    let others = ["application.…", "fault.…", "ip_queue.…", "ip6_queue.…", "nfqueue:N.…"];
    let all = totals
        .chain([MILLISECONDS.to_owned()])
        .chain(fates)
        .chain(of_traffic)
        .chain(others.map(str::to_owned));
    format!("there is no number {name:?}; there are {}", all.collect::<Vec<_>>().join(", "))
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Amount;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 on, or the name of an error such as \"EBUSY\"")
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Amount, E> {
                let unexpected = serde::de::Unexpected::Signed(number);
                u64::try_from(number).map(Amount).map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Amount, E> {
                let number = errno_named(name).and_then(|errno| u64::try_from(errno.0).ok());
                let unexpected = serde::de::Unexpected::Str(name);
                number.map(Amount).ok_or_else(|| E::invalid_value(unexpected, &self))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
