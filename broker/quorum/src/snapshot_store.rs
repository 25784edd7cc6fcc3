//! Snapshots on disk: `<20-digit end offset>-<10-digit epoch>.checkpoint`, KRaft's names, written atomically.
//!
//! A file is `format(u8 = 1) meta_length(u32) meta image_length(u32) image crc32c(u32)`, the checksum over all before
//! it. The end offset is exclusive. Only the newest snapshot is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use klamm_log::Disk;
use parking_lot::Mutex;

use crate::codec::{Reader, put_bytes};
use crate::messages::Message;
use crate::mutation::{self, Mutation};
use crate::room::Room;
use crate::types::{LogId, Snapshot, SnapshotMeta, epoch_of, term_of};
use crate::{QuorumError, files, sealed};

const SUFFIX: &str = ".checkpoint";

/// The newest snapshot of the metadata directory.
pub(crate) struct SnapshotStore {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Never held while the disk is waited for: every fetch of a broker asks for it.
    current: Mutex<Option<SnapshotMeta>>,
    /// Held by who reads or replaces the file.
    file: Mutex<()>,
    room: Room,
}

impl SnapshotStore {
    /// Finds the newest snapshot and removes older ones. A damaged snapshot is an error: the log before it may be gone.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> io::Result<SnapshotStore> {
        let store = SnapshotStore {
            disk,
            dir: dir.to_owned(),
            current: Mutex::default(),
            file: Mutex::default(),
            room: Room::default(),
        };
        if let Some(newest) = store.names()?.pop() {
            let snapshot = store.load(&newest)?;
            store.remove_others(&newest)?;
            *store.current.lock() = Some(snapshot.meta);
        }
        Ok(store)
    }

    /// The last entry that the newest snapshot holds.
    pub(crate) fn last_log_id(&self) -> Option<LogId> {
        self.current.lock().as_ref()?.last_log_id
    }

    /// Reads the newest snapshot.
    pub(crate) fn read(&self) -> io::Result<Option<Snapshot>> {
        let _file = self.file.lock();
        match self.last_log_id() {
            Some(last) => self.load(&file_name(&last)).map(Some),
            None => Ok(None),
        }
    }

    /// No snapshot waits any more until there is room on a full disk.
    pub(crate) fn give_up_waiting(&self) {
        self.room.close();
    }

    /// Makes `image` the newest snapshot, unless a newer one is there already.
    pub(crate) fn save(&self, meta: &SnapshotMeta, image: &[u8]) -> io::Result<()> {
        self.room.wait_for("a snapshot of the metadata", || self.try_save(meta, image))
    }

    /// Nothing waits for room with the file locked: who reads the snapshot of before may not wait at all.
    fn try_save(&self, meta: &SnapshotMeta, image: &[u8]) -> io::Result<()> {
        let _file = self.file.lock();
        let Some(last) = meta.last_log_id else { return Ok(()) };
        if self.last_log_id() >= Some(last) {
            return Ok(());
        }
        let name = file_name(&last);
        let (path, bytes) = (self.dir.join(&name), encode(meta, image));
        if mutation::is_active(Mutation::SnapshotNotSynced) {
            files::write_unsynced(&*self.disk, &path, &bytes)?;
        } else {
            files::write_atomic(&*self.disk, &path, &bytes)?;
        }
        *self.current.lock() = Some(meta.clone());
        self.remove_others(&name)
    }

    fn load(&self, name: &str) -> io::Result<Snapshot> {
        let path = self.dir.join(name);
        let bytes = files::read(&*self.disk, &path)?.ok_or_else(|| sealed::damaged(&path))?;
        decode(sealed::open(bytes, &path)?, &path)
    }

    /// Names of the snapshots, oldest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.disk.list(&self.dir)?.into_iter().map(|entry| entry.name);
        let mut names: Vec<String> = entries.filter(|name| name.ends_with(SUFFIX)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn remove_others(&self, keep: &str) -> io::Result<()> {
        for name in self.names()? {
            if name != keep {
                self.disk.remove_file(&self.dir.join(name))?;
            }
        }
        Ok(())
    }
}

fn file_name(last: &LogId) -> String {
    format!("{:020}-{:010}{SUFFIX}", last.index.saturating_add(1), epoch_of(term_of(last)))
}

fn encode(meta: &SnapshotMeta, image: &[u8]) -> Bytes {
    sealed::seal(|out| {
        out.reserve(image.len() + 128);
        put_bytes(out, &meta.encode());
        put_bytes(out, image);
    })
}

fn decode(mut reader: Reader, path: &Path) -> io::Result<Snapshot> {
    let parts = (|| {
        let (meta, snapshot) = (reader.bytes()?, reader.bytes()?);
        reader.finish()?;
        Ok(Snapshot { meta: SnapshotMeta::decode(meta)?, snapshot })
    })();
    parts.map_err(|error| match error {
        QuorumError::UnknownFormat { .. } => sealed::unknown(error),
        _ => sealed::damaged(path),
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use klamm_log::SimDisk;

    use super::*;
    use crate::types::log_id;

    #[test]
    fn a_snapshot_that_waits_for_room_takes_none_and_hides_none() {
        let (disk, dir) = (SimDisk::new(1), Path::new("/data"));
        files::create_dir(&disk, dir).expect("created");
        let store = Arc::new(SnapshotStore::open(Arc::new(disk.clone()), dir).expect("opens"));
        let meta = |index| SnapshotMeta { last_log_id: Some(log_id(1, index)), ..SnapshotMeta::default() };
        store.save(&meta(5), &[5; 100]).expect("there is room");
        disk.set_capacity(disk.used() + 50);
        let waiting = {
            let (store, meta) = (Arc::clone(&store), meta(9));
            std::thread::spawn(move || store.save(&meta, &[9; 100]))
        };
        let end = Instant::now() + Duration::from_millis(400);
        while Instant::now() < end {
            let snapshot = store.read().expect("reads").expect("the one of before");
            assert_eq!(snapshot.snapshot, vec![5; 100]);
        }
        assert!(!waiting.is_finished(), "there is no room");
        // It may be trying at this very moment.
        let takes_none = (0..1_000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            disk.list(dir).expect("lists").len() == 1
        });
        assert!(takes_none, "{:?}", disk.list(dir));
        disk.set_capacity(u64::MAX);
        waiting.join().expect("no panic").expect("there is room again");
        assert_eq!(store.read().expect("reads").expect("the new one").snapshot, vec![9; 100]);
    }
}
