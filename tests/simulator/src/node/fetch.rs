//! Reading from a partition that this node leads: consumers up to the high watermark, followers up to the log's end.

use klamm_log::{ReadError, ReadPlan, Wait};
use klamm_replica::{EpochEnd, FetchPosition, LeaderEvent, diverging_epoch};
use klamm_wire::ErrorCode;

use super::replica::{Replica, Sparks};
use crate::message::Served;
use crate::mutation::{Mutation, is_active};

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Consumer,
    Follower { replica: i32, broker_epoch: i64, log_start: i64 },
}

/// One partition of a fetch.
#[derive(Clone, Copy, Debug)]
pub(super) struct FetchRead {
    pub reader: Reader,
    pub position: FetchPosition,
    pub lacks_producers: bool,
    pub max_bytes: usize,
}

impl Replica {
    /// Checks the request, counts a follower's progress, and reads.
    pub(super) fn fetch(&mut self, read: &FetchRead, now_ms: i64, sparks: &mut Sparks) -> Served {
        match self.try_fetch(read, now_ms, sparks) {
            Ok(served) => served,
            Err(ErrorCode::OffsetOutOfRange) => {
                Served::OutOfRange { start: self.log.start_offset(), end: self.log.end_offset() }
            }
            Err(error) => Served::Refused(error),
        }
    }

    fn try_fetch(&mut self, read: &FetchRead, now_ms: i64, sparks: &mut Sparks) -> Result<Served, ErrorCode> {
        self.check_epoch(read.position.current_leader_epoch)?;
        self.check_follower(read)?;
        let (start, end) = (self.log.start_offset(), self.log.end_offset());
        let offset = read.position.offset;
        if offset >= start
            && read.position.last_fetched_epoch >= 0
            && let Some(end) = self.diverging(read.position)?
        {
            return Ok(Served::Diverging { end, log_start: start });
        }
        if offset < start || offset > end {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        // One that is yet to be told of producers counts for nothing.
        if let Reader::Follower { replica, broker_epoch, log_start } = read.reader
            && !read.lacks_producers
        {
            let event =
                LeaderEvent::FollowerFetched { replica, broker_epoch, fetch_offset: offset, log_start };
            self.step_leader(|leader| leader.step(event, now_ms), sparks);
        }
        let upper = match read.reader {
            Reader::Consumer => self.high_watermark,
            Reader::Follower { .. } => end,
        };
        let bytes =
            if offset >= upper { bytes::Bytes::new() } else { self.bytes(offset, read.max_bytes, upper)? };
        let producers = read.lacks_producers.then(|| self.log.producers_before(offset));
        Ok(Served::Records { bytes, high_watermark: self.high_watermark, log_start: start, producers })
    }

    /// Whole batches from `from`, below `upper`.
    pub(crate) fn bytes(&self, from: i64, max_bytes: usize, upper: i64) -> Result<bytes::Bytes, ErrorCode> {
        let code = |error: &ReadError| match error {
            ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            _ => ErrorCode::KafkaStorageError,
        };
        let read = match self.log.plan_read(from, max_bytes, upper).map_err(|e| code(&e))? {
            ReadPlan::Ready(read) => read,
            ReadPlan::Disk(read) => read.run(Wait::Allowed).map_err(|e| code(&e))?,
        };
        read.to_bytes().map_err(|_| ErrorCode::KafkaStorageError)
    }

    /// Fences clients with older metadata and tells those with newer that this node is behind (KIP-320).
    pub(super) fn check_epoch(&mut self, current_leader_epoch: i32) -> Result<i32, ErrorCode> {
        let leader_epoch = self.role.leader()?.leader_epoch();
        match current_leader_epoch {
            ..=-1 => Ok(leader_epoch),
            _ if is_active(Mutation::FetchEpochIgnored) => Ok(leader_epoch),
            older if older < leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            newer if newer > leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(leader_epoch),
        }
    }

    fn check_follower(&mut self, read: &FetchRead) -> Result<(), ErrorCode> {
        match read.reader {
            Reader::Follower { replica, broker_epoch, .. }
                if !self.role.leader()?.accepts_fetch(replica, broker_epoch) =>
            {
                Err(ErrorCode::NotLeaderOrFollower)
            }
            _ => Ok(()),
        }
    }

    fn diverging(&self, position: FetchPosition) -> Result<Option<EpochEnd>, ErrorCode> {
        let (epoch, end_offset) = self.log.epoch_end_offset(position.last_fetched_epoch);
        if epoch < 0 {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        Ok(diverging_epoch(position.offset, position.last_fetched_epoch, EpochEnd { epoch, end_offset }))
    }

    /// ListOffsets for the latest offset. A leader that has not committed anything in its epoch may not know everything
    /// that was committed before.
    pub(super) fn latest(&mut self, leader_epoch: i32) -> Result<i64, ErrorCode> {
        self.check_epoch(leader_epoch)?;
        let high_watermark = self.high_watermark;
        if high_watermark < self.role.leader()?.epoch_start() {
            return Err(ErrorCode::OffsetNotAvailable);
        }
        Ok(high_watermark)
    }
}
