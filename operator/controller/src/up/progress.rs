//! What people see of the work.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use klamm_operator_plan::Validated;

/// Lines for a terminal, or for a log file with the time in front.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Whether the time stands in front of every line.
    pub stamped: bool,
}

impl Progress {
    /// Prints a line. Nobody listening is no reason to stop.
    pub fn say(self, line: impl Display) {
        let mut out = std::io::stdout().lock();
        let _ = match self.stamped {
            true => writeln!(out, "{} {line}", now()),
            false => writeln!(out, "{line}"),
        };
        let _ = out.flush();
    }
}

/// The time as RFC 3339, to the second.
pub fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// What to do with a cluster that is ready.
pub fn banner(desired: &Validated, bootstrap: &str, data: &Path, foreground: bool) -> String {
    let topic = desired.topics.keys().next().map_or("TOPIC", String::as_str);
    let data = data.display();
    let stop = match foreground {
        true => "Ctrl-C stops it; the data stays.".to_owned(),
        false => format!("Stop it with: klamm-operator down --data {data}"),
    };
    format!(
        "
{name} is ready.

  bootstrap.servers={bootstrap}

Produce and consume with kcat:
  echo 'key-1:hello' | kcat -b {bootstrap} -t {topic} -P -K :
  kcat -b {bootstrap} -t {topic} -C -o beginning -e

or with Kafka's own tools:
  kafka-console-producer.sh --bootstrap-server {bootstrap} --topic {topic}
  kafka-console-consumer.sh --bootstrap-server {bootstrap} --topic {topic} --from-beginning

The data is in {data}. {stop}
",
        name = desired.cluster.name,
    )
}

/// The last lines of a file, for an error message.
pub fn tail(file: &Path, lines: usize) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(16 << 10)..]).into_owned();
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    kept[kept.len().saturating_sub(lines)..].iter().map(|line| format!("\n  {line}")).collect()
}
