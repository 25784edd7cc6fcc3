//! The founding of the log here, written once beside it.
//!
//! The log has it as a record, but which of its entries are committed is not known after a loss of power, and a version from
//! before there was the record leaves it out of its snapshots.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BufMut;
use klamm_log::{Disk, is_full};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::codec::Reader;
use crate::runtime::blocking;
use crate::{QuorumError, files, sealed};

const FILE: &str = "raft-founding";

/// The file of one log.
pub(crate) struct FoundingFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    kept: Mutex<Option<Uuid>>,
}

impl FoundingFile {
    /// The file in the directory of the log. A damaged one is written anew when the founding is applied.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<FoundingFile, QuorumError> {
        let path = dir.join(FILE);
        let kept = match sealed::read(&*disk, &path, Reader::uuid) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%error, "the founding is learned anew from the metadata log");
                None
            }
            read => read.map_err(|error| QuorumError::opening(dir, error))?,
        };
        Ok(FoundingFile { disk, path, kept: Mutex::new(kept) })
    }

    /// The founding, if it was ever applied here.
    pub(crate) fn kept(&self) -> Option<Uuid> {
        *self.kept.lock()
    }

    /// Makes the founding durable that an image has, unless it is already. On a full disk it is tried again with the next image:
    /// the log has it, too.
    pub(crate) async fn keep(self: &Arc<Self>, founding: Option<Uuid>) -> io::Result<()> {
        let Some(id) = founding.filter(|_| founding != self.kept()) else { return Ok(()) };
        let file = Arc::clone(self);
        let write = move || {
            files::write_atomic(&*file.disk, &file.path, &sealed::seal(|out| out.put_u128(id.as_u128())))
        };
        match blocking(write).await {
            Ok(()) => *self.kept.lock() = Some(id),
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %self.path.display(), "the disk is full: the founding is kept beside the log later");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use klamm_log::SimDisk;

    use super::*;

    #[tokio::test]
    async fn the_founding_is_durable_once_it_is_kept_and_a_damaged_file_tells_nothing() {
        let (disk, dir) = (SimDisk::new(1), Path::new("/data"));
        files::create_dir(&disk, dir).expect("made");
        let open = || Arc::new(FoundingFile::open(Arc::new(disk.clone()), dir).expect("opens"));
        let (file, id) = (open(), Uuid::from_u128(7));
        file.keep(None).await.expect("there is nothing to keep");
        assert_eq!(open().kept(), None);
        disk.fail_syncs(1);
        file.keep(Some(id)).await.expect_err("it is not durable");
        assert_eq!(file.kept(), None);
        file.keep(Some(id)).await.expect("kept");
        disk.power_loss();
        assert_eq!((file.kept(), open().kept()), (Some(id), Some(id)));
        disk.corrupt(&dir.join(FILE), 3, 1).expect("corrupted");
        assert_eq!(open().kept(), None);
    }
}
