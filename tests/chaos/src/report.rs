//! `docs/reliability.md`: every row as it came out, the failed ones too.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use crate::row::{Row, figures};

/// What a reader must know before the figures.
const HEAD: &str = "\
# Reliability

What was injected into clusters of real processes, while Kafka's own Java client (4.3.1) produced and consumed, and what held.
This file is written by `cargo xtask chaos --report`; every row is as it came out, and one that failed says so.

Clusters have replication factor 3 and `min.insync.replicas=2`; three idempotent producers with `acks=all` send 300 records a
second to 6 partitions, each a few hundred bytes at most. The clients have Kafka's defaults but for `retry.backoff.ms=20`,
`retry.backoff.max.ms=100`, `reconnect.backoff.ms=20`, `reconnect.backoff.max.ms=100`, and `request.timeout.ms=5000`, or 500 and
`fetch.max.wait.ms=250` where a leader falls silent. Where no figure is at stake two administrators create and delete topics, keys are compacted, and
other scenarios run on the machine meanwhile. A *gap* is the longest time between two acknowledgements on one of the partitions that the
fault concerns; at that rate it is 20 ms when nothing is wrong. An injection counts when its effect was observed: the process
gone, packets withheld, the error in the broker's log. After each run everything is read again from the beginning, the files
of all replicas are compared byte for byte, and the properties below `tests/chaos/src/properties` are checked.

Whatever kept a run from being conclusive is a failure here, too.
";

/// Writes the report.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &std::path::Path, seed: u64, rows: &[Row]) -> Result<()> {
    let mut text = format!("{HEAD}\nMeasured on {} with seed {seed}.\n\n", machine());
    text += "| Fault | Injections | p50 / p99 / max, ms | Healed in, p50 / p99 / max, ms | Bar | Held |\n";
    text += "|---|---|---|---|---|---|\n";
    for row in rows {
        let held = if row.complaints(true).is_empty() { "yes" } else { "**no**" };
        writeln!(
            text,
            "| {} (`{}`) | {} of {} | {} | {} | {} | {held} |",
            row.fault,
            row.scenario,
            row.injected,
            row.wanted,
            row.figures(),
            figures(&row.convergence),
            row.bar,
        )?;
    }
    let records: usize = rows.iter().map(|row| row.acknowledged).sum();
    writeln!(text, "\n{records} records were acknowledged in all.")?;
    for row in rows {
        let complaints = row.complaints(true);
        if !complaints.is_empty() || !row.notes.is_empty() {
            writeln!(text, "\n## `{}`\n", row.scenario)?;
        }
        for line in row.notes.iter().chain(&complaints) {
            writeln!(text, "- {line}")?;
        }
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, text)?)
}

/// Cores, their model, memory and kernel.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let kib: f64 = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    let kernel = rustix::system::uname();
    format!(
        "{cores} cores ({}), {:.0} GiB of memory, Linux {}",
        field("/proc/cpuinfo", "model name"),
        kib / 1024.0 / 1024.0,
        kernel.release().to_string_lossy()
    )
}
