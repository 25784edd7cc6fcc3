//! Appending: everything about a batch is decided here, in memory.

use bytes::{Bytes, BytesMut};
use klamm_records::{Batch, BatchError, BatchHeader, TimestampType, batches, stamp, stamp_log_append_time};

use super::Log;
use crate::AppendError;
use crate::compaction::placeholder;
use crate::mutation::{Mutation, is_active};
use crate::producer::snapshot;
use crate::tail::TailChunk;

/// Bytes after which the producers are stored again, so that a start has little to walk.
const SNAPSHOT_INTERVAL: u64 = 64 << 20;

/// Where batches were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// First offset.
    pub base_offset: i64,
    /// Last offset.
    pub last_offset: i64,
    /// The broker's timestamp, if the topic uses `LogAppendTime`; Unix ms.
    pub log_append_time: Option<i64>,
}

impl Log {
    /// Appends one batch that was checked before (`klamm_records::validate_produced`) at the end of the log.
    ///
    /// Checks the producer's sequence, stamps base offset, leader epoch and, if the topic says so, the time.
    pub fn append_as_leader(
        &mut self,
        mut batch: BytesMut,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        self.check_online()?;
        let header = BatchHeader::parse(&batch)?;
        self.check_size(&header, batch.len())?;
        check_epoch(leader_epoch, self.epochs.latest())?;
        self.producers.check(&header)?;
        let log_append_time =
            (self.config.message_timestamp_type == TimestampType::LogAppendTime).then_some(now_ms);
        if let Some(now_ms) = log_append_time {
            stamp_log_append_time(&mut batch, now_ms)?;
        }
        stamp(&mut batch, self.end_offset, leader_epoch)?;
        let header = BatchHeader::parse(&batch)?;
        let (base_offset, last_offset) = (header.base_offset, header.last_offset());
        self.prepare(&header);
        self.accept(&header);
        self.tail.push(TailChunk { base_offset, next_offset: self.end_offset, bytes: batch.freeze() });
        Ok(Appended { base_offset, last_offset, log_append_time })
    }

    /// Appends batches as a leader stamped them. All are checked before any is taken; offsets may leave gaps, as after
    /// compaction, but not go back.
    pub fn append_as_follower(&mut self, data: Bytes) -> Result<Appended, AppendError> {
        self.check_online()?;
        let data = self.what_follows(data)?;
        let base_offset = self.check_replicated(&data)?;
        let mut chunk: Option<(usize, i64)> = None;
        let mut at = 0;
        for batch in batches(data.clone()) {
            let Batch { header, bytes } = batch?;
            if let Some((start, first)) = chunk.filter(|_| self.must_roll(&header)) {
                self.push_chunk(&data, start..at, first);
                chunk = None;
            }
            self.prepare(&header);
            self.accept(&header);
            chunk.get_or_insert((at, header.base_offset));
            at += bytes.len();
        }
        if let Some((start, first)) = chunk {
            self.push_chunk(&data, start..at, first);
        }
        Ok(Appended { base_offset, last_offset: self.end_offset.saturating_sub(1), log_append_time: None })
    }

    fn check_online(&self) -> Result<(), AppendError> {
        match &self.offline {
            None => Ok(()),
            Some(reason) => Err(AppendError::Offline(reason.clone())),
        }
    }

    fn check_size(&self, header: &BatchHeader, length: usize) -> Result<(), AppendError> {
        let size = header.size_in_bytes();
        if size > length {
            return Err(BatchError::Truncated { needed: size, available: length }.into());
        }
        if size < length {
            return Err(BatchError::TrailingBytes(length - size).into());
        }
        if size > self.config.max_message_bytes {
            return Err(AppendError::TooLarge { size, max: self.config.max_message_bytes });
        }
        if size as u64 > self.config.segment_bytes {
            let max = usize::try_from(self.config.segment_bytes).unwrap_or(usize::MAX);
            return Err(AppendError::LargerThanSegment { size, max });
        }
        Ok(())
    }

    /// A leader that has compacted its log keeps ranges of offsets without any record as one empty batch, and this log may
    /// end inside such a range: then only the rest of the range is taken.
    fn what_follows(&self, data: Bytes) -> Result<Bytes, AppendError> {
        let Some(first) = batches(data.clone()).next().transpose()? else { return Ok(data) };
        let Batch { header, bytes } = &first;
        let is_inside = header.base_offset < self.end_offset && header.next_offset() > self.end_offset;
        if !is_inside || header.record_count != 0 || header.attributes.is_control() {
            return Ok(data);
        }
        first.verify_crc()?;
        let rest = data.slice(bytes.len()..);
        let mut kept =
            BytesMut::from(&*placeholder(self.end_offset, header.last_offset(), header.leader_epoch)?);
        kept.extend_from_slice(&rest);
        Ok(kept.freeze())
    }

    /// Checks every batch; returns the first offset.
    fn check_replicated(&self, data: &Bytes) -> Result<i64, AppendError> {
        let mut first = None;
        let mut expected = self.end_offset;
        // An epoch assigned at the end has no data yet that could be contradicted.
        let mut latest = self.epochs.epoch_at(self.end_offset.saturating_sub(1));
        for batch in batches(data.clone()) {
            let batch = batch?;
            if !is_active(Mutation::ReplicationChecksNoCrc) {
                batch.verify_crc()?;
            }
            let found = batch.header.base_offset;
            if found < expected {
                return Err(AppendError::OffsetsNotMonotonic { expected, found });
            }
            check_epoch(batch.header.leader_epoch, latest)?;
            latest = latest.max(Some(batch.header.leader_epoch));
            expected = batch.header.next_offset();
            first.get_or_insert(found);
        }
        Ok(first.unwrap_or(self.end_offset))
    }

    fn push_chunk(&mut self, data: &Bytes, range: std::ops::Range<usize>, base_offset: i64) {
        let bytes = data.slice(range);
        // A chunk ends where the batch before the roll does, which is the log's end when it is pushed.
        self.tail.push(TailChunk { base_offset, next_offset: self.end_offset, bytes });
    }

    fn must_roll(&self, header: &BatchHeader) -> bool {
        self.segments.last().is_none_or(|active| active.is_full_for(header, &self.config))
    }

    /// Rolls if the batch needs a new segment, and stores the producers when that is due.
    fn prepare(&mut self, header: &BatchHeader) {
        if self.must_roll(header) {
            self.roll(header.base_offset);
        } else if self.bytes_since_snapshot >= SNAPSHOT_INTERVAL {
            self.snapshot_producers(self.end_offset);
        }
    }

    /// Closes the active segment and starts a new one.
    pub(super) fn roll(&mut self, base_offset: i64) {
        if let Some(active) = self.segments.last_mut() {
            active.close();
        }
        self.snapshot_producers(base_offset);
        let segment = self.new_segment(base_offset);
        self.segments.push(segment);
    }

    pub(super) fn snapshot_producers(&mut self, offset: i64) {
        let contents = Bytes::from(snapshot::encode(&self.producers));
        self.waiting_snapshots.push((offset, contents));
        self.bytes_since_snapshot = 0;
    }

    fn accept(&mut self, header: &BatchHeader) {
        if let Some(active) = self.segments.last_mut() {
            active.append(header, self.config.index_interval_bytes);
        }
        self.epochs.assign(header.leader_epoch, header.base_offset);
        self.producers.update(header);
        self.bytes_since_snapshot += header.size_in_bytes() as u64;
        self.end_offset = header.next_offset();
        self.changed = true;
    }
}

/// Leader epochs never go back along a log; recovery relies on it.
fn check_epoch(found: i32, latest: Option<i32>) -> Result<(), AppendError> {
    match latest.filter(|latest| found < *latest) {
        Some(latest) => Err(AppendError::StaleLeaderEpoch { found, latest }),
        None => Ok(()),
    }
}
