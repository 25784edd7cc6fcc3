//! What must hold of the servers' files and logs once they have stopped: S1, the same bytes on all replicas; S9, no panic.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use klamm_harness::Cluster;

use crate::workload::TOPIC;

/// Stops every node and lists what does not hold.
///
/// # Errors
/// A node does not stop, or its files cannot be read.
pub fn violations(cluster: &mut Cluster, partitions: i32) -> Result<Vec<String>> {
    let topology = cluster.client().topology()?;
    for id in cluster.ids() {
        cluster.terminate(id)?;
    }
    let mut broken = Vec::new();
    for partition in 0..partitions {
        let mut copies = Vec::new();
        for id in topology.replicas(TOPIC, partition)? {
            copies.push((id, segments(&cluster.data_dir(id)?.join(format!("{TOPIC}-{partition}")))?));
        }
        if let [(first, bytes), rest @ ..] = copies.as_slice() {
            for (id, other) in rest.iter().filter(|(_, other)| other != bytes) {
                let at = bytes.iter().zip(other).take_while(|(a, b)| a == b).count();
                broken.push(format!(
                    "S1 log matching: partition {partition} differs between {first} and {id} from byte {at} on ({} and {} bytes)",
                    bytes.len(),
                    other.len()
                ));
            }
        }
    }
    for id in cluster.ids() {
        let log = fs::read_to_string(cluster.log(id)?)?;
        if let Some(line) = log.lines().find(|line| line.contains("panicked at")) {
            broken.push(format!("S9 no panic: node {id}: {line}"));
        }
    }
    Ok(broken)
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
