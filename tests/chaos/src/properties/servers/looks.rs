//! What controllers say of their logs, gathered each time the cluster has come to rest.

use anyhow::{Context, Result, ensure};
use klamm_harness::Cluster;

/// One controller at one moment. Positions are exclusive ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whose.
    pub node: i32,
    /// The leader epoch that it knows.
    pub epoch: i64,
    /// What is left only in a snapshot.
    pub purged: i64,
    /// What the newest snapshot holds.
    pub snapshot: i64,
    /// What its image holds.
    pub applied: i64,
    /// What it knows to be committed.
    pub committed: i64,
    /// What is in the log.
    pub log: i64,
}

impl Look {
    /// At a node; `None` where no controller is.
    ///
    /// # Errors
    /// It does not answer, or not with what a controller says.
    pub fn at(cluster: &Cluster, node: i32) -> Result<Option<Look>> {
        let (status, text) = cluster.http(node, "/metrics")?;
        ensure!(status == 200, "/metrics of node {node} says {status}");
        Look::parse(node, &text).with_context(|| format!("/metrics of node {node}"))
    }

    pub(super) fn parse(node: i32, text: &str) -> Result<Option<Look>> {
        let figure = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map(str::parse::<i64>).transpose().with_context(|| name.to_owned())
        };
        let Some(epoch) = figure("klamm_metadata_epoch")? else { return Ok(None) };
        let position = |position: &str| {
            let name = format!("klamm_metadata_log_end_offset{{position=\"{position}\"}}");
            figure(&name)?.with_context(|| format!("no {name}"))
        };
        Ok(Some(Look {
            node,
            epoch,
            purged: position("purged")?,
            snapshot: position("snapshot")?,
            applied: position("applied")?,
            committed: position("committed")?,
            log: position("log")?,
        }))
    }
}
