//! P20: errors say what is true: a consumer is never told that its place is gone or that what it read is damaged, and a send
//! ends with no error that means lost state.

use super::Verdict;
use crate::history::{Line, Lines};

/// Classes of Kafka's that say that something is lost or damaged, which nothing here may be.
const ALARMS: &[&str] = &[
    "CorruptRecordException",
    "InconsistentTopicIdException",
    "InvalidProducerEpochException",
    "LogTruncationException",
    "NoOffsetForPartitionException",
    "OffsetOutOfRangeException",
    "OutOfOrderSequenceException",
    "ProducerFencedException",
    "RecordDeserializationException",
    "UnknownProducerIdException",
    "UnknownServerException",
];

pub(super) fn check(lines: Lines<'_>) -> Verdict {
    for line in lines.0 {
        let (who, error) = match line {
            Line::Trouble(trouble) => (trouble.who.as_str(), trouble.error.as_str()),
            Line::Send(send) => ("a send", send.error.as_deref().unwrap_or_default()),
            _ => continue,
        };
        if ALARMS.contains(&error) {
            return Err(format!("{who} got {error}"));
        }
    }
    Ok(())
}
