//! Appending to a partition that this broker leads.

use std::future::Future;
use std::sync::Arc;

use bytes::BytesMut;
use klamm_log::AppendError;
use klamm_replica::{Acked, LeaderEvent};
use klamm_wire::ErrorCode;

use super::acks::{Ack, Acks};
use super::error::Refused;
use super::produced;
use super::replica::{Partition, State};
use super::wakeups::Wakeups;
use crate::clock::now_ms;

/// Bytes in memory of one partition above which even acks=0 waits for the disk.
const BACKLOG_LIMIT: usize = 16 << 20;

/// Where a batch was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Offset after its last record.
    pub next_offset: i64,
    /// Timestamp that the broker gave its records, -1 for the producer's own.
    pub log_append_time_ms: i64,
    /// First offset of the partition.
    pub log_start_offset: i64,
}

/// An append that was begun.
#[derive(Debug)]
pub struct Append {
    /// Where the batch was put.
    pub appended: Appended,
    /// What to await before the answer; `None` when there is nothing to wait for. With acks=0 it only slows the producer
    /// down: the disk does not keep up.
    pub ack: Option<Ack>,
}

impl Partition {
    /// Appends a produced batch. Checks it, stamps offset and leader epoch in place and hands it to the IO engine; does no
    /// IO. A batch that was appended before is answered like the first time.
    ///
    /// # Errors
    /// Kafka's code: the batch is bad, this broker does not lead, or too few replicas are in sync for acks=all.
    pub fn append_leader(self: &Arc<Self>, batch: BytesMut, acks: Acks) -> Result<Append, Refused> {
        let batch = produced::accept(batch, &self.settings.load(), now_ms())?;
        self.change(|state, steady_ms, wakeups| state.append(batch, acks, None, steady_ms, wakeups))
    }

    /// Appends a batch of the broker's own with acks=all, if this broker leads in `leader_epoch`; the future ends when the
    /// batch is committed.
    ///
    /// # Errors
    /// As [`Partition::append_leader`]; the future's error tells why it will not be known to be committed.
    pub fn append_committed(
        self: &Arc<Self>,
        batch: BytesMut,
        leader_epoch: i32,
    ) -> Result<impl Future<Output = Result<(), ErrorCode>> + Send + 'static, ErrorCode> {
        let append = self.change(|state, steady_ms, wakeups| {
            state.append(batch, Acks::All, Some(leader_epoch), steady_ms, wakeups)
        });
        let ack = append.map_err(|refused| refused.code)?.ack;
        Ok(async move {
            match ack {
                Some(ack) => ack.await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower)),
                None => Ok(()),
            }
        })
    }

    /// Waits until everything below `end` is committed, if this broker leads in `leader_epoch`.
    ///
    /// # Errors
    /// Why it will not be known.
    pub async fn await_committed(&self, end: i64, leader_epoch: i32) -> Result<(), ErrorCode> {
        let ack = {
            let mut state = self.state.lock();
            if state.role.led_epoch() != Some(leader_epoch) {
                return Err(ErrorCode::NotLeaderOrFollower);
            }
            if state.high_watermark >= end {
                return Ok(());
            }
            state.acks.wait_replicated(end)
        };
        ack.await.unwrap_or(Err(ErrorCode::NotLeaderOrFollower))
    }
}

impl State {
    fn append(
        &mut self,
        batch: BytesMut,
        acks: Acks,
        expected_epoch: Option<i32>,
        steady_ms: i64,
        wakeups: &mut Wakeups,
    ) -> Result<Append, Refused> {
        let leader = self.role.leader()?;
        let leader_epoch = leader.leader_epoch();
        if expected_epoch.is_some_and(|expected| expected != leader_epoch) {
            return Err(ErrorCode::NotLeaderOrFollower.into());
        }
        if self.disk_full {
            return Err(Refused::new(ErrorCode::KafkaStorageError, "the disk is full"));
        }
        if acks == Acks::All && !leader.can_accept_acks_all() {
            return Err(ErrorCode::NotEnoughReplicas.into());
        }
        let (base_offset, last_offset, append_time) =
            match self.log.append_as_leader(batch, leader_epoch, now_ms()) {
                Ok(appended) => {
                    self.appended(steady_ms, wakeups);
                    (appended.base_offset, appended.last_offset, appended.log_append_time)
                }
                Err(AppendError::DuplicateSequence { base_offset, last_offset, timestamp }) => {
                    (base_offset, last_offset, Some(timestamp).filter(|_| self.stamps_append_time))
                }
                Err(error) => return Err(error.into()),
            };
        let appended = Appended {
            base_offset,
            next_offset: last_offset.saturating_add(1),
            log_append_time_ms: append_time.unwrap_or(-1),
            log_start_offset: self.log.start_offset(),
        };
        Ok(Append { ack: self.await_ack(acks, appended.next_offset)?, appended })
    }

    fn appended(&mut self, steady_ms: i64, wakeups: &mut Wakeups) {
        let end = self.log.end_offset();
        self.step_leader(|leader| leader.step(LeaderEvent::LocalAppended { end }, steady_ms), wakeups);
        self.followers.take_into(&mut wakeups.parked);
        self.mark_dirty(wakeups);
    }

    fn await_ack(&mut self, acks: Acks, next_offset: i64) -> Result<Option<Ack>, Refused> {
        let is_stored = self.counted_end() >= next_offset;
        match acks {
            Acks::None if self.log.tail_bytes() <= BACKLOG_LIMIT => Ok(None),
            Acks::None | Acks::Leader if is_stored => Ok(None),
            Acks::None | Acks::Leader => Ok(Some(self.acks.wait_stored(next_offset))),
            Acks::All => match self.role.leader()?.is_acked(next_offset) {
                Acked::Acked => Ok(None),
                Acked::Pending => Ok(Some(self.acks.wait_replicated(next_offset))),
                Acked::NotEnoughReplicasAfterAppend => Err(ErrorCode::NotEnoughReplicasAfterAppend.into()),
            },
        }
    }
}
