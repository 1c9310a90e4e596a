//! Transports by name: [`TransportName`].

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

/// Which kernel to talk to, and how. The same names everywhere: here, on the command line, in `IPQ_TRANSPORT`.
///
/// ```
/// use ipq::TransportName;
///
/// assert_eq!("auto".parse(), Ok(TransportName::Auto));
/// assert_eq!("nfqueue:3".parse(), Ok(TransportName::Nfqueue { first: 3, last: 3 }));
/// assert_eq!("sim:a.pcap".parse(), Ok(TransportName::Sim("a.pcap".into())));
/// assert!("ipqueue".parse::<TransportName>().is_err());
/// ```
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TransportName {
    /// `auto`: `ip_queue` where this kernel has it, else queue 0 of `nfnetlink_queue`.
    #[default]
    Auto,
    /// `ip_queue`: the module of Linux 2.4 to 3.4.
    IpQueue,
    /// `nfqueue:N` or `nfqueue:A-B`: these queues of `nfnetlink_queue`.
    Nfqueue {
        /// The first queue.
        first: u16,
        /// The last one.
        last: u16,
    },
    /// `unix:PATH`: a simulated kernel that another process serves on this socket.
    Unix(PathBuf),
    /// `sim:FILE`: a simulated kernel in this process, fed with a capture or, if its name ends in `.toml`, a scenario.
    Sim(PathBuf),
}

/// A name that is no transport's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseTransportError {
    name: String,
    problem: &'static str,
}

impl fmt::Display for ParseTransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, problem } = self;
        write!(
            f,
            "{name:?} is no transport: {problem}; the transports are auto, ip_queue, nfqueue:N, nfqueue:A-B, \
             unix:PATH and sim:FILE"
        )
    }
}

impl core::error::Error for ParseTransportError {}

impl FromStr for TransportName {
    type Err = ParseTransportError;

    fn from_str(name: &str) -> Result<Self, ParseTransportError> {
        let wrong = |problem| ParseTransportError { name: name.to_owned(), problem };
        let (kind, rest) = match name.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (name, None),
        };
        let path = |rest: &str| match rest {
            "" => Err(wrong("the path is missing")),
            path => Ok(PathBuf::from(path)),
        };
        match (kind, rest) {
            ("auto", None) => Ok(Self::Auto),
            ("ip_queue", None) => Ok(Self::IpQueue),
            ("nfqueue", Some(queues)) => parse_queues(queues).map_err(wrong),
            ("unix", Some(rest)) => path(rest).map(Self::Unix),
            ("sim", Some(rest)) => path(rest).map(Self::Sim),
            ("auto" | "ip_queue", Some(_)) => Err(wrong("nothing comes after it")),
            ("nfqueue", None) => Err(wrong("the queue number is missing")),
            ("unix" | "sim", None) => Err(wrong("the path is missing")),
            _ => Err(wrong("there is no such name")),
        }
    }
}

fn parse_queues(queues: &str) -> Result<TransportName, &'static str> {
    let number = |digits: &str| {
        // The parser of integers would take a sign.
        let digits = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse::<u16>().ok())
            .ok_or("a queue is a number up to 65535")
    };
    let (first, last) = queues.split_once('-').unwrap_or((queues, queues));
    match (number(first)?, number(last)?) {
        (first, last) if first <= last => Ok(TransportName::Nfqueue { first, last }),
        _ => Err("the first queue is after the last one"),
    }
}

impl fmt::Display for TransportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::IpQueue => f.write_str("ip_queue"),
            Self::Nfqueue { first, last } if first == last => write!(f, "nfqueue:{first}"),
            Self::Nfqueue { first, last } => write!(f, "nfqueue:{first}-{last}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Sim(path) => write!(f, "sim:{}", path.display()),
        }
    }
}
