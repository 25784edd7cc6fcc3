//! What a partition knows of its idempotent producers: epochs and the last batches (KIP-98).

pub(crate) mod snapshot;

use std::collections::{HashMap, VecDeque};

use klamm_records::{BatchHeader, NO_PRODUCER_EPOCH, NO_SEQUENCE, next_sequence};

use crate::AppendError;
use crate::mutation::{Mutation, is_active};

/// Batches that a client may have in flight on one connection.
const IN_FLIGHT: usize = 5;
/// Batches kept for each producer to recognise duplicates.
///
/// Kafka keeps five. That is too few when leaders change: Java's client sends five more to the next leader while the answers
/// of the one before are outstanding, and when those turn out to be NOT_LEADER_OR_FOLLOWER although the batches were
/// replicated, it sends them again behind the others. Not recognised any more, they are out of sequence; the client then
/// either tries for ever or begins an epoch and sends everything again, which is a duplicate. Leaders may change twice in a
/// row.
const BATCHES_TO_RETAIN: usize = 3 * IN_FLIGHT;

fn batches_to_retain() -> usize {
    if is_active(Mutation::DedupWindowTooSmall) { IN_FLIGHT - 1 } else { BATCHES_TO_RETAIN }
}

/// One batch that a producer appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Distance from its first to its last offset.
    pub offset_delta: i32,
    /// Its largest timestamp, Unix ms.
    pub timestamp: i64,
}

impl ProducerBatch {
    fn of(header: &BatchHeader) -> Self {
        Self {
            last_sequence: header.last_sequence(),
            last_offset: header.last_offset(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
        }
    }

    /// Offset of its first record.
    pub fn base_offset(&self) -> i64 {
        self.last_offset.saturating_sub(i64::from(self.offset_delta))
    }
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// Its current epoch.
    pub epoch: i16,
    /// Its last batches in this epoch, oldest first, at most fifteen.
    pub batches: VecDeque<ProducerBatch>,
    /// Epoch of the transaction coordinator that wrote its last marker, or −1.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub transaction_start: Option<i64>,
    /// When it last appended, Unix ms by its own timestamps.
    pub last_timestamp: i64,
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates {
    entries: HashMap<i64, ProducerEntry>,
}

impl ProducerStates {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &ProducerEntry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// Takes an entry of a snapshot: the first of a producer, or one with its next batch.
    pub(crate) fn restore(&mut self, producer_id: i64, mut entry: ProducerEntry) {
        if let Some(known) = self.entries.remove(&producer_id).filter(|known| known.epoch == entry.epoch) {
            let kept = known.batches.len().min(BATCHES_TO_RETAIN.saturating_sub(entry.batches.len()));
            let older = known.batches.into_iter().rev().take(kept);
            older.for_each(|batch| entry.batches.push_front(batch));
        }
        self.entries.insert(producer_id, entry);
    }

    pub(crate) fn clear(&mut self) {
        self.entries = HashMap::new();
    }

    /// What is known by batches before `offset`; who is known by none of them is left out.
    pub(crate) fn before(&self, offset: i64) -> Self {
        let before = |(id, entry): (&i64, &ProducerEntry)| {
            let mut entry = entry.clone();
            entry.batches.retain(|batch| batch.last_offset < offset);
            entry.transaction_start = entry.transaction_start.filter(|start| *start < offset);
            (!entry.batches.is_empty()).then_some((*id, entry))
        };
        Self { entries: self.entries.iter().filter_map(before).collect() }
    }

    /// Takes in producers that are not known yet.
    pub(crate) fn adopt(&mut self, others: Self) {
        for (id, entry) in others.entries {
            self.entries.entry(id).or_insert(entry);
        }
    }

    /// Whether a leader may append the batch: in sequence, not seen before, not from an older epoch.
    pub(crate) fn check(&self, header: &BatchHeader) -> Result<(), AppendError> {
        if !header.has_producer_id() || header.attributes.is_control() {
            return Ok(());
        }
        let producer_id = header.producer_id;
        let Some(entry) = self.entries.get(&producer_id) else { return Ok(()) };
        if header.producer_epoch < entry.epoch {
            if is_active(Mutation::OldProducerEpochAppended) {
                return Ok(());
            }
            let (found, current) = (header.producer_epoch, entry.epoch);
            return Err(AppendError::InvalidProducerEpoch { producer_id, found, current });
        }
        if let Some(batch) = entry.duplicate_of(header) {
            if is_active(Mutation::DuplicateAppended) {
                return Ok(());
            }
            let (base_offset, last_offset) = (batch.base_offset(), batch.last_offset);
            return Err(AppendError::DuplicateSequence {
                base_offset,
                last_offset,
                timestamp: batch.timestamp,
            });
        }
        let last = if header.producer_epoch == entry.epoch { entry.last_sequence() } else { NO_SEQUENCE };
        if entry.epoch == NO_PRODUCER_EPOCH || header.base_sequence == next_sequence(last) {
            return Ok(());
        }
        Err(AppendError::OutOfOrderSequence { producer_id, found: header.base_sequence, last })
    }

    /// Notes a batch that was appended, by a leader or by replication.
    pub(crate) fn update(&mut self, header: &BatchHeader) {
        if !header.has_producer_id() || header.attributes.is_control() {
            return;
        }
        let entry = self.entries.entry(header.producer_id).or_insert_with(|| ProducerEntry {
            epoch: header.producer_epoch,
            batches: VecDeque::new(),
            coordinator_epoch: -1,
            transaction_start: None,
            last_timestamp: header.max_timestamp,
        });
        entry.append(header);
    }

    /// Forgets the producers whose last timestamp is older than `ttl_ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, ttl_ms: i64) {
        let expired = |e: &ProducerEntry| {
            e.transaction_start.is_none() && now_ms.saturating_sub(e.last_timestamp) >= ttl_ms
        };
        self.entries.retain(|_, entry| !expired(entry));
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
    }
}

impl ProducerEntry {
    fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    fn duplicate_of(&self, header: &BatchHeader) -> Option<&ProducerBatch> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        self.batches.iter().find(|batch| {
            batch.last_sequence == header.last_sequence() && batch.offset_delta == header.last_offset_delta
        })
    }

    fn append(&mut self, header: &BatchHeader) {
        if header.producer_epoch != self.epoch {
            self.epoch = header.producer_epoch;
            self.batches.clear();
        }
        if self.batches.len() >= batches_to_retain() {
            self.batches.pop_front();
        }
        self.batches.push_back(ProducerBatch::of(header));
        self.last_timestamp = header.max_timestamp;
        if header.attributes.is_transactional() && self.transaction_start.is_none() {
            self.transaction_start = Some(header.base_offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_records::BatchBuilder;

    use super::*;

    fn batch(base_offset: i64, epoch: i16, sequence: i32, count: usize) -> BatchHeader {
        let mut builder = BatchBuilder::new(base_offset).producer(9, epoch, sequence);
        for _ in 0..count {
            builder.push(100, None, None, &[]).expect("fits");
        }
        BatchHeader::parse(&builder.finish().expect("builds")).expect("valid")
    }

    fn states(batches: &[BatchHeader]) -> ProducerStates {
        let mut states = ProducerStates::default();
        batches.iter().for_each(|header| states.update(header));
        states
    }

    #[test]
    fn the_next_sequence_is_accepted_and_any_other_refused() {
        let states = states(&[batch(0, 0, 0, 3)]);
        assert!(states.check(&batch(0, 0, 3, 2)).is_ok());
        let gap = states.check(&batch(0, 0, 4, 2));
        assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { found: 4, last: 2, .. })));
    }

    #[test]
    fn what_was_in_flight_to_three_leaders_is_recognised_with_its_old_offsets() {
        let appended: Vec<_> = (0..17).map(|i| batch(i64::from(i) * 2, 0, i * 2, 2)).collect();
        let states = states(&appended);
        for (index, header) in appended.iter().enumerate() {
            match states.check(header) {
                Err(AppendError::DuplicateSequence { base_offset, last_offset, timestamp: 100 })
                    if index >= 2 =>
                {
                    assert_eq!((base_offset, last_offset), (header.base_offset, header.last_offset()));
                }
                Err(AppendError::OutOfOrderSequence { .. }) if index < 2 => {}
                other => panic!("batch {index}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_new_epoch_starts_at_sequence_zero_and_fences_the_old_one() {
        let mut states = states(&[batch(0, 0, 0, 3)]);
        assert!(matches!(
            states.check(&batch(0, 1, 3, 1)),
            Err(AppendError::OutOfOrderSequence { last: -1, .. })
        ));
        assert!(states.check(&batch(0, 1, 0, 1)).is_ok());
        states.update(&batch(3, 1, 0, 1));
        let fenced = states.check(&batch(0, 0, 3, 1));
        assert!(matches!(fenced, Err(AppendError::InvalidProducerEpoch { found: 0, current: 1, .. })));
    }

    #[test]
    fn sequences_wrap_around() {
        let states = states(&[batch(0, 0, i32::MAX - 1, 2)]);
        assert!(states.check(&batch(0, 0, 0, 1)).is_ok());
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert!(ProducerStates::default().check(&batch(0, 3, 17, 1)).is_ok());
    }

    #[test]
    fn idle_producers_expire() {
        let mut states = states(&[batch(0, 0, 0, 1)]);
        states.expire(149, 50);
        assert_eq!(states.iter().count(), 1);
        states.expire(150, 50);
        assert_eq!(states.iter().count(), 0);
    }
}
