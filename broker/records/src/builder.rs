//! Making a batch record by record.

use bytes::{BufMut, BytesMut};

use crate::stamp::reseal;
use crate::varint::{put_varlong, varlong_size};
use crate::{
    Attributes, BATCH_OVERHEAD, BatchError, Compression, Header, MAGIC, NO_PRODUCER_EPOCH, NO_PRODUCER_ID,
    NO_SEQUENCE, NO_TIMESTAMP, Record,
};

/// Builds one batch; offsets are dense unless [`push_record`](Self::push_record) leaves gaps.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    base_offset: i64,
    next_offset: i64,
    /// Last offset of the finished batch when it lies behind the last record's.
    last_offset: Option<i64>,
    leader_epoch: i32,
    attributes: Attributes,
    compression: Compression,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: Option<i64>,
    delete_horizon: Option<i64>,
    max_timestamp: i64,
    record_count: i32,
    records: BytesMut,
}

impl BatchBuilder {
    /// An empty batch whose first record will have `base_offset`.
    pub fn new(base_offset: i64) -> Self {
        Self {
            base_offset,
            next_offset: base_offset,
            last_offset: None,
            leader_epoch: -1,
            attributes: Attributes::default(),
            compression: Compression::None,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            base_timestamp: None,
            delete_horizon: None,
            max_timestamp: NO_TIMESTAMP,
            record_count: 0,
            records: BytesMut::new(),
        }
    }

    /// Sets the partition leader epoch.
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Makes the batch an idempotent producer's.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch, self.base_sequence) = (id, epoch, base_sequence);
        self
    }

    /// Compresses the records with this codec.
    pub fn compression(mut self, codec: Compression) -> Self {
        self.compression = codec;
        self.attributes = self.attributes.with_compression(codec);
        self
    }

    /// Marks the batch as part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.attributes = self.attributes.with_transactional();
        self
    }

    /// Marks the batch as holding control records.
    pub fn control(mut self) -> Self {
        self.attributes = self.attributes.with_control();
        self
    }

    /// Marks all timestamps as the broker's.
    pub fn log_append_time(mut self) -> Self {
        self.attributes = self.attributes.with_log_append_time();
        self
    }

    /// Stores when compaction may drop the batch's tombstones (KIP-534), Unix ms.
    pub fn delete_horizon(mut self, horizon_ms: i64) -> Self {
        self.attributes = self.attributes.with_delete_horizon();
        self.delete_horizon = Some(horizon_ms);
        self
    }

    /// Makes the batch end at this offset although its last record lies before it, as after compaction.
    pub fn last_offset(mut self, offset: i64) -> Self {
        self.last_offset = Some(offset);
        self
    }

    /// Number of records so far.
    pub fn record_count(&self) -> usize {
        usize::try_from(self.record_count).unwrap_or(0)
    }

    /// Whether there are no records yet.
    pub fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Size in bytes of the batch so far, before compression.
    pub fn size(&self) -> usize {
        BATCH_OVERHEAD + self.records.len()
    }

    /// Appends a record with the next offset.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), BatchError> {
        self.push_at(self.next_offset, timestamp, key, value, headers)
    }

    /// Appends a record that keeps its own offset, which must lie behind those before it.
    pub fn push_record(&mut self, record: &Record) -> Result<(), BatchError> {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        self.push_at(record.offset, record.timestamp, key, value, &record.headers)
    }

    fn push_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) -> Result<(), BatchError> {
        if offset < self.next_offset {
            return Err(BatchError::Unbuildable("offsets do not ascend"));
        }
        let offset_delta = offset.checked_sub(self.base_offset).and_then(|delta| i32::try_from(delta).ok());
        let offset_delta = offset_delta.ok_or(BatchError::Unbuildable("offset range exceeds 31 bits"))?;
        let base_timestamp = self.delete_horizon.or(self.base_timestamp).unwrap_or(timestamp);
        let timestamp_delta = timestamp.checked_sub(base_timestamp);
        let timestamp_delta =
            timestamp_delta.ok_or(BatchError::Unbuildable("timestamp range exceeds 64 bits"))?;
        let size = body_size(timestamp_delta, offset_delta, key, value, headers);
        if self.size().saturating_add(size) > i32::MAX as usize - 64 {
            return Err(BatchError::Unbuildable("batch exceeds 2 GiB"));
        }
        self.put_record(size, timestamp_delta, offset_delta, key, value, headers);
        self.base_timestamp = Some(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.next_offset = offset.checked_add(1).ok_or(BatchError::Unbuildable("offset overflows"))?;
        self.record_count += 1;
        Ok(())
    }

    fn put_record(
        &mut self,
        size: usize,
        timestamp_delta: i64,
        offset_delta: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header],
    ) {
        let out = &mut self.records;
        out.reserve(size + 5);
        put_varlong(out, size as i64);
        out.put_u8(0);
        put_varlong(out, timestamp_delta);
        put_varlong(out, i64::from(offset_delta));
        put_nullable(out, key);
        put_nullable(out, value);
        put_varlong(out, headers.len() as i64);
        for header in headers {
            put_nullable(out, Some(&header.key));
            put_nullable(out, header.value.as_deref());
        }
    }

    /// The finished batch with length and checksum. A batch without records needs [`last_offset`](Self::last_offset).
    pub fn finish(self) -> Result<BytesMut, BatchError> {
        let last_offset = self.last_offset.unwrap_or_else(|| self.next_offset.saturating_sub(1));
        if last_offset.saturating_add(1) < self.next_offset || last_offset < self.base_offset {
            return Err(BatchError::Unbuildable("batch ends before its last record"));
        }
        let last_offset_delta = last_offset.checked_sub(self.base_offset).and_then(|d| i32::try_from(d).ok());
        let last_offset_delta =
            last_offset_delta.ok_or(BatchError::Unbuildable("offset range exceeds 31 bits"))?;
        let mut out = BytesMut::with_capacity(self.size());
        self.put_header(&mut out, last_offset_delta);
        match self.compression {
            Compression::None => out.extend_from_slice(&self.records),
            codec => out.extend_from_slice(&codec.compress(&self.records)?),
        }
        reseal(&mut out)?;
        Ok(out)
    }

    fn put_header(&self, out: &mut BytesMut, last_offset_delta: i32) {
        let base_timestamp = self.delete_horizon.or(self.base_timestamp).unwrap_or(NO_TIMESTAMP);
        out.put_i64(self.base_offset);
        out.put_i32(0);
        out.put_i32(self.leader_epoch);
        out.put_i8(MAGIC);
        out.put_u32(0);
        out.put_i16(self.attributes.bits());
        out.put_i32(last_offset_delta);
        out.put_i64(base_timestamp);
        out.put_i64(self.max_timestamp);
        out.put_i64(self.producer_id);
        out.put_i16(self.producer_epoch);
        out.put_i32(self.base_sequence);
        out.put_i32(self.record_count);
    }
}

fn put_nullable(out: &mut BytesMut, field: Option<&[u8]>) {
    match field {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_varlong(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}

/// Bytes of a record behind its length field.
fn body_size(
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header],
) -> usize {
    let fixed = 1 + varlong_size(timestamp_delta) + varlong_size(i64::from(offset_delta));
    let headers_size: usize = headers
        .iter()
        .map(|header| nullable_size(Some(&header.key)) + nullable_size(header.value.as_deref()))
        .sum();
    fixed + nullable_size(key) + nullable_size(value) + varlong_size(headers.len() as i64) + headers_size
}

fn nullable_size(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varlong_size(bytes.len() as i64) + bytes.len())
}
