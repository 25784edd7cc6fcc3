//! The settings of a group coordinator, named after Kafka's broker properties.

/// Settings of one coordinator. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`: the shortest session timeout that a member may ask for.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`: the longest session timeout that a member may ask for.
    pub max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after its first one.
    pub initial_rebalance_delay_ms: i32,
    /// `group.max.size`: the most members of one group.
    pub max_size: i32,
    /// How long a new member may wait for its first JoinGroup response before it is taken for dead. It cannot
    /// heartbeat yet, so its session timeout does not apply. Kafka fixes this at five minutes.
    pub new_member_join_timeout_ms: i32,
    /// `offset.metadata.max.bytes`: the longest metadata of a commit, in UTF-16 code units as Kafka counts them.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`: how long the offsets of an unused group are kept.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`: how often expired offsets are looked for.
    pub offsets_retention_check_interval_ms: i64,
    /// The largest group metadata value, in bytes, that the offsets topic takes. A generation whose record would be
    /// larger fails with UNKNOWN_SERVER_ERROR instead of failing the whole partition.
    pub max_record_bytes: usize,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            initial_rebalance_delay_ms: 3_000,
            max_size: i32::MAX,
            new_member_join_timeout_ms: 300_000,
            offset_metadata_max_bytes: 4_096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1_000,
            offsets_retention_check_interval_ms: 600_000,
            max_record_bytes: 1_000_000,
        }
    }
}
