//! How voters reach each other. The quorum knows requests and bytes; sockets belong to the caller.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::{Peer, TransportError};

/// Requests of the quorum, as private API keys on the CONTROLLER listener.
pub mod api {
    /// Append entries, and heartbeats.
    pub const APPEND: i16 = 1000;
    /// Ask for a vote.
    pub const VOTE: i16 = 1001;
    /// Ask whether a vote would be given.
    pub const PRE_VOTE: i16 = 1002;
    /// One piece of a snapshot.
    pub const SNAPSHOT: i16 = 1003;
    /// The leader names its successor.
    pub const TRANSFER_LEADER: i16 = 1004;
    /// Who are you, and what do you know of the quorum? May be sent to a peer whose id is not known, which is then -1.
    pub const IDENTIFY: i16 = 1005;
}

/// A request or its answer, as it goes between two controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    /// The founding of the sender's metadata log (`FoundingRecord`); `None` while it knows of none, and from a version that
    /// does not say.
    pub founding: Option<Uuid>,
    /// What the quorum has to say.
    pub payload: Bytes,
}

/// Sends one request to a peer and brings back its answer.
///
/// Implementations check that they reached the node with this id of this cluster; the quorum itself checks the disk. A call may be dropped before it ends.
/// Requests to one peer may be sent concurrently; heartbeats should not wait behind a [`api::SNAPSHOT`] request.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` as `api` and returns the answer, within `timeout`.
    fn call(
        &self,
        peer: Peer,
        api: i16,
        request: Parcel,
        timeout: Duration,
    ) -> impl Future<Output = Result<Parcel, TransportError>> + Send;
}
