//! The checks on a batch that a client wants appended (Produce v3 and later: exactly one batch a partition).

use crate::batch::verify_crc;
use crate::{BatchError, BatchHeader, NO_PRODUCER_ID, TimestampType};

/// Checks that `batch` is exactly one well-formed batch of at most `max_size` bytes that a client may send.
///
/// Looks at the header and the checksum only; [`Batch::summarize`](crate::Batch::summarize) looks at the records.
pub fn validate_produced(batch: &[u8], max_size: usize) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let size = header.size_in_bytes();
    if size > max_size {
        return Err(BatchError::TooLarge { size, max: max_size });
    }
    if size > batch.len() {
        return Err(BatchError::Truncated { needed: size, available: batch.len() });
    }
    if size < batch.len() {
        return Err(BatchError::TrailingBytes(batch.len() - size));
    }
    verify_crc(&header, batch)?;
    check_claims(&header)?;
    Ok(header)
}

/// What the header says must be something that a client may say.
fn check_claims(header: &BatchHeader) -> Result<(), BatchError> {
    header.attributes.compression()?;
    if header.base_offset != 0 {
        return Err(BatchError::BaseOffsetNotZero(header.base_offset));
    }
    let (record_count, last_offset_delta) = (header.record_count, header.last_offset_delta);
    if i64::from(record_count) != i64::from(last_offset_delta) + 1 {
        return Err(BatchError::InvalidRecordCount { record_count, last_offset_delta });
    }
    if header.attributes.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::LogAppendTimeFromClient);
    }
    check_producer(header)
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let (producer_id, producer_epoch) = (header.producer_id, header.producer_epoch);
    let base_sequence = header.base_sequence;
    let idempotent = producer_id >= 0 && producer_epoch >= 0 && base_sequence >= 0;
    let plain = producer_id == NO_PRODUCER_ID && !header.attributes.is_transactional();
    if idempotent || plain {
        return Ok(());
    }
    Err(BatchError::InvalidProducer { producer_id, producer_epoch, base_sequence })
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::{BatchBuilder, stamp, stamp_log_append_time};

    fn produced(base_offset: i64) -> BytesMut {
        let mut builder = BatchBuilder::new(base_offset);
        builder.push(1, Some(b"key"), Some(b"value"), &[]).expect("fits");
        builder.push(2, None, Some(b"value"), &[]).expect("fits");
        builder.finish().expect("builds")
    }

    #[test]
    fn one_whole_batch_is_accepted() {
        let header = validate_produced(&produced(0), 1024).expect("valid");
        assert_eq!((header.record_count, header.max_timestamp), (2, 2));
    }

    #[test]
    fn every_flipped_bit_under_the_checksum_is_noticed() {
        let batch = produced(0);
        for bit in 17 * 8..batch.len() * 8 {
            let mut flipped = batch.clone();
            *flipped.get_mut(bit / 8).expect("inside") ^= 1 << (bit % 8);
            assert!(validate_produced(&flipped, 1024).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn sizes_are_checked_against_the_limit_and_the_bytes() {
        let batch = produced(0);
        let (size, max) = (batch.len(), batch.len() - 1);
        assert_eq!(validate_produced(&batch, max), Err(BatchError::TooLarge { size, max }));
        let cut = validate_produced(batch.get(..max).expect("inside"), 1024);
        assert_eq!(cut, Err(BatchError::Truncated { needed: size, available: max }));
        let two = [batch.clone(), batch].concat();
        assert_eq!(validate_produced(&two, 1024), Err(BatchError::TrailingBytes(size)));
    }

    #[test]
    fn what_only_a_broker_may_say_is_refused() {
        assert_eq!(validate_produced(&produced(5), 1024), Err(BatchError::BaseOffsetNotZero(5)));
        let mut stamped = produced(0);
        stamp_log_append_time(&mut stamped, 9).expect("whole batch");
        assert_eq!(validate_produced(&stamped, 1024), Err(BatchError::LogAppendTimeFromClient));
        let mut control = BatchBuilder::new(0).control();
        control.push(1, Some(b"\0\0\0\0"), None, &[]).expect("fits");
        let control = control.finish().expect("builds");
        assert_eq!(validate_produced(&control, 1024), Err(BatchError::ControlFromClient));
    }

    #[test]
    fn an_idempotent_batch_needs_id_epoch_and_sequence() {
        let mut builder = BatchBuilder::new(0).producer(7, 0, -1);
        builder.push(1, None, None, &[]).expect("fits");
        let batch = builder.finish().expect("builds");
        assert!(matches!(validate_produced(&batch, 1024), Err(BatchError::InvalidProducer { .. })));
    }

    #[test]
    fn stamping_offset_and_epoch_keeps_the_checksum_valid() {
        let mut batch = produced(0);
        stamp(&mut batch, 42, 3).expect("whole batch");
        let header = BatchHeader::parse(&batch).expect("valid");
        assert_eq!((header.base_offset, header.leader_epoch), (42, 3));
        assert_eq!(verify_crc(&header, &batch), Ok(()));
    }
}
