//! Cluster metadata: records, image, and the controller's decisions as pure functions.
//!
//! [`Record`]s are what the metadata log holds. An [`Image`] is the state that they add up to; applying is total and
//! deterministic. The [`controller`] decides what to append next, and [`config`] knows every configuration key.
//! Nothing here does IO, reads a clock or draws a random number: time and randomness are arguments.

pub mod config;
pub mod controller;
mod image;
#[cfg(not(any(test, feature = "mutations")))]
mod mutation;
#[cfg(any(test, feature = "mutations"))]
pub mod mutation;
mod records;

pub use image::{
    Broker, BrokerDelta, BrokerFeature, ConfigResource, Delta, Disruption, Endpoint, Image, Partition,
    PartitionDelta, SnapshotError, Topic,
};
pub use records::{Record, RecordsError, UnknownRecord, decode_records, encode_records};
