//! Reading and writing messages: what `ipq-proto` takes beside its peers, and beside C that does next to nothing.

use core::fmt;
use std::path::Path;

use clap::ValueEnum;
use ipq_bench::codec::{Direction, Message};

use crate::repeat::{Printed, Repeated};
use crate::spread::Spread;
use crate::table::{Table, none};
use crate::{Outcome, Places, machine};

/// How often a message is read or written where instructions are counted. The more of them are the fewer and whole
/// datagrams of the nfq crate's.
const COUNTED: (u64, u64) = (960, 1920);

/// How often a message is read or written where time is measured: some milliseconds.
const TIMED: u64 = 96_000;

/// Whose code reads and writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Peer {
    Bare,
    Ours,
    PacketCore,
    PacketNetfilter,
    Nfq,
}

impl Peer {
    const ALL: [Self; 5] =
        [Self::Bare, Self::Ours, Self::PacketCore, Self::PacketNetfilter, Self::Nfq];

    fn program(self, places: &Places) -> std::path::PathBuf {
        match self {
            Self::Bare => places.c.join("codec"),
            Self::Nfq => places.rust.join("codec_nfq"),
            _ => places.rust.join("codec"),
        }
    }

    /// What its program wants to know before all else.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Ours => Some("ours"),
            Self::PacketCore => Some("packet-core"),
            Self::PacketNetfilter => Some("packet-netfilter"),
            Self::Bare | Self::Nfq => None,
        }
    }

    /// Whether it has the message at all.
    fn has(self, direction: Direction, message: Message) -> bool {
        match self {
            Self::Bare | Self::Ours => true,
            Self::PacketCore => message.is_nfqueue(),
            Self::PacketNetfilter => {
                message.is_nfqueue()
                    && (direction, message) != (Direction::Encode, Message::NfqueuePacket)
            }
            Self::Nfq => matches!(
                (direction, message),
                (Direction::Decode, Message::NfqueuePacket)
                    | (Direction::Encode, Message::NfqueueVerdict | Message::NfqueueReplacement)
            ),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Bare => "bare C",
            Self::Ours => "ipq-proto",
            Self::PacketCore => "netlink-packet-core",
            Self::PacketNetfilter => "netlink-packet-netfilter",
            Self::Nfq => "nfq crate",
        })
    }
}

/// A peer with a message, and what was measured.
struct Cell {
    program: Repeated,
    instructions: Option<f64>,
    /// In nanoseconds, one for each round.
    times: Vec<Option<f64>>,
}

/// A message, with a cell for each peer that has it.
struct Row {
    name: String,
    cells: Vec<Option<Cell>>,
}

/// Measures everything; gives the tables.
pub(crate) fn measure(places: &Places, rounds: u32) -> Outcome<String> {
    let mut rows = Vec::new();
    for direction in [Direction::Decode, Direction::Encode] {
        for &message in Message::value_variants() {
            rows.push(Row::new(places, direction, message)?);
        }
    }
    for round in 0..rounds {
        eprintln!("codec: round {}", round + 1);
        for row in &mut rows {
            row.time_all(round);
        }
    }
    for row in &mut rows {
        eprintln!("codec: counting, {}", row.name);
        row.count_all();
    }
    Ok(show(&rows, rounds))
}

impl Row {
    /// A row whose peers all say that they do the same.
    fn new(places: &Places, direction: Direction, message: Message) -> Outcome<Self> {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let direction_name = name(&|| direction.to_possible_value());
        let message_name = name(&|| message.to_possible_value());
        let mut cells = Vec::new();
        let mut digests: Vec<(Peer, u64)> = Vec::new();
        for peer in Peer::ALL {
            let path = peer.program(places);
            if !peer.has(direction, message) || !is_there(&path) {
                cells.push(None);
                continue;
            }
            let args = peer.name().into_iter().chain([&*direction_name, &*message_name]);
            let args = args.map(str::to_owned).collect();
            let program = Repeated { program: path, args, input: message.bytes() };
            let Printed { digest, .. } = program.time(COUNTED.0)?;
            digests.extend(digest.map(|digest| (peer, digest)));
            cells.push(Some(Cell { program, instructions: None, times: Vec::new() }));
        }
        if let [(first, expected), others @ ..] = digests.as_slice()
            && let Some((other, _)) = others.iter().find(|(_, digest)| digest != expected)
        {
            return Err(format!("{first} and {other} differ in {direction_name} {message_name}"));
        }
        Ok(Self { name: format!("{direction_name} {}", label(message)), cells })
    }

    /// One round: each round begins with another peer.
    fn time_all(&mut self, round: u32) {
        let count = self.cells.len();
        for at in 0..count {
            let at = (at + round as usize) % count;
            if let Some(cell) = self.cells.get_mut(at).and_then(Option::as_mut) {
                let printed = cell.program.time(TIMED);
                cell.times.push(printed.ok().and_then(|printed| printed.nanoseconds));
            }
        }
    }

    fn count_all(&mut self) {
        for cell in self.cells.iter_mut().flatten() {
            let (fewer, more) = COUNTED;
            cell.instructions = cell
                .program
                .instructions(fewer, more)
                .inspect_err(|error| eprintln!("skipped: instructions: {error}"))
                .ok();
        }
    }

    fn cell(&self, peer: Peer) -> Option<&Cell> {
        let at = Peer::ALL.iter().position(|&other| other == peer)?;
        self.cells.get(at)?.as_ref()
    }

    fn instructions(&self, peer: Peer) -> Option<f64> {
        self.cell(peer)?.instructions
    }

    /// How many times the bare read's time a peer took, in the same round.
    fn ratio(&self, peer: Peer, reference: Peer) -> Option<Spread> {
        let [times, others] = [peer, reference].map(|peer| self.cell(peer));
        Spread::of_ratios(times?.times.iter().copied(), others?.times.iter().copied())
    }
}

fn is_there(program: &Path) -> bool {
    // Whoever did not build it has said why.
    program.exists()
}

fn label(message: Message) -> &'static str {
    match message {
        Message::IpQueuePacket => "`IPQM_PACKET`",
        Message::IpQueueVerdict => "`IPQM_VERDICT`",
        Message::IpQueueMode => "`IPQM_MODE`",
        Message::NfqueuePacket => "`NFQNL_MSG_PACKET`",
        Message::NfqueueVerdict => "`NFQNL_MSG_VERDICT`",
        Message::NfqueueReplacement => "`NFQNL_MSG_VERDICT`, replacement",
        Message::NfqueueBatch => "`NFQNL_MSG_VERDICT_BATCH`",
        Message::NfqueueConfig => "`NFQNL_MSG_CONFIG`",
    }
}

fn show(rows: &[Row], rounds: u32) -> String {
    let columns = || {
        let peers = Peer::ALL.iter().map(ToString::to_string);
        let first = "message".to_owned();
        [first].into_iter().chain(peers).chain(["ipq-proto × bare C".to_owned()])
    };
    let mut counts = Table::new(columns());
    let mut times = Table::new(columns());
    for row in rows {
        let count = |peer| row.instructions(peer).map_or_else(none, |count| format!("{count:.0}"));
        let ratio = row.instructions(Peer::Ours).zip(row.instructions(Peer::Bare));
        let ratio = ratio.map_or_else(none, |(ours, bare)| format!("{:.2}", ours / bare));
        let first = [row.name.clone()].into_iter();
        counts.push(first.clone().chain(Peer::ALL.map(count)).chain([ratio]).collect());
        let time = |peer| {
            let times = row.cell(peer).map(|cell| cell.times.iter().copied().flatten());
            times.and_then(Spread::of).map_or_else(none, |spread| format!("{spread:.1}"))
        };
        let ratio = row.ratio(Peer::Ours, Peer::Bare);
        let ratio = ratio.map_or_else(none, |spread| format!("{spread:.2}"));
        times.push(first.chain(Peer::ALL.map(time)).chain([ratio]).collect());
    }
    format!(
        "Machine: {}.\n\nInstructions for a message:\n\n{counts}\n\
         Nanoseconds of processor time for a message; {rounds} rounds of {TIMED} messages, median (least–greatest):\n\n\
         {times}",
        machine::describe()
    )
}
