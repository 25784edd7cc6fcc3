//! Kafka record batches, format v2: a header view over bytes, stamping, building, iteration, checksums, compression.
//!
//! The layout is that of Kafka's `DefaultRecordBatch`: a header of 61 bytes, then the records, compressed as one block if
//! the attributes say so. Base offset and partition leader epoch lie outside the checksum, so a leader stamps both in
//! place ([`stamp`]) and no byte of a record is touched between producer and consumer.
//!
//! | module | one thing |
//! |---|---|
//! | `header` | the 61-byte header and its attribute bits |
//! | `batch` | one whole batch over shared bytes, and the iterator over concatenated batches |
//! | `produced` | the checks on a batch that a client wants appended |
//! | `stamp` | what a broker writes into a batch |
//! | `record` | one record and the iterator over the records of a batch |
//! | `builder` | making a batch |
//! | `compression` | the four codecs behind an output cap |
//! | `varint` | zigzag varints, checked |
//!
//! This crate knows no files, no sockets and no clock. Every function takes bytes from outside and answers with an error,
//! never with a panic; memory grows only with the input or up to a cap that the caller names.
#![deny(clippy::indexing_slicing)]

mod batch;
mod builder;
mod compression;
mod error;
mod header;
mod produced;
mod record;
mod stamp;
mod varint;

pub use batch::{Batch, Batches, batches, recompress};
pub use builder::BatchBuilder;
pub use compression::Compression;
pub use error::BatchError;
pub use header::{
    Attributes, BATCH_OVERHEAD, BatchHeader, LOG_OVERHEAD, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, NO_TIMESTAMP, TimestampType, next_sequence,
};
pub use produced::validate_produced;
pub use record::{Header, Record, Records, RecordsSummary};
pub use stamp::{stamp, stamp_log_append_time};
