//! What the log promises when the process or the machine dies at any moment.

mod support;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use klamm_log::{CorruptionPolicy, Disk, Log, LogConfig, LogError, OpenOptions, SimDisk};
use klamm_records::{Batch, BatchHeader, stamp};
use proptest::prelude::*;
use support::{DIR, batch, open, read_all, sim_disk, small_config, try_open, write_all};

#[derive(Clone, Debug)]
enum Step {
    Append {
        count: usize,
        size: usize,
        timestamp: i64,
    },
    Replicate {
        batches: usize,
        size: usize,
    },
    NewEpoch,
    Write,
    /// Hands out a job that comes back only after more appends.
    StartWrite,
    Flush,
    DiskFull,
    Truncate(u64),
    Crash,
    PowerLoss,
    CloseAndReopen,
    Retain(u64),
    DeleteRecords(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..4, 0usize..600, 0i64..10_000)
            .prop_map(|(count, size, timestamp)| Step::Append { count, size, timestamp }),
        3 => (1usize..12, 0usize..600).prop_map(|(batches, size)| Step::Replicate { batches, size }),
        1 => Just(Step::NewEpoch),
        4 => Just(Step::Write),
        3 => Just(Step::StartWrite),
        2 => Just(Step::Flush),
        1 => Just(Step::DiskFull),
        1 => any::<u64>().prop_map(Step::Truncate),
        1 => Just(Step::Crash),
        2 => Just(Step::PowerLoss),
        1 => Just(Step::CloseAndReopen),
        1 => any::<u64>().prop_map(Step::Retain),
        1 => any::<u64>().prop_map(Step::DeleteRecords),
    ]
}

/// What the log must contain, kept beside it.
struct Model {
    sim: SimDisk,
    disk: Arc<dyn Disk>,
    config: LogConfig,
    log: Log,
    job: Option<klamm_log::WriteJob>,
    epoch: i32,
    /// Batches by base offset, as they were appended.
    batches: BTreeMap<i64, Bytes>,
    /// Every batch ever appended.
    history: HashSet<Bytes>,
    /// The highest recovery point that the log has claimed since the last truncation.
    durable: i64,
}

impl Model {
    fn new(seed: u64, flush_messages: u64, short_writes: bool) -> Self {
        let sim = sim_disk(seed);
        sim.set_short_writes(short_writes);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let config = LogConfig { flush_messages, ..small_config() };
        let (log, _) = open(&disk, config.clone(), OpenOptions::default());
        Self {
            sim,
            disk,
            config,
            log,
            job: None,
            epoch: 0,
            batches: BTreeMap::new(),
            history: HashSet::new(),
            durable: 0,
        }
    }

    fn append(&mut self, mut bytes: BytesMut) {
        let appended = self.log.append_as_leader(bytes.clone(), self.epoch, 0).expect("appends");
        assert_eq!(
            appended.base_offset,
            self.batches.last_key_value().map_or(appended.base_offset, |(_, last)| {
                BatchHeader::parse(last).expect("valid").next_offset()
            })
        );
        stamp(&mut bytes, appended.base_offset, self.epoch).expect("whole batch");
        self.remember(appended.base_offset, bytes.freeze());
    }

    fn remember(&mut self, base_offset: i64, bytes: Bytes) {
        self.history.insert(bytes.clone());
        self.batches.insert(base_offset, bytes);
    }

    fn replicate(&mut self, count: usize, size: usize) {
        let mut data = BytesMut::new();
        let mut offset = self.log.end_offset();
        for index in 0..count {
            let mut one = batch(1 + index % 3, size, 5_000);
            stamp(&mut one, offset, self.epoch).expect("whole batch");
            let next = BatchHeader::parse(&one).expect("valid").next_offset();
            data.extend_from_slice(&one);
            self.remember(offset, one.freeze());
            offset = next;
        }
        self.log.append_as_follower(data.freeze()).expect("appends");
    }

    fn finish_job(&mut self) {
        if let Some(job) = self.job.take() {
            self.log.finish_write(job.run()).expect("disk works");
        }
        self.durable = self.durable.max(self.log.durable_end());
    }

    fn reopen(&mut self, clean: bool) {
        let options = OpenOptions {
            recovery_point: self.durable,
            log_start_offset: self.log.start_offset(),
            clean_shutdown: clean,
            ..OpenOptions::default()
        };
        let (log, report) = open(&self.disk, self.config.clone(), options);
        assert!(
            log.end_offset() >= self.durable,
            "nothing durable is lost: {} < {}, {report:?}",
            log.end_offset(),
            self.durable
        );
        assert!(report.cut.as_ref().is_none_or(|cut| !cut.below_recovery_point), "{report:?}");
        assert!(!report.rebuilt_epochs || !clean, "{report:?}");
        self.log = log;
        self.adopt();
    }

    /// Checks what a restart left against everything known, and goes on from there.
    fn adopt(&mut self) {
        let found = read_all(&self.log, self.log.start_offset(), usize::MAX);
        for pair in found.windows(2) {
            assert_eq!(pair[0].header.next_offset(), pair[1].header.base_offset, "offsets are dense");
            assert!(pair[0].header.leader_epoch <= pair[1].header.leader_epoch, "epochs ascend");
        }
        assert!(found.iter().all(|batch| self.history.contains(&batch.bytes)), "nothing is invented");
        let known = |batch: &Batch| self.batches.get(&batch.header.base_offset) == Some(&batch.bytes);
        assert!(found.iter().all(known), "no truncation is undone");
        let found: BTreeMap<i64, Bytes> =
            found.into_iter().map(|b| (b.header.base_offset, b.bytes)).collect();
        for (base, bytes) in &self.batches {
            let durable = BatchHeader::parse(bytes).expect("valid").next_offset() <= self.durable;
            assert!(!durable || found.get(base) == Some(bytes), "what was durable is as it was");
        }
        self.batches = found;
        self.epoch = self.epoch.max(self.log.latest_epoch().unwrap_or(0));
    }

    /// The offset that lies this part of `u64::MAX` into the log.
    fn offset(&self, part: u64) -> i64 {
        let (start, end) = (self.log.start_offset(), self.log.end_offset());
        start + ((u128::from(part) * (end - start + 1) as u128) >> 64) as i64
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { count, size, timestamp } => self.append(batch(*count, *size, *timestamp)),
            Step::Replicate { batches, size } => self.replicate(*batches, *size),
            Step::NewEpoch => self.epoch += 1,
            Step::Write => {
                self.finish_job();
                write_all(&mut self.log);
                self.finish_job();
            }
            Step::StartWrite => {
                self.finish_job();
                self.job = self.log.start_write();
            }
            Step::Flush => {
                self.finish_job();
                self.log.flush().expect("disk works");
                assert_eq!(self.log.durable_end(), self.log.end_offset());
                self.finish_job();
            }
            Step::DiskFull => {
                self.finish_job();
                self.sim.set_capacity(self.sim.used() + 100);
                while let Some(job) = self.log.start_write() {
                    if let Err(error) = self.log.finish_write(job.run()) {
                        assert!(matches!(error, LogError::Io { .. }), "{error}");
                        break;
                    }
                }
                self.sim.set_capacity(u64::MAX);
            }
            Step::Truncate(part) => {
                self.finish_job();
                let offset = self.offset(*part);
                self.log.truncate_to(offset).expect("disk works");
                assert!(self.log.end_offset() <= offset || offset == 0);
                self.durable = self.durable.min(self.log.end_offset());
                let end = self.log.end_offset();
                self.batches
                    .retain(|_, bytes| BatchHeader::parse(bytes).expect("valid").next_offset() <= end);
                let kept = self
                    .batches
                    .last_key_value()
                    .map(|(_, b)| BatchHeader::parse(b).expect("valid").next_offset());
                assert_eq!(kept.unwrap_or(end), end, "only what must go is cut");
                self.epoch += 1;
            }
            Step::Crash => {
                self.job = None;
                self.sim.crash();
                self.reopen(false);
            }
            Step::PowerLoss => {
                self.job = None;
                self.sim.power_loss();
                self.reopen(false);
            }
            Step::CloseAndReopen => {
                self.finish_job();
                let end = self.log.end_offset();
                self.log.close().expect("disk works");
                self.durable = end;
                self.sim.power_loss();
                self.reopen(true);
                assert_eq!(self.log.end_offset(), end);
            }
            Step::Retain(part) => {
                let offset = self.offset(*part);
                let config = LogConfig { retention_bytes: 6_000, retention_ms: -1, ..self.config.clone() };
                self.log.reconfigure(config);
                for deleted in self.log.apply_retention(0, offset).expect("disk works") {
                    deleted.remove(&*self.disk).expect("removes");
                }
                self.forget_before_start();
            }
            Step::DeleteRecords(part) => {
                let offset = self.offset(*part);
                self.log.advance_start_offset(offset).expect("inside");
                self.forget_before_start();
            }
        }
    }

    fn forget_before_start(&mut self) {
        let start = self.log.start_offset();
        self.batches.retain(|_, bytes| BatchHeader::parse(bytes).expect("valid").next_offset() > start);
    }

    /// Everything is readable, equal to what was appended, and dense.
    fn check(&self) {
        let expected: Vec<Bytes> = self.batches.values().cloned().collect();
        for max_bytes in [1, 700, usize::MAX] {
            let found = support::bytes_of(&read_all(&self.log, self.log.start_offset(), max_bytes));
            assert_eq!(found.len(), expected.len(), "steps of {max_bytes}");
            assert!(found == expected, "steps of {max_bytes}");
        }
        self.check_epochs();
        self.check_lookups();
    }

    fn check_epochs(&self) {
        let mut epochs: Vec<(i32, i64)> = Vec::new();
        for bytes in self.batches.values() {
            let header = BatchHeader::parse(bytes).expect("valid");
            if epochs.last().is_none_or(|(epoch, _)| *epoch < header.leader_epoch) {
                epochs.push((header.leader_epoch, header.base_offset.max(self.log.start_offset())));
            }
        }
        // One that ended before the start may be known, and all with the offset at which they really began.
        let start = self.log.start_offset();
        let known = self.log.epochs();
        let reaches = |index: usize| known.get(index + 1).is_none_or(|next| next.start_offset > start);
        let reaching = known.iter().enumerate().filter(|(index, _)| reaches(*index));
        let found: Vec<_> = reaching.map(|(_, entry)| (entry.epoch, entry.start_offset.max(start))).collect();
        if !epochs.is_empty() {
            assert_eq!(found, epochs);
        }
    }

    fn check_lookups(&self) {
        let headers: Vec<_> = self.batches.values().map(|b| BatchHeader::parse(b).expect("valid")).collect();
        for wanted in [0, 3_000, 5_000, 7_500, 10_000] {
            let start = self.log.start_offset();
            let expected = headers
                .iter()
                .find(|header| header.max_timestamp >= wanted)
                .map(|h| h.base_offset.max(start));
            let found = self.log.offset_for_timestamp(wanted).expect("reads").map(|found| found.offset);
            assert_eq!(found, expected, "timestamp {wanted}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_durable_record_is_lost_and_every_read_equals_what_was_appended(
        seed: u64,
        flush_messages in prop_oneof![Just(1), Just(20), Just(u64::MAX)],
        short_writes: bool,
        cache in prop_oneof![Just(0), Just(3_000), Just(1 << 20)],
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut model = Model::new(seed, flush_messages, short_writes);
        for step in &steps {
            model.log.set_tail_cache_limit(cache);
            model.step(step);
            model.check();
        }
        model.step(&Step::CloseAndReopen);
        model.check();
    }
}

/// Found by the property above, once in some ten thousand cases.
#[test]
fn a_log_of_which_nothing_is_left_but_deleted_records_of_two_epochs_ends_where_it_did() {
    for clean in [true, false] {
        let mut model = Model::new(0, 1, false);
        let one = Step::Append { count: 1, size: 0, timestamp: 0 };
        [one.clone(), Step::NewEpoch, one.clone(), one, Step::Write].iter().for_each(|step| model.step(step));
        model.log.advance_start_offset(2).expect("inside");
        model.forget_before_start();
        model.step(&Step::Truncate(0));
        assert_eq!((model.log.start_offset(), model.log.end_offset()), (2, 2));
        model.step(&Step::Flush);
        model.step(if clean { &Step::CloseAndReopen } else { &Step::Crash });
        assert_eq!((model.log.start_offset(), model.log.end_offset()), (2, 2), "clean: {clean}");
    }
}

/// The epochs are stored with the next write, the start of the log some seconds later.
#[test]
fn records_that_come_back_as_their_deletion_was_not_stored_have_their_leader_epochs() {
    for deleted_to in [3, 4] {
        let mut model = Model::new(0, 1, false);
        let one = Step::Append { count: 1, size: 0, timestamp: 0 };
        let steps = [one.clone(), one.clone(), Step::NewEpoch, one.clone(), one.clone(), Step::Write];
        steps.iter().for_each(|step| model.step(step));
        assert_eq!(model.log.epoch_end_offset(0), (0, 2));
        model.log.advance_start_offset(deleted_to).expect("inside");
        [one, Step::Flush, Step::Write].iter().for_each(|step| model.step(step));
        let options = OpenOptions { recovery_point: 2, ..OpenOptions::default() };
        let (log, _) = open(&model.disk, model.config.clone(), options);
        assert_eq!((log.start_offset(), log.end_offset()), (0, 5), "deleted to {deleted_to}");
        assert_eq!(log.epoch_end_offset(0), (0, 2), "deleted to {deleted_to}");
        assert_eq!(log.epoch_end_offset(1), (1, 5), "deleted to {deleted_to}");
    }
}

fn filled(seed: u64, batches: usize) -> (SimDisk, Arc<dyn Disk>, i64) {
    let sim = SimDisk::new(seed);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    for index in 0..batches {
        log.append_as_leader(batch(2, 100, index as i64), 0, 0).expect("appends");
    }
    log.flush().expect("disk works");
    let end = log.end_offset();
    sim.crash();
    (sim, disk, end)
}

#[test]
fn a_torn_tail_is_cut_and_told_from_damage_below_the_recovery_point() {
    let (sim, disk, end) = filled(1, 100);
    let segment = last_segment(&disk);
    let file = disk.open(&segment, klamm_log::OpenMode::Write).expect("opens");
    file.set_len(file.len().expect("length") - 1).expect("cuts");
    let options = OpenOptions { recovery_point: end - 2, ..OpenOptions::default() };
    let (log, report) = open(&disk, small_config(), options);
    let cut = report.cut.expect("the last batch is torn");
    assert!(!cut.below_recovery_point);
    assert_eq!((cut.offset, log.end_offset()), (end - 2, end - 2));

    let (sim2, disk, end) = filled(1, 100);
    drop(sim);
    sim2.corrupt(&segment, 100, 1).expect("flips");
    let options = OpenOptions { recovery_point: end, ..OpenOptions::default() };
    let refusing = OpenOptions { corruption: CorruptionPolicy::Refuse, ..options };
    let refused = try_open(&disk, small_config(), refusing).map(drop);
    assert!(matches!(refused, Err(LogError::Damaged { position: 0, .. })), "{refused:?}");
    let (_, report) = open(&disk, small_config(), options);
    assert!(report.cut.expect("a batch is damaged").below_recovery_point);
}

fn last_segment(disk: &Arc<dyn Disk>) -> std::path::PathBuf {
    let names = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name);
    let last = names.filter(|name| name.ends_with(".log")).max().expect("has segments");
    Path::new(DIR).join(last)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_flipped_byte_behind_the_recovery_point_ends_the_log_before_it(at: prop::sample::Index, flip in 1u8..) {
        let (sim, disk, end) = filled(2, 60);
        let names: Vec<_> = disk.list(Path::new(DIR)).expect("lists").into_iter().map(|e| e.name).filter(|n| n.ends_with(".log")).collect();
        let path = Path::new(DIR).join(at.get(&names));
        let length = disk.open(&path, klamm_log::OpenMode::Read).and_then(|file| file.len()).expect("length");
        sim.corrupt(&path, at.index(length as usize) as u64, flip).expect("flips");
        let (log, report) = open(&disk, small_config(), OpenOptions::default());
        let intact = read_all(&log, 0, usize::MAX);
        // Base offset and leader epoch lie outside the checksum; not every change of those can be noticed.
        prop_assert_eq!(intact.last().map_or(0, |b| b.header.next_offset()), log.end_offset());
        prop_assert!(report.cut.is_some() == (log.end_offset() < end), "{:?}", report);
        let mut expected = 0;
        for found in &intact {
            prop_assert_eq!(found.header.base_offset, expected);
            expected = found.header.next_offset();
        }
    }
}

#[test]
fn a_failed_sync_takes_the_log_offline_for_good() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    log.append_as_leader(batch(1, 10, 0), 0, 0).expect("appends");
    sim.fail_syncs(1);
    let job = log.start_write().expect("has work");
    assert!(matches!(log.finish_write(job.run()), Err(LogError::Offline { .. })));
    assert_eq!(log.durable_end(), 0);
    assert!(log.start_write().is_none());
    assert!(matches!(log.flush(), Err(LogError::Offline { .. })));
    assert!(matches!(log.append_as_leader(batch(1, 10, 0), 0, 0), Err(klamm_log::AppendError::Offline(_))));
    assert!(matches!(log.read(0, 1, 1), Err(klamm_log::ReadError::Offline(_))));
}

#[test]
fn what_a_failed_sync_left_in_the_page_cache_is_written_again_by_the_next_process() {
    for seed in 0..32 {
        let sim = sim_disk(seed);
        let disk: Arc<dyn Disk> = Arc::new(sim.clone());
        let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
        log.append_as_leader(batch(1, 10, 0), 0, 0).expect("appends");
        log.flush().expect("disk works");
        log.append_as_leader(batch(1, 2_000, 1), 0, 0).expect("appends");
        sim.fail_syncs(1);
        let job = log.start_write().expect("has work");
        assert!(log.finish_write(job.run()).is_err());
        sim.crash();
        let options = OpenOptions { recovery_point: 1, ..OpenOptions::default() };
        let (mut log, _) = open(&disk, small_config(), options);
        log.flush().expect("disk works");
        let durable = log.durable_end();
        assert_eq!((log.end_offset(), durable), (2, 2), "the page cache survived");
        sim.power_loss();
        let (log, _) = open(&disk, small_config(), OpenOptions { recovery_point: durable, ..options });
        assert_eq!(log.end_offset(), durable, "seed {seed}: what was called durable is there");
    }
}

#[test]
fn a_failed_write_takes_the_log_offline_but_a_full_disk_does_not() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let (mut log, _) = open(&disk, small_config(), OpenOptions::default());
    log.append_as_leader(batch(1, 1_000, 0), 0, 0).expect("appends");
    sim.set_capacity(sim.used() + 200);
    for _ in 0..2 {
        let job = log.start_write().expect("has work");
        let full = log.finish_write(job.run());
        assert!(
            matches!(full, Err(LogError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull)
        );
    }
    sim.set_capacity(u64::MAX);
    write_all(&mut log);
    assert_eq!((log.durable_end(), read_all(&log, 0, 1).len()), (1, 1));
    log.append_as_leader(batch(1, 1_000, 0), 0, 0).expect("appends");
    sim.fail_writes(1);
    let job = log.start_write().expect("has work");
    assert!(matches!(log.finish_write(job.run()), Err(LogError::Offline { .. })));
}

#[test]
fn creating_a_log_syncs_nothing_and_makes_no_segment() {
    let sim = SimDisk::new(1);
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let options = OpenOptions { topic_id: Some(uuid::Uuid::from_u128(1)), ..OpenOptions::default() };
    let (mut log, report) = open(&disk, small_config(), options);
    assert!(report.created);
    assert_eq!(sim.sync_count(), 0);
    let mut names: Vec<_> =
        disk.list(Path::new(DIR)).expect("lists").into_iter().map(|entry| entry.name).collect();
    names.sort();
    assert_eq!(names, ["partition.metadata", "partition.metadata.crc32c"]);
    assert!(log.start_write().is_none());
}
