//! Opening a log: creating it, trusting it after a clean shutdown, recovering it after any other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::compact::complete_swap;
use super::{DEFAULT_TAIL_LIMIT, Log, UnsyncedNames};
use crate::disk::{Disk, remove_if_exists};
use crate::epochs::EpochCache;
use crate::load::{Cut, LoadLimits, Loaded, Loader};
use crate::names::{CLEANED_SUFFIX, DELETED_SUFFIX, SEGMENT_EXTENSIONS, SWAP_SUFFIX, TMP_SUFFIX};
use crate::producer::ProducerStates;
use crate::sums::{self, Seal};
use crate::tail::Tail;
use crate::{LogConfig, LogError, names};

/// Extension of a finished replacement.
const LOG_SWAP: &str = "log.swap";

/// What to do about a bad batch in data that had been durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CorruptionPolicy {
    /// Cut the log there and say so; right when other replicas have the data.
    #[default]
    Truncate,
    /// Do not open the log ([`LogError::Damaged`]) and change nothing.
    Refuse,
}

/// What the owner of the log knows from its checkpoints.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenOptions {
    /// Everything before this offset was durable (`recovery-point-offset-checkpoint`).
    pub recovery_point: i64,
    /// First offset of the log (`log-start-offset-checkpoint`).
    pub log_start_offset: i64,
    /// The directory was shut down cleanly, so that every log was closed.
    pub clean_shutdown: bool,
    /// The id that the metadata log gives the topic; checked against the directory and written into a new one.
    pub topic_id: Option<Uuid>,
    /// What to do about a bad batch in data that had been durable.
    pub corruption: CorruptionPolicy,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The log did not exist.
    pub created: bool,
    /// The log was not closed, and was walked from its recovery point on.
    pub recovered: bool,
    /// Bytes of batches that were read and checked.
    pub scanned_bytes: u64,
    /// What was cut off. A torn write at the end is ordinary after a crash; `below_recovery_point` is not.
    pub cut: Option<Cut>,
    /// The log ended before its start offset, and was emptied.
    pub emptied: bool,
    /// The start offset lay behind the end of a log that was closed cleanly: it was not believed.
    pub start_ignored: bool,
    /// `leader-epoch-checkpoint` was missing or damaged or did not reach back to the start, and what it lacks was built from the
    /// batches.
    pub rebuilt_epochs: bool,
    /// Small files that were not what was written, or whose checksums were not.
    pub broken: Vec<PathBuf>,
}

impl RecoveryReport {
    pub(super) fn note(&mut self, seal: Seal, path: &Path) {
        match seal {
            Seal::Sound => {}
            Seal::Broken => self.broken.push(path.to_path_buf()),
            Seal::Renewed => self.broken.push(sums::path_of(path)),
        }
    }
}

/// What a partition's directory holds.
#[derive(Debug, Default)]
struct Contents {
    segments: Vec<i64>,
    snapshots: Vec<i64>,
    leftovers: Vec<PathBuf>,
    /// Base offsets of finished replacements that a compaction did not get into place.
    swaps: Vec<i64>,
}

impl Log {
    /// Opens the log in `dir`, which is created if it does not exist. A log without data has no segment files, and
    /// nothing is synced before the first data is.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        config: LogConfig,
        options: OpenOptions,
    ) -> Result<(Self, RecoveryReport), LogError> {
        let created = !disk.exists(&dir).map_err(LogError::io("look at", &dir))?;
        if created {
            disk.create_dir_all(&dir).map_err(LogError::io("create", &dir))?;
        }
        let mut contents = list(&*disk, &dir)?;
        let mut log = Self::empty(disk, dir.into(), config, options.log_start_offset.max(0));
        let mut report = RecoveryReport { created, ..RecoveryReport::default() };
        log.check_topic_id(options.topic_id, &mut report)?;
        if contents.segments.is_empty() || !options.clean_shutdown {
            // Whoever created the directory may have died before syncing any of it.
            let partition_metadata = log.topic_id.is_some();
            log.unsynced_names =
                UnsyncedNames { inside: true, directory: true, partition_metadata, epochs: true };
        }
        log.remove_leftovers(&contents.leftovers)?;
        log.complete_swaps(&mut contents)?;
        if !options.clean_shutdown {
            log.remove_before_start(&mut contents)?;
        }
        match contents.segments.is_empty() {
            true => log.restore_producers(&contents.snapshots)?,
            false => log.load(contents, &options, &mut report)?,
        }
        Ok((log, report))
    }

    fn empty(disk: Arc<dyn Disk>, dir: Arc<Path>, config: LogConfig, start: i64) -> Self {
        let mut log = Self {
            disk,
            dir,
            config,
            topic_id: None,
            segments: Vec::new(),
            tail: Tail::new(DEFAULT_TAIL_LIMIT),
            epochs: EpochCache::default(),
            producers: ProducerStates::default(),
            start_offset: start,
            end_offset: start,
            written_end: start,
            durable_end: start,
            snapshots: Vec::new(),
            doubtful_snapshots: Vec::new(),
            waiting_snapshots: Vec::new(),
            bytes_since_snapshot: 0,
            unsynced_names: UnsyncedNames::default(),
            flush_to: None,
            in_flight: None,
            changed: false,
            offline: None,
        };
        log.segments.push(log.new_segment(start));
        log
    }

    fn load(
        &mut self,
        contents: Contents,
        options: &OpenOptions,
        report: &mut RecoveryReport,
    ) -> Result<(), LogError> {
        let start = contents.segments.first().map_or(0, |first| options.log_start_offset.max(*first));
        let epochs = self.read_epochs(report)?;
        // If not, they were stored when more was deleted than is known now: what comes back needs its epochs, which are learnt
        // from the batches. Those that are stored hold all the same. Who stops cleanly stores both.
        let reaches_back = |epochs: &EpochCache| {
            options.clean_shutdown
                || epochs.entries().first().is_some_and(|first| first.start_offset <= start)
        };
        report.rebuilt_epochs = !epochs.as_ref().is_some_and(reaches_back);
        self.epochs = epochs.unwrap_or_default();
        let trusted = match (report.rebuilt_epochs, options.clean_shutdown) {
            (true, _) => -1,
            (false, true) => i64::MAX,
            (false, false) => options.recovery_point.saturating_sub(1),
        };
        // What lies before the start of the log counts for nothing, durable or not.
        let recovery_point = Some(options.recovery_point).filter(|point| *point > options.log_start_offset);
        let recovery_point = recovery_point.unwrap_or(0);
        let refuse_damage = options.corruption == CorruptionPolicy::Refuse;
        let rewrites = !options.clean_shutdown;
        let limits = LoadLimits {
            trusted,
            stop_at: i64::MAX,
            recovery_point,
            rewrites,
            cuts: !options.clean_shutdown,
            refuse_damage,
        };
        let loader = Loader {
            disk: &self.disk,
            dir: &self.dir,
            config: &self.config,
            stored_epochs: self.epochs.entries().to_vec(),
            epochs: &mut self.epochs,
            limits,
            removed: false,
        };
        let loaded = loader.load(&contents.segments, contents.snapshots)?;
        report.recovered = !options.clean_shutdown || loaded.cut.is_some();
        report.scanned_bytes = loaded.scanned_bytes;
        report.cut = loaded.cut.clone();
        self.adopt(loaded, options, report)
    }

    fn adopt(
        &mut self,
        loaded: Loaded,
        options: &OpenOptions,
        report: &mut RecoveryReport,
    ) -> Result<(), LogError> {
        self.segments = loaded.segments;
        self.producers = loaded.producers;
        self.doubtful_snapshots.clone_from(&loaded.snapshots);
        self.snapshots = loaded.snapshots;
        self.end_offset = loaded.end_offset;
        self.written_end = loaded.end_offset;
        let first = self.segments.first().map_or(0, |segment| segment.base_offset());
        self.start_offset = options.log_start_offset.max(first);
        if self.end_offset < self.start_offset && options.clean_shutdown {
            report.start_ignored = true;
            self.start_offset = first;
        }
        if self.end_offset < self.start_offset {
            report.emptied = true;
            return self.reset_to(self.start_offset);
        }
        self.epochs.truncate_from_start(self.start_offset);
        if report.recovered {
            // What was found may sit in the page cache only; the first job makes it durable.
            self.durable_end = options.recovery_point.min(self.end_offset);
            self.flush_to = Some(self.end_offset);
            self.unsynced_names.inside = true;
            self.changed = true;
            self.snapshot_known_producers();
        } else {
            self.durable_end = self.end_offset;
            self.segments.iter_mut().for_each(|segment| segment.unsynced = false);
        }
        Ok(())
    }

    /// The leader epochs in the checkpoint file; `None` if it is missing or damaged.
    fn read_epochs(&self, report: &mut RecoveryReport) -> Result<Option<EpochCache>, LogError> {
        let path = self.dir.join(names::LEADER_EPOCHS);
        let Some(file) = sums::read(&*self.disk, &path).map_err(LogError::io("read", &path))? else {
            return Ok(None);
        };
        report.note(file.seal, &path);
        let text = std::str::from_utf8(&file.contents).ok().filter(|_| file.seal != Seal::Broken);
        Ok(text.and_then(EpochCache::parse))
    }

    fn complete_swaps(&self, contents: &mut Contents) -> Result<(), LogError> {
        for base in std::mem::take(&mut contents.swaps) {
            let replaced = complete_swap(&self.disk, &self.dir, base, &contents.segments)?;
            contents.segments.retain(|segment| !replaced.contains(segment));
            contents.segments.push(base);
        }
        contents.segments.sort_unstable();
        Ok(())
    }

    /// Removes the segments that retention had given up, should a power loss have brought them back.
    fn remove_before_start(&self, contents: &mut Contents) -> Result<(), LogError> {
        while let [first, second, ..] = contents.segments.as_slice()
            && *second <= self.start_offset
        {
            let paths = SEGMENT_EXTENSIONS.map(|extension| self.path(*first, extension));
            self.remove_leftovers(&paths)?;
            contents.segments.remove(0);
        }
        Ok(())
    }

    fn remove_leftovers(&self, leftovers: &[PathBuf]) -> Result<(), LogError> {
        leftovers
            .iter()
            .try_for_each(|path| remove_if_exists(&*self.disk, path).map_err(LogError::io("remove", path)))
    }
}

/// Sorts the names in a partition's directory.
fn list(disk: &dyn Disk, dir: &Path) -> Result<Contents, LogError> {
    let mut contents = Contents::default();
    let mut indexes = Vec::new();
    for entry in disk.list(dir).map_err(LogError::io("list", dir))?.into_iter().filter(|entry| !entry.is_dir)
    {
        let path = dir.join(&entry.name);
        if let Some((base, LOG_SWAP)) = names::parse_segment_file(&entry.name) {
            contents.swaps.push(base);
            continue;
        }
        let unfinished = [DELETED_SUFFIX, CLEANED_SUFFIX, TMP_SUFFIX, SWAP_SUFFIX];
        if unfinished.iter().any(|suffix| entry.name.ends_with(suffix)) {
            contents.leftovers.push(path);
            continue;
        }
        match names::parse_segment_file(&entry.name) {
            Some((base, names::LOG)) => contents.segments.push(base),
            Some((offset, names::SNAPSHOT)) => contents.snapshots.push(offset),
            Some((base, names::OFFSET_INDEX | names::TIME_INDEX | names::TXN_INDEX)) => {
                indexes.push((base, path))
            }
            _ => {}
        }
    }
    contents.segments.sort_unstable();
    contents.snapshots.sort_unstable();
    let orphans = indexes.into_iter().filter(|(base, _)| !contents.segments.contains(base));
    contents.leftovers.extend(orphans.map(|(_, path)| path));
    Ok(contents)
}
