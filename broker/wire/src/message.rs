//! What every message of the tables can do.

use bytes::Bytes;

use crate::{DecodeError, DecodeErrorKind, Decoder, EncodeError, Encoder};

/// A message of the tables, at the versions `MIN` to `MAX`.
pub trait Message: Sized {
    /// The name in the table, such as `ProduceRequest`.
    const NAME: &'static str;
    /// The API key, -1 for records and other data.
    const API_KEY: i16;
    /// The lowest version.
    const MIN: i16;
    /// The highest version.
    const MAX: i16;
    /// The first version with compact lengths and tagged fields (KIP-482), if any.
    const FLEXIBLE: Option<i16>;

    /// The name in the table.
    fn name() -> &'static str {
        Self::NAME
    }

    /// Whether `version` has compact lengths and tagged fields.
    fn is_flexible(version: i16) -> bool {
        Self::FLEXIBLE.is_some_and(|first| version >= first)
    }

    /// Reads the message at `version`; what follows it stays in `buf`.
    fn decode(buf: &mut Decoder, version: i16) -> Result<Self, DecodeError>;

    /// Writes the message at `version`.
    ///
    /// A value that `version` has no place for is refused, unless the table calls the field ignorable; tagged fields
    /// that this program does not know are dropped where the version has no tags.
    fn encode(&self, enc: &mut Encoder, version: i16) -> Result<(), EncodeError>;
}

/// A message that is answered.
pub trait Request: Message {
    /// The answer, at the same version.
    type Response: Message;
}

/// Encodes a message alone, without header and size.
pub fn encode_to_bytes<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut encoder = Encoder::new();
    message.encode(&mut encoder, version)?;
    encoder.into_bytes()
}

/// Decodes a message that fills `bytes` exactly.
pub fn decode_from_bytes<M: Message>(bytes: Bytes, version: i16) -> Result<M, DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let message = M::decode(&mut decoder, version)?;
    decoder.finish().map_err(|e| e.within(M::NAME, None))?;
    Ok(message)
}

pub(crate) fn check_decodable<M: Message>(version: i16) -> Result<(), DecodeError> {
    if (M::MIN..=M::MAX).contains(&version) {
        return Ok(());
    }
    let kind = DecodeErrorKind::UnsupportedVersion { version, min: M::MIN, max: M::MAX };
    Err(DecodeError::new(kind, M::NAME, 0))
}

pub(crate) fn check_encodable<M: Message>(version: i16) -> Result<(), EncodeError> {
    if (M::MIN..=M::MAX).contains(&version) {
        return Ok(());
    }
    Err(EncodeError::UnsupportedVersion { message: M::NAME, version, min: M::MIN, max: M::MAX })
}
