//! A disk that gives back something else than it was given: nothing of it is served, and the log knows where it begins.

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use klamm_log::{Checked, Disk, Log, OpenMode, OpenOptions, SimDisk};
use proptest::prelude::*;
use support::{DIR, batch, open, sim_disk, small_config, write_all};

/// What a read at each offset has to give.
type Kept = Vec<(i64, Bytes)>;

/// A closed log of several segments and epochs: the disk, what it holds, and the end.
fn closed_log(batches: usize) -> (SimDisk, Arc<dyn Disk>, Kept, i64) {
    let sim = sim_disk(3);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for index in 0..batches {
        log.append_as_leader(batch(1 + index % 3, 40, index as i64), (index / 20) as i32, 0)
            .expect("appends");
        write_all(&mut log);
    }
    let end = log.end_offset();
    let kept = read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound"))).collect();
    log.close().expect("closes");
    (sim, disk, kept, end)
}

fn reopen(disk: &Arc<dyn Disk>, end: i64) -> Log {
    let options = OpenOptions { clean_shutdown: true, recovery_point: end, ..OpenOptions::default() };
    open(disk, small_config(), options).0
}

/// One read at each offset: what it served, or `None` where it refused.
fn read_each(log: &Log) -> Vec<(i64, Option<Bytes>)> {
    (0..log.end_offset())
        .map(|at| (at, log.read(at, 1, i64::MAX).ok().map(|read| read.to_bytes().expect("readable"))))
        .collect()
}

/// Checks the whole log, some bytes at a time; the offset from which nothing is known to be sound.
fn first_damage(log: &Log) -> Option<i64> {
    while let Some(mut check) = log.plan_check() {
        loop {
            match check.run(300).expect("readable") {
                Checked::More => {}
                Checked::Done => break,
                Checked::Damaged { offset, .. } => return Some(offset),
            }
        }
    }
    None
}

#[test]
fn a_sound_log_is_checked_once() {
    let (_, disk, kept, end) = closed_log(80);
    let log = reopen(&disk, end);
    assert!(log.plan_check().is_some(), "nobody has seen its data yet");
    assert_eq!(first_damage(&log), None);
    assert!(log.plan_check().is_none());
    assert!(read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound"))).eq(kept));
}

#[test]
fn what_this_process_has_written_needs_no_check() {
    let disk: Arc<dyn Disk> = Arc::new(sim_disk(3));
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for index in 0..60 {
        log.append_as_leader(batch(1, 40, index), 0, 0).expect("appends");
        write_all(&mut log);
    }
    assert!(log.plan_check().is_none());
}

#[test]
fn a_log_that_is_cut_before_its_damage_goes_on() {
    let (sim, disk, kept, end) = closed_log(80);
    let segment = Path::new(DIR).join("00000000000000000000.log");
    sim.corrupt(&segment, 300, 1).expect("flips");
    let mut log = reopen(&disk, end);
    let damage = first_damage(&log).expect("noticed");
    log.truncate_to(damage).expect("truncates");
    assert!(log.end_offset() <= damage);
    log.append_as_leader(batch(1, 40, 0), 9, 0).expect("appends");
    write_all(&mut log);
    assert_eq!(first_damage(&log), None);
    let sound = read_each(&log);
    assert!(
        sound
            .iter()
            .zip(&kept)
            .take_while(|((at, _), _)| *at < damage - 3)
            .all(|((_, read), (_, old))| read.as_ref() == Some(old))
    );
}

/// The position of the last batch in the last segment, and its length.
fn last_batch(disk: &Arc<dyn Disk>, kept: &Kept) -> (std::path::PathBuf, u64) {
    let names = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
    let name = names.filter(|name| name.ends_with(".log")).max().expect("a segment");
    let path = Path::new(DIR).join(name);
    let length = disk.open(&path, OpenMode::Read).and_then(|file| file.len()).expect("length");
    (path, length - kept.last().map_or(0, |(_, bytes)| bytes.len() as u64))
}

#[test]
fn no_flipped_bit_of_the_last_base_offset_is_believed() {
    for (clean, bit) in [true, false].into_iter().flat_map(|clean| (0..64).map(move |bit| (clean, bit))) {
        let (sim, disk, kept, end) = closed_log(80);
        let (path, position) = last_batch(&disk, &kept);
        sim.corrupt(&path, position + bit / 8, 1 << (bit % 8)).expect("flips");
        let options = OpenOptions { clean_shutdown: clean, recovery_point: end, ..OpenOptions::default() };
        let (log, report) = open(&disk, small_config(), options);
        assert!(log.end_offset() < end, "bit {bit} after a clean stop: {clean}");
        assert!(report.cut.expect("noticed").below_recovery_point);
    }
}

#[test]
fn a_start_behind_the_end_is_not_believed_after_a_clean_shutdown() {
    let (_, disk, kept, end) = closed_log(80);
    let options = OpenOptions {
        clean_shutdown: true,
        recovery_point: end,
        log_start_offset: end + 1,
        ..OpenOptions::default()
    };
    let (log, report) = open(&disk, small_config(), options);
    assert!(report.start_ignored);
    assert_eq!((log.start_offset(), log.end_offset()), (0, end));
    assert!(read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound"))).eq(kept));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_flipped_byte_of_a_closed_log_is_served(at: prop::sample::Index, flip in 1u8..) {
        let (sim, disk, kept, end) = closed_log(80);
        let names: Vec<_> = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|e| e.name).filter(|n| n.ends_with("log") || n.ends_with("index")).collect();
        let name = at.get(&names);
        let path = Path::new(DIR).join(name);
        let length = disk.open(&path, OpenMode::Read).and_then(|file| file.len()).expect("length");
        prop_assume!(length > 0);
        let position = at.index(length as usize) as u64;
        sim.corrupt(&path, position, flip).expect("flips");
        let log = reopen(&disk, end);
        prop_assert!(log.end_offset() <= end);
        for ((offset, read), (_, old)) in read_each(&log).into_iter().zip(&kept) {
            if let Some(read) = read {
                prop_assert_eq!(&read, old, "at {} of {}", offset, name);
            }
        }
        let damage = first_damage(&log);
        let is_whole = log.end_offset() == end;
        if name.ends_with(".log") {
            prop_assert!(damage.is_some() || !is_whole, "the byte of {} was not noticed", name);
        }
    }
}
