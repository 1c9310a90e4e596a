//! A planned fault as a scenario file has it: one flat table.

use core::time::Duration;

use ipq_proto::Errno;
use serde::{Deserialize, Serialize};

use super::{Direction, Fault, PlannedFault};

/// The fields of all faults. Which of them a fault takes is looked at when it is converted.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Text {
    fault: Name,
    direction: Option<Direction>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    delay: Option<Duration>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    release: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<ErrorNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    from: Option<Duration>,
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    until: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_most: Option<u64>,
}

/// An error number that is written as [`ErrnoText`].
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "ErrnoText", into = "ErrnoText")]
struct ErrorNumber(Errno);

/// Defines the names of faults in Rust and in text together, so that none can be forgotten.
macro_rules! names {
    ($($name:ident = $text:literal;)*) => {
        /// A fault's name.
        #[derive(Clone, Copy, Debug, Deserialize, Serialize)]
        pub(super) enum Name {
            $(#[serde(rename = $text)] $name,)*
        }

        impl Name {
            pub(super) const fn of(fault: Fault) -> Self {
                match fault {
                    $(Fault::$name { .. } => Self::$name,)*
                }
            }

            pub(super) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

names! {
    Lose = "lose";
    Delay = "delay";
    Hold = "hold";
    Reorder = "reorder";
    Duplicate = "duplicate";
    Corrupt = "corrupt";
    Shorten = "shorten";
    Die = "die";
    Overrun = "overrun";
    Truncate = "truncate";
    Foreign = "foreign";
    Interrupt = "interrupt";
    TimeOut = "time-out";
    SpuriousError = "spurious-error";
    Refuse = "refuse";
    UnknownId = "unknown-id";
}

impl TryFrom<Text> for PlannedFault {
    type Error = String;

    fn try_from(mut text: Text) -> Result<Self, String> {
        let fault = text.take_fault()?;
        text.refuse_the_rest()?;
        let direction = match (fault.only_direction(), text.direction) {
            (Some(only), Some(other)) if only != other => {
                return Err(format!("the fault `{}` can only happen {only}", text.fault.as_str()));
            }
            (Some(direction), _) | (None, Some(direction)) => direction,
            (None, None) => {
                return Err(format!("the fault `{}` needs a `direction`", text.fault.as_str()));
            }
        };
        let Text { rate, nth, every, from, until, at_most, .. } = text;
        let planned = Self { fault, direction, rate, nth, every, from, until, at_most };
        planned.problem().map_or(Ok(planned), Err)
    }
}

impl From<PlannedFault> for Text {
    fn from(planned: PlannedFault) -> Self {
        let PlannedFault { fault, direction, rate, nth, every, from, until, at_most } = planned;
        let (mut delay, mut release) = (None, None);
        let (mut bytes, mut length) = (None, None);
        let (mut port_id, mut errno) = (None, None);
        match fault {
            Fault::Delay { time } => delay = Some(time),
            Fault::Hold { release: time } => release = Some(time),
            Fault::Corrupt { bytes: count } => bytes = Some(count),
            Fault::Shorten { len } | Fault::Truncate { len } => length = Some(len),
            Fault::Foreign { port_id: sender } => port_id = Some(sender),
            Fault::Die { errno: number }
            | Fault::SpuriousError { errno: number }
            | Fault::Refuse { errno: number } => errno = Some(ErrorNumber(number)),
            _ => (),
        }
        let (fault, direction) = (Name::of(fault), Some(direction));
        Self {
            fault,
            direction,
            delay,
            release,
            bytes,
            length,
            port_id,
            errno,
            rate,
            nth,
            every,
            from,
            until,
            at_most,
        }
    }
}

impl Text {
    /// The fault, without the fields that it takes.
    fn take_fault(&mut self) -> Result<Fault, String> {
        let name = self.fault;
        let needs = |field| move || format!("the fault `{}` needs `{field}`", name.as_str());
        let errno = |text: &mut Self| {
            let ErrorNumber(errno) = text.errno.take().ok_or_else(needs("errno"))?;
            Ok::<_, String>(errno)
        };
        let length = |text: &mut Self| text.length.take().ok_or_else(needs("length"));
        Ok(match name {
            Name::Lose => Fault::Lose,
            Name::Delay => Fault::Delay { time: self.delay.take().ok_or_else(needs("delay"))? },
            Name::Hold => {
                Fault::Hold { release: self.release.take().ok_or_else(needs("release"))? }
            }
            Name::Reorder => Fault::Reorder,
            Name::Duplicate => Fault::Duplicate,
            Name::Corrupt => {
                Fault::Corrupt { bytes: self.bytes.take().ok_or_else(needs("bytes"))? }
            }
            Name::Shorten => Fault::Shorten { len: length(self)? },
            Name::Die => Fault::Die { errno: errno(self)? },
            Name::Overrun => Fault::Overrun,
            Name::Truncate => Fault::Truncate { len: length(self)? },
            Name::Foreign => {
                Fault::Foreign { port_id: self.port_id.take().ok_or_else(needs("port-id"))? }
            }
            Name::Interrupt => Fault::Interrupt,
            Name::TimeOut => Fault::TimeOut,
            Name::SpuriousError => Fault::SpuriousError { errno: errno(self)? },
            Name::Refuse => Fault::Refuse { errno: errno(self)? },
            Name::UnknownId => Fault::UnknownId,
        })
    }

    /// What was not taken says nothing about this fault.
    fn refuse_the_rest(&self) -> Result<(), String> {
        let left = [
            (self.delay.is_some(), "delay"),
            (self.release.is_some(), "release"),
            (self.bytes.is_some(), "bytes"),
            (self.length.is_some(), "length"),
            (self.port_id.is_some(), "port-id"),
            (self.errno.is_some(), "errno"),
        ];
        match left.into_iter().find(|(is_left, _)| *is_left) {
            Some((_, field)) => {
                Err(format!("the fault `{}` takes no `{field}`", self.fault.as_str()))
            }
            None => Ok(()),
        }
    }
}

/// The largest number that the kernel takes for an error.
const LAST_ERRNO: i32 = 4095;

/// The error of this name, such as `ENOBUFS`.
pub(crate) fn errno_named(name: &str) -> Option<Errno> {
    (1..=LAST_ERRNO).map(Errno).find(|errno| errno.name() == Some(name))
}

/// An error by its name, or by its number where it has none here.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
enum ErrnoText {
    Number(i32),
    Name(String),
}

impl TryFrom<ErrnoText> for ErrorNumber {
    type Error = String;

    fn try_from(text: ErrnoText) -> Result<Self, String> {
        let found = match &text {
            ErrnoText::Number(number) => Some(*number).filter(|it| (1..=LAST_ERRNO).contains(it)),
            ErrnoText::Name(name) => errno_named(name).map(|Errno(number)| number),
        };
        found.map(|number| Self(Errno(number))).ok_or_else(|| {
            let text = match text {
                ErrnoText::Number(number) => number.to_string(),
                ErrnoText::Name(name) => name,
            };
            format!("unknown error `{text}`: a name such as ENOBUFS, or a number to {LAST_ERRNO}")
        })
    }
}

impl From<ErrorNumber> for ErrnoText {
    fn from(ErrorNumber(errno): ErrorNumber) -> Self {
        match errno.name() {
            Some(name) => Self::Name(name.to_owned()),
            None => Self::Number(errno.0),
        }
    }
}
