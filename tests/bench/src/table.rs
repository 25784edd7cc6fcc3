//! The result: one row a figure, both brokers beside each other, their ratio, and the bar.

/// Whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Throughput.
    More,
    /// Time, memory, CPU.
    Less,
}

/// One figure of both brokers.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Unit of the figures.
    pub unit: &'static str,
    /// Apache Kafka's figure, if it was measured.
    pub kafka: Option<f64>,
    /// Klamm's figure, if it was measured.
    pub klamm: Option<f64>,
    /// Bytes of a record, where a rate in MB/s is to be shown in records too.
    pub record: Option<f64>,
    /// Which direction is better.
    pub better: Better,
    /// The bar for Klamm, if the row has one: a limit in the row's unit.
    pub bar: Option<f64>,
}

impl Row {
    /// Whether the bar is met; `None` without one, or without a figure.
    pub fn meets(&self) -> Option<bool> {
        let (bar, klamm) = (self.bar?, self.klamm?);
        Some(match self.better {
            Better::More => klamm >= bar,
            Better::Less => klamm <= bar,
        })
    }

    fn line(&self) -> String {
        let ratio = self.klamm.zip(self.kafka).map(|(klamm, kafka)| format!("{:.2}", klamm / kafka));
        let bar = match (self.bar, self.meets()) {
            (Some(bar), Some(true)) => format!("{} met", self.limit(bar)),
            (Some(bar), Some(false)) => format!("{} **missed**", self.limit(bar)),
            (Some(bar), None) => self.limit(bar),
            (None, _) => String::new(),
        };
        let (kafka, klamm) = (self.figure(self.kafka), self.figure(self.klamm));
        let ratio = ratio.unwrap_or_else(|| "–".to_owned());
        format!("| {} | {} | {kafka} | {klamm} | {ratio} | {bar} |\n", self.name, self.unit)
    }

    fn figure(&self, value: Option<f64>) -> String {
        match (value, self.record) {
            (None, _) => "–".to_owned(),
            (Some(v), None) => number(v),
            (Some(v), Some(record)) => format!("{} ({})", number(v), thousands(v * 1e6 / record)),
        }
    }

    fn limit(&self, bar: f64) -> String {
        let sign = if self.better == Better::More { "≥" } else { "≤" };
        format!("{sign} {}", number(bar))
    }
}

/// Markdown of all rows, and below it how many of the bars are met.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from("| | unit | Apache Kafka 4.3.1 | Klamm | Klamm / Kafka | bar |\n");
    out.push_str("|---|---|---:|---:|---:|---|\n");
    for row in rows {
        out.push_str(&row.line());
    }
    let bars: Vec<bool> = rows.iter().filter_map(Row::meets).collect();
    if !bars.is_empty() {
        let met = bars.iter().filter(|met| **met).count();
        out.push_str(&format!("\n{met} of {} bars met.\n", bars.len()));
    }
    out
}

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1_000.0 => thousands(value),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            name: "x".into(),
            unit: "ms",
            kafka: Some(2.0),
            klamm: Some(3.0),
            record: None,
            better: Better::Less,
            bar: Some(1.0),
        }
    }

    #[test]
    fn a_missed_bar_is_shown_and_counted() {
        let met = Row { klamm: Some(1.0), ..row() };
        assert_eq!(row().line(), "| x | ms | 2.00 | 3.00 | 1.50 | ≤ 1.00 **missed** |\n");
        assert_eq!(met.line(), "| x | ms | 2.00 | 1.00 | 0.50 | ≤ 1.00 met |\n");
        assert!(markdown(&[row(), met]).ends_with("\n1 of 2 bars met.\n"));
    }

    #[test]
    fn a_rate_must_reach_its_bar_and_is_shown_in_records_too() {
        let rate = Row {
            unit: "MB/s (records/s)",
            better: Better::More,
            record: Some(100.0),
            klamm: Some(123.456),
            ..row()
        };
        assert_eq!(rate.meets(), Some(true));
        assert!(rate.line().contains("| 123 (1,234,560) |"), "{}", rate.line());
    }

    #[test]
    fn what_was_not_measured_meets_nothing() {
        let alone = Row { klamm: None, ..row() };
        assert_eq!(alone.meets(), None);
        assert_eq!(alone.line(), "| x | ms | 2.00 | – | – | ≤ 1.00 |\n");
    }
}
