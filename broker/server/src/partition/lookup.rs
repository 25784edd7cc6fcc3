//! Questions about offsets: ListOffsets (2), OffsetForLeaderEpoch (23).

use std::sync::Arc;

use klamm_log::TimestampOffset;
use klamm_replica::EpochEnd;
use klamm_wire::ErrorCode;

use super::error::Refused;
use super::replica::{Partition, State};

/// `ListOffsets` timestamp: after the last record that the reader may see.
const LATEST: i64 = -1;
/// First offset.
const EARLIEST: i64 = -2;
/// The record with the largest timestamp.
const MAX_TIMESTAMP: i64 = -3;
/// First offset on this broker's disk; the same as the earliest without tiered storage.
const EARLIEST_LOCAL: i64 = -4;
/// Last offset in tiered storage, which there is not.
const LATEST_TIERED: i64 = -5;
/// First offset that waits to be moved to tiered storage.
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// An answer of ListOffsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// Timestamp of the record, -1 when the question was not about one, or none was found.
    pub timestamp: i64,
    /// The offset, -1 when none was found.
    pub offset: i64,
    /// Leader epoch of the record, -1 unknown.
    pub leader_epoch: i32,
}

impl ListedOffset {
    const NONE: Self = Self { timestamp: -1, offset: -1, leader_epoch: -1 };
}

impl Partition {
    /// Finds an offset by timestamp or by one of Kafka's special timestamps. Lookups by time may wait for the disk.
    ///
    /// # Errors
    /// Role and epoch errors as for a fetch; `OFFSET_NOT_AVAILABLE` while a new leader does not know yet what is committed.
    pub fn list_offset(
        self: &Arc<Self>,
        timestamp: i64,
        current_leader_epoch: i32,
        is_replica: bool,
    ) -> Result<ListedOffset, Refused> {
        let mut state = self.state.lock();
        let leader_epoch = state.check_epoch(current_leader_epoch)?;
        let at = |offset| ListedOffset { timestamp: -1, offset, leader_epoch };
        match timestamp {
            LATEST if is_replica => Ok(at(state.log.end_offset())),
            LATEST => state.committed_end().map(at),
            EARLIEST | EARLIEST_LOCAL => {
                let offset = state.log.start_offset();
                Ok(ListedOffset {
                    timestamp: -1,
                    offset,
                    leader_epoch: state.log.epoch_at(offset).unwrap_or(-1),
                })
            }
            MAX_TIMESTAMP => {
                let found = state.log.max_timestamp_offset();
                let found = found.map_err(|error| self.lookup_failed(&mut state, error))?;
                state.committed(found)
            }
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(ListedOffset::NONE),
            _ if timestamp < 0 => Err(ErrorCode::UnsupportedVersion.into()),
            _ => {
                let found = state.log.offset_for_timestamp(timestamp);
                let found = found.map_err(|error| self.lookup_failed(&mut state, error))?;
                state.committed(found)
            }
        }
    }

    /// The end of the largest epoch that is not above `epoch`; epoch -1 when there is none.
    ///
    /// Who knows a later epoch than this leader's has read from its successor, unless the topic was made anew. A leader that is
    /// not sure that it has none does not say that the log ends earlier: the reader would take it for truncated.
    ///
    /// # Errors
    /// Role and epoch errors as for a fetch; `NOT_LEADER_OR_FOLLOWER` from who may have been replaced.
    pub fn epoch_end(
        &self,
        epoch: i32,
        current_leader_epoch: i32,
        is_sure: impl FnOnce() -> bool,
    ) -> Result<EpochEnd, Refused> {
        let mut state = self.state.lock();
        let leads_in = state.check_epoch(current_leader_epoch)?;
        if epoch > leads_in && !is_sure() {
            let message = format!(
                "epoch {epoch} is later than {leads_in}, the last in which this broker was told to lead"
            );
            return Err(Refused::new(ErrorCode::NotLeaderOrFollower, message));
        }
        let (epoch, end_offset) = state.log.epoch_end_offset(epoch);
        Ok(EpochEnd { epoch, end_offset })
    }
}

impl State {
    /// A leader that has not committed anything in its epoch may not know everything that was committed before.
    fn committed_end(&mut self) -> Result<i64, Refused> {
        let high_watermark = self.high_watermark;
        if high_watermark < self.role.leader()?.epoch_start() {
            return Err(ErrorCode::OffsetNotAvailable.into());
        }
        Ok(high_watermark)
    }

    /// What was found, if it is committed. There is none only where it is known what is: "none" makes clients go to the end.
    fn committed(&mut self, found: Option<TimestampOffset>) -> Result<ListedOffset, Refused> {
        let Some(found) = found else { return Ok(ListedOffset::NONE) };
        if found.offset >= self.high_watermark {
            return self.committed_end().map(|_| ListedOffset::NONE);
        }
        let TimestampOffset { timestamp, offset, leader_epoch, .. } = found;
        Ok(ListedOffset { timestamp, offset, leader_epoch })
    }
}
