//! A log under test, with the batches that were appended to it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use klamm_log::{Disk, Log, LogConfig, LogError, OpenOptions, RecoveryReport, SimDisk};
use klamm_records::{Batch, BatchBuilder, batches};

pub const DIR: &str = "/data/topic-0";

/// Small segments and dense indexes, so that a short test sees many of both.
pub fn small_config() -> LogConfig {
    LogConfig { segment_bytes: 4096, index_interval_bytes: 256, ..LogConfig::default() }
}

/// A simulated disk whose data directory survives a power loss.
pub fn sim_disk(seed: u64) -> SimDisk {
    let sim = SimDisk::new(seed);
    sim.create_dir_all(Path::new("/data")).expect("creates");
    sim.sync_dir(Path::new("/")).expect("syncs");
    sim
}

pub fn open(disk: &Arc<dyn Disk>, config: LogConfig, options: OpenOptions) -> (Log, RecoveryReport) {
    try_open(disk, config, options).expect("opens")
}

pub fn try_open(
    disk: &Arc<dyn Disk>,
    config: LogConfig,
    options: OpenOptions,
) -> Result<(Log, RecoveryReport), LogError> {
    Log::open(Arc::clone(disk), PathBuf::from(DIR), config, options)
}

/// A batch of `count` records of `size` bytes, all at `timestamp`.
pub fn batch(count: usize, size: usize, timestamp: i64) -> BytesMut {
    let mut builder = BatchBuilder::new(0);
    for index in 0..count {
        let key = format!("key-{index}");
        builder.push(timestamp, Some(key.as_bytes()), Some(&vec![b'v'; size]), &[]).expect("fits");
    }
    builder.finish().expect("builds")
}

/// A batch of an idempotent producer.
pub fn produced(producer_id: i64, epoch: i16, sequence: i32, count: usize) -> BytesMut {
    let mut builder = BatchBuilder::new(0).producer(producer_id, epoch, sequence);
    for _ in 0..count {
        builder.push(1_000, None, Some(b"value"), &[]).expect("fits");
    }
    builder.finish().expect("builds")
}

/// Runs write jobs until none is left.
pub fn write_all(log: &mut Log) {
    while let Some(job) = log.start_write() {
        log.finish_write(job.run()).expect("disk works");
    }
}

/// Every batch that can be read from `from` on, read in steps of `max_bytes`.
pub fn read_all(log: &Log, from: i64, max_bytes: usize) -> Vec<Batch> {
    let mut found: Vec<Batch> = Vec::new();
    let mut at = from;
    while at < log.end_offset() {
        let read = log.read(at, max_bytes, i64::MAX).expect("reads");
        assert!(read.next_offset > at, "a read makes progress");
        let bytes = read.to_bytes().expect("reads");
        for batch in batches(bytes) {
            let batch = batch.expect("whole batches");
            batch.verify_crc().expect("sound");
            found.push(batch);
        }
        at = read.next_offset;
    }
    found
}

/// The bytes of every batch from `from` on.
pub fn bytes_of(batches: &[Batch]) -> Vec<Bytes> {
    batches.iter().map(|batch| batch.bytes.clone()).collect()
}
