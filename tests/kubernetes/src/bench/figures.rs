//! Figures as a table.

use std::time::Duration;

/// A line of the table.
pub(super) struct Row {
    what: &'static str,
    figure: String,
    bar: &'static str,
    met: bool,
}

impl Row {
    /// A figure beside its bar; an empty bar is none.
    pub(super) fn new(what: &'static str, figure: String, bar: &'static str, met: bool) -> Self {
        Self { what, figure, bar, met }
    }
}

/// Prints the table.
pub(super) fn print(rows: &[Row]) {
    println!("\n| | measured | bar | |\n|---|---|---|---|");
    for Row { what, figure, bar, met } in rows {
        let verdict = if bar.is_empty() {
            ""
        } else if *met {
            "met"
        } else {
            "missed"
        };
        println!("| {what} | {figure} | {bar} | {verdict} |");
    }
    println!();
}

/// All times, in seconds.
pub(super) fn seconds(times: &[Duration]) -> String {
    let shown: Vec<String> = times.iter().map(|t| format!("{:.1}", t.as_secs_f64())).collect();
    format!("{} s", shown.join(", "))
}

/// A figure in milliseconds, and from how many.
pub(super) fn millis(all: &[Duration], figure: Duration) -> String {
    let longest = all.iter().max().map_or(0, Duration::as_millis);
    format!("{} ms (longest {longest} ms, {} of lanes and rounds)", figure.as_millis(), all.len())
}

/// The value that so many of a hundred do not exceed.
pub(super) fn quantile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let mut values: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&mut values, 99), Duration::from_millis(198));
        assert_eq!(quantile(&mut values, 100), Duration::from_millis(200));
        assert_eq!(quantile(&mut values[..1], 99), Duration::from_millis(1));
    }
}
