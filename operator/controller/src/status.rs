//! `status`: shows the cluster of a data directory.

use std::fmt::Write;

use klamm_operator_api::conditions::{Condition, ConditionStatus, ConditionType};

use crate::cli::{self, Output};
use crate::data::status::Status;
use crate::data::{DataDir, DataError, lock};

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nothing was ever started there.
    #[error("there is no cluster in {0}: start one with klamm-operator up -f FILE --data {0}")]
    None(String),
}

/// The status as text or JSON.
///
/// # Errors
/// If there is no cluster.
pub fn run(args: &cli::Status) -> Result<String, StatusError> {
    let dir = DataDir::existing(&args.data)?;
    let status = Status::load(&dir).ok_or_else(|| StatusError::None(dir.path().display().to_string()))?;
    let status = as_of_now(status, lock::holder(&dir));
    match args.output {
        Output::Json => Ok(serde_json::to_string_pretty(&status).unwrap_or_default() + "\n"),
        Output::Text => Ok(text(&status)),
    }
}

/// What was written is true only while somebody keeps it so.
fn as_of_now(mut status: Status, holder: Option<u32>) -> Status {
    status.operator = holder;
    status.ready &= holder.is_some();
    status
}

fn text(status: &Status) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = write_text(&mut out, status);
    out
}

fn write_text(out: &mut String, status: &Status) -> std::fmt::Result {
    let operator = status.operator.map_or_else(
        || "not running; start it with klamm-operator up".to_owned(),
        |pid| format!("kept by klamm-operator up, pid {pid}"),
    );
    writeln!(out, "{}  {}  {operator}", status.cluster, if status.ready { "ready" } else { "not ready" })?;
    writeln!(out, "bootstrap.servers={}", status.bootstrap)?;
    writeln!(
        out,
        "\n{:<6}{:<20}{:<12}{:<9}{:<9}{:<18}HTTP",
        "NODE", "ROLES", "STATE", "PID", "RESTARTS", " KAFKA"
    )?;
    for b in &status.brokers {
        let pid = b.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let roles = b.roles.join(",");
        writeln!(
            out,
            "{:<6}{roles:<20}{:<12}{pid:<9}{:<9} {:<17}{}",
            b.id, b.state, b.restarts, b.kafka, b.http
        )?;
    }
    if !status.topics.is_empty() {
        writeln!(out, "\n{:<32}{:<12}{:<10}STATE", "TOPIC", "PARTITIONS", "REPLICAS")?;
    }
    for topic in &status.topics {
        let number = |n: Option<i32>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        let state = topic.conditions.iter().map(reason).collect::<Vec<_>>().join(", ");
        let (partitions, replicas) = (number(topic.partitions), number(topic.replicas));
        writeln!(out, "{:<32}{partitions:<12}{replicas:<10}{state}", topic.topic_name)?;
    }
    let roll = status.operations.as_ref().and_then(|operations| operations.roll.as_ref());
    for broker in roll.iter().flat_map(|roll| &roll.brokers) {
        let blockers = broker.blockers.join(", ");
        let (state, reasons) = (broker.state, broker.reasons.join(", "));
        writeln!(out, "\nRestart of node {} ({reasons}): {state:?} {blockers}", broker.id)?;
    }
    let notable = |c: &&Condition| c.type_ != ConditionType::Ready && c.status == ConditionStatus::True;
    for condition in status.conditions.iter().filter(notable) {
        writeln!(out, "\n{:?}: {}", condition.type_, reason(condition))?;
    }
    Ok(())
}

fn reason(condition: &Condition) -> String {
    match condition.message.as_str() {
        "" => condition.reason.as_str().to_owned(),
        message => format!("{}: {message}", condition.reason.as_str()),
    }
}
