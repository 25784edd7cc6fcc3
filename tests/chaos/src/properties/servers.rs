//! What must hold of the servers' logs and files: while they run, whenever they have come to rest, and once they have stopped.
//!
//! S2 and S3 need to see every step of every node: `tests/simulator` checks them. S6, S8 and S10 show here as runs that never
//! come to rest, S7 in the scenarios that flip bits.

mod looks;
mod s01_log_matching;
mod s04_nothing_goes_back;
mod s05_positions_in_order;
mod s09_no_panic;

use std::fs;

use anyhow::Result;
use klamm_harness::Cluster;

pub use looks::Look;

use super::Verdict;

/// Stops every node and lists what does not hold.
///
/// # Errors
/// A node does not stop, or its files cannot be read.
pub fn violations(cluster: &mut Cluster, partitions: i32, looks: &[Look]) -> Result<Vec<String>> {
    let topology = cluster.client().topology()?;
    for id in cluster.ids() {
        cluster.terminate(id)?;
    }
    let mut broken = Vec::new();
    let mut check =
        |name: &str, verdict: Verdict| broken.extend(verdict.err().map(|what| format!("{name}: {what}")));
    for partition in 0..partitions {
        check("S1 log matching", s01_log_matching::check(cluster, &topology, partition)?);
    }
    check("S4 nothing goes back", s04_nothing_goes_back::check(looks));
    check("S5 positions in order", s05_positions_in_order::check(looks));
    for id in cluster.ids() {
        let log = fs::read_to_string(cluster.log(id)?)?;
        check(&format!("S9 no panic: node {id}"), s09_no_panic::check(&log));
    }
    Ok(broken)
}

#[cfg(test)]
mod tests;
