//! The data plane on simulated disks: real logs, real IO engine, real fetchers, a model of the controller.

mod behind;
mod cluster;
mod deletions;
mod epochs;
mod faults;
mod flips;
mod groups;
mod nearby;
mod produce_and_fetch;
mod registry;
mod replication;
mod rot;
mod truths;

use std::time::Duration;

use bytes::BytesMut;
use klamm_records::BatchBuilder;

use super::{FetchRead, Reader};

/// A batch of `count` records as a producer sends it.
fn batch(count: usize) -> BytesMut {
    batch_of(BatchBuilder::new(0), count)
}

fn batch_of(mut builder: BatchBuilder, count: usize) -> BytesMut {
    for record in 0..count {
        builder.push(crate::clock::now_ms(), None, Some(format!("record {record}").as_bytes()), &[]).unwrap();
    }
    builder.finish().unwrap()
}

fn consumer_at(fetch_offset: i64) -> FetchRead {
    FetchRead {
        reader: Reader::Consumer,
        fetch_offset,
        log_start_offset: -1,
        current_leader_epoch: -1,
        lacks_producers: false,
        last_fetched_epoch: -1,
        max_bytes: 1 << 20,
        at_least_one: true,
    }
}

/// Waits until the condition holds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..20_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}
