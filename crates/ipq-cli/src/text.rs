//! Lines for people: [`Text`].

use core::fmt;
use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use ipq::{Packet, Timestamp, Verdict};
use ipq_sim::Malformed;

use crate::dissect::{Dissection, Headers};
use crate::hexdump::hexdump;
use crate::metadata::Metadata;
use crate::output::{Output, Summary, Trouble};
use crate::show::Details;

/// Writes one line for each packet to the one, and messages and the summary to the other.
#[derive(Debug)]
pub(crate) struct Text<O, E> {
    pub(crate) out: O,
    pub(crate) messages: E,
    pub(crate) details: Details,
    pub(crate) is_coloured: bool,
}

impl<O: Write, E: Write> Output for Text<O, E> {
    fn packet(
        &mut self,
        packet: &Packet<'_>,
        verdict: Verdict,
        is_changed: bool,
    ) -> io::Result<()> {
        match packet.timestamp() {
            Some(timestamp) => write!(self.out, "{} ", TimeOfDay(timestamp))?,
            None => write!(self.out, "--:--:--.------ ")?,
        }
        write!(self.out, "{}", packet.hook())?;
        if !packet.input_device().is_empty() {
            write!(self.out, " in {}", packet.input_device())?;
        }
        if !packet.output_device().is_empty() {
            write!(self.out, " out {}", packet.output_device())?;
        }
        if packet.mark() != 0 {
            write!(self.out, " mark {:#x}", packet.mark())?;
        }
        write!(self.out, " {}", Dissection::of(packet))?;
        if self.details.verdicts {
            let style = if self.is_coloured { style(verdict) } else { Style::new() };
            let changed = if is_changed { ", changed" } else { "" };
            write!(self.out, " -> {style}{verdict}{style:#}{changed}")?;
        }
        writeln!(self.out)?;
        if self.details.verbose {
            writeln!(self.out, "    {}", Metadata(packet))?;
            if let Some(headers) = Headers::of(packet) {
                writeln!(self.out, "    {headers}")?;
            }
        }
        if self.details.hex {
            hexdump(&mut self.out, packet.payload())?;
        }
        Ok(())
    }

    fn trouble(&mut self, trouble: &Trouble) -> io::Result<()> {
        writeln!(self.messages, "ipq-cli: {}", trouble.text)
    }

    fn malformed(&mut self, path: &Path, malformed: &Malformed) -> io::Result<()> {
        writeln!(self.messages, "ipq-cli: {}: {malformed}; skipped", path.display())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.out.flush()?;
        writeln!(self.messages, "{summary}")
    }
}

/// What goes on is green, what is dropped red, what may come back yellow.
fn style(verdict: Verdict) -> Style {
    let colour = match verdict {
        Verdict::Accept | Verdict::Stop => AnsiColor::Green,
        Verdict::Drop => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    Style::new().fg_color(Some(colour.into()))
}

/// `54 packets, 12000 bytes in 3.5 s: 54 accepted, 0 dropped`, and what else there was.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets, bytes, accepted, dropped, time, .. } = self;
        let (packet, byte) =
            (plural(*packets, "packet", "packets"), plural(*bytes, "byte", "bytes"));
        write!(f, "{packets} {packet}, {bytes} {byte} in {:.3} s", time.as_secs_f64())?;
        write!(f, ": {accepted} accepted, {dropped} dropped")?;
        let rest = [
            (self.other, "given another verdict", "given another verdict"),
            (self.errors, "error", "errors"),
            (self.lost, "packet lost", "packets lost"),
            (self.skipped - self.malformed, "frame without IP", "frames without IP"),
            (self.malformed, "malformed frame", "malformed frames"),
            (self.unclaimed, "of a family not asked for", "of a family not asked for"),
        ];
        rest.iter()
            .filter(|(count, ..)| *count > 0)
            .try_for_each(|&(count, one, many)| write!(f, ", {count} {}", plural(count, one, many)))
    }
}

/// The word for so many of something.
pub(crate) const fn plural(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

/// The time of day in UTC: `13:05:59.123456`.
struct TimeOfDay(Timestamp);

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.seconds.rem_euclid(24 * 60 * 60);
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{hour:02}:{minute:02}:{:02}.{:06}", second % 60, self.0.microseconds)
    }
}
