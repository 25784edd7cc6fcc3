//! What is on a forgetful disk: files and folders as they are, and as they would be after a loss of power.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

mod file;

use file::Change;
pub use file::File;

/// Number of the root folder, as FUSE has it.
pub const ROOT: u64 = 1;

/// Why something cannot be done, as the kernel names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// ENOENT.
    Missing,
    /// EEXIST.
    Exists,
    /// ENOTEMPTY.
    NotEmpty,
    /// ENOSPC.
    Full,
    /// EIO.
    Broken,
}

/// What is left of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    Everything,
    /// Any writes, torn at sectors, and any number of the first changes of folders.
    Some,
}

/// A folder: names and what they stand for.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    entries: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

/// A file or a folder.
#[derive(Clone, Debug)]
pub enum Node {
    /// A file.
    File(File),
    /// A folder.
    Folder(Folder),
}

impl Node {
    /// Bytes of a file.
    pub fn len(&self) -> u64 {
        match self {
            Self::File(file) => file.content().len() as u64,
            Self::Folder(_) => 0,
        }
    }
}

/// Names that changed together: all of them are durable or none.
#[derive(Clone, Debug)]
struct Renaming(Vec<(u64, OsString, Option<u64>)>);

/// Syncs that shall fail.
#[derive(Clone, Debug)]
pub struct FailingSyncs {
    /// Only of files with this ending.
    pub ending: &'static str,
    /// How many.
    pub remaining: usize,
}

/// What a disk counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Syncs of files that were done.
    pub synced: usize,
    /// Syncs that failed.
    pub failed: usize,
    /// Changes that a loss of power took away.
    pub forgotten: usize,
}

/// A disk.
#[derive(Debug)]
pub struct Store {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    /// Changes of folders that no sync has made durable, in their order.
    renamings: Vec<Renaming>,
    names: BTreeMap<u64, OsString>,
    /// How long a sync takes.
    pub sync_takes: Duration,
    /// The next syncs fail.
    pub failing: Option<FailingSyncs>,
    /// What happened so far.
    pub counts: Counts,
}

impl Default for Store {
    fn default() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Folder(Folder::default()))]);
        Self {
            nodes,
            next: ROOT + 1,
            renamings: Vec::new(),
            names: BTreeMap::new(),
            sync_takes: Duration::from_millis(1),
            failing: None,
            counts: Counts::default(),
        }
    }
}

impl Store {
    /// A file or folder by its number.
    pub fn node(&self, number: u64) -> Result<&Node, Refused> {
        self.nodes.get(&number).ok_or(Refused::Missing)
    }

    fn file(&mut self, number: u64) -> Result<&mut File, Refused> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(Refused::Missing),
        }
    }

    fn folder(&self, number: u64) -> Result<&Folder, Refused> {
        match self.nodes.get(&number) {
            Some(Node::Folder(folder)) => Ok(folder),
            _ => Err(Refused::Missing),
        }
    }

    /// What a name in a folder stands for.
    pub fn lookup(&self, folder: u64, name: &OsStr) -> Result<u64, Refused> {
        self.folder(folder)?.entries.get(name).copied().ok_or(Refused::Missing)
    }

    /// Names of a folder, and what they stand for.
    pub fn list(&self, folder: u64) -> Result<Vec<(u64, OsString)>, Refused> {
        Ok(self.folder(folder)?.entries.iter().map(|(name, number)| (*number, name.clone())).collect())
    }

    /// A new, empty node.
    pub fn create(&mut self, folder: u64, name: &OsStr, node: Node) -> Result<u64, Refused> {
        if self.folder(folder)?.entries.contains_key(name) {
            return Err(Refused::Exists);
        }
        let number = self.next;
        self.next += 1;
        self.nodes.insert(number, node);
        self.rename_all(vec![(folder, name.to_owned(), Some(number))]);
        Ok(number)
    }

    /// Takes a name away. What it stood for stays for those who have it open.
    pub fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Refused> {
        let number = self.lookup(folder, name)?;
        if self.folder(number).is_ok_and(|folder| !folder.entries.is_empty()) {
            return Err(Refused::NotEmpty);
        }
        self.rename_all(vec![(folder, name.to_owned(), None)]);
        Ok(())
    }

    /// Moves a name, over another if that is there.
    pub fn rename(&mut self, from: (u64, &OsStr), to: (u64, &OsStr)) -> Result<(), Refused> {
        let number = self.lookup(from.0, from.1)?;
        self.folder(to.0)?;
        self.rename_all(vec![(from.0, from.1.to_owned(), None), (to.0, to.1.to_owned(), Some(number))]);
        Ok(())
    }

    fn rename_all(&mut self, changes: Vec<(u64, OsString, Option<u64>)>) {
        for (folder, name, number) in &changes {
            if let Some(number) = number {
                self.names.insert(*number, name.clone());
            }
            if let Some(Node::Folder(folder)) = self.nodes.get_mut(folder) {
                set(&mut folder.entries, name, *number);
            }
        }
        self.renamings.push(Renaming(changes));
    }

    /// Bytes of a file; fewer at its end.
    pub fn read(&self, number: u64, at: u64, count: usize) -> Result<&[u8], Refused> {
        let Node::File(file) = self.node(number)? else { return Err(Refused::Missing) };
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(file.content().len());
        let end = start.saturating_add(count).min(file.content().len());
        Ok(&file.content()[start..end])
    }

    /// Writes to a file.
    pub fn write(&mut self, number: u64, at: u64, bytes: &[u8]) -> Result<(), Refused> {
        let at = usize::try_from(at).map_err(|_| Refused::Full)?;
        self.change(number, Change::Write { at, bytes: bytes.to_vec() })
    }

    /// Cuts a file or extends it with zeros.
    pub fn resize(&mut self, number: u64, length: u64) -> Result<(), Refused> {
        let length = usize::try_from(length).map_err(|_| Refused::Full)?;
        self.change(number, Change::Resize(length))
    }

    fn change(&mut self, number: u64, change: Change) -> Result<(), Refused> {
        self.file(number)?.change(change);
        Ok(())
    }

    /// Makes a file's content durable.
    ///
    /// A sync that fails does what Linux does: what it could not write counts as written from then on, is read as before,
    /// and is not on the disk, whatever a later sync says.
    pub fn sync(&mut self, number: u64) -> Result<(), Refused> {
        let name = self.names.get(&number).cloned().unwrap_or_default();
        let fails = self.failing.as_mut().filter(|failing| {
            failing.remaining > 0 && name.to_str().is_some_and(|name| name.ends_with(failing.ending))
        });
        if let Some(failing) = fails {
            failing.remaining -= 1;
            self.counts.failed += 1;
            self.file(number)?.give_up();
            return Err(Refused::Broken);
        }
        self.file(number)?.sync();
        self.counts.synced += 1;
        Ok(())
    }

    /// Makes the names of a folder durable.
    pub fn sync_folder(&mut self, number: u64) -> Result<(), Refused> {
        let Some(Node::Folder(folder)) = self.nodes.get_mut(&number) else { return Err(Refused::Missing) };
        folder.durable = folder.entries.clone();
        for Renaming(changes) in &mut self.renamings {
            changes.retain(|(folder, _, _)| *folder != number);
        }
        self.renamings.retain(|Renaming(changes)| !changes.is_empty());
        Ok(())
    }

    /// Forgets what is not durable.
    pub fn lose_power(&mut self, loss: Loss, random: &mut StdRng) {
        let renamings = std::mem::take(&mut self.renamings);
        let kept = if loss == Loss::Some { random.random_range(0..=renamings.len()) } else { 0 };
        self.counts.forgotten += renamings.len() - kept;
        for (folder, name, number) in renamings.into_iter().take(kept).flat_map(|Renaming(changes)| changes) {
            if let Some(Node::Folder(folder)) = self.nodes.get_mut(&folder) {
                set(&mut folder.durable, &name, number);
            }
        }
        for node in self.nodes.values_mut() {
            match node {
                Node::Folder(folder) => folder.entries = folder.durable.clone(),
                Node::File(file) => self.counts.forgotten += file.lose_power(loss, random),
            }
        }
        let there: Vec<u64> = self.reachable();
        self.nodes.retain(|number, _| there.binary_search(number).is_ok());
    }

    /// Numbers of all that has a name, ascending.
    fn reachable(&self) -> Vec<u64> {
        let (mut found, mut at) = (vec![ROOT], 0);
        while let Some(number) = found.get(at) {
            if let Some(Node::Folder(folder)) = self.nodes.get(number) {
                found.extend(folder.entries.values());
            }
            at += 1;
        }
        found.sort_unstable();
        found
    }
}

fn set(entries: &mut BTreeMap<OsString, u64>, name: &OsStr, number: Option<u64>) {
    match number {
        Some(number) => drop(entries.insert(name.to_owned(), number)),
        None => drop(entries.remove(name)),
    }
}
