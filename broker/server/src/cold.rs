//! Reads that wait for the disk, on threads that may.

use std::io;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Reads of cold files that may be under way at once.
static COLD_READS: Semaphore = Semaphore::const_new(8);
/// The same of those that nobody waits for yet; they keep none of the others from theirs.
static READS_AHEAD: Semaphore = Semaphore::const_new(4);

/// Reads on a thread that may wait, when fewer than [`COLD_READS`] do.
///
/// # Errors
/// When the thread could not end its work, as while the process stops.
pub(crate) async fn cold_read<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let permit = COLD_READS.acquire().await.map_err(io::Error::other)?;
    let read = spawn_blocking(move || {
        let _permit = permit;
        read()
    });
    read.await.map_err(io::Error::other)
}

/// The same for what nobody waits for; does nothing when there is enough to read already.
pub(crate) fn cold_read_if_idle(read: impl FnOnce() + Send + 'static) {
    let Ok(permit) = READS_AHEAD.try_acquire() else { return };
    drop(spawn_blocking(move || {
        let _permit = permit;
        read();
    }));
}
