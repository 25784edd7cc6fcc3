//! What a member of the quorum is told when it starts.

use std::path::PathBuf;
use std::time::Duration;

use openraft::StepDownPolicy;
use uuid::Uuid;

use crate::QuorumError;

/// Where a voter's CONTROLLER listener is. The host is a name and is resolved by the transport at each dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Node id; -1 where only the address is known.
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

/// The configuration of one member.
#[derive(Clone, Debug)]
pub struct QuorumConfig {
    /// This node's id.
    pub node_id: i32,
    /// The id of the data directory (`directory.id` of `meta.properties`).
    pub directory_id: Uuid,
    /// The cluster's id, checked by the transport.
    pub cluster_id: String,
    /// The directory of the metadata log, `<log.dir>/__cluster_metadata-0`.
    pub dir: PathBuf,
    /// The voters that the quorum is founded with; the same on each of them. Once it is founded its log says who votes,
    /// and these are addresses to reach them at, which are preferred to those in the log.
    pub voters: Vec<Peer>,
    /// Other addresses to find the quorum at. If there are no `voters` and the only one of these is this node itself, it
    /// founds a quorum of its own.
    pub contacts: Vec<Peer>,
    /// Where the other members reach this node.
    pub endpoint: Peer,
    /// Whether this node asks to vote once it has the log (`controller.quorum.auto.join.enable`).
    pub auto_join: bool,
    /// How long a voter must be silent before another disk of the same node takes its place.
    pub replace_after: Duration,
    /// How long an observer may be silent before it is no longer counted among them.
    pub forget_after: Duration,
    /// How often the leader says that it lives, in milliseconds; and how soon it says so again without an answer.
    pub heartbeat_ms: u64,
    /// Bounds of the random election timeout, in milliseconds. The upper one is also the leader's lease: the timeout begins
    /// when the lease has ended.
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
        let own = voters.iter().find(|voter| voter.id == node_id).cloned();
        let endpoint = own.unwrap_or(Peer { id: node_id, host: String::new(), port: 0 });
        QuorumConfig {
            endpoint,
            contacts: Vec::new(),
            auto_join: false,
            replace_after: Duration::from_secs(5),
            forget_after: Duration::from_secs(300),
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

    /// How long openraft waits for the answer to a heartbeat, in milliseconds: what fits into a lease twice, so that one
    /// heartbeat may fail, and is yet longer than a round trip between distant machines.
    fn answer_ms(&self) -> u64 {
        (self.election_timeout_ms.0 * 4 / 5).max(self.heartbeat_ms)
    }

    /// Whether the configuration makes this node one of the founders.
    pub(crate) fn is_founder(&self) -> bool {
        self.voters.iter().any(|voter| voter.id == self.node_id)
    }

    /// Where the configuration says that a node is.
    pub(crate) fn address_of(&self, node_id: i32) -> Option<&Peer> {
        self.voters.iter().find(|voter| voter.id == node_id)
    }

    pub(crate) fn validate(&self) -> Result<(), QuorumError> {
        let invalid = |why: String| Err(QuorumError::Config(why));
        if let Some(voter) = self.voters.iter().find(|voter| voter.id < 0) {
            return invalid(format!("voter id {} is negative", voter.id));
        }
        if self.node_id < 0 {
            return invalid(format!("node id {} is negative", self.node_id));
        }
        if self.voters.is_empty() && self.contacts.is_empty() {
            return invalid("neither voters nor addresses to find them at are given".to_owned());
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
        let config = openraft::Config {
            cluster_name: self.cluster_id.clone(),
            // Also how often openraft sends heartbeats unasked; `heartbeat` asks more often.
            heartbeat_interval: self.answer_ms(),
            election_timeout_min: self.election_timeout_ms.0,
            election_timeout_max: self.election_timeout_ms.1,
            install_snapshot_timeout: u64::try_from(self.snapshot.deadline.as_millis()).unwrap_or(u64::MAX),
            max_in_snapshot_log_to_keep: self.snapshot.keep_entries,
            // A voter that is further behind than what is kept gets a snapshot anyway.
            replication_lag_threshold: self.snapshot.keep_entries.max(self.snapshot.max_entries),
            // The state machine counts bytes as well as entries and asks by itself.
            snapshot_policy: openraft::SnapshotPolicy::Never,
            removed_leader_step_down: StepDownPolicy::After(150),
            enable_pre_vote: Some(true),
            // A restarted leader may have lost entries that it had sent but not yet flushed: it needs a new term.
            enable_leader_restore: Some(false),
            // A member that has lost what it acknowledged refuses the leader itself (`receive`). Should one slip through,
            // it is filled again: the alternative is a leader that falls over it.
            allow_log_reversion: Some(true),
            backoff: "50ms 100ms 200ms ..500ms".to_owned(),
            ..openraft::Config::default()
        };
        config.validate().map_err(|error| QuorumError::Config(error.to_string()))
    }
}
