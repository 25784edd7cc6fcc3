//! Properties of batches: what is built is read back, and no bytes make the readers panic.

use bytes::Bytes;
use klamm_records::{
    Batch, BatchBuilder, BatchError, Compression, Header, Record, batches, recompress, stamp_log_append_time,
    validate_produced,
};
use proptest::prelude::*;

const MAX: usize = 1 << 20;

fn codec() -> impl Strategy<Value = Compression> {
    prop_oneof![
        Just(Compression::None),
        Just(Compression::Gzip),
        Just(Compression::Snappy),
        Just(Compression::Lz4),
        Just(Compression::Zstd),
    ]
}

fn blob() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn header() -> impl Strategy<Value = Header> {
    (blob(), prop::option::of(blob())).prop_map(|(key, value)| Header { key, value })
}

type Fields = (i64, Option<Bytes>, Option<Bytes>, Vec<Header>);

fn fields() -> impl Strategy<Value = Vec<Fields>> {
    let record = (
        0..i64::MAX / 2,
        prop::option::of(blob()),
        prop::option::of(blob()),
        prop::collection::vec(header(), 0..3),
    );
    prop::collection::vec(record, 1..20)
}

fn build(codec: Compression, fields: &[Fields]) -> Bytes {
    let mut builder = BatchBuilder::new(0).compression(codec).producer(5, 1, 9);
    for (timestamp, key, value, headers) in fields {
        builder.push(*timestamp, key.as_deref(), value.as_deref(), headers).expect("fits");
    }
    builder.finish().expect("builds").freeze()
}

fn expected(fields: &[Fields]) -> Vec<Record> {
    let record = |(offset, (timestamp, key, value, headers)): (usize, &Fields)| Record {
        offset: offset as i64,
        timestamp: *timestamp,
        key: key.clone(),
        value: value.clone(),
        headers: headers.clone(),
    };
    fields.iter().enumerate().map(record).collect()
}

fn read_everything(data: Bytes) {
    let _ = validate_produced(&data, MAX);
    for batch in batches(data).flatten() {
        let _ = batch.verify_crc();
        let _ = batch.summarize(MAX);
        let _ = recompress(&batch, Compression::None, MAX);
        if let Ok(records) = batch.records(MAX) {
            records.for_each(drop);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_built_is_read_back_in_every_codec(codec in codec(), to in codec(), fields in fields()) {
        let bytes = build(codec, &fields);
        let header = validate_produced(&bytes, MAX).expect("valid");
        prop_assert_eq!(header.size_in_bytes(), bytes.len());
        prop_assert_eq!(header.last_sequence(), 9 + fields.len() as i32 - 1);
        let batch = Batch::parse(&bytes).expect("parses");
        let records: Result<Vec<_>, _> = batch.records(MAX).expect("decompresses").collect();
        prop_assert_eq!(records, Ok(expected(&fields)));
        let summary = batch.summarize(MAX).expect("sound");
        prop_assert_eq!(summary.max_timestamp, header.max_timestamp);
        prop_assert_eq!(summary.first_without_key, fields.iter().position(|(_, key, _, _)| key.is_none()));

        let other = Batch::parse(&recompress(&batch, to, MAX).expect("recompresses").freeze()).expect("parses");
        prop_assert_eq!(other.verify_crc(), Ok(()));
        prop_assert_eq!(other.header.attributes.compression(), Ok(to));
        let records: Result<Vec<_>, _> = other.records(MAX).expect("decompresses").collect();
        prop_assert_eq!(records, Ok(expected(&fields)));
    }

    #[test]
    fn random_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
        read_everything(Bytes::from(data));
    }

    #[test]
    fn damaged_batches_never_panic(codec in codec(), fields in fields(), at: prop::sample::Index, with: u8) {
        let mut bytes = build(codec, &fields).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        read_everything(Bytes::from(bytes));
    }

    #[test]
    fn truncated_batches_are_errors(codec in codec(), fields in fields(), at: prop::sample::Index) {
        let bytes = build(codec, &fields);
        let cut = bytes.slice(..at.index(bytes.len()));
        let expect_items = usize::from(!cut.is_empty());
        let items: Vec<_> = batches(cut).collect();
        prop_assert_eq!(items.len(), expect_items);
        let truncated = items.iter().all(|item| matches!(item, Err(BatchError::Truncated { .. })));
        prop_assert!(truncated);
    }
}

#[test]
fn concatenated_batches_are_read_one_after_another() {
    let mut data = Vec::new();
    for base_offset in [0, 3, 4] {
        let mut builder = BatchBuilder::new(base_offset).leader_epoch(2);
        builder.push(base_offset, None, Some(b"value"), &[]).expect("fits");
        data.extend_from_slice(&builder.finish().expect("builds"));
    }
    let offsets: Result<Vec<_>, _> = batches(Bytes::from(data))
        .map(|batch| batch.map(|b| (b.header.base_offset, b.header.next_offset())))
        .collect();
    assert_eq!(offsets, Ok(vec![(0, 1), (3, 4), (4, 5)]));
}

#[test]
fn log_append_time_is_the_timestamp_of_every_record() {
    let mut builder = BatchBuilder::new(0);
    builder.push(1, None, Some(b"a"), &[]).expect("fits");
    builder.push(2, None, Some(b"b"), &[]).expect("fits");
    let mut bytes = builder.finish().expect("builds");
    stamp_log_append_time(&mut bytes, 77).expect("whole batch");
    let batch = Batch::parse(&bytes.freeze()).expect("parses");
    assert_eq!(batch.verify_crc(), Ok(()));
    let timestamps: Vec<_> =
        batch.records(MAX).expect("plain").map(|record| record.expect("sound").timestamp).collect();
    assert_eq!(timestamps, [77, 77]);
}

#[test]
fn a_compacted_batch_keeps_its_offset_range() {
    let record = Record {
        offset: 12,
        timestamp: 5,
        key: Some(Bytes::from_static(b"k")),
        value: None,
        headers: Vec::new(),
    };
    let mut builder = BatchBuilder::new(10).last_offset(15).delete_horizon(1_000);
    builder.push_record(&record).expect("fits");
    let batch = Batch::parse(&builder.finish().expect("builds").freeze()).expect("parses");
    assert_eq!(
        (batch.header.base_offset, batch.header.last_offset(), batch.header.record_count),
        (10, 15, 1)
    );
    assert_eq!((batch.header.base_timestamp, batch.header.max_timestamp), (1_000, 5));
    assert_eq!(batch.records(MAX).expect("plain").collect::<Result<Vec<_>, _>>(), Ok(vec![record]));
    let empty = BatchBuilder::new(10).last_offset(15).finish().expect("builds").freeze();
    assert_eq!(Batch::parse(&empty).expect("parses").records(MAX).expect("plain").count(), 0);
}
