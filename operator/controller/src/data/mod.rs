//! The data directory: what is kept there, where, and who holds it.
//!
//! `up.lock` is held while `up` runs; `state.json` is what must be found again (ids, ports, processes); `status.json`
//! says how things are; `node-N/` holds `server.properties`, `broker.log` and `data/` of one node; `up.log` the
//! messages of a detached `up`.

pub mod lock;
pub mod state;
pub mod status;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be created, read or written.
    #[error("cannot use data directory {}: {what}: {source}; choose another one with --data", dir.display())]
    Unusable {
        /// The directory.
        dir: PathBuf,
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another `up` holds it.
    #[error(
        "data directory {} is held by klamm-operator up with pid {pid}: \
         edit its manifest to change the cluster, or stop it with: klamm-operator down --data {}",
        dir.display(), dir.display()
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who holds it.
        pid: String,
    },
    /// It holds another cluster.
    #[error(
        "data directory {} holds the cluster {found}, and the manifest asks for {wanted}: \
         choose another one with --data, or set metadata.name back to {found}",
        dir.display()
    )]
    OtherCluster {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// What is kept in it cannot be understood.
    #[error("{}: {message}; restore the file, or choose another directory with --data", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// The directory of one cluster.
#[derive(Clone, Debug)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Creates the directory if it is not there.
    ///
    /// # Errors
    /// If it cannot be created or is no directory.
    pub fn create(path: &Path) -> Result<Self, DataError> {
        let unusable =
            |what: &str, source| DataError::Unusable { dir: path.to_owned(), what: what.into(), source };
        std::fs::create_dir_all(path).map_err(|e| unusable("it cannot be created", e))?;
        Self::existing(path)
    }

    /// Opens a directory that must be there.
    ///
    /// # Errors
    /// If it is not there.
    pub fn existing(path: &Path) -> Result<Self, DataError> {
        let canonical = path.canonicalize().map_err(|source| DataError::Unusable {
            dir: path.to_owned(),
            what: "it cannot be opened".into(),
            source,
        })?;
        Ok(Self { path: canonical })
    }

    /// The absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file directly in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory of a node.
    pub fn node(&self, id: i32) -> PathBuf {
        self.path.join(format!("node-{id}"))
    }

    /// Where a node keeps its partitions.
    pub fn node_data(&self, id: i32) -> PathBuf {
        self.node(id).join("data")
    }

    /// The properties that a node starts with.
    pub fn node_properties(&self, id: i32) -> PathBuf {
        self.node(id).join("server.properties")
    }

    /// What a node prints.
    pub fn node_log(&self, id: i32) -> PathBuf {
        self.node(id).join("broker.log")
    }

    /// What a detached `up` prints.
    pub fn up_log(&self) -> PathBuf {
        self.file("up.log")
    }

    /// Wraps an error of the file system.
    pub fn unusable(&self, what: impl Into<String>, source: io::Error) -> DataError {
        DataError::Unusable { dir: self.path.clone(), what: what.into(), source }
    }
}

/// Replaces a file as a whole: a reader finds the old content or the new, never a part, also after a power loss.
pub fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(directory)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file).map_err(|error| error.error)?;
    std::fs::File::open(directory)?.sync_all()
}
