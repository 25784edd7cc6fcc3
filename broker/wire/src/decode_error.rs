//! Why bytes are not the message that they claim to be, and where.

use std::fmt;

/// A refusal to decode, with the path of the field: `MetadataRequest.Topics[3].Name`.
///
/// Boxed, so that a result is one word in the decoder's hot path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(Box<Details>);

#[derive(Clone, Debug, PartialEq)]
struct Details {
    kind: DecodeErrorKind,
    path: String,
    offset: usize,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end within a value.
    #[error("{needed} bytes needed, {left} left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes left.
        left: usize,
    },
    /// A length or an element count that the bytes left cannot hold, or a negative one that is not null.
    #[error("length {length} is out of range, {left} bytes left")]
    LengthOutOfRange {
        /// The length as read.
        length: i64,
        /// Bytes left.
        left: usize,
    },
    /// Null where the version has no null.
    #[error("null is not allowed")]
    UnexpectedNull,
    /// A varint of more than 32 bits, or longer than its value needs.
    #[error("malformed varint")]
    MalformedVarint,
    /// Text that is not UTF-8.
    #[error("not UTF-8")]
    InvalidUtf8,
    /// A tagged field that occurs twice.
    #[error("tag {0} occurs twice")]
    DuplicateTag(u32),
    /// A tagged field that is longer than its value.
    #[error("{0} bytes left over in tag")]
    TagNotConsumed(usize),
    /// Bytes after the end of the message.
    #[error("{0} bytes after the end")]
    TrailingBytes(usize),
    /// No API has this key.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// A version that the message does not have.
    #[error("unsupported version {version}, {min} to {max} are known")]
    UnsupportedVersion {
        /// The version asked for.
        version: i16,
        /// The lowest known.
        min: i16,
        /// The highest known.
        max: i16,
    },
}

impl DecodeError {
    /// An error in `field`, `offset` bytes into the frame.
    #[cold]
    pub fn new(kind: DecodeErrorKind, field: &str, offset: usize) -> Self {
        Self(Box::new(Details { kind, path: field.to_owned(), offset }))
    }

    /// The same error, seen from the struct or array that holds the field.
    #[cold]
    pub(crate) fn within(mut self, field: &str, index: Option<usize>) -> Self {
        let inner = std::mem::take(&mut self.0.path);
        let index = index.map_or(String::new(), |i| format!("[{i}]"));
        let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
        self.0.path = format!("{field}{index}{dot}{inner}");
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.0.kind
    }

    /// The path of the field from the message down.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// Bytes from the start of the buffer to the place of the error.
    pub fn offset(&self) -> usize {
        self.0.offset
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.path, self.offset, self.kind)
    }
}
