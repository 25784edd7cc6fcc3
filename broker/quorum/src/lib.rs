//! The metadata quorum: openraft over klamm-log segments, with the metadata image as state machine.
//!
//! [`Quorum`] is one voter. Its log is a directory of ordinary segments in which one raft entry is one record batch:
//! offset = index, leader epoch = term. Committed records are applied to a [`klamm_metadata::Image`], which is published
//! on a watch channel. Voters reach each other through a [`Transport`]; this crate opens no socket.
//!
//! No other crate names an openraft type, and none appears in this crate's API.
//!
//! - `quorum` is the API; `receive` serves other voters, `fetch` serves brokers that only follow.
//! - `log_store` is the raft log, `state_machine` and `snapshot_store` are the image and its snapshots.
//! - `network`, `messages` and `snapshot_transfer` are what goes between voters.
//! - `election` and `status` say who leads, and get there fast.

mod codec;
mod config;
mod election;
mod error;
mod fetch;
mod files;
mod log_store;
mod messages;
mod network;
mod quorum;
mod receive;
mod snapshot_store;
mod snapshot_transfer;
mod state_machine;
mod status;
mod transport;
mod types;

#[cfg(test)]
mod storage_suite;

pub use config::{Peer, QuorumConfig, SnapshotPolicy};
pub use error::{ProposeError, QuorumError, TransportError};
pub use fetch::Fetched;
pub use quorum::{Applied, Quorum};
pub use status::{QuorumStatus, ReplicaProgress};
pub use transport::{Transport, api};
