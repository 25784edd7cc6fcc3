//! What a member of the quorum is told when it starts.

use std::path::PathBuf;
use std::time::Duration;

use openraft::StepDownPolicy;
use uuid::Uuid;

use crate::QuorumError;

/// How much slower the clock of a quorum of one ticks.
const SINGLE_VOTER_PACE: u64 = 20;

/// Where a voter's CONTROLLER listener is. The host is a name and is resolved by the transport at each dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Node id.
    pub id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// When a snapshot is taken and how much log is kept behind it.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPolicy {
    /// Bytes of records applied since the last snapshot (`metadata.log.max.record.bytes.between.snapshots`).
    pub max_bytes: u64,
    /// Entries applied since the last snapshot.
    pub max_entries: u64,
    /// Entries kept behind a snapshot for voters and brokers that lag a little.
    pub keep_entries: u64,
    /// Bytes of a snapshot sent in one request.
    pub chunk_bytes: usize,
    /// How long sending a whole snapshot to one voter may take.
    pub deadline: Duration,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        SnapshotPolicy {
            max_bytes: 20 * 1024 * 1024,
            max_entries: 20_000,
            keep_entries: 2_000,
            chunk_bytes: 1024 * 1024,
            deadline: Duration::from_secs(60),
        }
    }
}

/// The configuration of one voter.
#[derive(Clone, Debug)]
pub struct QuorumConfig {
    /// This node's id; one of `voters`.
    pub node_id: i32,
    /// The id of the data directory (`directory.id` of `meta.properties`).
    pub directory_id: Uuid,
    /// The cluster's id, checked by the transport.
    pub cluster_id: String,
    /// The directory of the metadata log, `<log.dir>/__cluster_metadata-0`.
    pub dir: PathBuf,
    /// All voters, this node included; the same set on each of them.
    pub voters: Vec<Peer>,
    /// How often the leader says that it lives, in milliseconds.
    pub heartbeat_ms: u64,
    /// Bounds of the random election timeout, in milliseconds. The upper one is also the leader's lease.
    pub election_timeout_ms: (u64, u64),
    /// Bytes of a segment of the metadata log.
    pub segment_bytes: u64,
    /// Snapshots.
    pub snapshot: SnapshotPolicy,
}

impl QuorumConfig {
    /// A configuration with the default timings: heartbeat 50 ms, election timeout 250 to 500 ms.
    pub fn new(
        node_id: i32,
        directory_id: Uuid,
        cluster_id: String,
        dir: PathBuf,
        voters: Vec<Peer>,
    ) -> QuorumConfig {
        QuorumConfig {
            node_id,
            directory_id,
            cluster_id,
            dir,
            voters,
            heartbeat_ms: 50,
            election_timeout_ms: (250, 500),
            segment_bytes: 8 * 1024 * 1024,
            snapshot: SnapshotPolicy::default(),
        }
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.election_timeout_ms.1)
    }

    pub(crate) fn validate(&self) -> Result<(), QuorumError> {
        let invalid = |why: String| Err(QuorumError::Config(why));
        if let Some(voter) = self.voters.iter().find(|voter| voter.id < 0) {
            return invalid(format!("voter id {} is negative", voter.id));
        }
        if !self.voters.iter().any(|voter| voter.id == self.node_id) {
            return invalid(format!("node {} is not one of the voters", self.node_id));
        }
        let mut ids: Vec<i32> = self.voters.iter().map(|voter| voter.id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return invalid(format!("voter id {} appears twice", twice[0]));
        }
        if self.snapshot.chunk_bytes == 0 {
            return invalid("a snapshot chunk needs at least one byte".to_owned());
        }
        Ok(())
    }

    pub(crate) fn raft(&self) -> Result<openraft::Config, QuorumError> {
        // A single voter has nobody to send heartbeats to and nobody to wait for; its clock need not tick so often.
        let pace = if self.voters.len() == 1 { SINGLE_VOTER_PACE } else { 1 };
        let config = openraft::Config {
            cluster_name: self.cluster_id.clone(),
            heartbeat_interval: self.heartbeat_ms * pace,
            election_timeout_min: self.election_timeout_ms.0 * pace,
            election_timeout_max: self.election_timeout_ms.1 * pace,
            install_snapshot_timeout: u64::try_from(self.snapshot.deadline.as_millis()).unwrap_or(u64::MAX),
            max_in_snapshot_log_to_keep: self.snapshot.keep_entries,
            // A voter that is further behind than what is kept gets a snapshot anyway.
            replication_lag_threshold: self.snapshot.keep_entries.max(self.snapshot.max_entries),
            // The state machine counts bytes as well as entries and asks by itself.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            removed_leader_step_down: StepDownPolicy::Never,
            enable_pre_vote: Some(true),
            // A restarted leader may have lost entries that it had sent but not yet flushed: it needs a new term.
            enable_leader_restore: Some(false),
            // A voter whose disk was replaced is filled again. The alternative is a leader that falls over it, and then
            // an election without the only complete log.
            allow_log_reversion: Some(true),
            backoff: "50ms 100ms 200ms ..500ms".to_owned(),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| QuorumError::Config(error.to_string()))
    }
}
