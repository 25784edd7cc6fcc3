//! Clusters of real broker processes, a small protocol client and checkers for tests.
//!
//! Nothing in here knows how a broker works inside: it starts `klamm-broker`, speaks the protocol and sends signals.
//!
//! - [`cluster`], [`broker`]: processes on loopback, ended when they go out of scope, their logs shown when a test fails
//! - [`connection`], [`client`]: the blocking protocol client: frames and bytes, or calls that follow leaders
//! - [`load`], [`ledger`]: producers that remember what was acknowledged, and the check that it is all there
//! - [`wait`]: waiting for a condition, with a bound; [`ports`]: ports that no other test uses
//! - [`suite`]: running suites of foreign clients

pub mod broker;
pub mod client;
pub mod cluster;
pub mod connection;
pub mod ledger;
pub mod load;
pub mod ports;
pub mod suite;
pub mod wait;

pub use broker::Broker;
pub use client::{Client, ProduceError};
pub use cluster::{Cluster, ClusterSpec, Roles};
pub use connection::Connection;
pub use ledger::Ledger;
pub use load::Load;
pub use ports::Ports;
pub use wait::until;
