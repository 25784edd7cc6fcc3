//! The table of broker keys about replication, the controllers and the life of a broker.

use super::REPLICA_SELECTORS;
use super::spec::{Check, ConfigKind, ConfigSpec, Update, key};
use Check::{Any, AtLeast, Between, OneOf};
use ConfigKind::{Boolean, Int, List, Long, String};
use Update::{ClusterWide, PerBroker, ReadOnly};

#[rustfmt::skip]
pub(super) const TABLE: &[ConfigSpec] = &[
    key("num.partitions", Int, Some("1"), AtLeast(1), ReadOnly, "Partitions of a topic created without a count."),
    key("default.replication.factor", Int, Some("1"), Between(1, i16::MAX as i64), ReadOnly, "Replicas of a topic created without a count."),
    key("min.insync.replicas", Int, Some("1"), AtLeast(1), ClusterWide, "Smallest ISR with which an acks=all write is accepted."),
    key("unclean.leader.election.enable", Boolean, Some("false"), Any, ClusterWide, "Whether a replica that may lack acknowledged records becomes the leader when no other is left."),
    key("auto.leader.rebalance.enable", Boolean, Some("true"), Any, ReadOnly, "Whether leadership returns to the preferred replicas by itself."),
    key("leader.imbalance.check.interval.seconds", Long, Some("300"), AtLeast(1), ReadOnly, "Seconds between two checks of the leaders' balance."),
    key("leader.imbalance.per.broker.percentage", Int, Some("10"), AtLeast(0), ReadOnly, "Taken for compatibility; every misplaced leader is moved."),
    key("replica.lag.time.max.ms", Long, Some("30000"), AtLeast(0), ReadOnly, "Time that a follower may lag before it leaves the ISR, in milliseconds."),
    key("replica.fetch.max.bytes", Int, Some("1048576"), AtLeast(0), ReadOnly, "Bytes that a follower fetches of one partition at a time."),
    key("replica.fetch.response.max.bytes", Int, Some("10485760"), AtLeast(0), ReadOnly, "Bytes that a follower fetches at a time."),
    key("replica.fetch.min.bytes", Int, Some("1"), AtLeast(0), ReadOnly, "Bytes that a follower waits for."),
    key("replica.fetch.wait.max.ms", Int, Some("500"), AtLeast(0), ReadOnly, "Longest wait of a follower's fetch, in milliseconds."),
    key("replica.fetch.backoff.ms", Int, Some("1000"), AtLeast(0), ReadOnly, "Pause of a follower after a failure, in milliseconds."),
    key("replica.socket.timeout.ms", Int, Some("30000"), AtLeast(1), ReadOnly, "Longest wait of a follower for an answer, in milliseconds."),
    key("replica.socket.receive.buffer.bytes", Int, Some("65536"), AtLeast(-1), ReadOnly, "Receive buffer of a follower's connection, in bytes."),
    key("replica.high.watermark.checkpoint.interval.ms", Long, Some("5000"), AtLeast(1), ReadOnly, "Time between two writes of the high watermarks, in milliseconds."),
    key("replica.selector.class", String, None, OneOf(REPLICA_SELECTORS), ReadOnly, "How a replica is chosen for a consumer's rack; the leader when not set."),
    key("num.replica.fetchers", Int, Some("1"), AtLeast(1), ClusterWide, "Connections that fetch from each other broker."),
    key("num.replica.alter.log.dirs.threads", Int, None, AtLeast(1), ReadOnly, "Threads that move replicas between log directories."),
    key("leader.replication.throttled.rate", Long, Some("9223372036854775807"), AtLeast(0), PerBroker, "Bytes a second that throttled replicas may read from this broker."),
    key("follower.replication.throttled.rate", Long, Some("9223372036854775807"), AtLeast(0), PerBroker, "Bytes a second that throttled replicas of this broker may fetch."),
    key("replica.alter.log.dirs.io.max.bytes.per.second", Long, Some("9223372036854775807"), AtLeast(0), PerBroker, "Bytes a second for moving replicas between log directories."),
    key("fetch.purgatory.purge.interval.requests", Int, Some("1000"), Any, ReadOnly, "Taken for compatibility; waiting fetches are removed when they end."),
    key("producer.purgatory.purge.interval.requests", Int, Some("1000"), Any, ReadOnly, "Taken for compatibility; waiting produces are removed when they end."),
    key("controlled.shutdown.enable", Boolean, Some("true"), Any, ReadOnly, "Whether leadership is handed over before the broker stops."),
    key("broker.heartbeat.interval.ms", Int, Some("200"), AtLeast(1), ReadOnly, "Time between a broker's heartbeats, in milliseconds. Kafka's own default is 2000."),
    key("broker.session.timeout.ms", Int, Some("1000"), AtLeast(1), ReadOnly, "Time without a heartbeat after which a broker is fenced, in milliseconds. Kafka's own default is 9000; time in which the controller itself could not listen does not count."),
    key("initial.broker.registration.timeout.ms", Int, Some("60000"), AtLeast(1), ReadOnly, "Time within which a starting broker must be registered, in milliseconds."),
    key("controller.quorum.voters", List, Some(""), Any, ReadOnly, "The controllers, as id@host:port."),
    key("controller.quorum.bootstrap.servers", List, Some(""), Any, ReadOnly, "Controllers to ask first, as host:port."),
    key("controller.quorum.auto.join.enable", Boolean, Some("false"), Any, ReadOnly, "Whether a controller that observes the quorum becomes a voter by itself. A new disk takes the place of a lost one of the same node in any case."),
    key("controller.quorum.election.timeout.ms", Int, Some("1000"), AtLeast(1), ReadOnly, "Time without a leader after which a controller campaigns, in milliseconds."),
    key("controller.quorum.election.backoff.max.ms", Int, Some("1000"), AtLeast(0), ReadOnly, "Longest pause before a new election, in milliseconds."),
    key("controller.quorum.fetch.timeout.ms", Int, Some("2000"), AtLeast(1), ReadOnly, "Time without news of the leader after which it counts as gone, in milliseconds."),
    key("controller.quorum.request.timeout.ms", Int, Some("2000"), AtLeast(1), ReadOnly, "Longest wait for another controller's answer, in milliseconds."),
    key("controller.quorum.retry.backoff.ms", Int, Some("20"), AtLeast(0), ReadOnly, "Pause before a request to a controller is repeated, in milliseconds."),
    key("metadata.log.max.record.bytes.between.snapshots", Long, Some("20971520"), AtLeast(1), ReadOnly, "Bytes of new metadata records after which a snapshot is taken."),
    key("metadata.log.max.snapshot.interval.ms", Long, Some("3600000"), AtLeast(0), ReadOnly, "Longest time without a snapshot while there are new records, in milliseconds."),
    key("metadata.max.idle.interval.ms", Int, Some("500"), AtLeast(0), ReadOnly, "Taken for compatibility; the quorum's own heartbeats show its progress."),
];
