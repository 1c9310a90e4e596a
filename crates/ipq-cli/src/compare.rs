//! `ipq-cli compare`: two logs of verdicts, packet by packet.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufWriter, Write};

use serde_json::json;

use crate::args::CompareArgs;
use crate::failure::Failure;
use crate::text::plural;
use crate::verdict_log::{Entry, entries};

/// A packet that the logs do not agree on: as it is in the one and in the other.
type Difference<'e> = (Option<&'e Entry>, Option<&'e Entry>);

/// Runs the command; says whether the logs agree.
pub(crate) fn run(args: &CompareArgs) -> Result<bool, Failure> {
    let (one, other) = (entries(&args.one)?, entries(&args.other)?);
    let (same, differences) = compare(&one, &other);
    let mut out = BufWriter::new(io::stdout().lock());
    for difference in &differences {
        if args.json {
            object(&mut out, *difference)?;
        } else {
            line(&mut out, *difference)?;
        }
    }
    let count =
        |is_it: fn(&Difference<'_>) -> bool| differences.iter().filter(|one| is_it(one)).count();
    let verdicts = count(|(one, other)| one.is_some() && other.is_some());
    let only_a = count(|(_, other)| other.is_none());
    let only_b = count(|(one, _)| one.is_none());
    if args.json {
        let summary = json!({
            "event": "summary", "same": same, "verdicts": verdicts, "only_a": only_a, "only_b": only_b,
        });
        writeln!(out, "{summary}")?;
    }
    out.flush()?;
    if !args.json {
        writeln!(
            crate::stderr(),
            "{same} {} with the same verdict, {verdicts} with another, {only_a} only in A, {only_b} only in B",
            plural(same as u64, "packet", "packets")
        )?;
    }
    Ok(differences.is_empty())
}

/// How many packets have the same verdict, and those that have not: first as they are in the one log, then what is only
/// in the other.
fn compare<'e>(one: &'e [Entry], other: &'e [Entry]) -> (usize, Vec<Difference<'e>>) {
    let mut places: HashMap<&str, VecDeque<usize>> = HashMap::new();
    for (index, entry) in other.iter().enumerate() {
        places.entry(&entry.hash).or_default().push_back(index);
    }
    let mut is_met = vec![false; other.len()];
    let mut differences = Vec::new();
    let mut same = 0;
    for entry in one {
        let place = places.get_mut(entry.hash.as_str()).and_then(VecDeque::pop_front);
        let found = place.and_then(|index| {
            is_met[index] = true;
            other.get(index)
        });
        match found {
            Some(found) if found.verdict == entry.verdict => same += 1,
            found => differences.push((Some(entry), found)),
        }
    }
    let unmet = other.iter().zip(&is_met).filter(|(_, is_met)| !**is_met);
    differences.extend(unmet.map(|(entry, _)| (None, Some(entry))));
    (same, differences)
}

/// `packet 3: IP …: accept in A, drop in B`.
fn line(out: &mut impl Write, difference: Difference<'_>) -> io::Result<()> {
    match difference {
        (Some(one), Some(other)) => {
            let (Entry { number, summary, verdict, .. }, there) = (one, &other.verdict);
            write!(out, "packet {number}")?;
            if other.number != *number {
                write!(out, " (in B {})", other.number)?;
            }
            writeln!(out, ": {summary}: {verdict} in A, {there} in B")
        }
        (Some(entry), None) => writeln!(
            out,
            "packet {}: {}: {} in A, not in B",
            entry.number, entry.summary, entry.verdict
        ),
        (None, Some(entry)) => writeln!(
            out,
            "packet {} of B: {}: not in A, {} in B",
            entry.number, entry.summary, entry.verdict
        ),
        (None, None) => Ok(()),
    }
}

fn object(out: &mut impl Write, (one, other): Difference<'_>) -> io::Result<()> {
    let Some(either) = one.or(other) else { return Ok(()) };
    let object = json!({
        "event": "difference",
        "a": one.map(|entry| entry.number),
        "b": other.map(|entry| entry.number),
        "verdict_a": one.map(|entry| &entry.verdict),
        "verdict_b": other.map(|entry| &entry.verdict),
        "hash": either.hash,
        "data_len": either.data_len,
        "summary": either.summary,
    });
    writeln!(out, "{object}")
}
