//! The Kafka protocol as data: message tables, bounded decoding, segmented encoding, the API catalogue.
//!
//! It does not know what a message means, and touches no file and no socket.
//!
//! - [`messages`]: one module per message, generated from the tables in `messages/`
//! - [`Decoder`], [`Encoder`]: Kafka's types; [`Message`], [`Request`]: what the generated types can do
//! - [`decode_request_header`], [`encode_request_frame`], [`encode_response_frame`]: headers and frames
//! - [`catalogue`]: which APIs there are, at which versions, on which listeners
//! - [`ErrorCode`]: what Kafka's error codes are called, mean, and whether to try again

#![deny(clippy::indexing_slicing)]

pub mod catalogue;
mod decode_error;
mod decoder;
mod encode_error;
mod encoder;
mod error_code;
mod frame;
mod header;
mod message;
#[allow(missing_docs, unused_imports, unused_mut, unused_variables, clippy::all)]
pub mod messages;
mod records;
mod str;
mod tagged_fields;

pub use decode_error::{DecodeError, DecodeErrorKind};
pub use decoder::Decoder;
pub use encode_error::EncodeError;
pub use encoder::{Encoder, SEGMENT_THRESHOLD, Segment};
pub use error_code::ErrorCode;
pub use frame::{encode_request_frame, encode_response_frame};
pub use header::{RequestHeader, decode_request_header, decode_response_header};
pub use message::{Message, Request, decode_from_bytes, encode_to_bytes};
pub use records::{Part, Records};
pub use str::Str;
pub use tagged_fields::TaggedFields;
