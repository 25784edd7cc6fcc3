//! Why one item of a request is refused: Kafka's error code and a sentence that names the thing.

use klamm_wire::{ErrorCode, Str};

use crate::config::ConfigError;

/// Largest error message in an answer, in bytes.
const MAX_MESSAGE: usize = 1_024;

/// An error of one item of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ApiError {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError { code, message: message.into() }
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::InvalidRequest, message)
    }

    /// The message as an answer carries it, short enough whatever it quotes.
    pub(super) fn text(mut self) -> Option<Str> {
        self.message.truncate(self.message.floor_char_boundary(MAX_MESSAGE));
        Some(Str::from(self.message))
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> ApiError {
        ApiError::new(ErrorCode::InvalidConfig, error.to_string())
    }
}

/// The error code and message fields of an answer.
pub(super) fn code_and_message<T>(result: Result<T, ApiError>) -> (i16, Option<Str>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(error) => (error.code.code(), error.text()),
    }
}
