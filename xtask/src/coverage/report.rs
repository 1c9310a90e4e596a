//! What was counted, for people.

use core::fmt;
use std::fs;

use super::counts::{Count, Coverage, File};
use crate::tool::root;

/// A row for each crate, then one for each of its files, as Markdown.
pub(super) fn table(coverage: &Coverage) -> String {
    let mut rows = vec!["| crate | lines | of | functions | of |".to_owned(), RULE.to_owned()];
    let mut all = File::default();
    for (name, sum) in coverage.crates() {
        all.lines += sum.lines;
        all.functions += sum.functions;
        rows.push(row(name, &sum));
    }
    rows.push(row("all", &all));
    rows.extend(["", "| file | lines | of | functions | of |", RULE].map(str::to_owned));
    rows.extend(coverage.files.iter().map(|(path, file)| row(path, file)));
    rows.join("\n")
}

const RULE: &str = "|---|--:|--:|--:|--:|";

fn row(name: &str, file: &File) -> String {
    let File { lines, functions, .. } = file;
    format!("| {name} | {lines} | {} | {functions} | {} |", lines.all, functions.all)
}

/// Parts of a hundred.
impl fmt::Display for Count {
    #[expect(clippy::cast_precision_loss, reason = "files have fewer lines than that")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.all {
            0 => f.write_str("–"),
            all => write!(f, "{:.1} %", self.covered as f64 * 100.0 / all as f64),
        }
    }
}

/// The functions that were never called, a line each: where they are, and how they begin.
pub(crate) fn missed(coverage: &Coverage) -> String {
    let mut lines = vec!["never called:".to_owned()];
    for (path, file) in &coverage.files {
        let text = fs::read_to_string(root().join(path)).unwrap_or_default();
        let beginning = |line: u64| {
            let index = usize::try_from(line).unwrap_or_default().saturating_sub(1);
            text.lines().nth(index).unwrap_or_default().trim()
        };
        let missed = file.missed.iter();
        lines.extend(missed.map(|&line| format!("{path}:{line}: {}", beginning(line))));
    }
    lines.join("\n")
}
