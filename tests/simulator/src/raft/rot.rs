//! What a disk does to a file while nothing runs on it (F24): a bit flips, the file ends earlier, a block is zeros, or is what it
//! was some time ago. It strikes one controller at a time, and only while all voters have their disks.
//!
//! A process that meets the damage refuses to start: it names the file and the way out, which the world takes, an empty disk. Or
//! it starts, and then nothing is missing: what it has acknowledged and voted is looked at by the invariants as ever.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_log::{Disk, OpenMode, SimDisk};
use klamm_quorum::QuorumError;

use crate::history::ServerEvent;
use crate::raft::controller::{DIR, Rotten};
use crate::raft::faults::Fault;
use crate::raft::world::World;

/// Bytes that a disk loses or gives back at once, where they are aligned so.
const BLOCK: usize = 4096;

impl World {
    /// Kills a controller and damages one of its files; it starts later, in one way or another.
    pub(super) async fn rot(self: &Arc<Self>, controller: usize, fault: Fault) -> bool {
        let before = match fault {
            Fault::OldBlock => {
                let copy = self.controllers.lock()[controller].disk.copy(0);
                self.wait(20, 1_500).await;
                Some(copy)
            }
            _ => None,
        };
        if !self.is_spare(controller) {
            return false;
        }
        self.look();
        let Some((.., quorum)) = self.running(controller) else { return false };
        let synced = quorum.log_ends().1;
        drop(quorum);
        // The process dies, not the machine: what of a log's end a loss of power leaves tells nothing of what was acknowledged.
        let disk = {
            let one = &mut self.controllers.lock()[controller];
            one.kill(false);
            one.disk.clone()
        };
        self.start_later(controller);
        let Some(path) = self.pick_file(&disk, before.as_ref()) else { return false };
        let length = contents(&disk, &path).len();
        let place = usize::try_from(self.random.lock().below(length as u64)).unwrap_or(0);
        let bit = 1 << self.random.lock().below(8);
        let after =
            damaged(contents(&disk, &path), fault, place, bit, before.map(|disk| contents(&disk, &path)));
        let has_struck = after.is_some_and(|after| replace(&disk, &path, &after).is_ok());
        if has_struck {
            self.book.lock().say(
                self.now(),
                format_args!(
                    "controller {controller}: {fault:?} in {} at {place} of {length}",
                    path.display()
                ),
            );
            self.controllers.lock()[controller].rotten = Some(Rotten { path, synced });
        }
        has_struck
    }

    /// A file of the metadata directory that has something in it, and is what it was not where that counts.
    fn pick_file(&self, disk: &SimDisk, before: Option<&SimDisk>) -> Option<PathBuf> {
        let names = disk.list(Path::new(DIR)).unwrap_or_default();
        let mut paths: Vec<PathBuf> =
            names.into_iter().map(|entry| Path::new(DIR).join(entry.name)).collect();
        paths.retain(|path| {
            let now = contents(disk, path);
            let differs = |before: &SimDisk| {
                let then = contents(before, path);
                !then.is_empty() && then != now
            };
            !now.is_empty() && before.is_none_or(differs)
        });
        let at = (!paths.is_empty()).then(|| self.random.lock().index(paths.len()))?;
        Some(paths.swap_remove(at))
    }

    /// A process does not start. If the reason is damage, and it says so, its disk is replaced, as it asks for.
    pub(super) fn does_not_start(self: &Arc<Self>, controller: usize, error: &QuorumError) {
        let said = format!("controller {controller} does not start: {error}");
        let rotten = self.controllers.lock()[controller].rotten.clone();
        let Some(Rotten { path, .. }) = rotten.filter(|_| said.contains(DIR) && said.contains("empty"))
        else {
            return self.tell(controller, &ServerEvent::NotAtRest { reason: said });
        };
        self.book.lock().say(self.now(), format_args!("{said}; damaged is {}", path.display()));
        self.book.lock().noticed += 1;
        let seed = self.random.lock().next();
        self.controllers.lock()[controller].wipe(seed);
        self.start_later(controller);
    }
}

/// The file after the fault, if that is another than before.
fn damaged(now: Vec<u8>, fault: Fault, place: usize, bit: u8, then: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut after = now.clone();
    let block = place / BLOCK * BLOCK..(place / BLOCK * BLOCK + BLOCK).min(now.len());
    match fault {
        Fault::FlippedBit => after[place] ^= bit,
        Fault::ShortFile => after.truncate(place),
        Fault::ZeroedBlock => after[block].fill(0),
        _ => {
            let then = then.unwrap_or_default();
            block.for_each(|at| after[at] = then.get(at).copied().unwrap_or(0));
        }
    }
    (after != now).then_some(after)
}

fn contents(disk: &SimDisk, path: &Path) -> Vec<u8> {
    let read = || {
        let file = disk.open(path, OpenMode::Read)?;
        let mut contents = vec![0; usize::try_from(file.len()?).unwrap_or(0)];
        let length = file.read_at(&mut contents, 0)?;
        contents.truncate(length);
        Ok::<_, io::Error>(contents)
    };
    read().unwrap_or_default()
}

fn replace(disk: &SimDisk, path: &Path, contents: &[u8]) -> io::Result<()> {
    let file = disk.open(path, OpenMode::Write)?;
    file.set_len(contents.len() as u64)?;
    let mut at = 0;
    while at < contents.len() {
        at += file.write_at(&[io::IoSlice::new(&contents[at..])], at as u64)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_that_of_before_up_to_where_the_file_ended_and_zeros_behind() {
        let (now, then) = (vec![7; 3 * BLOCK - 10], vec![1; BLOCK + 5]);
        let after = damaged(now.clone(), Fault::OldBlock, BLOCK + 9, 0, Some(then)).expect("it differs");
        assert_eq!(after.len(), now.len());
        assert_eq!(after[..BLOCK], now[..BLOCK]);
        assert_eq!(after[BLOCK..BLOCK + 5], [1; 5]);
        assert!(after[BLOCK + 5..2 * BLOCK].iter().all(|byte| *byte == 0));
        assert_eq!(after[2 * BLOCK..], now[2 * BLOCK..]);
    }

    #[test]
    fn what_changes_nothing_has_not_struck() {
        assert_eq!(damaged(vec![0; 9], Fault::ZeroedBlock, 3, 0, None), None);
        assert_eq!(damaged(vec![5; 9], Fault::OldBlock, 3, 0, Some(vec![5; 9])), None);
        assert_eq!(damaged(vec![5; 9], Fault::ShortFile, 3, 0, None), Some(vec![5; 3]));
        assert_eq!(damaged(vec![5; 2], Fault::FlippedBit, 1, 4, None), Some(vec![5, 1]));
    }
}
