//! What is wrong with a scenario, and where: [`ScenarioError`].

use core::fmt;
use core::ops::Range;
use std::path::{Path, PathBuf};

use crate::capture::CaptureError;

/// What is wrong with a scenario. Printed, it names the file, the line and the column.
#[derive(Debug)]
pub struct ScenarioError {
    path: Option<PathBuf>,
    place: Option<Place>,
    problem: String,
}

/// Where in a text: both count from 1, the column in characters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Place {
    line: usize,
    column: usize,
}

/// What is wrong with a part of a scenario's text.
#[derive(Debug)]
pub(super) struct Problem {
    /// The bytes that say it.
    span: Option<Range<usize>>,
    text: String,
}

impl Problem {
    pub(super) fn at(span: Range<usize>, text: impl Into<String>) -> Self {
        Self { span: Some(span), text: text.into() }
    }

    /// What is wrong with something as a whole, whose place the caller knows.
    pub(super) fn of_whole(text: impl Into<String>) -> Self {
        Self { span: None, text: text.into() }
    }

    /// The same, at this place unless it has one.
    pub(super) fn or_at(self, span: Range<usize>) -> Self {
        Self { span: self.span.or(Some(span)), ..self }
    }

    /// The error it is in a text.
    pub(super) fn of_text(self, text: &str) -> ScenarioError {
        let place = self.span.map(|span| Place::of(text, span.start));
        ScenarioError { path: None, place, problem: self.text }
    }
}

impl From<toml::de::Error> for Problem {
    fn from(error: toml::de::Error) -> Self {
        // It may have lines of its own, and an error is one.
        let text = error.message().split('\n').collect::<Vec<_>>().join(", ");
        Self { span: error.span(), text }
    }
}

impl Place {
    fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        Self { line, column: before[line_start..].chars().count() + 1 }
    }
}

impl ScenarioError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { path: None, place: None, problem: problem.into() }
    }

    pub(super) fn in_file(self, path: Option<&Path>) -> Self {
        Self { path: path.map(Path::to_owned), ..self }
    }

    /// The line and the column of what is wrong, both from 1, if it is at one place.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place.map(|Place { line, column }| (line, column))
    }
}

/// `file.toml:3:8: what is wrong`.
impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}:", path.display())?;
        }
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        if self.path.is_some() || self.place.is_some() {
            f.write_str(" ")?;
        }
        f.write_str(&self.problem)
    }
}

impl core::error::Error for ScenarioError {}

impl From<CaptureError> for ScenarioError {
    fn from(error: CaptureError) -> Self {
        Self::new(error.to_string())
    }
}
