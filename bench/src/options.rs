//! The command line of a receiver: [`Options`].

use core::fmt;
use core::str::FromStr;
use std::env;

/// What a receiver sets on its queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// The queue's number.
    pub queue: u16,
    /// How many packets may wait in it.
    pub maxlen: u32,
    /// The socket's receive buffer in bytes.
    pub rcvbuf: u32,
    /// Whether to take packets as large as the stack has them.
    pub gso: bool,
}

impl Options {
    /// Those of this program's command line.
    ///
    /// # Errors
    ///
    /// If one is missing or is no number.
    pub fn from_args() -> Result<Self, String> {
        let mut args = env::args().skip(1);
        let mut next = |name| args.next().ok_or_else(|| format!("{name} is missing"));
        Ok(Self {
            queue: number(&next("QUEUE")?)?,
            maxlen: number(&next("MAXLEN")?)?,
            rcvbuf: number(&next("RCVBUF")?)?,
            gso: number::<u8>(&next("GSO")?)? != 0,
        })
    }

    /// The command line that means these.
    pub fn to_args(self) -> [String; 4] {
        let Self { queue, maxlen, rcvbuf, gso } = self;
        [queue.to_string(), maxlen.to_string(), rcvbuf.to_string(), u8::from(gso).to_string()]
    }
}

fn number<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
