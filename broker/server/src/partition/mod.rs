//! Replicas on this broker: log, leader or follower state, waiting requests, IO engine and fetchers.
//!
//! | file | one thing |
//! |---|---|
//! | `registry` | all replicas, kept as the metadata has it; start-up, retention, shutdown |
//! | `replica` | one replica: its log and its role behind one lock |
//! | `role` | the role, and how metadata changes it |
//! | `append`, `produced`, `acks` | producing: checks, the append, and who waits for it |
//! | `delete` | deleting records, and waiting until nobody can bring them back |
//! | `engine`, `write` | the threads that write logs, and one write |
//! | `fetch`, `parked`, `lookup` | reading, waiting for news, questions about offsets |
//! | `sending` | file ranges on their way to a reader |
//! | `fetcher`, `follow` | fetching from leaders, and what an answer does to a replica |
//! | `checkpoints` | what is stored about logs, and taken back before it vouches for too much |
//! | `damage` | a copy that is not what was written: noticed, given up, fetched again |
//! | `alter` | proposals to the controller |
//! | `nearby` | reading from a follower, and who is sent there |
//! | `throttle` | how fast replicas that are out of sync are brought up |
//!
//! Appends and reads take one short lock and never wait for the disk; what has to wait runs on the engine's threads, or
//! says so in its documentation.

mod acks;
mod alter;
mod append;
mod checkpoints;
mod damage;
mod delete;
mod engine;
mod error;
mod fetch;
mod fetcher;
mod follow;
mod lookup;
mod nearby;
mod parked;
mod produced;
mod registry;
mod replica;
mod role;
mod sending;
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod throttle;
mod wakeups;
mod write;

pub use acks::{Ack, Acks};
pub use alter::{AlterPartitionItem, AlterPartitionSender, alter_partition_failure};
pub use append::{Append, Appended};
pub use damage::{DamageReport, DamageSender};
pub use delete::Deletion;
pub use error::Refused;
pub use fetch::{FetchRead, Fetched, Reader};
pub use fetcher::{Connector, PeerConnection, PeerError};
pub use lookup::ListedOffset;
pub use parked::Parked;
pub use registry::{Registry, RegistryParts};
pub use replica::Partition;
pub use sending::file_range;
