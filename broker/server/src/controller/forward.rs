//! Forwards a client's request, as it came, to the active controller (Envelope, API key 58).

use std::time::Duration;

use bytes::Bytes;
use klamm_wire::messages::envelope_request::EnvelopeRequest;
use parking_lot::Mutex;

use super::channel::{Channel, Directory, NoController};

/// Channels kept open for the next request.
const IDLE_CHANNELS: usize = 4;

/// A pool of channels for forwarding.
pub struct Forwarder {
    directory: Directory,
    idle: Mutex<Vec<Channel>>,
}

impl Forwarder {
    /// A pool without connections yet.
    pub fn new(directory: Directory) -> Self {
        Self { directory, idle: Mutex::new(Vec::new()) }
    }

    /// Sends a whole request (header and body, no size prefix) and returns the whole answer in the same form.
    ///
    /// # Errors
    /// [`NoController`] when no controller was active in time.
    pub async fn forward(
        &self,
        request: Bytes,
        client_host: Bytes,
        timeout: Duration,
    ) -> Result<Forwarded, NoController> {
        let mut channel = self.idle.lock().pop().unwrap_or_else(|| Channel::new(self.directory.clone()));
        let envelope = EnvelopeRequest {
            request_data: request,
            request_principal: None,
            client_host_address: client_host,
            ..EnvelopeRequest::default()
        };
        let response = channel.call(0, &envelope, |r| r.error_code, timeout).await?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_CHANNELS {
            idle.push(channel);
        }
        Ok(Forwarded { error_code: response.error_code, response: response.response_data })
    }
}

/// The controller's answer.
pub struct Forwarded {
    /// Error of the envelope itself; the inner response is only there when it is 0.
    pub error_code: i16,
    /// The inner response: header and body.
    pub response: Option<Bytes>,
}
