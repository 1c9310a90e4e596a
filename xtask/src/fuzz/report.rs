//! What came of fuzzing: a row for each target.

use core::fmt;

/// What the fuzzer said of one target at its end.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Row {
    pub(crate) target: String,
    /// Inputs that were tried.
    executions: u64,
    per_second: u64,
    /// Edges of the control flow that were reached.
    edges: u64,
    /// Edges, told apart by how often they are taken, and what else the fuzzer tells inputs apart by.
    features: u64,
    /// Inputs that are kept since each reaches something of its own, and their size as the fuzzer writes it.
    corpus: u64,
    size: String,
    /// Inputs that crash, take too long or too much memory.
    findings: usize,
    succeeded: bool,
}

impl Row {
    /// Reads what libFuzzer printed.
    pub(crate) fn of_log(target: &str, log: &str, findings: usize, succeeded: bool) -> Self {
        let mut row = Self { target: target.to_owned(), findings, succeeded, ..Self::default() };
        for line in log.lines() {
            if line.starts_with('#') && line.contains(" cov: ") {
                row.take_status(line);
            } else if let Some(stat) = line.strip_prefix("stat::") {
                row.take_stat(stat);
            }
        }
        row
    }

    /// `#4096 pulse cov: 93 ft: 171 corp: 38/1201b lim: 4096 exec/s: 2048 rss: 45Mb`.
    fn take_status(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            let number = || pair[1].parse().unwrap_or_default();
            match pair[0] {
                "cov:" => self.edges = number(),
                "ft:" => self.features = number(),
                "corp:" => {
                    let (inputs, size) = pair[1].split_once('/').unwrap_or((pair[1], ""));
                    self.corpus = inputs.parse().unwrap_or_default();
                    size.clone_into(&mut self.size);
                }
                _ => (),
            }
        }
    }

    /// `number_of_executed_units: 4096`.
    fn take_stat(&mut self, stat: &str) {
        let Some((name, value)) = stat.split_once(':') else { return };
        let value = value.trim().parse().unwrap_or_default();
        match name {
            "number_of_executed_units" => self.executions = value,
            "average_exec_per_sec" => self.per_second = value,
            _ => (),
        }
    }

    /// Whether anything was found, or nothing was tried.
    pub(crate) fn has_failed(&self) -> bool {
        !self.succeeded || self.findings > 0 || self.executions == 0
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, executions, per_second, edges, features, corpus, size, .. } = self;
        write!(f, "{target}: {executions} executions, {per_second}/s, {edges} edges, ")?;
        write!(f, "{features} features, corpus {corpus} ({size}), {} findings", self.findings)?;
        if self.has_failed() { f.write_str(", failed") } else { Ok(()) }
    }
}

/// All rows, as a table that documents can have.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        "| target | executions | exec/s | edges | features | corpus | size | findings |".to_owned(),
        "|---|--:|--:|--:|--:|--:|--:|--:|".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| {
        let Row { target, executions, per_second, edges, features, corpus, size, findings, .. } =
            row;
        format!(
            "| `{target}` | {executions} | {per_second} | {edges} | {features} | {corpus} | {size} | {findings} |"
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: Running with entropic power schedule (0xFF, 100).
#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 40Mb
#4096\tpulse  cov: 93 ft: 171 corp: 38/1201b lim: 4096 exec/s: 2048 rss: 45Mb
#9000\tDONE   cov: 94 ft: 172 corp: 39/1210b lim: 4096 exec/s: 2100 rss: 45Mb
Done 9000 runs in 4 second(s)
stat::number_of_executed_units: 9000
stat::average_exec_per_sec:     2250
stat::new_units_added:          12
";

    #[test]
    fn reads_what_the_fuzzer_prints() {
        let row = Row::of_log("decode_any", LOG, 0, true);
        assert!(!row.has_failed());
        assert_eq!(
            table(&[row]).lines().last(),
            Some("| `decode_any` | 9000 | 2250 | 94 | 172 | 39 | 1210b | 0 |")
        );
    }

    #[test]
    fn a_target_that_found_something_or_did_nothing_has_failed() {
        assert!(Row::of_log("decode_any", LOG, 1, true).has_failed());
        assert!(Row::of_log("decode_any", LOG, 0, false).has_failed());
        assert!(Row::of_log("decode_any", "", 0, true).has_failed());
    }
}
