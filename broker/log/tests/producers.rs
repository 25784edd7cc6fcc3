//! What a log knows of its producers is what lies in it, also where a disk has lost some of it.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_log::{Disk, Log, LogConfig, OpenOptions, SimDisk};
use support::{DIR, open, produced, sim_disk, small_config};

const PRODUCER: i64 = 7;
const CLEAN: OpenOptions = OpenOptions {
    recovery_point: 0,
    log_start_offset: 0,
    clean_shutdown: true,
    topic_id: None,
    corruption: klamm_log::CorruptionPolicy::Truncate,
};

/// A log, closed, of so many batches of one record each by one producer: the record at an offset has that sequence number.
fn closed_log(config: LogConfig, batches: i64) -> (SimDisk, Arc<dyn Disk>) {
    let sim = sim_disk(5);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, config, OpenOptions::default());
    append(&mut log, 0..batches);
    log.close().expect("closes");
    (sim, disk)
}

fn append(log: &mut Log, sequences: std::ops::Range<i64>) {
    for sequence in sequences {
        log.append_as_leader(produced(PRODUCER, 0, sequence as i32, 1), 0, 0).expect("in sequence");
    }
}

/// The segments, oldest first.
fn segments(disk: &Arc<dyn Disk>) -> Vec<PathBuf> {
    let names = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".log")).collect();
    names.sort();
    names.into_iter().map(|name| Path::new(DIR).join(name)).collect()
}

/// Takes the last bytes from a file.
fn shorten(sim: &SimDisk, path: &Path, bytes: usize) {
    let cut = |contents: &mut Vec<u8>| {
        contents.truncate(contents.len() - bytes);
        Ok(())
    };
    sim.alter(path, cut).expect("there");
}

/// The offset of the producer's last batch as the log knows it.
fn last_known(log: &Log) -> Option<i64> {
    let (_, entry) = log.producer_state().find(|(id, _)| *id == PRODUCER)?;
    entry.batches.back().map(|batch| batch.last_offset)
}

/// A batch that is lost is appended when it comes again: called a duplicate, it would be acknowledged and nowhere.
fn takes_again(log: &mut Log, end: i64, batches: i64) {
    assert!(log.end_offset() < end, "the disk has lost something");
    assert_eq!(last_known(log), Some(log.end_offset() - 1));
    append(log, log.end_offset()..batches);
    log.close().expect("closes");
}

#[test]
fn a_closed_log_that_ends_earlier_knows_no_batch_behind_its_end() {
    let (sim, disk) = closed_log(LogConfig::default(), 12);
    shorten(&sim, &segments(&disk)[0], 100);
    let (mut log, report) = open(&disk, LogConfig::default(), CLEAN);
    assert!(report.cut.is_some());
    takes_again(&mut log, 12, 12);
    let (log, _) = open(&disk, LogConfig::default(), CLEAN);
    assert_eq!((log.end_offset(), last_known(&log)), (12, Some(11)));
}

#[test]
fn a_log_that_was_not_closed_and_lost_what_was_durable_knows_no_batch_behind_its_end() {
    let (sim, disk) = closed_log(LogConfig::default(), 12);
    let (mut log, _) = open(&disk, LogConfig::default(), CLEAN);
    append(&mut log, 12..15);
    log.flush().expect("disk works");
    sim.crash();
    shorten(&sim, &segments(&disk)[0], 500);
    let options = OpenOptions { clean_shutdown: false, recovery_point: 15, ..CLEAN };
    let (mut log, report) = open(&disk, LogConfig::default(), options);
    let cut = report.cut.expect("it is torn");
    assert!(cut.below_recovery_point && cut.offset < 12, "{cut:?}");
    takes_again(&mut log, 15, 15);
}

#[test]
fn a_log_of_several_segments_of_which_the_last_is_lost_knows_no_batch_behind_its_end() {
    let batches = 150;
    let (sim, disk) = closed_log(small_config(), batches);
    let segments = segments(&disk);
    let [.., last] = &segments[..] else { panic!("it has segments") };
    let length = disk.open(last, klamm_log::OpenMode::Read).and_then(|file| file.len()).expect("there");
    shorten(&sim, last, length as usize - 10);
    let (mut log, _) = open(&disk, small_config(), CLEAN);
    takes_again(&mut log, batches, batches);
    let (log, _) = open(&disk, small_config(), CLEAN);
    assert_eq!((log.end_offset(), last_known(&log)), (batches, Some(batches - 1)));
}

/// The log of a leader that holds the producer's batches from `start` on, behind those of another.
fn leader(start: i64, end: i64) -> Log {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(6));
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for sequence in 0..3 {
        log.append_as_leader(produced(PRODUCER + 1, 0, sequence, 1), 0, 0).expect("in sequence");
    }
    append(&mut log, 0..end - 3);
    log.flush().expect("disk works");
    log.advance_start_offset(start).expect("within");
    log
}

/// Starts the log over where the leader's begins, and lets it fetch from there.
fn start_over(log: &mut Log, leader: &Log) {
    let start = leader.start_offset();
    log.reset_to(start).expect("disk works");
    assert!(log.lacks_producers());
    assert!(log.adopt_producers(&leader.producers_before(start)));
    assert!(!log.lacks_producers(), "told once");
    for batch in support::read_all(leader, start, 1 << 20) {
        log.append_as_follower(batch.bytes).expect("continues");
    }
}

fn sorted(log: &Log) -> Vec<(i64, klamm_log::ProducerEntry)> {
    let mut known: Vec<_> = log.producer_state().map(|(id, entry)| (id, entry.clone())).collect();
    known.sort_by_key(|(id, _)| *id);
    known
}

#[test]
fn a_log_that_starts_over_behind_deleted_records_knows_who_produced_them() {
    for start in [3, 5, 8] {
        let leader = leader(start, 8);
        let disk: Arc<dyn Disk> = Arc::new(sim_disk(7));
        let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
        start_over(&mut log, &leader);
        assert_eq!(sorted(&log), sorted(&leader), "from {start}");
        let skips = log.append_as_leader(produced(PRODUCER + 1, 0, 4, 1), 0, 0);
        assert!(matches!(skips, Err(klamm_log::AppendError::OutOfOrderSequence { found: 4, last: 2, .. })));
    }
}

#[test]
fn what_was_handed_over_survives_a_power_loss_with_the_records_behind_it() {
    let leader = leader(5, 8);
    let sim = sim_disk(8);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    start_over(&mut log, &leader);
    log.flush().expect("disk works");
    sim.crash();
    let options = OpenOptions { recovery_point: 5, log_start_offset: 5, ..OpenOptions::default() };
    let (log, _) = open(&disk, small_config(), options);
    assert_eq!((log.start_offset(), log.end_offset()), (5, 8));
    assert_eq!(sorted(&log), sorted(&leader));
}

#[test]
fn a_log_asks_again_after_a_power_loss_that_took_what_it_was_told() {
    let leader = leader(8, 8);
    let sim = sim_disk(9);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    assert!(!log.lacks_producers(), "nothing came before");
    start_over(&mut log, &leader);
    sim.crash();
    let options = OpenOptions { recovery_point: 8, log_start_offset: 8, ..OpenOptions::default() };
    let (mut log, _) = open(&disk, small_config(), options);
    assert!(log.lacks_producers());
    assert!(!log.adopt_producers(b"what is no snapshot"));
    assert!(log.lacks_producers());
    assert!(log.adopt_producers(&leader.producers_before(8)));
    assert_eq!(sorted(&log), sorted(&leader));
}

#[test]
fn a_log_that_knows_a_producer_better_is_not_told_of_it() {
    let leader = leader(3, 8);
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(10));
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    append(&mut log, 0..20);
    let mine = sorted(&log);
    assert!(log.adopt_producers(&leader.producers_before(8)));
    assert_eq!(sorted(&log)[0], mine[0]);
    assert_eq!(sorted(&log).len(), 2);
}

#[test]
fn a_log_of_which_everything_was_deleted_knows_its_producers_after_a_stop() {
    let leader = leader(8, 8);
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(11));
    let options = OpenOptions { recovery_point: 8, log_start_offset: 8, ..CLEAN };
    let (mut log, _) = open(&disk, small_config(), options);
    log.force_flush();
    support::write_all(&mut log);
    log.close().expect("closes");
    let (mut log, _) = open(&disk, small_config(), options);
    assert!(log.lacks_producers(), "nobody said anything");
    assert!(log.adopt_producers(&leader.producers_before(8)));
    log.force_flush();
    support::write_all(&mut log);
    log.close().expect("closes");
    let (log, _) = open(&disk, small_config(), options);
    assert!(!log.lacks_producers());
    assert_eq!(sorted(&log), sorted(&leader));
    // Of a log that lies elsewhere nothing is left.
    let elsewhere = OpenOptions { recovery_point: 9, log_start_offset: 9, ..CLEAN };
    let (log, _) = open(&disk, small_config(), elsewhere);
    assert!(log.lacks_producers() && log.producer_state().next().is_none());
    let (log, _) = open(&disk, small_config(), options);
    assert!(log.lacks_producers());
}
