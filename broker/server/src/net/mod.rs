//! Sockets: frames in, segments out, and connections to peers. Knows framing and back-pressure; not what a request means.

pub mod client;
pub mod connection;
pub mod dial;
pub mod frame;
pub mod listener;
pub mod response;

pub use response::{FileRange, Response};
