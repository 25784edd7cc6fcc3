//! MetadataFetch (1010): a node that is no voter follows the committed metadata log.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use klamm_quorum::{Fetched, Quorum, QuorumError, ReplicaProgress};
use klamm_wire::messages::metadata_fetch_request::MetadataFetchRequest;
use klamm_wire::messages::metadata_fetch_response::{KnownController, MetadataBatch, MetadataFetchResponse};
use klamm_wire::{ErrorCode, Str};

/// Committed records from an offset on; waits a while when there are none yet.
pub async fn answer(
    quorum: &Quorum,
    cluster_id: &Str,
    request: MetadataFetchRequest,
) -> MetadataFetchResponse {
    if *request.cluster_id != **cluster_id {
        return MetadataFetchResponse {
            error_code: ErrorCode::InconsistentClusterId.code(),
            leader_id: -1,
            ..MetadataFetchResponse::default()
        };
    }
    if has_followed_another_log(quorum, &request) {
        return MetadataFetchResponse {
            error_code: ErrorCode::FencedLeaderEpoch.code(),
            leader_id: -1,
            ..MetadataFetchResponse::default()
        };
    }
    wait_for_news(quorum, &request).await;
    let status = quorum.status().borrow().clone();
    // A controller that is out of the quorum says so: whoever follows it would never hear of what others decide.
    let leader = status.leader.filter(|_| quorum.is_led());
    let mut response = MetadataFetchResponse {
        leader_id: leader.unwrap_or(-1),
        leader_epoch: status.epoch,
        high_watermark: status.log.committed,
        snapshot_offset: -1,
        controllers: status.voters.iter().map(controller).collect(),
        ..MetadataFetchResponse::default()
    };
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0);
    let (log, offset) = (quorum.clone(), request.offset);
    // A snapshot is read from the disk: that is nothing for the thread on which heartbeats are sent.
    let read = tokio::task::spawn_blocking(move || log.read_committed(offset, max_bytes));
    let failed = |error| QuorumError::Storage { what: "reading".to_owned(), source: io::Error::other(error) };
    let read = read.await.unwrap_or_else(|error| Err(failed(error)));
    match read {
        Ok(Fetched::Batches(batches)) => response.batches = batches.into_iter().map(batch).collect(),
        Ok(Fetched::Snapshot { offset, epoch, bytes }) => {
            response.snapshot_offset = offset;
            response.snapshot_epoch = epoch;
            response.snapshot = Some(bytes);
        }
        Err(error) => {
            tracing::debug!(%error, offset = request.offset, "metadata fetch");
            response.high_watermark = request.offset;
        }
    }
    // What was read is applied: an image that is looked at afterwards has had the first record of the log.
    response.founding_id = quorum.image().borrow().founding().unwrap_or_default();
    response
}

/// Only an entry that is there and has another epoch proves it: this controller may lag, or have purged the entry.
fn has_followed_another_log(quorum: &Quorum, request: &MetadataFetchRequest) -> bool {
    if request.last_epoch < 0 {
        return false;
    }
    match quorum.epoch_at(request.offset.saturating_sub(1)) {
        Ok(known) => known.is_some_and(|epoch| epoch != request.last_epoch),
        Err(error) => {
            tracing::debug!(%error, offset = request.offset, "metadata fetch");
            false
        }
    }
}

async fn wait_for_news(quorum: &Quorum, request: &MetadataFetchRequest) {
    let (mut status, mut image) = (quorum.status(), quorum.image());
    let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let known_leader = status.borrow().leader;
    // Applied, not committed: only what is applied can be read.
    let news = async {
        tokio::select! {
            _ = image.wait_for(|i| i.offset() >= request.offset) => {}
            _ = status.wait_for(|s| s.leader != known_leader) => {}
        }
    };
    // Nothing new in time is an answer too.
    drop(tokio::time::timeout(wait, news).await);
}

fn controller(voter: &ReplicaProgress) -> KnownController {
    KnownController {
        node_id: voter.id,
        host: Str::copy_from(&voter.address.host),
        port: voter.address.port,
        ..KnownController::default()
    }
}

fn batch((offset, epoch, records): (i64, i32, Bytes)) -> MetadataBatch {
    MetadataBatch { offset, epoch, records, ..MetadataBatch::default() }
}
