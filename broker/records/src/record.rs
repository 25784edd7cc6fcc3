//! One record, and the iterator over the records of a batch.

use std::ops::Range;

use bytes::Bytes;

use crate::varint::Cursor;
use crate::{BatchError, BatchHeader, TimestampType};

/// A record's header: a name and an optional value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, UTF-8 by convention of the clients; a broker does not check it.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

/// One record with absolute offset and timestamp; key, value and headers are slices of the (decompressed) batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Offset in the partition.
    pub offset: i64,
    /// Unix ms.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value; null is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in the order in which the producer wrote them.
    pub headers: Vec<Header>,
}

/// What a broker wants to know of a batch's records before it accepts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordsSummary {
    /// Smallest timestamp in Unix ms, or −1 without records.
    pub min_timestamp: i64,
    /// Largest timestamp in Unix ms, or −1 without records.
    pub max_timestamp: i64,
    /// Index of the first record without a key, which a compacted topic refuses.
    pub first_without_key: Option<usize>,
}

/// Iterator over the records of one batch; an error is the last item.
#[derive(Clone, Debug)]
pub struct Records {
    data: Bytes,
    at: usize,
    left: i32,
    base_offset: i64,
    base_timestamp: i64,
    /// The one timestamp of all records, for `LogAppendTime`.
    log_append_time: Option<i64>,
    last_offset_delta: i32,
    previous_delta: i32,
}

/// Where a record's fields lie in the block of records.
struct Shape {
    timestamp: i64,
    offset_delta: i32,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    header_count: usize,
    headers_at: usize,
    end: usize,
}

impl Records {
    pub(crate) fn new(header: &BatchHeader, data: Bytes) -> Self {
        let log_append_time = match header.attributes.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(header.max_timestamp),
        };
        Self {
            data,
            at: 0,
            left: header.record_count,
            base_offset: header.base_offset,
            base_timestamp: header.base_timestamp,
            log_append_time,
            last_offset_delta: header.last_offset_delta,
            previous_delta: -1,
        }
    }

    /// Walks all records without copying any.
    pub(crate) fn summarize(mut self) -> Result<RecordsSummary, BatchError> {
        let mut summary = RecordsSummary { min_timestamp: -1, max_timestamp: -1, first_without_key: None };
        let mut index = 0;
        while let Some(shape) = self.next_shape().transpose()? {
            self.headers(&shape, |_, _| ())?;
            summary.min_timestamp =
                if index == 0 { shape.timestamp } else { summary.min_timestamp.min(shape.timestamp) };
            summary.max_timestamp = summary.max_timestamp.max(shape.timestamp);
            if shape.key.is_none() && summary.first_without_key.is_none() {
                summary.first_without_key = Some(index);
            }
            index += 1;
        }
        Ok(summary)
    }

    fn next_shape(&mut self) -> Option<Result<Shape, BatchError>> {
        if self.left == 0 {
            let extra = self.data.len().saturating_sub(self.at);
            self.at = self.data.len();
            return (extra > 0).then_some(Err(BatchError::TrailingBytes(extra)));
        }
        let shape = self.read_shape();
        match &shape {
            Ok(shape) => {
                self.left -= 1;
                self.at = shape.end;
                self.previous_delta = shape.offset_delta;
            }
            Err(_) => self.stop(),
        }
        Some(shape)
    }

    fn stop(&mut self) {
        self.left = 0;
        self.at = self.data.len();
    }

    fn read_shape(&self) -> Result<Shape, BatchError> {
        let mut cursor = Cursor::new(&self.data, self.at);
        let length =
            usize::try_from(cursor.varint()?).map_err(|_| BatchError::InvalidRecord("negative size"))?;
        let end = cursor.skip(length)?.end;
        let body = self.data.get(..end).unwrap_or_default();
        let mut cursor = Cursor::new(body, end - length);
        cursor.byte()?;
        let timestamp_delta = cursor.varlong()?;
        let offset_delta = cursor.varint()?;
        if offset_delta <= self.previous_delta || offset_delta > self.last_offset_delta {
            return Err(BatchError::InvalidRecord("offset delta out of order"));
        }
        let timestamp = self.base_timestamp.checked_add(timestamp_delta);
        let timestamp = timestamp.ok_or(BatchError::InvalidRecord("timestamp overflows"))?;
        let key = cursor.nullable()?;
        let value = cursor.nullable()?;
        let header_count = usize::try_from(cursor.varint()?);
        let header_count = header_count.map_err(|_| BatchError::InvalidRecord("negative header count"))?;
        // A header takes at least two bytes.
        if header_count > cursor.remaining() / 2 {
            return Err(BatchError::InvalidRecord("more headers than bytes"));
        }
        let headers_at = cursor.position();
        let timestamp = self.log_append_time.unwrap_or(timestamp);
        Ok(Shape { timestamp, offset_delta, key, value, header_count, headers_at, end })
    }

    /// Walks the headers of a record, which must end where the record does.
    fn headers(
        &self,
        shape: &Shape,
        mut visit: impl FnMut(Range<usize>, Option<Range<usize>>),
    ) -> Result<(), BatchError> {
        let mut cursor = Cursor::new(self.data.get(..shape.end).unwrap_or_default(), shape.headers_at);
        for _ in 0..shape.header_count {
            let key = cursor.nullable()?.ok_or(BatchError::InvalidRecord("null header key"))?;
            visit(key, cursor.nullable()?);
        }
        match cursor.remaining() {
            0 => Ok(()),
            _ => Err(BatchError::InvalidRecord("bytes left after the headers")),
        }
    }

    fn record(&self, shape: &Shape) -> Result<Record, BatchError> {
        let mut headers = Vec::new();
        self.headers(shape, |key, value| {
            headers.push(Header { key: self.data.slice(key), value: value.map(|v| self.data.slice(v)) });
        })?;
        Ok(Record {
            offset: self.base_offset.saturating_add(i64::from(shape.offset_delta)),
            timestamp: shape.timestamp,
            key: shape.key.clone().map(|range| self.data.slice(range)),
            value: shape.value.clone().map(|range| self.data.slice(range)),
            headers,
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.next_shape()?.and_then(|shape| self.record(&shape));
        if record.is_err() {
            self.stop();
        }
        Some(record)
    }
}
