//! The Klamm broker: sockets, threads and clocks around the pure crates.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | properties from file, environment and command line |
//! | `net` | frames in, segments out, connections to peers |
//! | `api` | one file per client request |
//! | `partition` | replicas: log, leader or follower state, IO engine, fetchers |
//! | `group` | the coordinator's runtime |
//! | `controller` | the active controller's single writer, its listener, and the brokers' way to it |
//! | `metadata` | the image on this node: pulled, published |
//! | `lifecycle` | registration, heartbeats, controlled shutdown |
//! | `health` | whether this process works: started, live, ready |
//! | `process` | start-up and shutdown in order |
//! | `allocator` | what the C library's allocator keeps |
//!
//! Absent on purpose: Kubernetes, and openraft's types.

pub mod allocator;
mod alter_partition;
mod api;
mod clock;
mod cold;
pub mod config;
mod controller;
mod group;
mod health;
mod http;
mod lifecycle;
pub mod logging;
mod metadata;
mod metrics;
mod net;
mod node;
pub mod partition;
mod peers;
pub mod process;
mod producer_ids;
mod pulse;
mod replica_damage;
mod topic_creator;
