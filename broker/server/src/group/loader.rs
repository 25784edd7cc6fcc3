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

/// Replays every record from the log's start to its end, on a thread that may block, and waits until all of them are
/// committed: what another leader may not have must not be seen.
///
/// # Errors
/// What could not be read, or why it will not be known to be committed, as text for the log.
pub async fn replay(log: Arc<Partition>, leader_epoch: i32, shard: GroupShard) -> Result<GroupShard, String> {
    let replayed = Arc::clone(&log);
    let replay = tokio::task::spawn_blocking(move || replay_blocking(&replayed, shard));
    let (shard, end) = replay.await.map_err(|e| e.to_string())??;
    log.await_committed(end, leader_epoch).await.map_err(|e| e.to_string())?;
    Ok(shard)
}

fn replay_blocking(log: &Arc<Partition>, mut shard: GroupShard) -> Result<(GroupShard, i64), String> {
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
    Ok((shard, end))
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
