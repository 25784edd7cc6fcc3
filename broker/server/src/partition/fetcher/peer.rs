//! The connection to a leader, as the fetcher needs it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use klamm_metadata::Image;
use klamm_wire::messages::fetch_request::FetchRequest;
use klamm_wire::messages::fetch_response::FetchResponse;
use klamm_wire::messages::list_offsets_request::ListOffsetsRequest;
use klamm_wire::messages::list_offsets_response::ListOffsetsResponse;
use klamm_wire::{Message, Str};

use crate::net::client::Connection;
use crate::peers;

/// Time to connect.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for an answer beyond what the request may wait for data.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection was not made or broke; it is not used again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PeerError(pub String);

/// Dials brokers.
pub trait Connector: Send + Sync + 'static {
    /// Connects to a broker where the newest metadata says that it listens.
    fn connect(&self, broker: i32) -> BoxFuture<'_, Result<Box<dyn PeerConnection>, PeerError>>;
}

/// An open connection to a broker: one request at a time. After an error, or when a call is dropped, it is dropped too.
pub trait PeerConnection: Send + Sync + 'static {
    /// Fetch (key 1).
    fn fetch<'a>(&'a mut self, request: &'a FetchRequest) -> BoxFuture<'a, Result<FetchResponse, PeerError>>;
    /// ListOffsets (key 2).
    fn list_offsets<'a>(
        &'a mut self,
        request: &'a ListOffsetsRequest,
    ) -> BoxFuture<'a, Result<ListOffsetsResponse, PeerError>>;
}

/// Brokers over TCP.
pub(in crate::partition) struct TcpPeers {
    pub image: Arc<ArcSwap<Image>>,
    pub listener: String,
    pub client_id: Str,
}

impl Connector for TcpPeers {
    fn connect(&self, broker: i32) -> BoxFuture<'_, Result<Box<dyn PeerConnection>, PeerError>> {
        Box::pin(async move {
            let image = self.image.load_full();
            let endpoint = peers::endpoint(&image, broker, &self.listener)
                .ok_or_else(|| PeerError(format!("broker {broker} is not registered")))?;
            let dialled =
                Connection::connect(&endpoint.host, endpoint.port, &self.client_id, DIAL_TIMEOUT).await;
            let connection = dialled.map_err(|e| PeerError(e.to_string()))?;
            Ok(Box::new(connection) as Box<dyn PeerConnection>)
        })
    }
}

impl PeerConnection for Connection {
    fn fetch<'a>(&'a mut self, request: &'a FetchRequest) -> BoxFuture<'a, Result<FetchResponse, PeerError>> {
        Box::pin(async move {
            let wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
            let answer = self.call(FetchRequest::MAX, request, CALL_TIMEOUT + wait).await;
            answer.map_err(|e| PeerError(e.to_string()))
        })
    }

    fn list_offsets<'a>(
        &'a mut self,
        request: &'a ListOffsetsRequest,
    ) -> BoxFuture<'a, Result<ListOffsetsResponse, PeerError>> {
        Box::pin(async move {
            let answer = self.call(ListOffsetsRequest::MAX, request, CALL_TIMEOUT).await;
            answer.map_err(|e| PeerError(e.to_string()))
        })
    }
}
