//! Pure replication of one partition: what a leader and a follower decide, as `step(event, now) -> effects`.
//!
//! No IO, clocks, randomness or async: the caller owns the log and the network, tells what happened and does what the
//! effects say. The rules are Kafka's: KIP-101/279/320/595 for truncation, KIP-497 for AlterPartition, KIP-903 for broker
//! epochs and KIP-966 for `min.insync.replicas`.
//!
//! * [`leader`] holds the ISR, the followers' progress and the high watermark.
//! * [`follower`] decides what to fetch next and what an answer does to the log.
//! * [`divergence`] is the question both sides ask about leader epochs.

pub mod divergence;
pub mod follower;
pub mod leader;
#[cfg(not(any(test, feature = "mutations")))]
mod mutation;
#[cfg(any(test, feature = "mutations"))]
pub mod mutation;
#[cfg(test)]
mod simulation;

pub use divergence::{EpochEnd, diverging_epoch};
pub use follower::{
    Answer, FetchError, FetchPosition, FollowerEffects, FollowerEvent, FollowerStart, FollowerState,
    LogAction, LogEnds, NextFetch,
};
pub use leader::{
    Acked, AlterPartition, AlterPartitionOutcome, FollowerProgress, IsrState, LeaderEffects, LeaderEvent,
    LeaderStart, LeaderState, Membership,
};
