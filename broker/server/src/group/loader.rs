//! Rebuilds a shard from its partition's log.

use std::sync::Arc;

use bytes::Bytes;
use klamm_coordinator::GroupShard;
use klamm_records::batches;

use crate::partition::Partition;

/// Bytes read at a time (`offsets.load.buffer.size`).
const READ_BYTES: usize = 5 << 20;
/// Bound of one decompressed batch.
const MAX_DECOMPRESSED: usize = 64 << 20;

/// Replays every record from the log's start to its end, on a thread that may block.
///
/// # Errors
/// What could not be read, as text for the log.
pub async fn replay(log: Arc<Partition>, shard: GroupShard) -> Result<GroupShard, String> {
    tokio::task::spawn_blocking(move || replay_blocking(&log, shard)).await.map_err(|e| e.to_string())?
}

fn replay_blocking(log: &Partition, mut shard: GroupShard) -> Result<GroupShard, String> {
    let mut position = log.log_start_offset();
    let end = log.log_end_offset();
    while position < end {
        let (bytes, next) = log.read_for_replay(position, READ_BYTES, end).map_err(|e| e.to_string())?;
        if next <= position {
            return Err(format!("no progress at offset {position} of {end}"));
        }
        replay_bytes(bytes, &mut shard)?;
        position = next;
    }
    Ok(shard)
}

fn replay_bytes(bytes: Bytes, shard: &mut GroupShard) -> Result<(), String> {
    for batch in batches(bytes) {
        let batch = batch.map_err(|e| e.to_string())?;
        if batch.header.attributes.is_control() {
            continue;
        }
        for record in batch.records(MAX_DECOMPRESSED).map_err(|e| e.to_string())? {
            let record = record.map_err(|e| e.to_string())?;
            if let Some(key) = record.key {
                shard.replay(key, record.value).map_err(|e| e.to_string())?;
            }
        }
    }
    Ok(())
}
