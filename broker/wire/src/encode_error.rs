//! Why a message cannot be written at a version.

/// A refusal to encode. It is a mistake of the program, never of a peer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message does not exist at this version.
    #[error("{message} has no version {version}, {min} to {max} are known")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The lowest known.
        min: i16,
        /// The highest known.
        max: i16,
    },
    /// A field has a value that this version has no place for and that must not be dropped.
    #[error("{field} does not exist in version {version}")]
    Absent {
        /// The field.
        field: &'static str,
        /// The version.
        version: i16,
    },
    /// Null where the version has no null.
    #[error("{0} must not be null in this version")]
    UnexpectedNull(&'static str),
    /// A length that the format cannot express.
    #[error("{field} has {length} bytes or elements, more than the format allows")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Bytes or elements.
        length: usize,
    },
    /// Unknown tagged fields that are not in strictly ascending order, or that collide with a known one.
    #[error("tag {0} is out of order")]
    TagOutOfOrder(u32),
    /// External parts, where contiguous bytes were asked for.
    #[error("external records cannot be written to contiguous bytes")]
    External,
}

impl EncodeError {
    /// `field` has a value but no place in `version`.
    #[cold]
    pub(crate) fn absent(field: &'static str, version: i16) -> Self {
        Self::Absent { field, version }
    }
}
