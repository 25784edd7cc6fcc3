//! Notices edits of a file by looking at it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells one content from another: editors write in place or put another file in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// A file that is watched.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    seen: Option<Mark>,
}

impl Watch {
    /// Watches from the present content on.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: mark(path) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is another content than at the last look. A file that is missing is being replaced.
    pub fn changed(&mut self) -> bool {
        let now = mark(&self.path);
        if now.is_none() || now == self.seen {
            return false;
        }
        self.seen = now;
        true
    }
}

fn mark(path: &Path) -> Option<Mark> {
    let found = std::fs::metadata(path).ok()?;
    Some(Mark { inode: found.ino(), size: found.size(), modified: (found.mtime(), found.mtime_nsec()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_and_a_replacement_are_noticed_once_and_an_absence_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.yaml");
        std::fs::write(&file, "1").unwrap();
        let mut watch = Watch::new(&file);
        assert!(!watch.changed());
        std::fs::write(&file, "22").unwrap();
        assert!(watch.changed());
        assert!(!watch.changed());
        std::fs::remove_file(&file).unwrap();
        assert!(!watch.changed());
        std::fs::write(dir.path().join("b.yaml"), "333").unwrap();
        std::fs::rename(dir.path().join("b.yaml"), &file).unwrap();
        assert!(watch.changed());
    }
}
