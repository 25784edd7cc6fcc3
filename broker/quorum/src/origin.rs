//! Which quorum the disk here is of, by its founding, and who is of another one.
//!
//! A quorum that lost all its disks is founded anew under the same cluster id. A controller that comes back with a disk of
//! before must neither be let in, as its log would be replaced by the new one, nor be heard: its epochs may be higher and
//! its log longer. So everything that goes between controllers names the founding of its sender's log, and what names
//! another one never gets to openraft. Who says nothing is of an older version, or has nothing of any log yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use klamm_metadata::Image;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::QuorumError;
use crate::founding_file::FoundingFile;

/// Between two lines about the same controller.
const REMINDER: Duration = Duration::from_secs(30);

/// What is known of the quorum that the log here is of.
pub(crate) struct Origin {
    dir: PathBuf,
    image: watch::Receiver<Arc<Image>>,
    file: Arc<FoundingFile>,
    /// The node that was complained of last, and when.
    complained: Mutex<Option<(i32, Instant)>>,
}

impl Origin {
    pub(crate) fn new(dir: PathBuf, image: watch::Receiver<Arc<Image>>, file: Arc<FoundingFile>) -> Origin {
        Origin { dir, image, file, complained: Mutex::default() }
    }

    /// The founding of the log here; `None` while none is known.
    pub(crate) fn founding(&self) -> Option<Uuid> {
        let applied = self.image.borrow().founding();
        applied.or_else(|| self.file.kept())
    }

    /// Whether `theirs`, the founding that the controller `node` names, may be that of the log here.
    ///
    /// # Errors
    /// It is of another quorum, which an operator is told.
    pub(crate) fn check(&self, node: i32, theirs: Option<Uuid>) -> Result<(), QuorumError> {
        match (self.founding(), theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                self.complain(node, ours, theirs);
                Err(QuorumError::AnotherFounding { ours, theirs })
            }
            _ => Ok(()),
        }
    }

    fn complain(&self, node: i32, ours: Uuid, theirs: Uuid) {
        let mut complained = self.complained.lock();
        if complained.is_some_and(|(last, at)| last == node && at.elapsed() < REMINDER) {
            return;
        }
        *complained = Some((node, Instant::now()));
        tracing::error!(
            "controller {node} is of another metadata quorum than this one: its founding is {theirs}, that of the log in {} \
             is {ours}; they take no part in each other. Whichever has come back with the disk of a quorum that was lost: stop \
             it, move its metadata directory away, and start it with an empty one",
            self.dir.display()
        );
    }
}
