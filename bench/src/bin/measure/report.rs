//! What came of it, as Markdown: [`Results`].

use core::fmt;

use crate::cell::{Bench, MAXLEN, RCVBUF, Sample};
use crate::load::Load;
use crate::machine;
use crate::receiver::Receiver;
use crate::spread::Spread;
use crate::table::{self as markdown, none};

/// Everything that was measured, and how.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) tables: Vec<Table>,
    conditions: String,
}

/// The receivers under one load.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) load: Load,
    pub(crate) rows: Vec<Row>,
}

/// One receiver under that load: a sample for each round, or none if it failed in it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) receiver: Receiver,
    pub(crate) samples: Vec<Option<Sample>>,
    /// For a packet, outside of the kernel, if they were counted.
    pub(crate) instructions: Option<f64>,
}

impl Results {
    /// Nothing yet.
    pub(crate) fn new(loads: &[Load], receivers: &[Receiver], bench: &Bench, rounds: u32) -> Self {
        let row = |&receiver| Row { receiver, samples: Vec::new(), instructions: None };
        let table = |&load: &Load| {
            let able = receivers.iter().filter(|receiver| !load.is_gso() || receiver.takes_gso());
            Table { load, rows: able.map(row).collect() }
        };
        let tables = loads.iter().map(table).collect();
        Self { tables, conditions: conditions(bench, rounds) }
    }
}

/// How it was measured.
fn conditions(bench: &Bench, rounds: u32) -> String {
    let [receiver, generator] = bench.cpus;
    format!(
        "Machine: {}.\n\
         Receiver on CPU {receiver}, generator on CPU {generator}, rules by {}. {rounds} rounds of {} s for each \
         cell, median (least–greatest). Queue length {MAXLEN}, receive buffer {} MiB where the system allows it, \
         `NETLINK_NO_ENOBUFS` on, whole packets.\n",
        machine::describe(),
        bench.namespace.iptables,
        bench.seconds.as_secs_f64(),
        RCVBUF >> 20,
    )
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.conditions)?;
        self.tables.iter().try_for_each(|table| table.fmt(f))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns = vec!["receiver"];
        columns.extend(self.load.is_tcp().then_some("Mbit/s"));
        columns.extend(self.counts_instructions().then_some("instructions/packet"));
        columns.extend(["1000 packets/s", "CPU µs/packet", "CPU busy"]);
        columns.push("disturbed");
        columns.extend(["× libnetfilter_queue", "× bare batched", "queue dropped", "user dropped"]);
        let mut table = markdown::Table::new(columns);
        for row in &self.rows {
            table.push(self.cells(row));
        }
        write!(f, "\n### {}\n\n{table}", self.load)?;
        self.write_notes(f)
    }
}

impl Table {
    fn cells(&self, row: &Row) -> Vec<String> {
        let mut cells = vec![row.receiver.to_string()];
        if self.load.is_tcp() {
            cells.push(show(row.spread(Sample::rate), 0));
        }
        if self.counts_instructions() {
            cells.push(row.instructions.map_or_else(none, |count| format!("{count:.0}")));
        }
        cells.push(show(row.spread(|sample| sample.packets / 1000.0), 1));
        cells.push(show(row.spread(|sample| sample.cpu_us), 2));
        cells.push(row.percent(|sample| Some(sample.busy)));
        cells.push(row.percent(|sample| sample.disturbed));
        for reference in [Receiver::LibnetfilterQueue, Receiver::BareBatched] {
            cells.push(show(self.ratio(row, reference), 2));
        }
        cells.push(row.sum(|sample| Some(sample.kernel?.queue_dropped)));
        cells.push(row.sum(|sample| Some(sample.kernel?.user_dropped)));
        cells
    }

    fn row(&self, receiver: Receiver) -> Option<&Row> {
        self.rows.iter().find(|row| row.receiver == receiver)
    }

    fn counts_instructions(&self) -> bool {
        self.rows.iter().any(|row| row.instructions.is_some())
    }

    /// How much faster the row's receiver was than `reference`, in the same round.
    fn ratio(&self, row: &Row, reference: Receiver) -> Option<Spread> {
        let reference = self.row(reference)?;
        let rates = |row: &Row| -> Vec<Option<f64>> {
            row.samples.iter().map(|sample| sample.as_ref().map(Sample::rate)).collect()
        };
        Spread::of_ratios(rates(row), rates(reference))
    }

    /// What the C library costs, and what does not add up.
    fn write_notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(libipq) = self.row(Receiver::Libipq)
            && let Some(ours) = self.row(Receiver::OursOneByOne)
            && let Some(ratio) = self.ratio(libipq, Receiver::OursOneByOne)
        {
            let ratio = show(Some(ratio), 3);
            write!(f, "\nlibipq for C × ipq, both one by one: {ratio} of the packets")?;
            if let Some((libipq, ours)) = libipq.instructions.zip(ours.instructions) {
                write!(f, ", {:.3} of the instructions", libipq / ours)?;
            }
            writeln!(f, ".")?;
        }
        for Row { receiver, samples, .. } in &self.rows {
            let failed = samples.iter().filter(|sample| sample.is_none()).count();
            if failed > 0 {
                writeln!(f, "\n{receiver}: failed in {failed} of {} rounds.", samples.len())?;
            }
            let uncounted: i64 = samples.iter().flatten().map(|sample| sample.uncounted).sum();
            if uncounted != 0 {
                writeln!(f, "\n{receiver}: the kernel counted {uncounted} packets more.")?;
            }
            let waiting: u64 =
                samples.iter().flatten().filter_map(|s| Some(s.kernel?.waiting)).sum();
            if waiting != 0 {
                writeln!(f, "\n{receiver}: {waiting} packets were left without a verdict.")?;
            }
        }
        Ok(())
    }
}

impl Row {
    fn spread(&self, value: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples.iter().flatten().map(value))
    }

    fn percent(&self, share: impl Fn(&Sample) -> Option<f64>) -> String {
        let spread = Spread::of(self.samples.iter().flatten().filter_map(share));
        spread.map_or_else(none, |share| format!("{:.0} %", share.median * 100.0))
    }

    /// The sum over all rounds, if all have it.
    fn sum(&self, value: impl Fn(&Sample) -> Option<u64>) -> String {
        let values: Option<Vec<u64>> = self.samples.iter().flatten().map(value).collect();
        match values.as_deref() {
            None | Some([]) => none(),
            Some(values) => values.iter().sum::<u64>().to_string(),
        }
    }
}

fn show(spread: Option<Spread>, decimals: usize) -> String {
    spread.map_or_else(none, |spread| format!("{spread:.decimals$}"))
}
