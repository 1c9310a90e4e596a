//! `cargo xtask load`: the tests under load in their long form, and what they have measured as tables.

use core::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::tool::{Outcome, cargo};

/// How long, and which.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each flood goes on. Everything else is done as often as in any long run.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Only the tests whose names have this in them.
    filter: Option<String>,
}

/// How a line begins that is for a table.
const PREFIX: &str = "load: ";

/// Runs the tests, one after the other, and prints the tables, whatever became of the tests.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut test = cargo("test --release --locked --package ipq-tests --test load --");
    test.args(["--nocapture", "--test-threads=1"]).args(&args.filter);
    test.env("IPQ_LOAD_SECONDS", args.seconds.to_string()).stderr(Stdio::piped());
    let mut child = test.spawn().map_err(|error| format!("cannot start cargo: {error}"))?;
    let mut tables = Tables::default();
    for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
        let line = line.map_err(|error| error.to_string())?;
        match line.strip_prefix(PREFIX) {
            Some(row) => tables.add(row),
            None => eprintln!("{line}"),
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    print!("{}", tables.print());
    if status.success() { Ok(()) } else { Err(format!("the tests: {status}")) }
}

/// Rows of names and values, by what they are about.
#[derive(Default)]
struct Tables(Vec<Table>);

struct Table {
    about: String,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Tables {
    /// Adds what a line says: a word, then names with their values.
    fn add(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let about = words.next().unwrap_or_default();
        let pairs = words.map(|word| word.split_once('=').unwrap_or((word, "")));
        let (names, row): (Vec<_>, Vec<_>) =
            pairs.map(|(name, value)| (name.replace('_', " "), value.replace('_', " "))).unzip();
        match self.0.iter_mut().find(|table| table.about == about && table.names == names) {
            Some(table) => table.rows.push(row),
            None => self.0.push(Table { about: about.to_owned(), names, rows: vec![row] }),
        }
    }

    /// In Markdown.
    fn print(&self) -> String {
        let mut text = String::new();
        for Table { about, names, rows } in &self.0 {
            let rule = vec!["---"; names.len()].join("|");
            let _ = writeln!(text, "\n### {about}\n\n| {} |\n|{rule}|", names.join(" | "));
            for row in rows {
                let _ = writeln!(text, "| {} |", row.join(" | "));
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_same_names_make_one_table() {
        let mut tables = Tables::default();
        for line in ["flood a_b=1 c=2", "kill n=3", "flood a_b=4 c=5"] {
            tables.add(line);
        }
        let expected = "\n### flood\n\n| a b | c |\n|---|---|\n| 1 | 2 |\n| 4 | 5 |\n\
                        \n### kill\n\n| n |\n|---|\n| 3 |\n";
        assert_eq!(tables.print(), expected);
    }
}
