//! Request and response headers: which version a frame has, and what is in it.

use bytes::Bytes;

use crate::catalogue::{self, Api};
use crate::{DecodeError, DecodeErrorKind, Decoder, EncodeError, Encoder, Str};

/// The API whose response always has header v0, and whose request of any version gets an answer (KIP-511).
pub(crate) const API_VERSIONS: i16 = 18;

/// The header of a request (RequestHeader v1 and v2).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestHeader {
    /// Which API.
    pub api_key: i16,
    /// The version of request and response.
    pub api_version: i16,
    /// What the response will carry, so that the client can match it.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Str>,
}

/// Reads the header of a frame without its size; the body stays in `frame`.
///
/// A version that the API does not have is not refused here, so that the caller can say who asked: hold the result
/// against the catalogue. ApiVersions of any version yields a header, because it must be answered.
///
/// # Errors
/// An unknown API key, and a header that is malformed for its version.
pub fn decode_request_header(frame: &mut Decoder) -> Result<RequestHeader, DecodeError> {
    read(frame).map_err(|e| e.within("RequestHeader", None))
}

fn read(frame: &mut Decoder) -> Result<RequestHeader, DecodeError> {
    let api_key = frame.int16("RequestApiKey")?;
    let api_version = frame.int16("RequestApiVersion")?;
    let correlation_id = frame.int32("CorrelationId")?;
    let api = catalogue::api(api_key)
        .ok_or_else(|| frame.fail("RequestApiKey", DecodeErrorKind::UnknownApi(api_key)))?;
    let client_id = match client_and_tags(frame, api.is_flexible(api_version)) {
        Ok(client_id) => client_id,
        Err(_) if api_key == API_VERSIONS && !api.versions().contains(&api_version) => None,
        Err(_) if !api.versions().contains(&api_version) => return Err(unsupported(api, api_version)),
        Err(e) => return Err(e),
    };
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

/// The client id has a plain length in every version; v2 adds tagged fields, of which none is known.
fn client_and_tags(frame: &mut Decoder, flexible: bool) -> Result<Option<Str>, DecodeError> {
    let client_id = frame.nullable_string("ClientId", false, true)?;
    if flexible {
        frame.unknown_tagged_fields()?;
    }
    Ok(client_id)
}

fn unsupported(api: &Api, version: i16) -> DecodeError {
    let kind = DecodeErrorKind::UnsupportedVersion { version, min: api.min, max: api.max };
    DecodeError::new(kind, "RequestApiVersion", 2)
}

/// Writes the header; v2 if `flexible`.
pub(crate) fn encode_request_header(
    encoder: &mut Encoder,
    header: &RequestHeader,
    flexible: bool,
) -> Result<(), EncodeError> {
    encoder.int16(header.api_key);
    encoder.int16(header.api_version);
    encoder.int32(header.correlation_id);
    encoder.nullable_string("ClientId", false, true, header.client_id.as_ref())?;
    if flexible {
        encoder.unsigned_varint(0);
    }
    Ok(())
}

/// Writes the header of a response (ResponseHeader v0, v1 if `flexible`).
pub(crate) fn encode_response_header(
    encoder: &mut Encoder,
    api_key: i16,
    correlation_id: i32,
    flexible: bool,
) {
    encoder.int32(correlation_id);
    if flexible && api_key != API_VERSIONS {
        encoder.unsigned_varint(0);
    }
}

/// Splits a response frame without its size into the correlation id and the body.
pub fn decode_response_header(api_key: i16, version: i16, frame: Bytes) -> Result<(i32, Bytes), DecodeError> {
    let mut decoder = Decoder::new(frame);
    let correlation_id =
        read_response(&mut decoder, api_key, version).map_err(|e| e.within("ResponseHeader", None))?;
    Ok((correlation_id, decoder.into_remaining()))
}

fn read_response(decoder: &mut Decoder, api_key: i16, version: i16) -> Result<i32, DecodeError> {
    let correlation_id = decoder.int32("CorrelationId")?;
    let flexible = catalogue::api(api_key).is_some_and(|api| api.is_flexible(version));
    if flexible && api_key != API_VERSIONS {
        decoder.unknown_tagged_fields()?;
    }
    Ok(correlation_id)
}
