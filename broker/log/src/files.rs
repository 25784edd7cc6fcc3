//! The files of one segment, opened when first needed and shared with whoever reads or writes them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::check::Trust;
use crate::disk::{Disk, DiskFile, OpenMode, read_file_if_exists};
use crate::names;

/// The files of the segment at one base offset.
#[derive(Debug)]
pub(crate) struct SegmentFiles {
    disk: Arc<dyn Disk>,
    dir: Arc<Path>,
    base_offset: i64,
    log: OnceLock<Arc<dyn DiskFile>>,
    offset_index: OnceLock<Arc<dyn DiskFile>>,
    trust: Trust,
}

impl SegmentFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: Arc<Path>, base_offset: i64) -> Self {
        let (log, offset_index) = (OnceLock::new(), OnceLock::new());
        Self { disk, dir, base_offset, log, offset_index, trust: Trust::default() }
    }

    /// Which bytes of the `.log` file are only believed.
    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.base_offset
    }

    pub(crate) fn path(&self, extension: &str) -> PathBuf {
        self.dir.join(names::segment_file(self.base_offset, extension))
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.path(names::LOG)
    }

    /// The `.log` file, which must exist.
    pub(crate) fn log(&self) -> io::Result<&Arc<dyn DiskFile>> {
        self.open_once(&self.log, names::LOG, OpenMode::Write)
    }

    /// The `.log` file, created if need be.
    pub(crate) fn log_or_create(&self) -> io::Result<&Arc<dyn DiskFile>> {
        self.open_once(&self.log, names::LOG, OpenMode::Create)
    }

    /// The `.index` file, which must exist.
    pub(crate) fn offset_index(&self) -> io::Result<&Arc<dyn DiskFile>> {
        self.open_once(&self.offset_index, names::OFFSET_INDEX, OpenMode::Write)
    }

    /// Opens one of the files for this one use.
    pub(crate) fn open(&self, extension: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(&self.path(extension), mode)
    }

    /// The whole of a file beside the segment's.
    pub(crate) fn read_beside(&self, offset: i64, extension: &str) -> io::Result<Option<Vec<u8>>> {
        read_file_if_exists(&*self.disk, &self.dir.join(names::segment_file(offset, extension)))
    }

    fn open_once<'a>(
        &self,
        cell: &'a OnceLock<Arc<dyn DiskFile>>,
        extension: &str,
        mode: OpenMode,
    ) -> io::Result<&'a Arc<dyn DiskFile>> {
        if let Some(file) = cell.get() {
            return Ok(file);
        }
        let opened = self.open(extension, mode)?;
        Ok(cell.get_or_init(|| opened))
    }
}
