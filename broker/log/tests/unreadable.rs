//! A disk that loses something while the log is in use: of what this process has written or checked, and knows by heart.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_log::{Checked, Chunk, Disk, Log, OpenMode, OpenOptions, SimDisk};
use support::{DIR, batch, open, sim_disk, small_config, write_all};

/// A log of several segments that this process has written, without any of it in memory.
fn written_log(timestamp: impl Fn(i64) -> i64) -> (SimDisk, Arc<dyn Disk>, Log) {
    let sim = sim_disk(3);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for index in 0..60 {
        log.append_as_leader(batch(1, 200, timestamp(index)), 0, 0).expect("appends");
        write_all(&mut log);
    }
    log.set_tail_cache_limit(0);
    assert!(log.segment_count() > 2, "some are closed");
    (sim, disk, log)
}

fn first_segment() -> PathBuf {
    Path::new(DIR).join("00000000000000000000.log")
}

/// From where on nothing is known to be sound, as a check of all that is in doubt tells.
fn first_damage(log: &mut Log) -> Option<i64> {
    while let Some(mut check) = log.plan_check() {
        loop {
            match check.run(300).expect("a verdict") {
                Checked::More => {}
                Checked::Done => break,
                Checked::Damaged { offset, .. } => return Some(offset),
            }
        }
        log.mend(&check).expect("writable");
    }
    None
}

/// Some batch in the middle of the first segment: its offset and where it lies.
fn batch_within(log: &Log) -> (i64, u64, usize) {
    let read = log.read(5, 1, i64::MAX).expect("sound");
    let [Chunk::File(chunk)] = read.chunks.as_slice() else { panic!("not from the file") };
    (5, chunk.position, chunk.length)
}

#[test]
fn a_file_that_ends_inside_a_batch_is_damaged_there() {
    let (_, disk, mut log) = written_log(|index| index);
    let (offset, position, length) = batch_within(&log);
    let end = log.end_offset();
    log.close().expect("closes");
    let options = OpenOptions { clean_shutdown: true, recovery_point: end, ..OpenOptions::default() };
    let mut log = open(&disk, small_config(), options).0;
    let file = disk.open(&first_segment(), OpenMode::Write).expect("opens");
    file.set_len(position + length as u64 - 1).expect("ends there");
    // Only the successor of a batch confirms its offsets.
    assert_eq!(first_damage(&mut log), Some(offset - 1));
}

#[test]
fn what_this_process_has_written_is_checked_once_a_read_finds_it_changed() {
    let (sim, _, mut log) = written_log(|index| index);
    let (offset, position, _) = batch_within(&log);
    assert!(log.plan_check().is_none(), "nothing is in doubt");
    sim.corrupt(&first_segment(), position + 16, 1).expect("flips its magic");
    assert!(log.read(offset, 1, i64::MAX).expect_err("no batch").is_damage());
    assert_eq!(first_damage(&mut log), Some(offset - 1));
}

#[test]
fn lookups_by_time_walk_a_closed_segment_once() {
    const NONE: i64 = -1;
    let (sim, disk, mut log) = written_log(|_| NONE);
    let end = log.end_offset();
    log.close().expect("closes");
    let options = OpenOptions { clean_shutdown: true, recovery_point: end, ..OpenOptions::default() };
    let log = open(&disk, small_config(), options).0;
    assert_eq!(log.offset_for_timestamp(1).expect("reads"), None);
    assert_eq!(log.max_timestamp_offset().expect("reads"), None);
    sim.fail_reads(u32::MAX);
    assert_eq!(log.offset_for_timestamp(1).expect("is known"), None);
    assert_eq!(log.max_timestamp_offset().expect("is known"), None);
}

#[test]
fn a_truncation_forgets_the_largest_times_of_what_it_cuts() {
    // The largest is the last of the first segment.
    let (_, disk, mut log) = written_log(|index| index % 10);
    let end = log.end_offset();
    log.close().expect("closes");
    let options = OpenOptions { clean_shutdown: true, recovery_point: end, ..OpenOptions::default() };
    let mut log = open(&disk, small_config(), options).0;
    let largest = log.max_timestamp_offset().expect("reads").expect("there is one");
    assert_eq!((largest.timestamp, largest.offset), (9, 9));
    log.truncate_to(largest.offset).expect("truncates");
    let largest = log.max_timestamp_offset().expect("reads").expect("there is one");
    assert_eq!((largest.timestamp, largest.offset), (8, 8));
}

/// Bases lie outside of checksums, so one that is too high looks like a gap until the next batch does not follow it.
#[test]
fn a_log_can_be_cut_where_its_damage_begins_whatever_that_is() {
    for (at, bit) in [(7, 8), (16, 1), (40, 1), (4, 0x40)] {
        let (sim, _, mut log) = written_log(|index| index);
        let (offset, position, _) = batch_within(&log);
        sim.corrupt(&first_segment(), position + at, bit).expect("flips");
        log.truncate_to(offset).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        assert_eq!(log.end_offset(), offset, "byte {at}");
        log.append_as_leader(batch(1, 200, 1), 0, 0).expect("goes on");
        write_all(&mut log);
        assert_eq!(support::read_all(&log, 0, 1 << 20).len() as i64, offset + 1);
    }
}
