//! What a part of the benchmark has measured: rows, the ratios that have a goal, and how it was
//! done. For people, and as JSON.

use std::fmt;

use serde::Serialize;

/// One figure of a row.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Cell {
    Text(String),
    Count(u64),
    /// A number, and the digits it is shown with.
    Number(#[serde(serialize_with = "value_only")] (f64, usize)),
    None,
}

fn value_only<S: serde::Serializer>(number: &(f64, usize), to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(number.0)
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn number(value: f64, digits: usize) -> Self {
        match value.is_finite() {
            true => Self::Number((value, digits)),
            false => Self::None,
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => to.pad(text),
            Self::Count(count) => to.pad(&count.to_string()),
            Self::Number((value, digits)) => to.pad(&format!("{value:.digits$}")),
            Self::None => to.pad("-"),
        }
    }
}

/// What a ratio is to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

/// A ratio with its goal. It is told, and never makes a run fail: machines differ.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    pub what: String,
    pub value: f64,
    /// `""` for a plain ratio.
    pub unit: &'static str,
    pub goal: Goal,
    pub met: bool,
}

impl Ratio {
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, goal: Goal) -> Self {
        let met = match goal {
            Goal::AtMost(limit) => value <= limit,
            Goal::AtLeast(limit) => value >= limit,
        };
        Self {
            what: what.into(),
            value,
            unit,
            goal,
            met,
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what, value, unit, ..
        } = self;
        let (how, limit) = match self.goal {
            Goal::AtMost(limit) => ("at most", limit),
            Goal::AtLeast(limit) => ("at least", limit),
        };
        let verdict = if self.met { "goal met" } else { "goal NOT met" };
        write!(
            to,
            "{verdict}: {what} {value:.2}{unit} ({how} {limit}{unit})"
        )
    }
}

/// One part's result.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub part: char,
    pub title: String,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    pub ratios: Vec<Ratio>,
    /// How it was measured, and what it does not tell.
    pub method: String,
}

impl fmt::Display for Table {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "({}) {}", self.part, self.title)?;
        let shown: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(Cell::to_string).collect())
            .collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                let cells = shown.iter().filter_map(|row| row.get(column));
                cells
                    .map(String::len)
                    .chain([self.columns[column].len()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let line = |to: &mut fmt::Formatter<'_>, cells: &[&str]| -> fmt::Result {
            for (index, (cell, &width)) in cells.iter().zip(&widths).enumerate() {
                match index {
                    0 => write!(to, "{cell:<width$}")?,
                    _ => write!(to, "  {cell:>width$}")?,
                }
            }
            writeln!(to)
        };
        line(to, &self.columns)?;
        for row in &shown {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            line(to, &cells)?;
        }
        for ratio in &self.ratios {
            writeln!(to, "  {ratio}")?;
        }
        for line in wrapped(&self.method, 100) {
            writeln!(to, "{line}")?;
        }
        Ok(())
    }
}

/// Breaks a paragraph at spaces into lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            last.push_str(word);
        } else if last.len() + 1 + word.len() <= width {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The middle one; of an even number the mean of the two in the middle. NaN of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// The least and the greatest, as `12-34`.
pub fn spread(values: &[f64], digits: usize) -> Cell {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Cell::text(format!("{least:.digits$}-{greatest:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_goal_is_met_at_its_limit() {
        assert!(Ratio::new("x", 3.0, "", Goal::AtMost(3.0)).met);
        assert!(!Ratio::new("x", 3.1, "", Goal::AtMost(3.0)).met);
        assert!(Ratio::new("x", 2.0, "", Goal::AtLeast(2.0)).met);
        assert!(!Ratio::new("x", f64::NAN, "", Goal::AtLeast(2.0)).met);
    }

    #[test]
    fn long_paragraphs_are_broken_at_spaces() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaaa b", 5), ["aaaaaaa", "b"]);
    }
}
