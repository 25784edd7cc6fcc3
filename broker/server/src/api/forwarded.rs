//! Requests that only the active controller decides go there as they came; its answer comes back as it is.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use klamm_wire::{ErrorCode, Segment};

use super::Context;
use crate::net::Response;
use crate::net::connection::{Handled, Outcome};
use crate::node::Node;

/// How long a client waits for a controller to become active.
const TIMEOUT: Duration = Duration::from_secs(25);

/// Forwards `frame`: the request's header and body.
pub fn handle(node: Arc<Node>, context: Context, frame: Bytes) -> Handled {
    Handled::Blocking(Box::pin(async move {
        let host = Bytes::from(context.peer.address.ip().to_string());
        match node.forwarder.forward(frame, host, TIMEOUT).await {
            Ok(answer) => match answer.response {
                Some(response) if answer.error_code == ErrorCode::None.code() => {
                    Outcome::Respond(framed(response))
                }
                _ => Outcome::Close(format!(
                    "the controller refused: {}",
                    ErrorCode::from_code(answer.error_code)
                )),
            },
            Err(error) => Outcome::Close(error.to_string()),
        }
    }))
}

fn framed(response: Bytes) -> Response {
    let mut size = BytesMut::with_capacity(4);
    size.put_u32(u32::try_from(response.len()).unwrap_or(u32::MAX));
    Response { segments: vec![Segment::Bytes(size.freeze()), Segment::Bytes(response)], files: Vec::new() }
}
