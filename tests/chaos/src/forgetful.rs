//! A disk that forgets: a file system of ours under a broker's data, which keeps only what was synced when its power fails.
//!
//! - [`store`]: what is on it, and what of that would be there after a loss of power; a structure without a mount
//! - `mount`: the same behind the kernel's FUSE interface
//!
//! Stricter than most file systems: syncing a file does not make its name durable; only syncing its folder does.

mod mount;
pub mod store;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use rand::rngs::StdRng;

use store::{Loss, Store};

/// Threads that answer the kernel: a slow sync shall not hold up everything else.
const THREADS: usize = 4;

/// A disk, mounted.
pub struct ForgetfulDisk {
    store: Arc<Mutex<Store>>,
    at: PathBuf,
    session: Option<BackgroundSession>,
}

impl ForgetfulDisk {
    /// An empty disk at a folder that is there or is made.
    ///
    /// # Errors
    /// This is not root, or the kernel has no FUSE.
    pub fn mount(at: &Path) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let mut disk = Self { store: Arc::default(), at: at.to_owned(), session: None };
        disk.plug_in()?;
        Ok(disk)
    }

    /// What is on it, to be broken.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power fails and comes back. Nothing may have files open on it: the process is dead already.
    ///
    /// # Errors
    /// Something still has, or the kernel refuses the mount.
    pub fn lose_power(&mut self, loss: Loss, random: &mut StdRng) -> Result<()> {
        // The kernel's own cache goes with the mount.
        self.unplug()?;
        self.store().lose_power(loss, random);
        self.plug_in()
    }

    fn plug_in(&mut self) -> Result<()> {
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("forgetful".to_owned()), MountOption::NoAtime];
        config.acl = SessionACL::Owner;
        config.n_threads = Some(THREADS);
        let files = mount::Files(Arc::clone(&self.store));
        let session = fuser::spawn_mount(files, &self.at, &config);
        self.session = Some(session.with_context(|| format!("mounting {}", self.at.display()))?);
        Ok(())
    }

    fn unplug(&mut self) -> Result<()> {
        let Some(session) = self.session.take() else { return Ok(()) };
        match session.umount_and_join() {
            // How a thread that waits for requests may learn that there will be none: with several threads, not all are told
            // that the device is gone.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => Ok(()),
            ended => ended.context("unmounting"),
        }
    }
}

impl Drop for ForgetfulDisk {
    fn drop(&mut self) {
        if let Err(error) = self.unplug() {
            eprintln!("{}: {error:#}", self.at.display());
        }
    }
}

#[cfg(test)]
mod tests;
