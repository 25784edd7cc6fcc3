//! One bit of one file of a stopped node changes, in every kind of file in turn: the node refuses to start, says so, or has
//! the right bytes again; nothing wrong is served.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use klamm_harness::until;
use rand::RngExt;

use super::Scenario;
use crate::bed::Bed;
use crate::clock::Moment;
use crate::run::Run;
use crate::workload::Setting;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "bit-flipped",
    fault: "one bit flipped in a file of a stopped node",
    bar: "all detected, nothing served wrong",
    limit: None,
    slice: 16,
    whole: 1_000,
    alone: false,
    run,
};

/// How long a node may take to look at all that it holds.
const CHECKED: Duration = Duration::from_secs(60);

/// What became of a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The node did not start.
    Refused,
    /// It has the right bytes again, or none in their place.
    Repaired,
    /// It logged a warning or an error about it.
    Reported,
    /// The bit is still there, and nobody has said a word.
    Unnoticed,
}

/// A bit that was flipped.
struct Flip {
    file: PathBuf,
    kind: String,
    at: usize,
    before: Vec<u8>,
}

fn run(run: &mut Run) -> Result<()> {
    let mut bed = Bed::start(run, run.spec(3).start()?, run.setting(Setting::default()))?;
    let mut fates: BTreeMap<String, BTreeMap<Fate, usize>> = BTreeMap::new();
    for number in 0..run.count {
        bed.any_moment(run)?;
        let victim = run.choose(&bed.cluster.broker_ids()).context("a broker")?;
        let unclean = run.random.random_bool(0.5);
        let (led, mark, fault) = (bed.led_by(victim)?, bed.mark(), Moment::now());
        if unclean {
            bed.cluster.kill(victim)?
        } else {
            bed.cluster.terminate(victim)?
        }
        // Others lead before it returns: what becomes of a leader that returns damaged is a scenario of its own.
        bed.gap(mark, fault, &led)?;
        let flip = flip(&bed.cluster.data_dir(victim)?, number, run)?;
        let fate = bed.restart_with(victim, &flip)?;
        eprintln!("  {number}: {} byte {} (unclean stop: {unclean}): {fate:?}", flip.file.display(), flip.at);
        *fates.entry(flip.kind).or_default().entry(fate).or_default() += 1;
        run.row.injected += 1;
        bed.heal(run)?;
    }
    let unnoticed: usize = fates.values().filter_map(|of| of.get(&Fate::Unnoticed)).sum();
    run.row.notes.extend(fates.iter().map(|(kind, of)| format!("{kind}: {of:?}")));
    if unnoticed > 0 {
        let said = format!("{unnoticed} of {} flipped bits were not noticed", run.row.injected);
        run.row.problems.push(said);
    }
    bed.finish(run)
}

impl Bed {
    /// Starts a node on a file with a flipped bit, and says what became of it. What nobody has noticed, or has kept the node from
    /// starting, is put right, so that every flip is judged alone.
    fn restart_with(&mut self, victim: i32, flip: &Flip) -> Result<Fate> {
        let log = self.cluster.log(victim)?;
        let said = fs::read_to_string(&log)?.len();
        self.cluster.restart(victim)?;
        if let Err(error) = self.cluster.wait_ready_of(victim) {
            ensure!(!self.cluster.is_running(victim), "neither ready nor refused: {error:#}");
            fs::write(&flip.file, &flip.before)?;
            self.cluster.restart(victim)?;
            self.cluster.wait_ready_of(victim)?;
            return Ok(Fate::Refused);
        }
        self.converge()?;
        let since =
            || -> Result<String> { Ok(fs::read_to_string(&log)?.get(said..).unwrap_or_default().to_owned()) };
        until(CHECKED, "the data of before are checked", || {
            Ok(since()?.contains("has been checked").then_some(()))
        })?;
        if is_reported(&since()?, flip) {
            return Ok(Fate::Reported);
        }
        // A file that only grew still has it. One that was written anew may have the same byte there by chance.
        let mut after = flip.before.clone();
        after[flip.at] ^= flip.bit();
        if !fs::read(&flip.file).unwrap_or_default().starts_with(&after) {
            return Ok(Fate::Repaired);
        }
        put_right(flip)?;
        Ok(Fate::Unnoticed)
    }
}

impl Flip {
    /// The bit follows from the place, so that a place says it all.
    fn bit(&self) -> u8 {
        1 << (self.at % 8)
    }
}

/// Flips one bit of one file, the kinds of files taking turns.
fn flip(data: &Path, number: usize, run: &mut Run) -> Result<Flip> {
    let mut kinds: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files(data)? {
        if let Some(kind) = kind(data, &file) {
            kinds.entry(kind).or_default().push(file);
        }
    }
    let (kind, files) = kinds.iter().cycle().nth(number).context("a node has files")?;
    let file = run.choose(files).context("a file")?;
    let before = fs::read(&file)?;
    let at = run.random.random_range(0..before.len());
    let flip = Flip { file, kind: kind.clone(), at, before };
    let mut after = flip.before.clone();
    after[at] ^= flip.bit();
    fs::write(&flip.file, &after)?;
    Ok(flip)
}

/// All files below a folder that hold anything, but for what a process was about to write when it was killed: nobody reads that.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.metadata()?.len() > 0 && path.extension().is_none_or(|last| last != "tmp") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What a file is, whose log it may be part of.
fn kind(data: &Path, file: &Path) -> Option<String> {
    let within = file.strip_prefix(data).ok()?;
    let name = within.file_name()?.to_str()?;
    let numbered = name.starts_with(|first: char| first.is_ascii_digit());
    let what = if numbered { format!("*.{}", name.rsplit('.').next()?) } else { name.to_owned() };
    let folder = within.parent().and_then(Path::to_str).filter(|folder| !folder.is_empty());
    // What waits to be deleted, or for a person to look at, is nothing that a node goes by.
    if folder.is_some_and(|folder| folder.ends_with("-delete") || folder.ends_with("-stray")) {
        return None;
    }
    Some(match folder {
        None => what,
        Some(folder) if folder.starts_with("__cluster_metadata") => format!("quorum/{what}"),
        Some(_) => format!("partition/{what}"),
    })
}

/// Whether a warning or an error names the file, its folder, or its partition.
fn is_reported(log: &str, flip: &Flip) -> bool {
    let name = |path: Option<&Path>| {
        path.and_then(Path::file_name).and_then(|n| n.to_str()).unwrap_or_default().to_owned()
    };
    let (file, folder) = (name(Some(&flip.file)), name(flip.file.parent()));
    let alarms = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    let named = |line: &str| {
        line.contains(&file) || folder != "data" && line.contains(&folder) || of_partition(line, &folder)
    };
    alarms.into_iter().any(named)
}

/// Whether a line speaks of the topic and the partition of a folder's name, as fields.
fn of_partition(line: &str, folder: &str) -> bool {
    folder.rsplit_once('-').is_some_and(|(topic, partition)| {
        line.contains(&format!("topic={topic}")) && line.contains(&format!("partition={partition}"))
    })
}

/// Flips the bit back, under the running node.
fn put_right(flip: &Flip) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().write(true).open(&flip.file)?;
    Ok(file.write_all_at(&flip.before[flip.at..=flip.at], flip.at as u64)?)
}
