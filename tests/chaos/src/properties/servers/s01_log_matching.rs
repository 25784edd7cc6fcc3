//! S1: all replicas of a partition hold the same bytes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use klamm_harness::{Cluster, Topology};

use super::Verdict;
use crate::workload::TOPIC;

/// Of a cluster that has stopped.
///
/// # Errors
/// Files cannot be read.
pub fn check(cluster: &Cluster, topology: &Topology, partition: i32) -> Result<Verdict> {
    let mut copies = Vec::new();
    for id in topology.replicas(TOPIC, partition)? {
        copies.push((id, segments(&cluster.data_dir(id)?.join(format!("{TOPIC}-{partition}")))?));
    }
    let [(first, bytes), rest @ ..] = copies.as_slice() else { return Ok(Ok(())) };
    Ok(match rest.iter().find(|(_, other)| other != bytes) {
        None => Ok(()),
        Some((id, other)) => {
            let at = bytes.iter().zip(other).take_while(|(a, b)| a == b).count();
            let (len, others) = (bytes.len(), other.len());
            Err(format!(
                "partition {partition} differs between {first} and {id} from byte {at} on ({len} and {others} bytes)"
            ))
        }
    })
}

/// The segments of a partition, one after another.
fn segments(dir: &Path) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            files.push(path);
        }
    }
    files.sort();
    let mut bytes = Vec::new();
    for file in files {
        bytes.extend(fs::read(file)?);
    }
    Ok(bytes)
}
