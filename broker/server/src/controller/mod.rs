//! Both sides of the control path: the active controller's single writer, its listener, and the brokers' way to it.

pub mod channel;
mod describe_quorum;
pub mod forward;
pub mod handle;
pub mod leader_watch;
pub mod liveness;
mod metadata_fetch;
mod quorum_health;
mod raft_voters;
pub mod runtime;
pub mod service;
pub mod transport;
