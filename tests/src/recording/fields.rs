//! The words of a recorded line.

use core::str::FromStr;

/// What is left of a line, read from its left end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a str);

impl<'a> Fields<'a> {
    /// The rest of the line, without blanks around it.
    pub(super) fn rest(self) -> &'a str {
        self.0.trim()
    }

    /// Takes `word` if the line goes on with it.
    pub(super) fn accepts(&mut self, word: &str) -> bool {
        let Some(rest) = self.0.trim_start().strip_prefix(word) else { return false };
        self.0 = rest;
        true
    }

    /// Takes `word`.
    pub(super) fn expect(&mut self, word: &str) -> Result<(), String> {
        if self.accepts(word) { Ok(()) } else { Err(format!("no {word:?} at {:?}", self.0)) }
    }

    /// Takes everything up to a blank, a comma or a closing bracket.
    pub(super) fn word(&mut self) -> &'a str {
        let text = self.0.trim_start();
        let end = text.find([' ', ',', ';', ')', ']', ':']).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.0 = rest;
        word
    }

    /// Takes a number, decimal or with `0x`.
    pub(super) fn number<T: TryFrom<i128>>(&mut self) -> Result<T, String> {
        let word = self.word();
        let number = match word.strip_prefix("0x") {
            Some(digits) => i128::from_str_radix(digits, 16),
            None => i128::from_str(word),
        };
        let number = number.map_err(|error| format!("{word:?} is no number: {error}"))?;
        T::try_from(number).map_err(|_| format!("{number} is out of range"))
    }

    /// Takes `name` and the number after it.
    pub(super) fn named<T: TryFrom<i128>>(&mut self, name: &str) -> Result<T, String> {
        self.expect(name)?;
        self.number().map_err(|problem| format!("{name}: {problem}"))
    }

    /// Takes what is between two apostrophes. The text may have apostrophes in it if `greedy`.
    pub(super) fn quoted(&mut self, greedy: bool) -> Result<&'a str, String> {
        self.expect("'")?;
        let end = if greedy { self.0.rfind('\'') } else { self.0.find('\'') };
        let (text, rest) =
            end.and_then(|end| self.0.split_at_checked(end)).ok_or("no closing apostrophe")?;
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(text)
    }
}

/// The bytes of a line that consists of pairs of hexadecimal digits and nothing else.
pub(super) fn hex(line: &str) -> Option<Vec<u8>> {
    line.split_whitespace()
        .map(|pair| {
            let is_pair = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_pair.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        })
        .collect()
}
