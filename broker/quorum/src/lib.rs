//! The metadata quorum: openraft over klamm-log segments, with the metadata image as state machine.
//!
//! [`Quorum`] is one member: a voter, or an observer that may become one. A member is one disk of one node: a disk that
//! replaces another is somebody else, although the node is the same. Its log is a directory of ordinary segments in which one raft entry is one record batch:
//! offset = index, leader epoch = term. Committed records are applied to a [`klamm_metadata::Image`], which is published
//! on a watch channel. Voters reach each other through a [`Transport`]; this crate opens no socket.
//!
//! No other crate names an openraft type, and none appears in this crate's API.
//!
//! - `quorum` is the API; `receive` serves other members, `fetch` serves brokers that only follow.
//! - `identity`, `founding`, `identify`, `origin` and `founding_file` say who is a member; `voters` and `tending` change who is.
//! - `log_store` is the raft log, `state_machine` and `snapshot_store` are the image and its snapshots.
//! - `network`, `envelope`, `messages` and `snapshot_transfer` are what goes between voters.
//! - `election` and `status` say who leads, and get there fast; `heartbeat` keeps it so over bad links.
//! - `runtime` is tasks and threads; with the feature `simulated` they follow from a seed.

mod codec;
mod config;
mod election;
mod envelope;
mod error;
mod fetch;
mod files;
mod founding;
mod founding_file;
mod heartbeat;
mod identify;
mod identity;
mod log_store;
mod members;
mod messages;
#[cfg(not(any(test, feature = "mutations")))]
mod mutation;
#[cfg(any(test, feature = "mutations"))]
pub mod mutation;
mod network;
mod origin;
mod quorum;
mod receive;
mod room;
mod runtime;
mod sealed;
#[cfg(feature = "simulated")]
pub mod simulated;
mod snapshot_store;
mod snapshot_transfer;
mod state_machine;
mod status;
mod tending;
mod transport;
mod types;
mod voters;

#[cfg(test)]
mod storage_suite;

pub use config::{Peer, QuorumConfig, SnapshotPolicy};
pub use error::{ProposeError, QuorumError, TransportError, VoterError};
pub use fetch::Fetched;
pub use quorum::{Applied, Quorum};
pub use status::{LogPositions, QuorumStatus, ReplicaProgress};
pub use transport::{Parcel, Transport, api};
