//! Keeps the image file current, off the way of everything else.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm_metadata::Image;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::image_file::ImageFile;
use super::kept::Kept;

/// Shortest pause between two writes.
const PAUSE: Duration = Duration::from_secs(2);
/// Pause after a write failed.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// A pause is this many times as long as the write before it: a large image is written less often.
const PAUSE_PER_WRITE: u32 = 20;

/// Writes the newest image when it changed, and once more at the end.
pub struct Keeper {
    file: ImageFile,
    kept: Arc<Kept>,
    images: watch::Receiver<Arc<Image>>,
    pauses: Pauses,
    is_failing: bool,
}

/// The shortest pauses after a write that was well and one that failed.
#[derive(Clone, Copy)]
struct Pauses {
    usual: Duration,
    after_failure: Duration,
}

impl Keeper {
    /// A keeper of what `images` brings, which was loaded from `file` if `kept` says so.
    pub fn new(file: ImageFile, kept: Arc<Kept>, images: watch::Receiver<Arc<Image>>) -> Self {
        let pauses = Pauses { usual: PAUSE, after_failure: PAUSE_AFTER_FAILURE };
        Self { file, kept, images, pauses, is_failing: false }
    }

    /// Keeps until `stop` is cancelled or the image is disowned; the latter removes the file.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut disowned = self.kept.disowned();
        let end = async {
            tokio::select! {
                () = stop.cancelled() => {}
                // The sender lives as long as `kept`.
                _ = disowned.wait_for(Option::is_some) => {}
            }
        };
        tokio::pin!(end);
        // A write is never left behind: the next one would meet it.
        loop {
            if !self.is_failing {
                tokio::select! {
                    changed = self.images.changed() => if changed.is_err() { break },
                    () = &mut end => break,
                }
            }
            let pause = self.save_newest().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = &mut end => break,
            }
        }
        let is_disowned = self.kept.disowned().borrow().is_some();
        if is_disowned {
            self.forget().await;
        } else {
            self.save_newest().await;
            info!(offset = self.kept.offset(), "metadata image kept");
        }
    }

    /// Writes what is not on disk yet; answers how long to wait before the next time.
    async fn save_newest(&mut self) -> Duration {
        let image = Arc::clone(&self.images.borrow_and_update());
        // A newer Klamm must read what this one stepped over.
        if image.offset() <= self.kept.offset() || image.has_skipped_records() {
            return self.pauses.usual;
        }
        let (start, offset) = (Instant::now(), image.offset());
        let file = self.file.clone();
        match blocking(move || file.save(&image)).await {
            Ok(()) => {
                debug!(offset, milliseconds = start.elapsed().as_millis() as u64, "metadata image kept");
                self.kept.is_at(offset);
                self.is_failing = false;
                self.pauses.usual.max(start.elapsed() * PAUSE_PER_WRITE)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(%error, offset, "the metadata image cannot be kept on disk; trying again");
                }
                self.pauses.after_failure
            }
        }
    }

    async fn forget(&self) {
        let file = self.file.clone();
        match blocking(move || file.remove()).await {
            Ok(()) => self.kept.is_at(-1),
            Err(error) => error!(
                %error,
                file = %self.file.path().display(),
                "the metadata image can be neither removed nor emptied: this broker would begin with it again, and stop again, \
                 until the file is removed by hand"
            ),
        }
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use klamm_log::{Disk, SimDisk};
    use klamm_metadata::{Record, UnknownRecord};
    use uuid::Uuid;

    use super::*;
    use crate::metadata::image_file::Owner;

    /// A keeper that runs, and what it is told.
    struct Bench {
        disk: SimDisk,
        file: ImageFile,
        kept: Arc<Kept>,
        images: watch::Sender<Arc<Image>>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn bench() -> Bench {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/data")).unwrap();
        let owner = Owner { cluster_id: "cluster".to_owned(), node_id: 1, directory_id: Uuid::from_u128(5) };
        let file = ImageFile::new(Arc::new(disk.clone()), Path::new("/data"), owner);
        let (images, receiver) = watch::channel(Arc::new(Image::empty()));
        let (kept, stop) = (Arc::new(Kept::default()), CancellationToken::new());
        let mut keeper = Keeper::new(file.clone(), Arc::clone(&kept), receiver);
        let short = Duration::from_millis(1);
        keeper.pauses = Pauses { usual: short, after_failure: short };
        let task = tokio::spawn(keeper.run(stop.clone()));
        Bench { disk, file, kept, images, stop, task }
    }

    fn at(offset: i64, records: &[Record]) -> Arc<Image> {
        let mut image = Image::empty();
        image.apply(offset, 1, records);
        Arc::new(image)
    }

    impl Bench {
        async fn until_kept(&self, offset: i64) {
            while self.kept.offset() != offset {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }

        fn on_disk(&self) -> Option<i64> {
            self.file.load().unwrap().map(|image| image.offset())
        }

        async fn stop(self) -> Option<i64> {
            self.stop.cancel();
            self.task.await.unwrap();
            self.file.load().unwrap().map(|image| image.offset())
        }
    }

    #[tokio::test]
    async fn the_newest_image_gets_to_the_disk_and_the_last_one_when_the_process_stops() {
        let bench = bench();
        bench.images.send_replace(at(5, &[]));
        bench.until_kept(5).await;
        bench.images.send_replace(at(6, &[]));
        bench.images.send_replace(at(7, &[]));
        bench.until_kept(7).await;
        bench.images.send_replace(at(8, &[]));
        assert_eq!(bench.stop().await, Some(8));
    }

    #[tokio::test]
    async fn a_write_that_fails_is_tried_again_without_another_change() {
        let bench = bench();
        bench.images.send_replace(at(5, &[]));
        bench.until_kept(5).await;
        bench.disk.fail_syncs(2);
        bench.images.send_replace(at(6, &[]));
        bench.until_kept(6).await;
        assert_eq!(bench.on_disk(), Some(6));
    }

    #[tokio::test]
    async fn an_image_that_a_newer_klamm_would_read_differently_is_not_kept() {
        let bench = bench();
        bench.images.send_replace(at(5, &[]));
        bench.until_kept(5).await;
        let unknown = UnknownRecord { kind: 99, version: 0, body: bytes::Bytes::new() };
        bench.images.send_replace(at(6, &[Record::Unknown(unknown)]));
        assert_eq!(bench.stop().await, Some(5));
    }

    #[tokio::test]
    async fn an_image_that_is_disowned_leaves_the_disk() {
        let bench = bench();
        bench.images.send_replace(at(5, &[]));
        bench.until_kept(5).await;
        bench.images.send_replace(at(6, &[]));
        bench.kept.disown("another log".to_owned());
        assert_eq!(bench.stop().await, None);
    }
}
