//! Reading from a partition: consumers up to the high watermark, followers up to the log's end.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use klamm_log::{Chunk, LogRead, ReadError, ReadPlan, Wait};
use klamm_replica::{EpochEnd, LeaderEvent, diverging_epoch};
use klamm_wire::ErrorCode;

use super::error::Refused;
use super::nearby;
use super::parked::Parked;
use super::replica::{Partition, State};
use super::role::Role;
use super::wakeups::Wakeups;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A consumer: sees what is committed, at the leader.
    Consumer,
    /// A consumer that a follower may serve, too (KIP-392; Fetch 11 and above).
    NearbyConsumer,
    /// A replica of the partition: sees everything, and says by its fetch offset what it holds.
    Follower {
        /// Broker id.
        replica: i32,
        /// Epoch of its registration (`ReplicaState.ReplicaEpoch`).
        broker_epoch: i64,
    },
}

impl Reader {
    /// Whether it is a replica.
    pub fn is_follower(self) -> bool {
        matches!(self, Self::Follower { .. })
    }
}

/// One partition of a Fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchRead {
    /// Who reads.
    pub reader: Reader,
    /// `FetchOffset`.
    pub fetch_offset: i64,
    /// `LogStartOffset`: where a follower's log begins, -1 unknown.
    pub log_start_offset: i64,
    /// `CurrentLeaderEpoch`, -1 unknown.
    pub current_leader_epoch: i32,
    /// `LastFetchedEpoch`, -1 unknown.
    pub last_fetched_epoch: i32,
    /// `LacksProducers`: whether a follower is to be told of the producers of what was deleted.
    pub lacks_producers: bool,
    /// Most bytes to return.
    pub max_bytes: usize,
    /// Whether one batch is returned even when it is larger than `max_bytes`: true while the response is empty.
    pub at_least_one: bool,
}

/// What a partition has for a fetch.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Whole batches, in memory or in files.
    pub chunks: Vec<Chunk>,
    /// Whom the chunks were read from, for ranges of files that turn out to be unreadable.
    pub partition: Weak<Partition>,
    /// Bytes of the chunks.
    pub bytes: usize,
    /// High watermark, which is also the last stable offset.
    pub high_watermark: i64,
    /// First offset.
    pub log_start_offset: i64,
    /// Where the reader's log parts from this one; then there are no chunks.
    pub diverging: Option<EpochEnd>,
    /// What is known of the producers by batches before the fetch offset, for a follower that lacks it.
    pub producers: Option<Bytes>,
    /// What is read counts against the leader's throttle: see [`super::Registry::sent_throttled`].
    pub is_throttled: bool,
    /// Too much has passed: nothing is read before this time, by the steady clock.
    pub held_until: Option<i64>,
    /// The read needs a cold disk: read again with [`Partition::fetch_blocking`] on a thread that may wait.
    pub would_block: bool,
}

impl Partition {
    /// Reads without waiting for the disk. When there is nothing, `park` is woken by the next append or deletion (followers) or
    /// advance of the high watermark (consumers).
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`, `FENCED_LEADER_EPOCH`, `UNKNOWN_LEADER_EPOCH`, `OFFSET_OUT_OF_RANGE`,
    /// `OFFSET_NOT_AVAILABLE` of a follower that is behind, `KAFKA_STORAGE_ERROR`.
    pub fn fetch(self: &Arc<Self>, read: &FetchRead, park: Option<&Arc<Parked>>) -> Result<Fetched, Refused> {
        let tells_high_watermark = self.shared.tells_high_watermark;
        let (fetched, plan) = self.change(|state, steady_ms, wakeups| {
            let (mut fetched, plan) = state.fetch(read, steady_ms, wakeups)?;
            let plan = self.throttle(state, read, &mut fetched, plan, steady_ms);
            if plan.is_none() && fetched.diverging.is_none() {
                state.park(read.reader, park, tells_high_watermark);
            }
            Ok::<_, Refused>((fetched, plan))
        })?;
        self.run(fetched, plan, read, Wait::Forbidden)
    }

    /// Like [`Partition::fetch`], but waits for the disk where it has to.
    ///
    /// # Errors
    /// As [`Partition::fetch`].
    pub fn fetch_blocking(self: &Arc<Self>, read: &FetchRead) -> Result<Fetched, Refused> {
        let (fetched, plan) = self.change(|state, steady_ms, wakeups| {
            let (mut fetched, plan) = state.fetch(read, steady_ms, wakeups)?;
            let plan = self.throttle(state, read, &mut fetched, plan, steady_ms);
            Ok::<_, Refused>((fetched, plan))
        })?;
        self.run(fetched, plan, read, Wait::Allowed)
    }

    /// Reads whole batches from `from`, below `end`, for the broker itself; may wait for the disk. Returns the bytes and
    /// the offset after them.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` or `KAFKA_STORAGE_ERROR`.
    pub fn read_for_replay(
        self: &Arc<Self>,
        from: i64,
        max_bytes: usize,
        end: i64,
    ) -> Result<(Bytes, i64), Refused> {
        let plan = self.state.lock().log.plan_read(from, max_bytes, end);
        let read = plan.and_then(|plan| carry_out(plan, Wait::Allowed));
        let read = read.and_then(|read| Ok((read.to_bytes()?, read.next_offset)));
        read.map_err(|error| self.read_failed(error))
    }

    fn run(
        self: &Arc<Self>,
        fetched: Fetched,
        plan: Option<ReadPlan>,
        read: &FetchRead,
        wait: Wait,
    ) -> Result<Fetched, Refused> {
        let fetched = Fetched { partition: Arc::downgrade(self), ..fetched };
        run(fetched, plan, read, wait).map_err(|error| self.read_failed(error))
    }
}

fn carry_out(plan: ReadPlan, wait: Wait) -> Result<LogRead, ReadError> {
    match plan {
        ReadPlan::Ready(read) => Ok(read),
        ReadPlan::Disk(read) => read.run(wait),
    }
}

fn run(
    mut fetched: Fetched,
    plan: Option<ReadPlan>,
    read: &FetchRead,
    wait: Wait,
) -> Result<Fetched, ReadError> {
    let Some(plan) = plan else { return Ok(fetched) };
    let found = match carry_out(plan, wait) {
        Err(ReadError::WouldBlock) => {
            fetched.would_block = true;
            return Ok(fetched);
        }
        found => found?,
    };
    let bytes = found.size();
    if bytes <= read.max_bytes || read.at_least_one {
        (fetched.chunks, fetched.bytes) = (found.chunks, bytes);
    }
    Ok(fetched)
}

impl State {
    /// Checks the request, counts a follower's progress, and says how to read.
    fn fetch(
        &mut self,
        read: &FetchRead,
        steady_ms: i64,
        wakeups: &mut Wakeups,
    ) -> Result<(Fetched, Option<ReadPlan>), Refused> {
        self.check_reader_epoch(read)?;
        if matches!(self.role, Role::Follower(_)) {
            return self.fetch_nearby(read);
        }
        self.check_follower(read)?;
        let (start, end) = (self.log.start_offset(), self.log.end_offset());
        let mut fetched =
            Fetched { high_watermark: self.high_watermark, log_start_offset: start, ..Fetched::default() };
        if read.fetch_offset >= start && read.last_fetched_epoch >= 0 {
            fetched.diverging = self.diverging(read)?;
            if fetched.diverging.is_some() {
                return Ok((fetched, None));
            }
        }
        if read.fetch_offset < start || read.fetch_offset > end {
            let message = format!("offset {} lies outside {start}..={end}", read.fetch_offset);
            return Err(Refused::new(ErrorCode::OffsetOutOfRange, message));
        }
        match read.reader {
            // It counts once it has been told: elected before, it would take a batch of a producer that was fenced.
            Reader::Follower { .. } if read.lacks_producers => {
                fetched.producers = Some(self.log.producers_before(read.fetch_offset));
            }
            Reader::Follower { replica, broker_epoch } => {
                let event = LeaderEvent::FollowerFetched {
                    replica,
                    broker_epoch,
                    fetch_offset: read.fetch_offset,
                    log_start: read.log_start_offset,
                };
                self.step_leader(|leader| leader.step(event, steady_ms), wakeups);
                fetched.high_watermark = self.high_watermark;
            }
            Reader::Consumer | Reader::NearbyConsumer => {}
        }
        let plan = self.plan(read)?;
        Ok((fetched, plan))
    }

    /// How the records are read; `None` when there are none for this reader.
    pub(super) fn plan(&self, read: &FetchRead) -> Result<Option<ReadPlan>, Refused> {
        let upper = match read.reader {
            Reader::Consumer | Reader::NearbyConsumer => self.high_watermark,
            Reader::Follower { .. } => self.log.end_offset(),
        };
        if read.fetch_offset >= upper || (read.max_bytes == 0 && !read.at_least_one) {
            return Ok(None);
        }
        Ok(Some(self.log.plan_read(read.fetch_offset, read.max_bytes, upper)?))
    }

    /// Whoever waits for the high watermark waits with the consumers, a follower that has readers of its own among them.
    fn park(&mut self, reader: Reader, parked: Option<&Arc<Parked>>, tells_high_watermark: bool) {
        let Some(parked) = parked else { return };
        if reader.is_follower() {
            self.followers.park(parked);
        }
        if !reader.is_follower() || tells_high_watermark {
            self.consumers.park(parked);
        }
    }

    /// The epoch in which this broker leads, unless the client knows another.
    pub(super) fn check_epoch(&mut self, current_leader_epoch: i32) -> Result<i32, Refused> {
        let leader_epoch = self.role.leader()?.leader_epoch();
        nearby::check_epoch(leader_epoch, current_leader_epoch).map(|()| leader_epoch)
    }

    fn check_follower(&mut self, read: &FetchRead) -> Result<(), Refused> {
        match read.reader {
            Reader::Follower { replica, broker_epoch }
                if !self.role.leader()?.accepts_fetch(replica, broker_epoch) =>
            {
                let message =
                    format!("broker {replica} in epoch {broker_epoch} holds no replica that is known here");
                Err(Refused::new(ErrorCode::NotLeaderOrFollower, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn diverging(&self, read: &FetchRead) -> Result<Option<EpochEnd>, Refused> {
        let (epoch, end_offset) = self.log.epoch_end_offset(read.last_fetched_epoch);
        if epoch < 0 {
            let message = format!("leader epoch {} is not known here", read.last_fetched_epoch);
            return Err(Refused::new(ErrorCode::OffsetOutOfRange, message));
        }
        Ok(diverging_epoch(read.fetch_offset, read.last_fetched_epoch, EpochEnd { epoch, end_offset }))
    }
}
