//! Clusters of real broker processes, a small protocol client and checkers for tests.
//!
//! Nothing in here knows how a broker works inside: it starts `klamm-broker`, speaks the protocol and sends signals.
//!
//! - [`Cluster`]: starts, kills, pauses and restarts processes of `klamm-broker` on loopback
//! - [`Client`], [`Connection`]: produce, fetch and administrate over the wire, or send any bytes at all
//! - [`Member`]: one member of a consumer group, step by step
//! - [`Load`], [`Ledger`]: produce in the background and prove that nothing acknowledged was lost
//! - [`suite`]: runs the foreign clients of `tests/clients`
//!
//! Everything blocks; a test that wants two things at once uses threads.

mod admin;
mod broker;
mod client;
mod cluster;
mod connection;
mod group;
mod ledger;
mod load;
pub mod namespace;
mod ports;
pub mod suite;
mod wait;

pub use broker::{Broker, broker_binary};
pub use client::{Client, ProduceError, Topology};
pub use cluster::{Cluster, ClusterSpec, Place, Roles};
pub use connection::Connection;
pub use group::{Joined, Member, committed, coordinator};
pub use ledger::Ledger;
pub use load::Load;
pub use ports::Ports;
pub use wait::until;
