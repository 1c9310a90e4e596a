//! The middle and the ends of a few numbers: [`Spread`].

use core::fmt;

/// The median, least and greatest of some numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of `numbers`, if there are any.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (&min, &max) = (numbers.first()?, numbers.last()?);
        let median = f64::midpoint(numbers[(numbers.len() - 1) / 2], numbers[numbers.len() / 2]);
        Some(Self { median, min, max })
    }

    /// Of how many times the others each is, in the rounds that have both.
    pub(crate) fn of_ratios(
        each: impl IntoIterator<Item = Option<f64>>,
        others: impl IntoIterator<Item = Option<f64>>,
    ) -> Option<Self> {
        let ratio = |(this, other): (Option<f64>, Option<f64>)| {
            Some(this? / other.filter(|&other| other > 0.0)?)
        };
        Self::of(each.into_iter().zip(others).filter_map(ratio))
    }
}

/// With as many decimals as asked for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max } = self;
        let decimals = f.precision().unwrap_or(0);
        write!(f, "{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_middle_and_the_ends() {
        let check = |numbers: &[f64], expected: &str| {
            let spread = Spread::of(numbers.iter().copied()).expect("numbers");
            assert_eq!(format!("{spread:.1}"), expected);
        };
        check(&[3.0], "3.0 (3.0–3.0)");
        check(&[3.0, 1.0], "2.0 (1.0–3.0)");
        check(&[3.0, 1.0, 1.5], "1.5 (1.0–3.0)");
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn compares_within_a_round() {
        let ratios = Spread::of_ratios(
            [Some(3.0), None, Some(2.0), Some(1.0)],
            [Some(2.0), Some(1.0), None, Some(0.0)],
        );
        assert_eq!(ratios, Spread::of([1.5]));
    }
}
