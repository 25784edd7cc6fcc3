//! The messages of the tables in `messages/`, one module each, written by the build script.
//!
//! Fields are the table's in snake case; a Rust keyword has a trailing underscore. `Default` is the table's default.

/// What the generated modules use.
mod imports {
    pub(super) use bytes::Bytes;
    pub(super) use uuid::Uuid;

    pub(super) use crate::message::{check_decodable, check_encodable};
    /// Stands for null where a version has no null and the table says so.
    pub(super) static EMPTY: Str = Str::from_static("");
    pub(super) use crate::{DecodeError, Decoder, EncodeError, Encoder, Message, Records, Request, Str};
}

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
