//! The table of topic keys: Kafka's names and defaults, except `flush.messages`, which is 1 here.

use super::spec::{Check, ConfigKind, TopicConfigSpec, TopicSynonym, Unit, Update, key};
use Check::{Any, AtLeast, Between, OneOf, Only, SomeOf, ThrottledReplicas, Within};
use ConfigKind::{Boolean, Double, Int, List, Long, String};

pub(super) const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
pub(super) const CLEANUP_POLICIES: &[&str] = &["compact", "delete"];
pub(super) const TIMESTAMP_TYPES: &[&str] = &["CreateTime", "LogAppendTime"];

const fn row(
    name: &'static str,
    kind: ConfigKind,
    default: &'static str,
    check: Check,
    synonyms: &'static [TopicSynonym],
    documentation: &'static str,
) -> TopicConfigSpec {
    TopicConfigSpec {
        spec: key(name, kind, Some(default), check, Update::ClusterWide, documentation),
        synonyms,
    }
}

const fn same(name: &'static str) -> TopicSynonym {
    TopicSynonym { name, unit: Unit::Same }
}

const fn minutes(name: &'static str) -> TopicSynonym {
    TopicSynonym { name, unit: Unit::Minutes }
}

const fn hours(name: &'static str) -> TopicSynonym {
    TopicSynonym { name, unit: Unit::Hours }
}

const MAX_LONG: &str = "9223372036854775807";

#[rustfmt::skip]
pub(super) const TABLE: &[TopicConfigSpec] = &[
    row("cleanup.policy", List, "delete", SomeOf(CLEANUP_POLICIES), &[same("log.cleanup.policy")],
        "What happens to old segments: delete removes them by age and size, compact keeps the latest record of each key, both together do both."),
    row("compression.gzip.level", Int, "-1", Between(-1, 9), &[same("compression.gzip.level")],
        "Level used when the broker itself compresses with gzip; -1 is the codec's default."),
    row("compression.lz4.level", Int, "9", Between(1, 17), &[same("compression.lz4.level")],
        "Level used when the broker itself compresses with lz4."),
    row("compression.type", String, "producer", OneOf(COMPRESSION_TYPES), &[same("compression.type")],
        "Compression of stored batches. With producer they stay as they were sent."),
    row("compression.zstd.level", Int, "3", Between(-131072, 22), &[same("compression.zstd.level")],
        "Level used when the broker itself compresses with zstd."),
    row("delete.retention.ms", Long, "86400000", AtLeast(0), &[same("log.cleaner.delete.retention.ms")],
        "How long the tombstones of a compacted topic stay readable, in milliseconds."),
    row("file.delete.delay.ms", Long, "60000", AtLeast(0), &[same("log.segment.delete.delay.ms")],
        "How long the files of a removed segment or partition stay on the disk, in milliseconds."),
    row("flush.messages", Long, "1", AtLeast(1), &[same("log.flush.interval.messages")],
        "Number of records after which the log is forced to the disk. With 1 an acks=all write is on the disks of the ISR when it is acknowledged; the maximum leaves flushing to the operating system."),
    row("flush.ms", Long, MAX_LONG, AtLeast(0), &[same("log.flush.interval.ms")],
        "Longest time that a record may wait before it is forced to the disk, in milliseconds."),
    row("follower.replication.throttled.replicas", List, "", ThrottledReplicas, &[],
        "Replicas whose fetching is throttled, as partition:broker pairs, or * for all."),
    row("index.interval.bytes", Int, "4096", AtLeast(0), &[same("log.index.interval.bytes")],
        "Bytes of records between two entries of the offset index."),
    row("leader.replication.throttled.replicas", List, "", ThrottledReplicas, &[],
        "Replicas that the leader throttles, as partition:broker pairs, or * for all."),
    row("local.retention.bytes", Long, "-2", AtLeast(-2), &[same("log.local.retention.bytes")],
        "Bytes kept locally by a tiered topic; -2 follows retention.bytes."),
    row("local.retention.ms", Long, "-2", AtLeast(-2), &[same("log.local.retention.ms")],
        "Milliseconds that a tiered topic keeps segments locally; -2 follows retention.ms."),
    row("max.compaction.lag.ms", Long, MAX_LONG, AtLeast(1), &[same("log.cleaner.max.compaction.lag.ms")],
        "Longest time that a record of a compacted topic may stay uncompacted, in milliseconds."),
    row("max.message.bytes", Int, "1048588", AtLeast(0), &[same("message.max.bytes")],
        "Largest record batch that is accepted, in bytes, after compression."),
    row("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), &[same("log.message.timestamp.after.max.ms")],
        "How far a record's timestamp may lie after the broker's clock, in milliseconds."),
    row("message.timestamp.before.max.ms", Long, MAX_LONG, AtLeast(0), &[same("log.message.timestamp.before.max.ms")],
        "How far a record's timestamp may lie before the broker's clock, in milliseconds."),
    row("message.timestamp.type", String, "CreateTime", OneOf(TIMESTAMP_TYPES), &[same("log.message.timestamp.type")],
        "Whether a record keeps the producer's timestamp or gets the time of the append."),
    row("min.cleanable.dirty.ratio", Double, "0.5", Within(0.0, 1.0), &[same("log.cleaner.min.cleanable.ratio")],
        "Share of uncompacted bytes from which a compacted log is cleaned."),
    row("min.compaction.lag.ms", Long, "0", AtLeast(0), &[same("log.cleaner.min.compaction.lag.ms")],
        "Shortest time that a record of a compacted topic stays uncompacted, in milliseconds."),
    row("min.insync.replicas", Int, "1", AtLeast(1), &[same("min.insync.replicas")],
        "Smallest ISR with which an acks=all write is accepted and the high watermark moves."),
    row("preallocate", Boolean, "false", Any, &[same("log.preallocate")],
        "Whether a new segment file gets its full size at once."),
    row("remote.log.copy.disable", Boolean, "false", Only("false"), &[],
        "Tiered storage does not exist yet; only false is accepted."),
    row("remote.log.delete.on.disable", Boolean, "false", Only("false"), &[],
        "Tiered storage does not exist yet; only false is accepted."),
    row("remote.storage.enable", Boolean, "false", Only("false"), &[],
        "Tiered storage does not exist yet; only false is accepted."),
    row("retention.bytes", Long, "-1", AtLeast(-1), &[same("log.retention.bytes")],
        "Bytes that a partition keeps before its oldest segments are deleted; -1 is no limit."),
    row("retention.ms", Long, "604800000", AtLeast(-1),
        &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")],
        "Milliseconds that a segment is kept after its latest record; -1 is forever."),
    row("segment.bytes", Int, "1073741824", AtLeast(14), &[same("log.segment.bytes")],
        "Size of a segment file, in bytes. Deletion and compaction work on whole segments."),
    row("segment.index.bytes", Int, "10485760", AtLeast(4), &[same("log.index.size.max.bytes")],
        "Largest size of a segment's offset index, in bytes."),
    row("segment.jitter.ms", Long, "0", AtLeast(0),
        &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")],
        "Largest random time by which a segment rolls earlier than segment.ms, in milliseconds."),
    row("segment.ms", Long, "604800000", AtLeast(1), &[same("log.roll.ms"), hours("log.roll.hours")],
        "Time after which a segment rolls even when it is not full, in milliseconds."),
    row("unclean.leader.election.enable", Boolean, "false", Any, &[same("unclean.leader.election.enable")],
        "Whether a replica that may lack acknowledged records becomes the leader when no other is left."),
];
