//! Where errors of the log and of batches become Kafka's error codes.

use klamm_log::{AppendError, LogError, ReadError};
use klamm_records::BatchError;
use klamm_wire::ErrorCode;

/// Why a partition does not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// Kafka's error code.
    pub code: ErrorCode,
    /// More about it; empty when the code says it all.
    pub message: String,
}

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: String::new() }
    }
}

impl From<BatchError> for Refused {
    fn from(error: BatchError) -> Self {
        Self::new(batch_code(&error), error.to_string())
    }
}

impl From<LogError> for Refused {
    fn from(error: LogError) -> Self {
        Self::new(ErrorCode::KafkaStorageError, error.to_string())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        Self::new(append_code(&error), error.to_string())
    }
}

impl From<ReadError> for Refused {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            _ => ErrorCode::KafkaStorageError,
        };
        Self::new(code, error.to_string())
    }
}

fn batch_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        BatchError::UnsupportedMagic(_)
        | BatchError::ControlFromClient
        | BatchError::LogAppendTimeFromClient
        | BatchError::BaseOffsetNotZero(_)
        | BatchError::InvalidRecordCount { .. }
        | BatchError::InvalidProducer { .. }
        | BatchError::TrailingBytes(_) => ErrorCode::InvalidRecord,
        _ => ErrorCode::CorruptMessage,
    }
}

fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Corrupt(error) => batch_code(error),
        _ => ErrorCode::KafkaStorageError,
    }
}
