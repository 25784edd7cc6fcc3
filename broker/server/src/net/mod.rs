//! Sockets: frames in, segments out, and connections to peers. Knows framing and back-pressure; not what a request means.

pub mod client;
pub mod connection;
pub mod dial;
pub mod frame;
pub mod listener;
pub mod response;

pub use response::{FileRange, RangeOwner, Response};

/// Bytes that the kernel keeps for a connection in each direction; `None` leaves the size to the system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketBuffers {
    /// What waits to be sent.
    pub send: Option<usize>,
    /// What waits to be read.
    pub receive: Option<usize>,
}
