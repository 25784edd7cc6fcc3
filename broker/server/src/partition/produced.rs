//! Checks and conversion of a produced batch, before the partition is locked.

use bytes::BytesMut;
use klamm_records::{Attributes, Batch, BatchHeader, Compression, recompress, validate_produced};
use klamm_wire::ErrorCode;

use super::error::Refused;
use super::settings::TopicSettings;

/// Most bytes that a batch may grow to when it has to be decompressed.
const MAX_DECOMPRESSED: usize = 128 << 20;

/// Checks a batch against the topic's settings and brings it into the form that is stored.
///
/// # Errors
/// Kafka's code for what is wrong with it.
pub(super) fn accept(batch: BytesMut, settings: &TopicSettings, now_ms: i64) -> Result<BytesMut, Refused> {
    let header = validate_produced(&batch, settings.max_message_bytes())?;
    if header.attributes.is_transactional() {
        let message = "transactions are not supported: nothing would ever commit the batch";
        return Err(Refused::new(ErrorCode::InvalidTxnState, message));
    }
    check_timestamp(&header, settings, now_ms)?;
    if settings.log.compact {
        check_keys(&header, &batch)?;
    }
    match settings.compression {
        Some(codec) if codec_of(header.attributes)? != codec => {
            let batch = Batch { header, bytes: batch.freeze() };
            Ok(recompress(&batch, codec, MAX_DECOMPRESSED)?)
        }
        _ => Ok(batch),
    }
}

fn codec_of(attributes: Attributes) -> Result<Compression, Refused> {
    Ok(attributes.compression()?)
}

/// `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`, by the timestamps in the header.
fn check_timestamp(header: &BatchHeader, settings: &TopicSettings, now_ms: i64) -> Result<(), Refused> {
    let limits = &settings.log;
    if settings.stamps_append_time() || header.max_timestamp < 0 {
        return Ok(());
    }
    let too_late = header.max_timestamp.saturating_sub(now_ms) > limits.message_timestamp_after_max_ms;
    let too_early = now_ms.saturating_sub(header.base_timestamp) > limits.message_timestamp_before_max_ms;
    if too_late || too_early {
        let message = format!(
            "timestamps {} to {} are outside of the limits of the topic",
            header.base_timestamp, header.max_timestamp
        );
        return Err(Refused::new(ErrorCode::InvalidTimestamp, message));
    }
    Ok(())
}

/// A record without a key could never be compacted.
fn check_keys(header: &BatchHeader, batch: &BytesMut) -> Result<(), Refused> {
    let batch = Batch { header: header.clone(), bytes: batch.clone().freeze() };
    match batch.summarize(MAX_DECOMPRESSED)?.first_without_key {
        Some(index) => {
            let message = format!("record {index} has no key, which a compacted topic requires");
            Err(Refused::new(ErrorCode::InvalidRecord, message))
        }
        None => Ok(()),
    }
}
