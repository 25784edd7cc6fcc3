//! The `records` field of a response: bytes to send as they are, or ranges of files that somebody else sends.

use bytes::Bytes;

/// Record batches of a response, in order and never looked into.
#[derive(Clone, Debug, PartialEq)]
pub enum Records {
    /// Null on the wire. Some clients fail on it: a partition without data is [`Records::EMPTY`].
    Null,
    /// Batches in memory.
    Bytes(Bytes),
    /// Batches in several places, sent one after another.
    Parts(Vec<Part>),
}

/// One piece of [`Records::Parts`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Batches in memory.
    Bytes(Bytes),
    /// `length` bytes that the sender of the frame takes from elsewhere, such as a file range; `index` names which.
    External {
        /// The sender's name for the range.
        index: u32,
        /// Bytes.
        length: u32,
    },
}

impl Records {
    /// No batches, not null.
    pub const EMPTY: Self = Self::Bytes(Bytes::new());

    /// Bytes on the wire without the length prefix.
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Bytes(bytes) => bytes.len(),
            Self::Parts(parts) => parts.iter().map(Part::len).sum(),
        }
    }

    /// Whether there is no byte of records, null or not.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Records {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl From<Bytes> for Records {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl Part {
    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::External { length, .. } => usize::try_from(*length).unwrap_or(usize::MAX),
        }
    }

    /// Whether the piece holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
