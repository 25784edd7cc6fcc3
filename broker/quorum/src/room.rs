//! A full disk is waited for: what is to be written stays in memory and unacknowledged, and goes on when there is room again. Such
//! a voter is slow, not lost; if it stopped, three nodes that fill up together would lose the quorum with which an operator
//! frees space.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use klamm_log::is_full;

/// Before the second try; twice as long before each further one, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Who writes, and whether it may wait.
#[derive(Debug, Default)]
pub(crate) struct Room {
    is_closing: AtomicBool,
}

impl Room {
    /// From now on nothing waits for room any more.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
    }

    /// Does `work`, which leaves everything as it was when the disk is full, until there is room. Blocks.
    ///
    /// # Errors
    /// Any other than that of a full disk at once; that one when the process stops.
    pub(crate) fn wait_for<T>(&self, what: &str, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let mut pause = FIRST_PAUSE;
        loop {
            let result = work();
            let is_full = result.as_ref().is_err_and(is_full);
            if !is_full {
                if pause > FIRST_PAUSE {
                    tracing::info!("{what}: there is room on the disk again");
                }
                return result;
            }
            if self.is_closing.load(Ordering::Relaxed) {
                return result;
            }
            if pause == FIRST_PAUSE {
                tracing::error!("{what}: the disk is full; this controller waits until there is room");
            }
            std::thread::sleep(pause);
            pause = (2 * pause).min(LAST_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn a_full_disk_is_waited_for_and_nothing_else_is() {
        let room = Room::default();
        let mut answers = vec![Ok(7), Err(ErrorKind::QuotaExceeded), Err(ErrorKind::StorageFull)];
        let done = room.wait_for("the log", || answers.pop().unwrap().map_err(io::Error::from));
        assert_eq!(done.unwrap(), 7);
        let mut answers = vec![Ok(7), Err(ErrorKind::TimedOut)];
        let failed = room.wait_for("the log", || answers.pop().unwrap().map_err(io::Error::from));
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn who_stops_does_not_wait() {
        let room = Room::default();
        room.close();
        let full = room.wait_for("the log", || Err::<(), _>(io::Error::from(ErrorKind::StorageFull)));
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
