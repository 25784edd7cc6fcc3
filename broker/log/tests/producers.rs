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
