//! What the log does when nothing goes wrong.

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use klamm_log::{
    AppendError, Chunk, Disk, FileChunk, Log, LogConfig, LogError, OpenOptions, ReadError, ReadPlan,
    RealDisk, SimDisk, Wait,
};
use klamm_records::{BatchBuilder, TimestampType, batches, stamp};
use support::{DIR, batch, open, produced, read_all, sim_disk, small_config, try_open, write_all};
use uuid::Uuid;

fn fresh(config: LogConfig) -> (SimDisk, Arc<dyn Disk>, Log) {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (log, _) = open(&disk, config, OpenOptions::default());
    (sim, disk, log)
}

fn append(log: &mut Log, batch: BytesMut) -> i64 {
    log.append_as_leader(batch, 0, 0).expect("appends").base_offset
}

fn names(disk: &Arc<dyn Disk>) -> Vec<String> {
    let mut names: Vec<_> =
        disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn a_read_of_the_tail_returns_the_very_bytes_that_were_appended() {
    let (_, _, mut log) = fresh(LogConfig::default());
    let bytes = batch(3, 100, 0);
    let address = bytes.as_ptr();
    append(&mut log, bytes);
    write_all(&mut log);
    let read = log.read(1, 1, i64::MAX).expect("reads");
    let [Chunk::Bytes(found)] = read.chunks.as_slice() else { panic!("not from memory: {read:?}") };
    assert_eq!(found.as_ptr(), address);
    assert_eq!(read.next_offset, 3);
}

#[test]
fn older_data_is_a_file_range_and_the_limit_of_the_tail_is_kept() {
    let (_, _, mut log) = fresh(LogConfig::default());
    log.set_tail_cache_limit(1_000);
    for _ in 0..10 {
        append(&mut log, batch(1, 400, 0));
    }
    assert!(log.tail_bytes() > 4_000, "what is not written stays");
    write_all(&mut log);
    assert!(log.tail_bytes() <= 1_000);
    let read = log.read(0, usize::MAX, i64::MAX).expect("reads");
    assert!(matches!(read.chunks.as_slice(), [Chunk::File(FileChunk { position: 0, .. })]), "{read:?}");
    assert!(matches!(log.plan_read(9, 1, i64::MAX).expect("plans"), ReadPlan::Ready(_)));
    let ReadPlan::Disk(disk_read) = log.plan_read(0, 1, i64::MAX).expect("plans") else {
        panic!("from memory")
    };
    drop(log);
    assert_eq!(disk_read.run(Wait::Forbidden).expect("cached").next_offset, 1, "needs no log any more");
}

#[test]
fn the_first_batch_is_returned_even_if_it_is_too_large_and_none_reaches_beyond_the_upper_bound() {
    for cache in [0, 1 << 20] {
        let (_, _, mut log) = fresh(small_config());
        log.set_tail_cache_limit(cache);
        for _ in 0..20 {
            append(&mut log, batch(5, 100, 0));
        }
        write_all(&mut log);
        let ends = |from: i64, max: usize, upper: i64| log.read(from, max, upper).expect("reads").next_offset;
        assert_eq!(ends(7, 1, i64::MAX), 10, "the batch that contains the offset, whole");
        assert_eq!(ends(0, 1, 5), 5);
        assert_eq!(ends(0, usize::MAX, 4), 0, "a batch across the bound is left out");
        assert_eq!(ends(5, usize::MAX, 12), 10);
        assert_eq!(ends(100, 1, i64::MAX), 100, "nothing at the end");
        let outside = log.read(101, 1, i64::MAX).map(drop);
        assert!(matches!(outside, Err(ReadError::OutOfRange { offset: 101, start: 0, end: 100 })));
    }
}

#[test]
fn everything_appended_while_a_job_is_out_goes_into_the_next_one() {
    let (sim, _, mut log) = fresh(LogConfig::default());
    append(&mut log, batch(1, 10, 0));
    let first = log.start_write().expect("has work");
    for _ in 0..100 {
        append(&mut log, batch(1, 10, 0));
    }
    assert!(log.start_write().is_none(), "one job at a time");
    log.finish_write(first.run()).expect("disk works");
    let syncs = sim.sync_count();
    let second = log.start_write().expect("has work");
    assert!(second.syncs());
    let ends = log.finish_write(second.run()).expect("disk works");
    assert_eq!((ends.written_end, ends.durable_end), (101, 101));
    assert_eq!(sim.sync_count() - syncs, 1, "one fsync for a hundred appends");
}

#[test]
fn flush_messages_decides_when_a_job_syncs() {
    let (sim, _, mut log) = fresh(LogConfig { flush_messages: 3, ..LogConfig::default() });
    append(&mut log, batch(2, 10, 0));
    write_all(&mut log);
    assert_eq!((log.written_end(), log.durable_end(), sim.sync_count()), (2, 0, 0));
    append(&mut log, batch(1, 10, 0));
    write_all(&mut log);
    assert_eq!(log.durable_end(), 3);
    append(&mut log, batch(1, 10, 0));
    write_all(&mut log);
    assert_eq!(log.durable_end(), 3);
    log.force_flush();
    write_all(&mut log);
    assert_eq!(log.durable_end(), 4);
}

#[test]
fn a_duplicate_gets_its_old_offsets_even_after_a_crash() {
    let (sim, disk, mut log) = fresh(small_config());
    append(&mut log, produced(7, 0, 0, 3));
    append(&mut log, produced(7, 0, 3, 2));
    let again = log.append_as_leader(produced(7, 0, 0, 3), 0, 0);
    assert!(matches!(again, Err(AppendError::DuplicateSequence { base_offset: 0, last_offset: 2, .. })));
    let gap = log.append_as_leader(produced(7, 0, 6, 1), 0, 0);
    assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { .. })));
    assert_eq!(log.end_offset(), 5, "nothing refused was appended");
    log.flush().expect("disk works");
    sim.crash();
    let (mut log, _) =
        open(&disk, small_config(), OpenOptions { recovery_point: 5, ..OpenOptions::default() });
    let again = log.append_as_leader(produced(7, 0, 0, 3), 0, 0);
    assert!(matches!(again, Err(AppendError::DuplicateSequence { base_offset: 0, last_offset: 2, .. })));
    log.close().expect("disk works");
    let clean = OpenOptions { clean_shutdown: true, ..OpenOptions::default() };
    let (mut log, _) = open(&disk, small_config(), clean);
    let last = log.append_as_leader(produced(7, 0, 3, 2), 0, 0);
    assert!(matches!(last, Err(AppendError::DuplicateSequence { base_offset: 3, last_offset: 4, .. })));
    assert!(log.append_as_leader(produced(7, 0, 5, 1), 0, 0).is_ok());
}

#[test]
fn truncation_forgets_what_producers_wrote_behind_it() {
    let (_, _, mut log) = fresh(small_config());
    append(&mut log, produced(7, 0, 0, 3));
    append(&mut log, produced(7, 0, 3, 2));
    log.truncate_to(3).expect("disk works");
    assert!(log.append_as_leader(produced(7, 0, 3, 2), 1, 0).is_ok());
}

#[test]
fn a_follower_takes_all_batches_or_none() {
    let (_, _, mut log) = fresh(small_config());
    let mut data = BytesMut::new();
    for base in [0, 2, 4] {
        let mut one = batch(2, 50, 0);
        stamp(&mut one, base, 3).expect("whole batch");
        data.extend_from_slice(&one);
    }
    let mut damaged = data.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(matches!(log.append_as_follower(damaged.freeze()), Err(AppendError::Corrupt(_))));
    assert_eq!(log.end_offset(), 0);
    let data = data.freeze();
    let appended = log.append_as_follower(data.clone()).expect("sound");
    assert_eq!((appended.base_offset, appended.last_offset, log.latest_epoch()), (0, 5, Some(3)));
    let again = log.append_as_follower(data.clone());
    assert!(matches!(again, Err(AppendError::OffsetsNotMonotonic { expected: 6, found: 0 })));
    let mut stale = batch(1, 10, 0);
    stamp(&mut stale, 6, 2).expect("whole batch");
    let stale = log.append_as_follower(stale.freeze());
    assert!(matches!(stale, Err(AppendError::StaleLeaderEpoch { found: 2, latest: 3 })));
    let bytes: Vec<_> = read_all(&log, 0, usize::MAX).into_iter().flat_map(|batch| batch.bytes).collect();
    assert_eq!(bytes, data);
}

#[test]
fn sizes_are_limited_by_message_and_by_segment() {
    let config = LogConfig { max_message_bytes: 1_000, segment_bytes: 500, ..LogConfig::default() };
    let (_, _, mut log) = fresh(config);
    assert!(matches!(
        log.append_as_leader(batch(1, 1_000, 0), 0, 0),
        Err(AppendError::TooLarge { max: 1_000, .. })
    ));
    let large = log.append_as_leader(batch(1, 600, 0), 0, 0);
    assert!(matches!(large, Err(AppendError::LargerThanSegment { max: 500, .. })));
}

#[test]
fn log_append_time_is_the_brokers() {
    let config = LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    let (_, _, mut log) = fresh(config);
    let appended = log.append_as_leader(batch(2, 10, 5), 0, 99).expect("appends");
    assert_eq!(appended.log_append_time, Some(99));
    let found = log.offset_for_timestamp(99).expect("reads").expect("there");
    assert_eq!((found.timestamp, found.offset), (99, 0));
    assert_eq!(log.offset_for_timestamp(100).expect("reads"), None);
}

#[test]
fn the_largest_timestamp_is_found_wherever_it_is() {
    let (_, _, mut log) = fresh(small_config());
    assert_eq!(log.max_timestamp_offset().expect("reads"), None);
    for timestamp in [5, 90, 7, 90, 3] {
        for _ in 0..6 {
            append(&mut log, batch(1, 600, timestamp));
        }
        let found = log.max_timestamp_offset().expect("reads").expect("there");
        write_all(&mut log);
        assert_eq!(log.max_timestamp_offset().expect("reads"), Some(found));
    }
    let found = log.max_timestamp_offset().expect("reads").expect("there");
    assert_eq!((found.timestamp, found.offset), (90, 6), "the first one");
}

#[test]
fn a_segment_rolls_by_size_age_and_index() {
    let count_after = |config: LogConfig, timestamps: &[i64]| {
        let (_, _, mut log) = fresh(config);
        for timestamp in timestamps {
            append(&mut log, batch(1, 400, *timestamp));
        }
        log.segment_count()
    };
    let by_size = LogConfig { segment_bytes: 1_000, ..LogConfig::default() };
    assert_eq!(count_after(by_size, &[0; 6]), 3);
    let by_age = LogConfig { segment_ms: 100, ..LogConfig::default() };
    assert_eq!(count_after(by_age, &[1_000, 1_100, 1_101, 1_102]), 2);
    let by_index = LogConfig { index_interval_bytes: 0, segment_index_bytes: 48, ..LogConfig::default() };
    assert_eq!(count_after(by_index, &[0; 15]), 3);
}

#[test]
fn retention_by_time_deletes_whole_segments_below_the_high_watermark() {
    let config = LogConfig { segment_bytes: 1_000, retention_ms: 50, ..LogConfig::default() };
    let (_, disk, mut log) = fresh(config);
    for index in 0..8 {
        append(&mut log, batch(1, 400, 100 * (1 + index / 2)));
    }
    write_all(&mut log);
    assert_eq!(log.segment_count(), 4);
    assert!(log.apply_retention(350, 0).expect("disk works").is_empty(), "the high watermark protects all");
    let deleted = log.apply_retention(255, 8).expect("disk works");
    assert_eq!((deleted.len(), log.start_offset()), (2, 4), "100 and 200 are older than 50 ms");
    assert!(names(&disk).contains(&"00000000000000000000.log.deleted".to_string()));
    deleted.iter().for_each(|files| files.remove(&*disk).expect("removes"));
    assert!(!names(&disk).iter().any(|name| name.ends_with(".deleted")));
    assert!(matches!(log.read(3, 1, 8), Err(ReadError::OutOfRange { start: 4, .. })));
    let deleted = log.apply_retention(1_000, 8).expect("disk works");
    assert_eq!((deleted.len(), log.start_offset(), log.end_offset()), (2, 8, 8), "the active one, too");
    assert_eq!(append(&mut log, batch(1, 10, 1_000)), 8);
    write_all(&mut log);
    assert_eq!(read_all(&log, 8, 1).len(), 1);
}

/// Opens the log after a power loss with checkpoints that are older than all that the test did.
fn after_power_loss(sim: &SimDisk, disk: &Arc<dyn Disk>, config: LogConfig) -> Log {
    sim.power_loss();
    open(disk, config, OpenOptions::default()).0
}

#[test]
fn offsets_go_on_after_a_power_loss_although_every_record_has_expired() {
    let config = LogConfig { segment_bytes: 1_000, retention_ms: 50, ..LogConfig::default() };
    let sim = sim_disk(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, config.clone(), OpenOptions::default());
    for _ in 0..8 {
        append(&mut log, batch(1, 400, 100));
    }
    write_all(&mut log);
    for files in log.apply_retention(1_000, 8).expect("disk works") {
        files.remove(&*disk).expect("removes");
    }
    let log = after_power_loss(&sim, &disk, config);
    assert_eq!(log.end_offset(), 8);
}

#[test]
fn offsets_go_on_after_a_power_loss_where_a_log_started_anew() {
    let sim = sim_disk(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    append(&mut log, batch(3, 10, 0));
    write_all(&mut log);
    log.reset_to(1_000).expect("disk works");
    let log = after_power_loss(&sim, &disk, small_config());
    assert_eq!((log.start_offset(), log.end_offset()), (1_000, 1_000));
}

#[test]
fn retention_by_size_keeps_at_least_the_configured_bytes() {
    let config =
        LogConfig { segment_bytes: 1_000, retention_bytes: 2_000, retention_ms: -1, ..LogConfig::default() };
    let (_, _, mut log) = fresh(config);
    for _ in 0..10 {
        append(&mut log, batch(1, 400, 0));
    }
    write_all(&mut log);
    log.apply_retention(0, 10).expect("disk works");
    assert!(log.size_bytes() >= 2_000 && log.size_bytes() < 3_000, "{}", log.size_bytes());
}

#[test]
fn deleted_records_are_gone_and_their_segments_follow() {
    let config = LogConfig { segment_bytes: 1_000, retention_ms: -1, ..LogConfig::default() };
    let (_, disk, mut log) = fresh(config.clone());
    for _ in 0..8 {
        append(&mut log, batch(1, 400, 0));
    }
    log.flush().expect("disk works");
    log.advance_start_offset(5).expect("inside");
    assert!(matches!(log.advance_start_offset(9), Err(LogError::OffsetOutOfRange { .. })));
    assert!(matches!(log.read(4, 1, 8), Err(ReadError::OutOfRange { start: 5, .. })));
    assert_eq!(log.apply_retention(0, 8).expect("disk works").len(), 2);
    log.close().expect("disk works");
    let options = OpenOptions { clean_shutdown: true, log_start_offset: 5, ..OpenOptions::default() };
    let (log, _) = open(&disk, config, options);
    assert_eq!((log.start_offset(), log.end_offset()), (5, 8));
    assert_eq!(log.epochs().iter().map(|entry| entry.start_offset).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_log_that_starts_anew_keeps_nothing() {
    let (_, disk, mut log) = fresh(small_config());
    for sequence in 0..8 {
        append(&mut log, produced(1, 0, sequence, 1));
    }
    log.flush().expect("disk works");
    log.reset_to(1_000).expect("disk works");
    assert_eq!((log.start_offset(), log.end_offset(), log.size_bytes()), (1_000, 1_000, 0));
    assert!(log.epochs().is_empty() && log.producer_state().next().is_none());
    let logs: Vec<_> = names(&disk).into_iter().filter(|name| name.ends_with(".log")).collect();
    assert_eq!(logs, ["00000000000000001000.log"]);
    assert_eq!(append(&mut log, batch(1, 10, 0)), 1_000);
    log.close().expect("disk works");
    let (log, _) =
        open(&disk, small_config(), OpenOptions { clean_shutdown: true, ..OpenOptions::default() });
    assert_eq!((log.start_offset(), log.end_offset()), (1_000, 1_001));
}

#[test]
fn truncation_to_the_end_still_forgets_an_epoch_that_wrote_nothing() {
    let (_, _, mut log) = fresh(small_config());
    append(&mut log, batch(2, 10, 0));
    log.assign_epoch(5, 2);
    assert_eq!(log.epoch_end_offset(5), (5, 2));
    log.truncate_to(2).expect("disk works");
    assert_eq!((log.latest_epoch(), log.end_offset()), (Some(0), 2));
}

#[test]
fn truncation_waits_for_the_job_that_is_out() {
    let (_, _, mut log) = fresh(small_config());
    append(&mut log, batch(2, 10, 0));
    let job = log.start_write().expect("has work");
    assert!(matches!(log.truncate_to(0), Err(LogError::WriteInProgress(_))));
    log.finish_write(job.run()).expect("disk works");
    log.truncate_to(0).expect("disk works");
    assert_eq!(log.end_offset(), 0);
}

#[test]
fn a_directory_of_another_topic_of_the_same_name_is_refused() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim);
    let with = |id| OpenOptions { topic_id: Some(Uuid::from_u128(id)), ..OpenOptions::default() };
    drop(open(&disk, small_config(), with(1)));
    let (log, _) = open(&disk, small_config(), OpenOptions::default());
    assert_eq!(log.topic_id(), Some(Uuid::from_u128(1)));
    let refused = try_open(&disk, small_config(), with(2)).map(drop).expect_err("other topic").to_string();
    assert!(refused.contains(DIR) && refused.contains(&Uuid::from_u128(2).to_string()), "{refused}");
}

#[test]
fn the_real_disk_keeps_a_log_over_a_clean_restart() {
    let dir = tempfile::tempdir().expect("temp dir");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let path = dir.path().join("topic-0");
    let options = OpenOptions { topic_id: Some(Uuid::from_u128(9)), ..OpenOptions::default() };
    let (mut log, _) = Log::open(Arc::clone(&disk), path.clone(), small_config(), options).expect("opens");
    let mut expected = Vec::new();
    for index in 0..200 {
        let mut builder = BatchBuilder::new(0);
        builder.push(index, None, Some(&vec![7; (index * 13 % 500) as usize]), &[]).expect("fits");
        append(&mut log, builder.finish().expect("builds"));
        if index % 3 == 0 {
            write_all(&mut log);
        }
    }
    log.set_tail_cache_limit(0);
    write_all(&mut log);
    for batch in read_all(&log, 0, 3_000) {
        expected.push(batch.bytes);
    }
    let read = log.read(0, 1_000, i64::MAX).expect("reads");
    let [Chunk::File(FileChunk { file, .. })] = read.chunks.as_slice() else { panic!("not from the file") };
    assert!(file.as_raw().is_some(), "sendfile needs a descriptor");
    log.close().expect("disk works");
    let options = OpenOptions { clean_shutdown: true, ..options };
    let (log, report) = Log::open(disk, path, small_config(), options).expect("opens");
    assert!(report.cut.is_none() && !report.recovered && report.scanned_bytes < 4_096, "{report:?}");
    assert_eq!(support::bytes_of(&read_all(&log, 0, usize::MAX)), expected);
    let one = log.read(57, 1, i64::MAX).expect("reads").to_bytes().expect("reads");
    assert_eq!(batches(one).next().expect("one").expect("sound").header.base_offset, 57);
}
