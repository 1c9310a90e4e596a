//! What was counted, by file and function: [`Coverage`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Deserialize;

/// The files of the crates, by their path in the project.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    pub(crate) files: BTreeMap<String, File>,
}

/// What was counted in a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct File {
    pub(crate) lines: Count,
    pub(crate) functions: Count,
    /// The lines at which functions and closures begin that were never called.
    pub(crate) missed: BTreeSet<u64>,
}

/// How much of something was run.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub(crate) struct Count {
    #[serde(rename = "count")]
    pub(crate) all: u64,
    pub(crate) covered: u64,
}

/// What llvm-cov exports, as far as it is of use here.
#[derive(Deserialize)]
struct Export {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<ExportedFile>,
    functions: Vec<Function>,
}

#[derive(Deserialize)]
struct ExportedFile {
    filename: String,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    lines: Count,
}

/// A function, or an instance of one.
#[derive(Deserialize)]
struct Function {
    count: u64,
    filenames: Vec<String>,
    /// Line and column of its beginning and end, and more that is of no use here; the whole function comes first.
    regions: Vec<Vec<u64>>,
}

impl Coverage {
    /// Reads an export. Only the sources of the crates count, and not the tests and the bodies of fuzz
    /// targets beside them.
    pub(crate) fn read(json: &str) -> Result<Self, String> {
        let export: Export = serde_json::from_str(json)
            .map_err(|error| format!("the export of llvm-cov: {error}"))?;
        let mut coverage = Self::default();
        for data in &export.data {
            for ExportedFile { filename, summary } in &data.files {
                let Some(path) = source(filename) else { continue };
                coverage.files.entry(path.to_owned()).or_default().lines += summary.lines;
            }
            coverage.count_functions(&data.functions);
        }
        Ok(coverage)
    }

    /// A generic function is called if one of its instances is.
    fn count_functions(&mut self, functions: &[Function]) {
        let mut is_called: BTreeMap<(&str, u64, u64), bool> = BTreeMap::new();
        for Function { count, filenames, regions } in functions {
            let path = filenames.first().and_then(|filename| source(filename));
            let (Some(path), Some(&[line, column, ..])) =
                (path, regions.first().map(Vec::as_slice))
            else {
                continue;
            };
            *is_called.entry((path, line, column)).or_default() |= *count > 0;
        }
        for ((path, line, _), is_called) in is_called {
            let file = self.files.entry(path.to_owned()).or_default();
            file.functions += Count { all: 1, covered: u64::from(is_called) };
            if !is_called {
                file.missed.insert(line);
            }
        }
    }

    /// What was counted in each crate, by its name.
    pub(crate) fn crates(&self) -> BTreeMap<&str, File> {
        let mut crates: BTreeMap<&str, File> = BTreeMap::new();
        for (path, file) in &self.files {
            let name = path.split('/').nth(1).unwrap_or_default();
            let sum = crates.entry(name).or_default();
            sum.lines += file.lines;
            sum.functions += file.functions;
        }
        crates
    }
}

impl core::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.covered += other.covered;
    }
}

/// The path in the project of a source of a crate.
fn source(filename: &str) -> Option<&str> {
    let at = filename.rfind("/crates/")?;
    let path = &filename[at + 1..];
    let file = path.rsplit('/').next().unwrap_or_default();
    let is_fuzzing = path.contains("/src/fuzzing");
    let is_test = is_fuzzing || matches!(file, "tests.rs" | "allocation.rs");
    (path.split('/').nth(2) == Some("src") && !is_test).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_called_if_one_of_its_instances_is() {
        let json = r#"{"data": [{"files": [
            {"filename": "/a/crates/ipq/src/x.rs", "summary": {"lines": {"count": 4, "covered": 3}}},
            {"filename": "/a/crates/ipq/tests/x.rs", "summary": {"lines": {"count": 9, "covered": 9}}},
            {"filename": "/a/crates/ipq/src/tests.rs", "summary": {"lines": {"count": 9, "covered": 9}}}],
          "functions": [
            {"count": 0, "filenames": ["/a/crates/ipq/src/x.rs"], "regions": [[1, 1, 2, 2, 0, 0, 0, 0]]},
            {"count": 2, "filenames": ["/a/crates/ipq/src/x.rs"], "regions": [[1, 1, 2, 2, 2, 0, 0, 0]]},
            {"count": 0, "filenames": ["/a/crates/ipq/src/x.rs"], "regions": [[7, 5, 9, 2, 0, 0, 0, 0]]}]}]}"#;
        let coverage = Coverage::read(json).unwrap();
        let expected = File {
            lines: Count { all: 4, covered: 3 },
            functions: Count { all: 2, covered: 1 },
            missed: [7].into(),
        };
        assert_eq!(coverage.files, [("crates/ipq/src/x.rs".to_owned(), expected)].into());
        assert_eq!(coverage.crates()["ipq"].lines, Count { all: 4, covered: 3 });
    }
}
