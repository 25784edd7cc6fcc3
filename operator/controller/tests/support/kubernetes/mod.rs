//! A Kubernetes in memory: an API server behind a real client, the controllers that make pods, and brokers that answer the
//! operator's questions. Everything is deterministic and runs on paused time.

#![allow(clippy::unwrap_used)]
#![allow(dead_code)] // Each suite uses its own part of it.

pub mod api_server;
pub mod brokers;
pub mod controllers;
pub mod log;
pub mod merge;
pub mod path;
pub mod store;
pub mod world;
