//! The table of broker keys about logs and their defaults for topics.

use super::spec::{Check, ConfigKind, ConfigSpec, Update, key};
use super::topic::{CLEANUP_POLICIES, COMPRESSION_TYPES, TIMESTAMP_TYPES};
use Check::{Any, AtLeast, Between, OneOf, SomeOf, UnsetOr, Within};
use ConfigKind::{Boolean, Double, Int, List, Long, String};
use Update::{ClusterWide, ReadOnly};

const MAX_LONG: Option<&str> = Some("9223372036854775807");

#[rustfmt::skip]
pub(super) const TABLE: &[ConfigSpec] = &[
    key("log.dir", String, Some("/tmp/kafka-logs"), Any, ReadOnly, "The directory for partition logs, used when log.dirs is not set."),
    key("log.dirs", List, None, Any, ReadOnly, "Directories for partition logs, separated by commas."),
    key("metadata.log.dir", String, None, Any, ReadOnly, "The directory for the metadata log; the first log directory when not set."),
    key("log.segment.bytes", Int, Some("1073741824"), AtLeast(14), ClusterWide, "Size of a segment file, in bytes."),
    key("log.roll.ms", Long, None, AtLeast(1), ClusterWide, "Time after which a segment rolls even when it is not full, in milliseconds; log.roll.hours when not set."),
    key("log.roll.hours", Int, Some("168"), AtLeast(1), ReadOnly, "Time after which a segment rolls even when it is not full, in hours."),
    key("log.roll.jitter.ms", Long, None, AtLeast(0), ClusterWide, "Largest random time by which a segment rolls earlier, in milliseconds; log.roll.jitter.hours when not set."),
    key("log.roll.jitter.hours", Int, Some("0"), AtLeast(0), ReadOnly, "Largest random time by which a segment rolls earlier, in hours."),
    key("log.retention.ms", Long, None, AtLeast(-1), ClusterWide, "Milliseconds that a segment is kept; log.retention.minutes when not set, -1 is forever."),
    key("log.retention.minutes", Int, None, AtLeast(-1), ReadOnly, "Minutes that a segment is kept; log.retention.hours when not set."),
    key("log.retention.hours", Int, Some("168"), AtLeast(-1), ReadOnly, "Hours that a segment is kept."),
    key("log.retention.bytes", Long, Some("-1"), AtLeast(-1), ClusterWide, "Bytes that a partition keeps; -1 is no limit."),
    key("log.retention.check.interval.ms", Long, Some("300000"), AtLeast(1), ReadOnly, "Time between two looks for segments that may be deleted, in milliseconds."),
    key("log.initial.task.delay.ms", Long, Some("30000"), AtLeast(0), ReadOnly, "Time after the start until old segments are first looked for, in milliseconds."),
    key("log.cleanup.policy", List, Some("delete"), SomeOf(CLEANUP_POLICIES), ClusterWide, "What happens to old segments of topics without a cleanup.policy."),
    key("log.cleaner.enable", Boolean, Some("true"), Any, ReadOnly, "Whether compacted topics are compacted."),
    key("log.cleaner.threads", Int, Some("1"), AtLeast(0), ClusterWide, "Threads that compact logs."),
    key("log.cleaner.backoff.ms", Long, Some("15000"), AtLeast(0), ClusterWide, "Pause of the cleaner when nothing needs it, in milliseconds."),
    key("log.cleaner.dedupe.buffer.size", Long, Some("134217728"), AtLeast(1048576), ClusterWide, "Memory for the keys of one compaction, in bytes."),
    key("log.cleaner.min.cleanable.ratio", Double, Some("0.5"), Within(0.0, 1.0), ClusterWide, "Share of uncompacted bytes from which a log is cleaned."),
    key("log.cleaner.delete.retention.ms", Long, Some("86400000"), AtLeast(0), ClusterWide, "How long tombstones stay readable, in milliseconds."),
    key("log.cleaner.min.compaction.lag.ms", Long, Some("0"), AtLeast(0), ClusterWide, "Shortest time that a record stays uncompacted, in milliseconds."),
    key("log.cleaner.max.compaction.lag.ms", Long, MAX_LONG, AtLeast(1), ClusterWide, "Longest time that a record may stay uncompacted, in milliseconds."),
    key("log.index.size.max.bytes", Int, Some("10485760"), AtLeast(4), ClusterWide, "Largest size of an offset index, in bytes."),
    key("log.index.interval.bytes", Int, Some("4096"), AtLeast(0), ClusterWide, "Bytes of records between two index entries."),
    key("log.flush.interval.messages", Long, Some("1"), AtLeast(1), ClusterWide, "Records after which a log is forced to the disk; 1 means that acknowledged records are on the disk."),
    key("log.flush.interval.ms", Long, None, AtLeast(0), ClusterWide, "Longest time that a record may wait to be forced to the disk, in milliseconds."),
    key("log.flush.scheduler.interval.ms", Long, MAX_LONG, AtLeast(0), ReadOnly, "Time between two looks for logs that must be forced to the disk, in milliseconds."),
    key("log.flush.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), ReadOnly, "Time between two writes of the recovery points, in milliseconds."),
    key("log.flush.start.offset.checkpoint.interval.ms", Int, Some("60000"), AtLeast(0), ReadOnly, "Time between two writes of the log start offsets, in milliseconds."),
    key("log.segment.delete.delay.ms", Long, Some("60000"), AtLeast(0), ClusterWide, "How long the files of a removed segment stay on the disk, in milliseconds."),
    key("log.preallocate", Boolean, Some("false"), Any, ClusterWide, "Whether a new segment file gets its full size at once."),
    key("log.message.timestamp.type", String, Some("CreateTime"), OneOf(TIMESTAMP_TYPES), ClusterWide, "Whether records keep the producer's timestamp or get the time of the append."),
    key("log.message.timestamp.before.max.ms", Long, MAX_LONG, AtLeast(0), ClusterWide, "How far a timestamp may lie before the broker's clock, in milliseconds."),
    key("log.message.timestamp.after.max.ms", Long, Some("3600000"), AtLeast(0), ClusterWide, "How far a timestamp may lie after the broker's clock, in milliseconds."),
    key("log.local.retention.ms", Long, Some("-2"), AtLeast(-2), ClusterWide, "Milliseconds that tiered topics keep segments locally; -2 follows log.retention.ms."),
    key("log.local.retention.bytes", Long, Some("-2"), AtLeast(-2), ClusterWide, "Bytes that tiered topics keep locally; -2 follows log.retention.bytes."),
    key("log.dir.failure.timeout.ms", Long, Some("30000"), AtLeast(1), ReadOnly, "Time after which a broker stops that cannot report a failed log directory, in milliseconds."),
    key("message.max.bytes", Int, Some("1048588"), AtLeast(0), ClusterWide, "Largest record batch that is accepted, in bytes, after compression."),
    key("compression.type", String, Some("producer"), OneOf(COMPRESSION_TYPES), ClusterWide, "Compression of stored batches. With producer they stay as they were sent."),
    key("compression.gzip.level", Int, Some("-1"), Between(-1, 9), ClusterWide, "Level used when the broker itself compresses with gzip; -1 is the codec's default."),
    key("compression.lz4.level", Int, Some("9"), Between(1, 17), ClusterWide, "Level used when the broker itself compresses with lz4."),
    key("compression.zstd.level", Int, Some("3"), Between(-131072, 22), ClusterWide, "Level used when the broker itself compresses with zstd."),
    key("num.recovery.threads.per.data.dir", Int, Some("2"), AtLeast(1), ClusterWide, "Threads for each log directory that recover logs at the start and flush them at the end."),
    key("metadata.log.segment.bytes", Int, Some("1073741824"), AtLeast(8388608), ReadOnly, "Size of a segment of the metadata log, in bytes."),
    key("metadata.max.retention.bytes", Long, Some("104857600"), UnsetOr(0, i64::MAX), ReadOnly, "Bytes of metadata log and snapshots that are kept."),
];
