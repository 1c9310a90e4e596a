//! The traffic of a scenario as its file says it: [`TrafficTable`], and as it will be: [`Traffic`].

use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;

use ipq_proto::Family;
use serde::Deserialize;
use toml::Spanned;

use super::error::Problem;
use super::format::File;
use super::hosts::{Ends, HERE};
use crate::host::Beat;

/// The longest payload of a ping or a datagram, in bytes.
const LONGEST_PAYLOAD: usize = 65_400;

/// The payload of a ping unless it is said, as that of ping(8).
const PING_LEN: usize = 56;

/// The fields of all traffic. Which of them a kind takes is looked at when it is planned.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrafficTable {
    kind: Kind,
    pub(super) name: Option<Spanned<String>>,
    at: Option<Spanned<humantime_serde::Serde<Duration>>>,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    family: Option<Spanned<FamilyName>>,
    count: Option<Spanned<u64>>,
    interval: Option<Spanned<humantime_serde::Serde<Duration>>>,
    bytes: Option<Spanned<usize>>,
    text: Option<Spanned<String>>,
    port: Option<Spanned<u16>>,
    mark: Option<Spanned<u32>>,
    echo: Option<Spanned<bool>>,
    file: Option<Spanned<PathBuf>>,
    device: Option<Spanned<String>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Ping,
    Udp,
    Tcp,
    Capture,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
struct FamilyName(#[serde(deserialize_with = "crate::family_text::deserialize")] Family);

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) enum Traffic {
    Ping { ends: Ends, payload: Payload, beat: Beat },
    Udp { ends: Ends, port: u16, payload: Payload, mark: u32, echoes: bool, beat: Beat },
    Tcp { ends: Ends, port: u16, payload: Payload, at: Duration },
    Capture { file: PathBuf, device: String },
}

/// The bytes that are sent.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    /// So many, which look like noise.
    Pattern(usize),
    Text(String),
}

impl Payload {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Pattern(len) => (0..*len).map(|at| (at % 251).to_le_bytes()[0]).collect(),
            Self::Text(text) => text.as_bytes().to_vec(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Pattern(len) => *len,
            Self::Text(text) => text.len(),
        }
    }
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Capture => "capture",
        }
    }

    /// The fields that it takes, beside its name.
    const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Ping => &["at", "from", "to", "family", "count", "interval", "bytes", "text"],
            Self::Udp => &[
                "at", "from", "to", "family", "count", "interval", "bytes", "text", "port", "mark",
                "echo",
            ],
            Self::Tcp => &["at", "from", "to", "family", "bytes", "text", "port"],
            Self::Capture => &["file", "device"],
        }
    }
}

impl TrafficTable {
    /// What it will be, if it makes sense.
    pub(super) fn plan(&self, file: &File) -> Result<Traffic, Problem> {
        self.refuse_what_is_not_taken()?;
        match self.kind {
            Kind::Ping => {
                let payload = self.payload(Some(LONGEST_PAYLOAD))?;
                let payload = payload.unwrap_or(Payload::Pattern(PING_LEN));
                Ok(Traffic::Ping { ends: self.ends(file)?, payload, beat: self.beat() })
            }
            Kind::Udp => {
                let payload = self.payload(Some(LONGEST_PAYLOAD))?;
                let payload = payload.unwrap_or(Payload::Pattern(0));
                let port = needed(self.port.as_ref(), "port")?;
                let (ends, port) = (self.ends(file)?, checked_port(port)?);
                if let Some(mark) = self.mark.as_ref().filter(|_| ends.from != HERE) {
                    let text = "a mark does not travel: only what is sent from \"here\" has one";
                    return Err(Problem::at(mark.span(), text));
                }
                let (mark, echoes) = (value(self.mark.as_ref()), value(self.echo.as_ref()));
                Ok(Traffic::Udp { ends, port, payload, mark, echoes, beat: self.beat() })
            }
            Kind::Tcp => {
                let payload = self.payload(None)?.ok_or_else(|| {
                    Problem::of_whole("how much is sent over TCP? It needs `bytes` or `text`")
                })?;
                let port = self.port.as_ref().map_or(Ok(0), checked_port)?;
                Ok(Traffic::Tcp { ends: self.ends(file)?, port, payload, at: self.at() })
            }
            Kind::Capture => {
                let path = needed(self.file.as_ref(), "file")?.as_ref().clone();
                let device = needed(self.device.as_ref(), "device")?;
                file.check_device(device)?;
                Ok(Traffic::Capture { file: path, device: device.as_ref().clone() })
            }
        }
    }

    fn refuse_what_is_not_taken(&self) -> Result<(), Problem> {
        let given = [
            ("at", self.at.as_ref().map(Spanned::span)),
            ("from", self.from.as_ref().map(Spanned::span)),
            ("to", self.to.as_ref().map(Spanned::span)),
            ("family", self.family.as_ref().map(Spanned::span)),
            ("count", self.count.as_ref().map(Spanned::span)),
            ("interval", self.interval.as_ref().map(Spanned::span)),
            ("bytes", self.bytes.as_ref().map(Spanned::span)),
            ("text", self.text.as_ref().map(Spanned::span)),
            ("port", self.port.as_ref().map(Spanned::span)),
            ("mark", self.mark.as_ref().map(Spanned::span)),
            ("echo", self.echo.as_ref().map(Spanned::span)),
            ("file", self.file.as_ref().map(Spanned::span)),
            ("device", self.device.as_ref().map(Spanned::span)),
        ];
        let kind = self.kind;
        for (field, span) in given {
            if let Some(span) = span.filter(|_| !kind.fields().contains(&field)) {
                let fields = kind.fields().join(", ");
                let name = kind.name();
                let text =
                    format!("traffic of the kind {name} takes no `{field}`, but name, {fields}");
                return Err(Problem::at(span, text));
            }
        }
        Ok(())
    }

    fn ends(&self, file: &File) -> Result<Ends, Problem> {
        let (from, to) = (needed(self.from.as_ref(), "from")?, needed(self.to.as_ref(), "to")?);
        let family = self.family.as_ref().map_or(Family::Ipv4, |family| family.as_ref().0);
        Ends::find(file, from, to, family)
    }

    fn payload(&self, longest: Option<usize>) -> Result<Option<Payload>, Problem> {
        let (payload, span) = match (&self.bytes, &self.text) {
            (None, None) => return Ok(None),
            (Some(bytes), None) => (Payload::Pattern(*bytes.as_ref()), bytes.span()),
            (None, Some(text)) => (Payload::Text(text.as_ref().clone()), text.span()),
            (Some(_), Some(text)) => {
                let problem = "either so many bytes are sent, or this text, not both";
                return Err(Problem::at(text.span(), problem));
            }
        };
        match longest {
            Some(longest) if payload.len() > longest => {
                let len = payload.len();
                let text =
                    format!("{len} bytes are too many for one packet, which has {longest} at most");
                Err(Problem::at(span, text))
            }
            _ => Ok(Some(payload)),
        }
    }

    fn at(&self) -> Duration {
        self.at.as_ref().map_or(Duration::ZERO, |at| at.as_ref().into_inner())
    }

    fn beat(&self) -> Beat {
        let interval = self.interval.as_ref().map_or(Duration::ZERO, |it| it.as_ref().into_inner());
        let count = self.count.as_ref().map_or(1, |count| *count.as_ref());
        Beat { at: self.at(), count, interval }
    }
}

impl Traffic {
    /// What is counted of it, by the names that this has behind its own in expectations.
    pub(crate) const fn numbers(&self) -> &'static [&'static str] {
        match self {
            Self::Ping { .. } => &["sent", "answered", "intact"],
            Self::Udp { .. } => &["sent", "received", "intact", "answered"],
            Self::Tcp { .. } => &["sent", "received", "intact"],
            Self::Capture { .. } => &["entered", "skipped", "malformed"],
        }
    }
}

impl Ends {
    /// The receiver's address and a port.
    pub(crate) fn destination(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }
}

fn value<T: Copy + Default>(given: Option<&Spanned<T>>) -> T {
    given.map_or_else(T::default, |given| *given.as_ref())
}

fn needed<'t, T>(field: Option<&'t Spanned<T>>, name: &str) -> Result<&'t Spanned<T>, Problem> {
    field.ok_or_else(|| Problem::of_whole(format!("this traffic needs `{name}`")))
}

fn checked_port(port: &Spanned<u16>) -> Result<u16, Problem> {
    match *port.as_ref() {
        0 => Err(Problem::at(port.span(), "nothing can listen at port 0")),
        port => Ok(port),
    }
}
