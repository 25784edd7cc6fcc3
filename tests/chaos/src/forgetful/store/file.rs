//! A file of a forgetful disk: its content, what of it is durable, and the changes between the two.

use rand::RngExt;
use rand::rngs::StdRng;

use super::Loss;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A change of a file that is not durable.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Resize(length) => content.resize(*length, 0),
        }
    }
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl File {
    /// What is read from it.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Changes the content, durable or not yet.
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.content);
        self.unsynced.push(change);
    }

    /// Makes all changes durable.
    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            change.apply(&mut self.durable);
        }
    }

    /// The changes so far never become durable, though they are read.
    pub(super) fn give_up(&mut self) {
        self.unsynced.clear();
    }

    /// Goes back to what is durable; returns how many changes are gone, whole or in part.
    pub(super) fn lose_power(&mut self, loss: Loss, random: &mut StdRng) -> usize {
        let mut forgotten = 0;
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write { at, bytes } if loss == Loss::Some && random.random_bool(0.5) => {
                    let sectors = bytes.len().div_ceil(SECTOR);
                    let kept = (random.random_range(0..=sectors) * SECTOR).min(bytes.len());
                    forgotten += usize::from(kept < bytes.len());
                    Change::Write { at, bytes: bytes[..kept].to_vec() }.apply(&mut self.durable);
                }
                Change::Resize(_) if loss == Loss::Some && random.random_bool(0.5) => {
                    change.apply(&mut self.durable)
                }
                _ => forgotten += 1,
            }
        }
        self.content = self.durable.clone();
        forgotten
    }
}
