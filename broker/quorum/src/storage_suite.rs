//! openraft's own suite for log stores and state machines.

use std::sync::Arc;

use klamm_log::RealDisk;
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};

use crate::config::SnapshotPolicy;
use crate::founding_file::FoundingFile;
use crate::log_store::LogStore;
use crate::snapshot_store::SnapshotStore;
use crate::state_machine::StateMachine;
use crate::types::TypeConfig;

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, tempfile::TempDir> for OnDisk {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().expect("a directory");
        let disk = Arc::new(RealDisk);
        let snapshots = Arc::new(SnapshotStore::open(disk.clone(), dir.path()).expect("snapshots open"));
        let founding = Arc::new(FoundingFile::open(disk.clone(), dir.path()).expect("it opens"));
        let log = LogStore::open(disk, dir.path(), 1024 * 1024, None).expect("the log opens");
        Ok((dir, log, StateMachine::new(snapshots, founding, SnapshotPolicy::default())))
    }
}

#[tokio::test]
async fn the_log_store_and_the_state_machine_pass_openrafts_suite() {
    Suite::test_all(OnDisk).await.expect("every test of the suite passes");
}
