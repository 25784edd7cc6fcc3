//! Whole frames: four bytes of size, a header, a body.

use crate::encoder::Segment;
use crate::header::{RequestHeader, encode_request_header, encode_response_header};
use crate::{EncodeError, Encoder, Message, Request};

/// Encodes a request with size and header, at `header.api_version`; the key is the message's own.
pub fn encode_request_frame<M: Request>(
    header: &RequestHeader,
    body: &M,
) -> Result<Vec<Segment>, EncodeError> {
    let version = header.api_version;
    frame(|encoder| {
        let header = RequestHeader { api_key: M::API_KEY, ..header.clone() };
        encode_request_header(encoder, &header, M::is_flexible(version))?;
        body.encode(encoder, version)
    })
}

/// Encodes a response with size and header. ApiVersions always has header v0 (KIP-511).
pub fn encode_response_frame<M: Message>(
    api_key: i16,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Vec<Segment>, EncodeError> {
    frame(|encoder| {
        encode_response_header(encoder, api_key, correlation_id, M::is_flexible(version));
        body.encode(encoder, version)
    })
}

fn frame(write: impl FnOnce(&mut Encoder) -> Result<(), EncodeError>) -> Result<Vec<Segment>, EncodeError> {
    let mut encoder = Encoder::new();
    encoder.int32(0);
    write(&mut encoder)?;
    encoder.patch_size(0)?;
    Ok(encoder.into_segments())
}
