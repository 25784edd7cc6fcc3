//! A disk that gives back something else than it was given: nothing of it is served, and the log knows where it begins.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use klamm_log::{Checked, Disk, Log, OpenMode, OpenOptions, RealDisk, SimDisk};
use proptest::prelude::*;
use support::{DIR, batch, open, sim_disk, small_config, write_all};

/// What a read at each offset has to give.
type Kept = Vec<(i64, Bytes)>;

/// A closed log of several segments and epochs: the disk, what it holds, and the end.
fn closed_log(batches: usize) -> (SimDisk, Arc<dyn Disk>, Kept, i64) {
    closed_log_at(batches, |index| index)
}

/// The same, with the timestamp of each batch.
fn closed_log_at(batches: usize, timestamp: impl Fn(i64) -> i64) -> (SimDisk, Arc<dyn Disk>, Kept, i64) {
    let sim = sim_disk(3);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for index in 0..batches {
        log.append_as_leader(batch(1 + index % 3, 40, timestamp(index as i64)), (index / 20) as i32, 0)
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

/// Checks the whole log, some bytes at a time; the offset from which nothing is known to be sound, and the files that were
/// mended.
fn check_all(log: &mut Log) -> (Option<i64>, Vec<PathBuf>) {
    let mut mended = Vec::new();
    while let Some(mut check) = log.plan_check() {
        loop {
            match check.run(300).expect("readable") {
                Checked::More => {}
                Checked::Done => break,
                Checked::Damaged { offset, .. } => return (Some(offset), mended),
            }
        }
        mended.extend(log.mend(&check).expect("writable"));
    }
    (None, mended)
}

/// Like [`check_all`], where nothing but records is wrong.
fn first_damage(log: &mut Log) -> Option<i64> {
    let (damage, mended) = check_all(log);
    assert_eq!(mended, Vec::<PathBuf>::new());
    damage
}

/// What the log answers for each of some timestamps, and for the largest.
fn times(log: &Log) -> Vec<Option<i64>> {
    let found = |timestamp| log.offset_for_timestamp(timestamp).expect("answers").map(|found| found.offset);
    let max = log.max_timestamp_offset().expect("answers").map(|found| found.offset);
    (-1..130).map(found).chain([max]).collect()
}

fn contents(disk: &Arc<dyn Disk>, path: &Path) -> Vec<u8> {
    let file = disk.open(path, OpenMode::Read).expect("there");
    let mut bytes = vec![0; file.len().expect("length") as usize];
    assert_eq!(file.read_at(&mut bytes, 0).expect("reads"), bytes.len());
    bytes
}

/// The files of the log whose names end like this.
fn files(disk: &Arc<dyn Disk>, end: &str) -> Vec<PathBuf> {
    let names = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
    let mut names: Vec<_> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    names.into_iter().map(|name| Path::new(DIR).join(name)).collect()
}

#[test]
fn a_sound_log_is_checked_once() {
    let (_, disk, kept, end) = closed_log(80);
    let mut log = reopen(&disk, end);
    assert!(log.plan_check().is_some(), "nobody has seen its data yet");
    assert_eq!(first_damage(&mut log), None);
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
    let damage = first_damage(&mut log).expect("noticed");
    log.truncate_to(damage).expect("truncates");
    assert!(log.end_offset() <= damage);
    log.append_as_leader(batch(1, 40, 0), 9, 0).expect("appends");
    write_all(&mut log);
    assert_eq!(first_damage(&mut log), None);
    let sound = read_each(&log);
    assert!(
        sound
            .iter()
            .zip(&kept)
            .take_while(|((at, _), _)| *at < damage - 3)
            .all(|((_, read), (_, old))| read.as_ref() == Some(old))
    );
}

#[test]
fn no_flipped_bit_of_an_index_changes_an_answer_and_each_is_put_right() {
    let (sim, disk, kept, end) = closed_log(60);
    let answers = times(&reopen(&disk, end));
    let last = files(&disk, ".log").pop().expect("a segment");
    for path in [files(&disk, ".index"), files(&disk, ".timeindex")].concat() {
        let written = contents(&disk, &path);
        // Every bit of some entry, and some of each.
        for bit in (0..written.len() as u64 * 8).step_by(7) {
            sim.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips");
            let flipped = contents(&disk, &path);
            let mut log = reopen(&disk, end);
            let name = format!("bit {bit} of {}", path.display());
            assert_eq!(times(&log), answers, "{name}");
            let reads = read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound")));
            assert!(reads.eq(kept.iter().cloned()), "{name}");
            let (damage, mended) = check_all(&mut log);
            assert_eq!(damage, None, "{name}");
            assert_ne!(contents(&disk, &path), flipped, "{name}");
            // The walk of the last segment may have left out what was wrong.
            assert!(mended == [path.clone()] || path.file_stem() == last.file_stem(), "{name}: {mended:?}");
            assert_eq!(times(&log), answers, "{name}");
            log.close().expect("closes");
            let mut again = reopen(&disk, end);
            assert_eq!(
                (check_all(&mut again), times(&again)),
                ((None, Vec::new()), answers.clone()),
                "{name}"
            );
            put(&disk, &path, &written);
        }
    }
}

fn put(disk: &Arc<dyn Disk>, path: &Path, contents: &[u8]) {
    let file = disk.open(path, OpenMode::Replace).expect("opens");
    assert_eq!(file.write_at(&[std::io::IoSlice::new(contents)], 0).expect("writes"), contents.len());
}

/// Where the largest timestamp lies in a batch.
const MAX_TIMESTAMP: u64 = 35;

#[test]
fn no_flipped_timestamp_of_a_batch_changes_an_answer() {
    let (sim, disk, kept, end) = closed_log(60);
    let log = reopen(&disk, end);
    let answers = times(&log);
    drop(log);
    let mut batches: Vec<Bytes> = kept.into_iter().map(|(_, bytes)| bytes).collect();
    batches.dedup();
    let mut batches = batches.into_iter();
    for path in files(&disk, ".log") {
        let length = contents(&disk, &path).len() as u64;
        let mut position = 0;
        while position < length {
            for bit in MAX_TIMESTAMP * 8 + 48..MAX_TIMESTAMP * 8 + 64 {
                sim.corrupt(&path, position + bit / 8, 1 << (bit % 8)).expect("flips");
                let log = reopen(&disk, end);
                for (timestamp, offset) in (-1..130).zip(&answers) {
                    if let Ok(found) = log.offset_for_timestamp(timestamp) {
                        let name = format!("{timestamp} with bit {bit} at {position} of {}", path.display());
                        assert_eq!(&found.map(|found| found.offset), offset, "for {name}");
                    }
                }
                drop(log);
                sim.corrupt(&path, position + bit / 8, 1 << (bit % 8)).expect("flips back");
            }
            position += batches.next().expect("one").len() as u64;
        }
    }
}

#[test]
fn no_flipped_bit_of_a_producer_snapshot_stays() {
    let (sim, disk, _, end) = closed_log(80);
    for path in files(&disk, ".snapshot") {
        let written = contents(&disk, &path);
        for bit in 0..written.len() as u64 * 8 {
            sim.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips");
            let mut log = reopen(&disk, end);
            assert_eq!(check_all(&mut log).0, None);
            assert!(!files(&disk, ".snapshot").contains(&path), "bit {bit} of {}", path.display());
            put(&disk, &path, &written);
        }
    }
}

#[test]
fn a_producer_snapshot_that_cannot_be_read_costs_no_record_and_no_start() {
    let (sim, disk, kept, end) = closed_log(80);
    for path in files(&disk, ".snapshot") {
        let written = contents(&disk, &path);
        sim.fail_reads_of(&path, 0..written.len()).expect("it is there");
        let mut log = reopen(&disk, end);
        assert_eq!((check_all(&mut log).0, log.end_offset()), (None, end), "{}", path.display());
        assert!(!files(&disk, ".snapshot").contains(&path), "{}", path.display());
        assert!(read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound"))).eq(kept.clone()));
        put(&disk, &path, &written);
    }
}

#[test]
fn leader_epochs_that_are_not_what_was_written_are_built_from_the_batches() {
    let (sim, disk, kept, end) = closed_log(80);
    let path = Path::new(DIR).join("leader-epoch-checkpoint");
    let written = contents(&disk, &path);
    let epochs = reopen(&disk, end).epochs().to_vec();
    for bit in 0..written.len() as u64 * 8 {
        sim.corrupt(&path, bit / 8, 1 << (bit % 8)).expect("flips");
        let options = OpenOptions { clean_shutdown: true, recovery_point: end, ..OpenOptions::default() };
        let (mut log, report) = open(&disk, small_config(), options);
        assert_eq!((report.broken.as_slice(), report.cut), ([path.clone()].as_slice(), None), "bit {bit}");
        assert_eq!(log.epochs(), epochs, "bit {bit}");
        assert_eq!((log.end_offset(), first_damage(&mut log)), (end, None));
        assert!(read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound"))).eq(kept.clone()));
        put(&disk, &path, &written);
    }
}

/// The lengths at which a log's file may end between batches, and some others.
fn lengths(disk: &Arc<dyn Disk>, path: &Path) -> Vec<u64> {
    let contents = contents(disk, path);
    let mut ends: Vec<u64> = (0..contents.len() as u64).step_by(397).collect();
    let mut end = 0;
    for batch in klamm_records::batches(contents.into()) {
        ends.push(end);
        end += batch.expect("sound").bytes.len() as u64;
    }
    ends
}

#[test]
fn no_closed_segment_that_ends_earlier_passes_for_a_whole_one() {
    for (clean, rises) in [(true, true), (true, false), (false, true), (false, false)] {
        let log = || closed_log_at(40, |index| if rises { index } else { 100 - index });
        let (_, disk, _, _) = log();
        let mut paths = files(&disk, ".log");
        paths.pop();
        let ends = paths
            .into_iter()
            .flat_map(|path| lengths(&disk, &path).into_iter().map(move |at| (path.clone(), at)));
        for (path, length) in ends {
            let name = format!("{} of {length} bytes, clean {clean}, times rise {rises}", path.display());
            let (_, disk, kept, end) = log();
            let answers = times(&reopen(&disk, end));
            disk.open(&path, OpenMode::Write).and_then(|file| file.set_len(length)).expect("ends there");
            let options =
                OpenOptions { clean_shutdown: clean, recovery_point: end, ..OpenOptions::default() };
            let mut log = open(&disk, small_config(), options).0;
            for ((offset, read), (_, old)) in read_each(&log).into_iter().zip(&kept) {
                assert!(read.is_none_or(|read| read == *old), "{name}, at {offset}");
            }
            if log.end_offset() < end {
                continue;
            }
            for (timestamp, offset) in (-1..130).zip(&answers) {
                if let Ok(found) = log.offset_for_timestamp(timestamp) {
                    assert_eq!(&found.map(|found| found.offset), offset, "{name}, for {timestamp}");
                }
            }
            assert!(check_all(&mut log).0.is_some(), "{name} was not noticed");
        }
    }
}

#[test]
fn an_index_that_ends_earlier_changes_no_answer() {
    for rises in [true, false] {
        let log = || closed_log_at(30, |index| if rises { index } else { 100 - index });
        let (_, disk, _, _) = log();
        for path in [files(&disk, ".index"), files(&disk, ".timeindex")].concat() {
            for (clean, length) in
                (0..contents(&disk, &path).len() as u64).step_by(3).flat_map(|at| [(true, at), (false, at)])
            {
                let name = format!("{} of {length} bytes, clean {clean}, times rise {rises}", path.display());
                let (_, disk, kept, end) = log();
                let answers = times(&reopen(&disk, end));
                disk.open(&path, OpenMode::Write).and_then(|file| file.set_len(length)).expect("ends there");
                let options =
                    OpenOptions { clean_shutdown: clean, recovery_point: end, ..OpenOptions::default() };
                let mut log = open(&disk, small_config(), options).0;
                assert_eq!(times(&log), answers, "{name}");
                let reads = read_each(&log).into_iter().map(|(at, bytes)| (at, bytes.expect("sound")));
                assert!(reads.eq(kept), "{name}");
                assert_eq!(check_all(&mut log).0, None, "{name}");
                assert_eq!(times(&log), answers, "{name}, once it is checked");
            }
        }
    }
}

/// The position of the last batch in the last segment, and its length.
fn last_batch(disk: &Arc<dyn Disk>, kept: &Kept) -> (PathBuf, u64) {
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
fn no_flipped_bit_of_a_base_offset_is_taken_for_a_jump_by_a_recovery() {
    let (_, disk, _, _) = closed_log(40);
    let batches = files(&disk, ".log").into_iter().flat_map(|path| {
        let mut at = 0;
        klamm_records::batches(contents(&disk, &path).into())
            .map(|batch| {
                at += batch.expect("sound").bytes.len() as u64;
                (path.clone(), at)
            })
            .collect::<Vec<_>>()
    });
    let mut previous = None;
    for (path, end_of_batch) in batches {
        let position = previous.filter(|(before, _)| *before == path).map_or(0, |(_, end)| end);
        previous = Some((path.clone(), end_of_batch));
        for (bit, walks_all) in [(56, true), (57, true), (58, true), (56, false), (57, false), (58, false)] {
            let (sim, disk, kept, end) = closed_log(40);
            if walks_all {
                files(&disk, ".snapshot").iter().for_each(|path| disk.remove_file(path).expect("removed"));
            }
            sim.corrupt(&path, position + bit / 8, 1 << (bit % 8)).expect("flips");
            let options = OpenOptions { recovery_point: end, ..OpenOptions::default() };
            let (log, _) = open(&disk, small_config(), options);
            for ((offset, read), (_, old)) in read_each(&log).into_iter().zip(&kept) {
                let name = format!("bit {bit} of the batch at {position} of {}", path.display());
                assert!(read.is_none_or(|read| read == *old), "{name}, at {offset}");
            }
        }
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
        let answers = times(&reopen(&disk, end));
        sim.corrupt(&path, position, flip).expect("flips");
        let mut log = reopen(&disk, end);
        prop_assert!(log.end_offset() <= end);
        for (timestamp, offset) in (-1..130).zip(&answers) {
            // A log that was cut counts as one that has lost records.
            if let (Ok(found), true) = (log.offset_for_timestamp(timestamp), log.end_offset() == end) {
                prop_assert_eq!(&found.map(|found| found.offset), offset, "for {} with {}", timestamp, name);
            }
        }
        for ((offset, read), (_, old)) in read_each(&log).into_iter().zip(&kept) {
            if let Some(read) = read {
                prop_assert_eq!(&read, old, "at {} of {}", offset, name);
            }
        }
        let (damage, _) = check_all(&mut log);
        let is_whole = log.end_offset() == end;
        if name.ends_with(".log") {
            prop_assert!(damage.is_some() || !is_whole, "the byte of {} was not noticed", name);
        }
    }
}

#[test]
fn what_is_warmed_is_in_memory() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("file");
    let contents: Vec<u8> = (0..3_000_000_u32).map(|index| index as u8).collect();
    std::fs::write(&path, &contents).expect("written");
    let file = std::fs::File::open(&path).expect("opens");
    file.sync_all().expect("synced");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("dropped from memory");
    let file = RealDisk.open(&path, OpenMode::Read).expect("opens");
    file.warm(1_000, 2_000_000).expect("reads");
    assert!(file.is_warm(1_000, 2_000_000) && file.is_warm(1_000_000, 1));
    file.warm(2_900_000, 1_000_000).expect("as far as there is something");
    assert!(file.is_warm(2_900_000, 100_000) && !file.is_warm(2_900_000, 1_000_000));
    let mut back = vec![0; contents.len()];
    file.read_at(&mut back, 0).expect("reads");
    assert!(back == contents);
}
