//! The batches that producers send: records with unique values and some ballast.

use bytes::Bytes;
use klamm_records::BatchBuilder;

use crate::random::Random;

/// A batch with these values.
pub(super) fn build(
    producer: (i64, i16),
    sequence: i32,
    values: &[u64],
    now_ms: i64,
    random: &mut Random,
) -> Bytes {
    let mut builder = BatchBuilder::new(0).producer(producer.0, producer.1, sequence);
    let mut record = Vec::with_capacity(256);
    for value in values {
        record.clear();
        record.extend_from_slice(&value.to_be_bytes());
        record.resize(8 + random.index(200), *value as u8);
        // A few small records always fit.
        let _ = builder.push(now_ms, None, Some(&record), &[]);
    }
    builder.finish().map(|batch| batch.freeze()).unwrap_or_default()
}
