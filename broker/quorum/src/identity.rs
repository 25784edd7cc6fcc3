//! Who the disk below is to the other members: its raft id, written once beside the log.
//!
//! A log without that file is one of a node that its members know by its node id alone; it stays so.

use std::path::Path;

use bytes::BufMut;
use klamm_log::Disk;
use uuid::Uuid;

use crate::types::{diskless_raft_id, raft_id};
use crate::{QuorumConfig, QuorumError, files, sealed};

const FILE: &str = "raft-identity";

/// The raft id of the log in `config.dir`, which is new if `fresh`.
///
/// # Errors
/// The log came here from another data directory: as a copy it must not vote, since the original may.
pub(crate) fn open(disk: &dyn Disk, config: &QuorumConfig, fresh: bool) -> Result<u64, QuorumError> {
    let path = config.dir.join(FILE);
    let failed = |error| QuorumError::opening(&config.dir, error);
    let stored = sealed::read(disk, &path, |reader| Ok((reader.u64()?, reader.uuid()?))).map_err(failed)?;
    match stored {
        Some((id, directory_id)) if directory_id == config.directory_id => Ok(id),
        Some((_, directory_id)) => Err(copied(&config.dir, directory_id, config.directory_id)),
        None if !fresh => Ok(diskless_raft_id(config.node_id)),
        None => {
            let id = raft_id(config.node_id, config.directory_id);
            let bytes = sealed::seal(|out| {
                out.put_u64(id);
                out.put_u128(config.directory_id.as_u128());
            });
            files::write_atomic(disk, &path, &bytes).map_err(failed)?;
            Ok(id)
        }
    }
}

fn copied(dir: &Path, of: Uuid, here: Uuid) -> QuorumError {
    QuorumError::Config(format!(
        "the metadata log in {} was copied from the data directory {of} into {here}; a copy must not vote in the \
         original's name: remove it, and this node joins with an empty log",
        dir.display()
    ))
}
