//! Pairs what both brokers were measured for and sets the bars.

use crate::matrix::{Cell, Client};
use crate::table::{Better, Row};

/// A figure that is no throughput: less of it is better.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured, the same text for both brokers.
    pub name: String,
    /// Unit of the value.
    pub unit: &'static str,
    /// Value.
    pub value: f64,
    /// The most that Klamm may have.
    pub bar: Option<f64>,
}

/// Everything one broker was measured for.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// Throughput cells.
    pub cells: Vec<Cell>,
    /// All other figures.
    pub figures: Vec<Figure>,
}

impl Results {
    /// Adds a cell, or a round to the cell that is there.
    pub fn add(&mut self, cell: Cell) {
        match self.cells.iter_mut().find(|c| c.name == cell.name && c.client == cell.client) {
            Some(known) => known.add(&cell),
            None => self.cells.push(cell),
        }
    }
}

/// The rows of the table. Bars: no cell slower than Kafka with the Java client; at most half its CPU in every cell.
pub fn rows(kafka: &Results, klamm: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for any in longer(&kafka.figures, &klamm.figures) {
        let of = |results: &Results| results.figures.iter().find(|f| f.name == any.name).map(|f| f.value);
        rows.push(Row {
            name: any.name.clone(),
            unit: any.unit,
            kafka: of(kafka),
            klamm: of(klamm),
            record: None,
            better: Better::Less,
            bar: any.bar,
        });
    }
    for any in longer(&kafka.cells, &klamm.cells) {
        rows.extend(cell_rows(any, find(kafka, any), find(klamm, any)));
    }
    rows
}

fn cell_rows(any: &Cell, kafka: Option<&Cell>, klamm: Option<&Cell>) -> [Row; 2] {
    let name = format!("{}, {} client", any.name, any.client.name());
    let rate = kafka.map(|c| c.rate.mb_per_second());
    let cpu = kafka.map(Cell::cpu_per_gb);
    let speed = Row {
        name: name.clone(),
        unit: "MB/s (records/s)",
        kafka: rate,
        klamm: klamm.map(|c| c.rate.mb_per_second()),
        record: Some(any.rate.bytes as f64 / any.rate.records as f64),
        better: Better::More,
        bar: rate.filter(|_| any.client == Client::Java),
    };
    let cost = Row {
        name: format!("{name}: broker CPU"),
        unit: "s/GB",
        kafka: cpu,
        klamm: klamm.map(Cell::cpu_per_gb),
        record: None,
        better: Better::Less,
        bar: cpu.map(|c| c / 2.0),
    };
    [speed, cost]
}

fn find<'a>(results: &'a Results, cell: &Cell) -> Option<&'a Cell> {
    results.cells.iter().find(|c| c.name == cell.name && c.client == cell.client)
}

fn longer<'a, T>(left: &'a [T], right: &'a [T]) -> &'a [T] {
    if left.len() > right.len() { left } else { right }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::Throughput;

    fn results(client: Client, bytes: u64, cpu_per_gb: f64) -> Results {
        let cpu = Duration::from_secs_f64(cpu_per_gb * bytes as f64 / 1e9);
        let rate = Throughput { bytes, records: bytes / 100, seconds: 1.0 };
        Results { cells: vec![Cell { name: "produce".into(), client, rate, cpu }], figures: Vec::new() }
    }

    #[test]
    fn the_java_client_must_not_be_slower_and_cpu_must_halve() {
        let verdict = |client, bytes, cpu| {
            let rows = rows(&results(client, 1_000_000, 10.0), &results(client, bytes, cpu));
            rows.iter().map(Row::meets).collect::<Vec<_>>()
        };
        assert_eq!(verdict(Client::Java, 1_000_000, 5.0), [Some(true), Some(true)]);
        assert_eq!(verdict(Client::Java, 999_900, 5.1), [Some(false), Some(false)]);
        assert_eq!(verdict(Client::Native, 999_900, 5.1), [None, Some(false)]);
    }

    #[test]
    fn rounds_of_a_cell_are_one_cell() {
        let mut both = results(Client::Java, 1_000_000, 10.0);
        let other = results(Client::Java, 3_000_000, 2.0);
        other.cells.into_iter().for_each(|cell| both.add(cell));
        assert_eq!(both.cells.len(), 1);
        assert_eq!(both.cells[0].rate.mb_per_second(), 2.0);
        assert_eq!(both.cells[0].cpu_per_gb(), 4.0);
    }

    #[test]
    fn one_broker_alone_fills_its_column() {
        let rows = rows(&results(Client::Java, 1_000_000, 10.0), &Results::default());
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|r| r.kafka.is_some() && r.klamm.is_none() && r.meets().is_none()));
    }
}
