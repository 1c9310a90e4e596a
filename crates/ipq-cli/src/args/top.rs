//! The arguments of `ipq-cli top`.

use core::str::FromStr;

use ipq::TransportName;

use super::passer::CopyArg;
use super::queue::{QueueArgs, is_simulated};
use super::rule::VerdictArg;
use crate::filter::Filter;

/// Watch a queue live: rates, what waits, verdicts, losses and the busiest flows.
///
/// It is a program at the queue like passer: every packet gets its verdict at once, whatever becomes of the screen. Keys:
/// q quits, p pauses the view (not the queue), s sorts the flows by packets or by bytes. What waits in the queue when it
/// ends gets its verdict too. Exit status 2 without a terminal.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct TopArgs {
    /// Which queue, and how.
    #[command(flatten)]
    pub queue: QueueArgs,

    /// How much of each packet is wanted: its metadata, or the packet too. Without the packet there are no flows.
    #[arg(long, value_enum, value_name = "MODE", default_value_t = CopyArg::Packet)]
    pub copy: CopyArg,

    /// What becomes of each packet.
    #[arg(long, value_enum, default_value_t = VerdictArg::Accept)]
    pub verdict: VerdictArg,

    /// Give the verdict only to packets that match this pcap filter expression, and accept all others.
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<Filter>,

    /// How fast the packets of sim:FILE come, compared with the times in the file; max does not wait at all.
    #[arg(long, value_name = "N|max", default_value = "1")]
    pub speed: Speed,
}

const AFTER_HELP: &str = "\
Examples:
  ipq-cli top --transport sim:capture.pcap --speed 10
  ipq-cli top --transport nfqueue:0 --range 128
  ipq-cli top --transport nfqueue:0 --copy meta
  ipq-cli top --transport nfqueue:0-3 --verdict drop --filter 'tcp dst port 23'";

/// The value of `--speed`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast.
    Times(f64),
    /// As fast as can be.
    Max,
}

/// The slowest and the fastest that is not `max`.
const SPEEDS: core::ops::RangeInclusive<f64> = 1e-3..=1e6;

impl FromStr for Speed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let times = text.parse().ok().filter(|times| SPEEDS.contains(times));
        times.map(Self::Times).ok_or("a speed is a number from 0.001 to 1000000, or max")
    }
}

impl TopArgs {
    /// Refuses what has no end.
    pub(crate) fn check(&self, transport: &TransportName) -> Result<(), String> {
        self.copy.check(&self.queue, self.filter.is_some())?;
        if self.verdict.comes_back() && is_simulated(transport) {
            return Err("--verdict repeat and queue bring every packet of sim:FILE back for ever"
                .to_owned());
        }
        if self.speed != Speed::Times(1.0) && !is_simulated(transport) {
            return Err(
                "--speed is for sim:FILE: on a real kernel packets come when they come".to_owned()
            );
        }
        Ok(())
    }
}
