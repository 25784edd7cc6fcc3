//! ApiVersions (18): what this listener serves. The only request that is answered at an unknown version.

use klamm_wire::ErrorCode;
use klamm_wire::Message;
use klamm_wire::catalogue::{self, Listener};
use klamm_wire::messages::api_versions_request::ApiVersionsRequest;
use klamm_wire::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use tracing::debug;

use super::{Context, encode};
use crate::net::connection::Handled;
use crate::node::Node;

/// The API's key.
pub const KEY: i16 = ApiVersionsRequest::API_KEY;

/// Lists the catalogue.
pub fn handle(_node: &Node, context: &Context, request: &ApiVersionsRequest) -> ApiVersionsResponse {
    debug!(
        address = %context.peer.address,
        software = %request.client_software_name,
        version = %request.client_software_version,
        "client"
    );
    list(Listener::Broker, ErrorCode::None)
}

/// The answer to a version this broker does not know: version 0 with the list, so that the client can choose.
pub fn unsupported_version(context: &Context, listener: Listener) -> Handled {
    let mut at_zero = context.clone();
    at_zero.header.api_version = 0;
    match encode(&at_zero, &list(listener, ErrorCode::UnsupportedVersion)) {
        Ok(response) => Handled::Ready(response),
        Err(reason) => Handled::Close(reason),
    }
}

/// The advertised APIs of a listener.
pub fn list(listener: Listener, error: ErrorCode) -> ApiVersionsResponse {
    let api_keys = catalogue::advertised(listener)
        .map(|api| ApiVersion {
            api_key: api.key,
            min_version: api.advertised_min,
            max_version: api.max,
            ..ApiVersion::default()
        })
        .collect();
    ApiVersionsResponse { error_code: error.code(), api_keys, ..ApiVersionsResponse::default() }
}
