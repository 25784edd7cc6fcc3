//! Group coordination as pure shards: requests in, replies and records out.
//!
//! A [`GroupShard`] coordinates the groups of one `__consumer_offsets` partition. The caller hands it requests, the
//! time and a random id, and gets [`Effects`]: records for the partition and replies for the callers. A JoinGroup or
//! SyncGroup that has to wait is remembered by its token and answered by a later call. Timers are data: the caller
//! calls [`GroupShard::tick`] when [`GroupShard::next_deadline`] has come.
//!
//! | module | what it holds |
//! |---|---|
//! | `shard` | the groups of one partition: dispatch, loading, timers |
//! | `group`, `member`, `protocols` | one group, one member, the protocols that all members support |
//! | `join`, `sync`, `heartbeat`, `leave` | the membership requests, one file each |
//! | `rebalance`, `session` | from the first join to the next generation; what happens when a deadline passes |
//! | `offsets` | commit, fetch, delete and expire, one file each |
//! | `describe`, `list`, `delete` | what administrators ask |
//! | `records` | keys and values of `__consumer_offsets` |
//! | `request`, `reply` | what a shard is asked and answers, and how batched APIs split and merge |
//!
//! Absent on purpose: the log, the network, clocks, randomness and threads. Persisted state (offsets and the last group
//! metadata record) changes only by applying a record, so that a shard loaded by [`GroupShard::replay`] equals the one
//! that wrote the records.

mod config;
mod delete;
mod describe;
mod group;
mod heartbeat;
mod join;
mod leave;
mod list;
mod member;
mod offsets;
mod partition;
mod protocols;
mod rebalance;
mod records;
mod reply;
mod request;
mod session;
mod shard;
mod sync;

pub use config::GroupConfig;
pub use group::GroupState;
pub use partition::partition_for_group;
pub use reply::{
    GroupReply, delete_groups_response, describe_groups_response, list_groups_response, offset_fetch_response,
};
pub use request::{GroupRequest, Now, OffsetFetchGroup, RequestContext, split_offset_fetch};
pub use shard::{Effects, GroupShard};
