//! One row of the report: a fault, how often it was really injected, what was measured, and what did not hold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gaps::percentile;

/// What a scenario found.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Row {
    /// Name of the scenario.
    pub scenario: String,
    /// The fault, in words.
    pub fault: String,
    /// What shall hold, in words.
    pub bar: String,
    /// The bar of the 99th percentile.
    pub limit: Option<Duration>,
    /// Injections that were asked for.
    pub wanted: usize,
    /// Injections whose effect was observed.
    pub injected: usize,
    /// One figure an injection, where the fault has one.
    pub samples: Vec<Duration>,
    /// From the end of each fault to the full ISR everywhere.
    pub convergence: Vec<Duration>,
    /// Records that were acknowledged.
    pub acknowledged: usize,
    /// What else is worth a line.
    pub notes: Vec<String>,
    /// What did not hold, and what kept the run from being conclusive.
    pub problems: Vec<String>,
}

impl Row {
    /// Why the bar is missed; judged where figures count, which is a release build.
    pub fn complaints(&self, figures_count: bool) -> Vec<String> {
        let mut complaints = self.problems.clone();
        if self.injected < self.wanted {
            complaints.push(format!("{} of {} injections were observed", self.injected, self.wanted));
        }
        if let (Some(limit), true) = (self.limit, figures_count)
            && percentile(&self.samples, 0.99).is_none_or(|p99| p99 > limit)
        {
            complaints.push("the figure misses its bar".to_owned());
        }
        complaints
    }

    /// The samples as `p50 / p99 / max` in milliseconds.
    pub fn figures(&self) -> String {
        figures(&self.samples)
    }
}

/// Samples as `p50 / p99 / max` in milliseconds.
pub fn figures(samples: &[Duration]) -> String {
    let shown = [0.5, 0.99, 1.0].map(|share| percentile(samples, share));
    let millis =
        |value: Option<Duration>| value.map_or_else(|| "–".to_owned(), |v| v.as_millis().to_string());
    if samples.is_empty() { "–".to_owned() } else { shown.map(millis).join(" / ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_that_was_not_injected_is_a_complaint() {
        let row = Row { wanted: 3, injected: 2, ..Row::default() };
        assert_eq!(row.complaints(false), ["2 of 3 injections were observed"]);
    }

    #[test]
    fn a_figure_above_its_bar_counts_where_figures_do() {
        let samples = vec![Duration::from_millis(700)];
        let row = Row { limit: Some(Duration::from_millis(500)), samples, ..Row::default() };
        assert!(row.complaints(false).is_empty());
        assert_eq!(row.complaints(true), ["the figure misses its bar"]);
        assert_eq!(row.figures(), "700 / 700 / 700");
    }
}
