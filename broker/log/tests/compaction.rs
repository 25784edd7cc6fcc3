//! Compaction over a whole log: the last value of each key stays, whatever happens on the way.

mod support;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use klamm_log::{Checked, Disk, Log, LogConfig, LogError, OpenOptions, SimDisk};
use klamm_records::{BatchBuilder, Compression};
use proptest::prelude::*;
use support::{DIR, open, read_all, sim_disk};

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1_500,
        index_interval_bytes: 200,
        cleanup_compact: true,
        cleanup_delete: false,
        ..LogConfig::default()
    }
}

type Change = (u8, Option<u16>);

fn append(log: &mut Log, changes: &[Change]) {
    let mut builder = BatchBuilder::new(0).compression(Compression::Snappy);
    for (key, value) in changes {
        let value = value.map(|value| value.to_be_bytes());
        builder.push(1_000, Some(&[*key]), value.as_ref().map(<[u8; 2]>::as_slice), &[]).expect("fits");
    }
    log.append_as_leader(builder.finish().expect("builds"), 0, 0).expect("appends");
}

/// What a consumer that reads everything ends up with, tombstones applied.
fn table(log: &Log) -> BTreeMap<u8, u16> {
    let mut table = BTreeMap::new();
    let mut offset = log.start_offset();
    for batch in read_all(log, log.start_offset(), 400) {
        assert_eq!(batch.header.base_offset, offset, "no gaps between batches");
        offset = batch.header.next_offset();
        for record in batch.records(1 << 20).expect("decompresses") {
            let record = record.expect("sound");
            let key = record.key.expect("keyed")[0];
            match record.value {
                Some(value) => table.insert(key, u16::from_be_bytes([value[0], value[1]])),
                None => table.remove(&key),
            };
        }
    }
    table
}

fn record_count(log: &Log) -> i32 {
    read_all(log, log.start_offset(), usize::MAX).iter().map(|batch| batch.header.record_count).sum()
}

fn compact(disk: &Arc<dyn Disk>, log: &mut Log, first_dirty: i64, now_ms: i64) -> Option<i64> {
    let job = log.plan_compaction(first_dirty, log.end_offset(), 0.0, now_ms)?;
    let outcome = job.run().expect("disk works");
    let cleaned_to = outcome.cleaned_to();
    let deleted = log.finish_compaction(outcome).expect("disk works").expect("nothing changed meanwhile");
    deleted.remove(&**disk).expect("removes");
    Some(cleaned_to)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn readers_of_everything_end_up_with_the_same_table(
        seed: u64,
        rounds in prop::collection::vec(
            prop::collection::vec(prop::collection::vec((0u8..12, prop::option::of(any::<u16>())), 1..8), 1..40), 1..5),
        lose_power: bool,
    ) {
        let sim = sim_disk(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let (mut log, _) = open(&disk, config(), OpenOptions::default());
        let mut expected = BTreeMap::new();
        let mut first_dirty = 0;
        for (round, batches) in rounds.iter().enumerate() {
            for changes in batches {
                append(&mut log, changes);
                for (key, value) in changes {
                    match value {
                        Some(value) => expected.insert(*key, *value),
                        None => expected.remove(key),
                    };
                }
            }
            log.set_tail_cache_limit(0);
            log.flush().expect("disk works");
            let end = log.end_offset();
            first_dirty = compact(&disk, &mut log, first_dirty, round as i64 * 1_000_000_000).unwrap_or(first_dirty);
            prop_assert_eq!(table(&log), expected.clone());
            prop_assert_eq!(log.end_offset(), end);
            if lose_power {
                sim.power_loss();
                let options = OpenOptions { recovery_point: end, ..OpenOptions::default() };
                let (reopened, report) = open(&disk, config(), options);
                prop_assert!(report.cut.is_none(), "{report:?}");
                log = reopened;
                log.set_tail_cache_limit(0);
                prop_assert_eq!(table(&log), expected.clone());
                prop_assert_eq!(log.end_offset(), end);
            }
        }
    }
}

fn churned(disk: &Arc<dyn Disk>) -> Log {
    let (mut log, _) = open(disk, config(), OpenOptions::default());
    for value in 0..200 {
        append(&mut log, &[(1, Some(value)), (2, None), (3, Some(value))]);
    }
    log.set_tail_cache_limit(0);
    log.flush().expect("disk works");
    log
}

#[test]
fn a_log_of_few_keys_becomes_small_and_tombstones_go_after_their_time() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let mut log = churned(&disk);
    let (size, segments) = (log.size_bytes(), log.segment_count());
    let cleaned_to = compact(&disk, &mut log, 0, 0).expect("has closed segments");
    assert!(log.size_bytes() * 4 < size && log.segment_count() < segments, "{} of {size}", log.size_bytes());
    assert!(log.plan_compaction(cleaned_to, log.end_offset(), 0.5, 0).is_none(), "nothing dirty is left");
    let with_tombstones = record_count(&log);
    for value in 0..20 {
        append(&mut log, &[(9, Some(value))]);
    }
    log.flush().expect("disk works");
    let day = log.config().delete_retention_ms;
    compact(&disk, &mut log, cleaned_to, day).expect("has closed segments");
    assert_eq!(table(&log), BTreeMap::from([(1, 199), (3, 199), (9, 19)]));
    assert!(record_count(&log) < with_tombstones + 20);
}

#[test]
fn a_follower_goes_on_wherever_it_was_when_its_leader_compacted() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let mut leader = churned(&disk);
    let original = read_all(&leader, 0, usize::MAX);
    compact(&disk, &mut leader, 0, 0).expect("has closed segments");
    for behind in 0..original.len() {
        let disk: Arc<dyn Disk> = Arc::new(sim_disk(2));
        let (mut follower, _) = open(&disk, config(), OpenOptions::default());
        for batch in &original[..behind] {
            follower.append_as_follower(batch.bytes.clone()).expect("follows");
        }
        while follower.end_offset() < leader.end_offset() {
            let read = leader.read(follower.end_offset(), 400, i64::MAX).expect("reads");
            let (from, bytes) = (follower.end_offset(), read.to_bytes().expect("reads"));
            let appended = follower.append_as_follower(bytes).expect("goes on");
            assert_eq!((appended.base_offset, follower.end_offset()), (from, read.next_offset));
        }
        follower.flush().expect("disk works");
        assert_eq!(table(&follower), table(&leader), "when {behind} batches were there");
    }
}

#[test]
fn a_broken_producer_snapshot_is_found_also_when_its_segment_has_been_compacted_since() {
    let names = |disk: &SimDisk| {
        let entries = disk.list(Path::new(DIR)).expect("lists").into_iter();
        let mut names: Vec<String> = entries.map(|entry| entry.name).collect();
        names.retain(|name| name.ends_with(".snapshot"));
        names.sort();
        names
    };
    let count = names(&{
        let sim = sim_disk(1);
        drop(churned(&(Arc::new(sim.clone()) as Arc<dyn Disk>)));
        sim
    })
    .len();
    assert!(count > 3, "{count} snapshots");
    for number in 0..count {
        let sim = sim_disk(1);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let end = churned(&disk).end_offset();
        let name = names(&sim)[number].clone();
        let path = Path::new(DIR).join(&name);
        sim.corrupt(&path, 8, 1).expect("flips");
        let options = OpenOptions { recovery_point: end, clean_shutdown: true, ..OpenOptions::default() };
        let (mut log, _) = open(&disk, config(), options);
        compact(&disk, &mut log, 0, 0).expect("has closed segments");
        while let Some(mut check) = log.plan_check() {
            while let Checked::More = check.run(1 << 20).expect("readable") {}
            log.mend(&check).expect("writable");
        }
        assert!(!names(&sim).contains(&name), "{name}");
    }
}

#[test]
fn what_compaction_removed_is_not_read_from_memory_either() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let (mut log, _) = open(&disk, config(), OpenOptions::default());
    for value in 0..100 {
        append(&mut log, &[(1, Some(value))]);
    }
    log.flush().expect("disk works");
    assert_eq!(record_count(&log), 100);
    compact(&disk, &mut log, 0, 0).expect("has closed segments");
    assert!(record_count(&log) < 30, "{} records", record_count(&log));
    assert_eq!(table(&log), BTreeMap::from([(1, 99)]));
}

#[test]
fn a_swap_that_was_begun_is_completed_by_the_next_start() {
    for point in 1..12 {
        let sim = sim_disk(point);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let mut log = churned(&disk);
        let expected = table(&log);
        let end = log.end_offset();
        let outcome = log.plan_compaction(0, end, 0.0, 0).expect("dirty").run().expect("disk works");
        // Fails at the first, second or third sync of the directory; the power goes right then.
        let syncs = point % 4;
        if syncs > 0 {
            sim.fail_syncs_after(u32::try_from(syncs).expect("small") - 1, 1);
        }
        let swapped = log.finish_compaction(outcome);
        assert_eq!(swapped.is_err(), syncs > 0);
        sim.power_loss();
        let (log, report) =
            open(&disk, config(), OpenOptions { recovery_point: end, ..OpenOptions::default() });
        assert!(report.cut.is_none(), "{report:?}");
        assert_eq!((table(&log), log.end_offset()), (expected, end));
        let leftover = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
        assert!(leftover.filter(|name| name.ends_with(".swap") || name.ends_with(".cleaned")).count() == 0);
    }
}

#[test]
fn a_log_that_changed_meanwhile_is_left_alone() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let mut log = churned(&disk);
    let outcome = log.plan_compaction(0, log.end_offset(), 0.0, 0).expect("dirty").run().expect("disk works");
    log.reset_to(50).expect("disk works");
    assert!(log.finish_compaction(outcome).expect("disk works").is_none());
    let names = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
    let logs: Vec<_> = names.filter(|name| name.contains(".log")).collect();
    assert_eq!(logs, ["00000000000000000050.log"], "what it starts anew with");
    assert!(log.plan_compaction(0, log.end_offset(), 0.0, 0).is_none());
}

#[test]
fn a_log_with_another_policy_is_not_compacted() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let mut log = churned(&disk);
    log.reconfigure(LogConfig { cleanup_compact: false, ..config() });
    assert!(log.plan_compaction(0, log.end_offset(), 0.0, 0).is_none());
}

#[test]
fn young_records_wait_and_old_ones_do_not_wait_for_more_to_gain() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let mut log = churned(&disk);
    // Every record has the timestamp 1,000.
    log.reconfigure(LogConfig { min_compaction_lag_ms: 500, ..config() });
    assert!(log.plan_compaction(0, log.end_offset(), 0.0, 1_499).is_none());
    assert!(log.plan_compaction(0, log.end_offset(), 0.0, 1_500).is_some());
    log.reconfigure(LogConfig { max_compaction_lag_ms: 500, ..config() });
    let almost_all = log.end_offset() - 60;
    assert!(log.plan_compaction(almost_all, log.end_offset(), 0.9, 1_499).is_none());
    assert!(log.plan_compaction(almost_all, log.end_offset(), 0.9, 1_500).is_some());
}

#[test]
fn a_cancelled_compaction_changes_nothing() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(1));
    let mut log = churned(&disk);
    let size = log.size_bytes();
    let job = log.plan_compaction(0, log.end_offset(), 0.0, 0).expect("dirty");
    let cancelled = job.cancelled_by(Arc::new(true.into())).run().expect_err("cancelled");
    assert!(matches!(cancelled, LogError::Io { source, .. } if source.kind() == ErrorKind::Interrupted));
    assert_eq!(log.size_bytes(), size);
    compact(&disk, &mut log, 0, 0).expect("the next one works");
}
