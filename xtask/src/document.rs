//! A document with a section that a task makes: [`Document`].

use std::fs;
use std::path::{Path, PathBuf};

use crate::tool::Outcome;

/// A document, but for the section between the marker comments `NAME: begin` and `NAME: end`.
pub(crate) struct Document {
    path: PathBuf,
    section: &'static str,
    before: String,
    after: String,
}

impl Document {
    /// Reads the document, in which there must be the section.
    pub(crate) fn read(path: &Path, section: &'static str) -> Result<Self, String> {
        let in_path = |error: &dyn core::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| in_path(&error))?;
        let (before, after) = around(&text, section).map_err(|error| in_path(&error))?;
        Ok(Self { path: path.into(), section, before: before.into(), after: after.into() })
    }

    /// Writes it with this in the section.
    pub(crate) fn write(&self, contents: &str) -> Outcome {
        let Self { path, section, before, after } = self;
        let (begin, end) = markers(section);
        let text = format!("{before}{begin}\n\n{}\n\n{end}{after}", contents.trim());
        fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

fn markers(section: &str) -> (String, String) {
    (format!("<!-- {section}: begin -->"), format!("<!-- {section}: end -->"))
}

/// What comes before and after the section.
fn around<'t>(text: &'t str, section: &str) -> Result<(&'t str, &'t str), String> {
    let (begin, end) = markers(section);
    let (before, rest) = text.split_once(&begin).ok_or_else(|| format!("no {begin} in it"))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| format!("no {end} after {begin}"))?;
    Ok((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_what_is_between_the_markers() {
        let (begin, end) = markers("x");
        let text = format!("a\n{begin}\nold\n{end}\nb\n");
        assert_eq!(around(&text, "x"), Ok(("a\n", "\nb\n")));
        assert!(around(&text, "y").is_err());
        assert!(around(&format!("{end}\n{begin}\n"), "x").is_err());
    }
}
