//! One fetcher's task: asks one leader for all partitions that it leads and this broker follows.
//!
//! A partition whose records are not stored yet is left out of the session, after a short wait for it, so that a slow
//! disk of one log does not hold up the others. A partition that is newly assigned does not wait for a fetch that is
//! parked at the leader: the connection is given up instead.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use klamm_replica::{Answer, EpochEnd, FetchError, NextFetch};
use klamm_wire::messages::fetch_request::FetchRequest;
use klamm_wire::messages::fetch_response::{FetchResponse, PartitionData};
use klamm_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_wire::{ErrorCode, Records};
use tokio::time::Instant;
use tracing::{debug, info};

use super::inbox::Inbox;
use super::peer::{PeerConnection, PeerError};
use super::session::Session;
use super::{FetcherParts, Key};
use crate::clock::steady_ms;
use crate::partition::follow::LeaderAnswer;
use crate::partition::replica::Partition;

/// `replica.fetch.wait.max.ms`.
const MAX_WAIT_MS: i64 = 500;
/// How long the next fetch waits for logs to store what the last one brought, and is parked while one has not.
const STORE_GRACE_MS: i64 = 20;
/// How long a fetch may go on when a partition is assigned.
const ASSIGN_GRACE: Duration = Duration::from_millis(5);
/// First and longest pause after the connection failed.
const BACKOFF_MS: (u64, u64) = (50, 1_000);

/// The task's state.
pub(super) struct Fetcher {
    leader: i32,
    inbox: Arc<Inbox>,
    parts: FetcherParts,
    connection: Option<Box<dyn PeerConnection>>,
    session: Session,
    followed: HashMap<Key, Arc<Partition>>,
    /// Partitions whose next fetch is to be looked at.
    attention: HashSet<Key>,
    /// Partitions that cannot be fetched: until this time, or until their log is stored.
    waiting: HashMap<Key, Option<i64>>,
    grace_ends: Instant,
    failures: u32,
}

impl Fetcher {
    pub(super) fn new(leader: i32, inbox: Arc<Inbox>, parts: FetcherParts) -> Self {
        Self {
            leader,
            inbox,
            parts,
            connection: None,
            session: Session::default(),
            followed: HashMap::new(),
            attention: HashSet::new(),
            waiting: HashMap::new(),
            grace_ends: Instant::now(),
            failures: 0,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            self.take_news();
            self.look_at_due();
            let storing = self.waiting.values().any(Option::is_none);
            if self.nothing_to_ask() {
                self.wait_for_news(self.next_due()).await;
            } else if storing && Instant::now() < self.grace_ends {
                let left = self.grace_ends - Instant::now();
                self.wait_for_news(Some(left)).await;
            } else if let Err(error) = self.exchange().await {
                self.back_off(&error).await;
            }
        }
    }

    fn take_news(&mut self) {
        let news = self.inbox.take();
        for key in news.removed {
            self.followed.remove(&key);
            self.waiting.remove(&key);
            self.session.forget(key);
        }
        for partition in news.assigned {
            let key = (partition.topic_id, partition.index);
            self.followed.insert(key, partition);
            self.attention.insert(key);
        }
        self.attention.extend(news.stored);
        if news.broker_changed {
            // An open connection may lead to where nobody is any more, and say nothing.
            self.connection = None;
            self.failures = 0;
        }
    }

    /// Decides for every partition that needs it whether it is in the next fetch.
    fn look_at_due(&mut self) {
        let now = steady_ms();
        let due = self.waiting.iter().filter(|(_, until)| until.is_some_and(|until| until <= now));
        self.attention.extend(due.map(|(key, _)| *key));
        for key in self.attention.drain() {
            self.waiting.remove(&key);
            let Some(partition) = self.followed.get(&key) else {
                self.session.forget(key);
                continue;
            };
            match partition.next_fetch(self.leader, now) {
                Some(NextFetch::Now(position)) => self.session.ask(key, position, partition.log_head()),
                Some(NextFetch::AfterFlush) => drop(self.waiting.insert(key, None)),
                Some(NextFetch::At(until)) => {
                    self.session.forget(key);
                    self.waiting.insert(key, Some(until));
                }
                Some(NextFetch::AfterMetadata) | None => self.session.forget(key),
            }
        }
    }

    fn nothing_to_ask(&self) -> bool {
        let left_out = self.waiting.keys().filter(|key| self.session.asked(key).is_some()).count();
        self.session.len() <= left_out
    }

    fn next_due(&self) -> Option<Duration> {
        let earliest = self.waiting.values().filter_map(|until| *until).min()?;
        Some(millis(earliest.saturating_sub(steady_ms()).max(1)))
    }

    async fn wait_for_news(&self, at_most: Option<Duration>) {
        match at_most {
            // Time and news are looked at alike.
            Some(at_most) => drop(tokio::time::timeout(at_most, self.inbox.any()).await),
            None => self.inbox.any().await,
        }
    }

    /// One fetch: request, answer, and what the answer does to the logs.
    async fn exchange(&mut self) -> Result<(), PeerError> {
        let broker_epoch = self.broker_epoch().await?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.session.reset();
                self.parts.connector.connect(self.leader).await?
            }
        };
        let request = self.request(broker_epoch);
        let Some(response) = self.call(&mut connection, &request).await? else { return Ok(()) };
        self.failures = 0;
        self.take_response(&mut connection, response).await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// The epoch of this broker's registration; nothing is fetched before there is one.
    async fn broker_epoch(&self) -> Result<i64, PeerError> {
        let mut standing = self.parts.standing.clone();
        let registered = standing.wait_for(|standing| standing.broker_epoch >= 0).await;
        registered.map(|standing| standing.broker_epoch).map_err(|e| PeerError(e.to_string()))
    }

    fn request(&mut self, broker_epoch: i64) -> FetchRequest {
        let now = steady_ms();
        let mut max_wait = MAX_WAIT_MS;
        for (key, until) in &self.waiting {
            self.session.forget(*key);
            max_wait = max_wait.min(until.map_or(STORE_GRACE_MS, |until| until.saturating_sub(now).max(1)));
        }
        self.session.request(self.parts.node_id, broker_epoch, i32::try_from(max_wait).unwrap_or(i32::MAX))
    }

    /// `None` when the call was given up because a partition was assigned meanwhile.
    async fn call(
        &self,
        connection: &mut Box<dyn PeerConnection>,
        request: &FetchRequest,
    ) -> Result<Option<FetchResponse>, PeerError> {
        let mut call = connection.fetch(request);
        tokio::select! {
            response = &mut call => return response.map(Some),
            () = self.inbox.urgent() => {}
        }
        match tokio::time::timeout(ASSIGN_GRACE, call).await {
            Ok(response) => response.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn take_response(
        &mut self,
        connection: &mut Box<dyn PeerConnection>,
        response: FetchResponse,
    ) -> Result<(), PeerError> {
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => self.session.accepted(response.session_id),
            ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch => self.session.reset(),
            error => return Err(PeerError(error.to_string())),
        }
        for topic in response.responses {
            for data in topic.partitions {
                let key = (topic.topic_id, data.partition_index);
                if ErrorCode::from_code(data.error_code) == ErrorCode::OffsetOutOfRange {
                    self.out_of_range(connection, key).await?;
                } else {
                    self.answered(key, to_answer(data));
                }
            }
        }
        self.grace_ends = Instant::now() + millis(STORE_GRACE_MS);
        Ok(())
    }

    fn answered(&mut self, key: Key, answer: LeaderAnswer) {
        if let (Some(asked), Some(partition)) = (self.session.asked(&key), self.followed.get(&key)) {
            let is_over = partition.count_fetched(&answer, steady_ms());
            partition.answered(asked, answer);
            self.attention.insert(key);
            if is_over {
                // The others that are throttled are in the session still.
                self.attention.extend(self.followed.keys());
            }
        }
    }

    /// Asks where the leader's log lies.
    async fn out_of_range(
        &mut self,
        connection: &mut Box<dyn PeerConnection>,
        key: Key,
    ) -> Result<(), PeerError> {
        let Some(partition) = self.followed.get(&key).cloned() else { return Ok(()) };
        let mut offsets = [0; 2];
        for (timestamp, offset) in [-2, -1].into_iter().zip(&mut offsets) {
            let request = offset_request(&partition, timestamp, self.parts.node_id);
            let response = connection.list_offsets(&request).await?;
            let listed = response.topics.iter().flat_map(|topic| &topic.partitions).next();
            match listed {
                Some(listed) if listed.error_code == 0 => *offset = listed.offset,
                _ => {
                    self.answered(key, LeaderAnswer::Other(Answer::Error(FetchError::Retriable)));
                    return Ok(());
                }
            }
        }
        let [leader_start, leader_end] = offsets;
        self.answered(key, LeaderAnswer::Other(Answer::OutOfRange { leader_start, leader_end }));
        Ok(())
    }

    /// Pauses after a broken connection; news end the pause.
    async fn back_off(&mut self, error: &PeerError) {
        self.connection = None;
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 {
            info!(leader = self.leader, %error, "fetching from the leader failed");
        } else {
            debug!(leader = self.leader, %error, failures = self.failures, "fetching from the leader failed again");
        }
        let (first, longest) = BACKOFF_MS;
        let pause = first.saturating_mul(1 << (self.failures - 1).min(10)).min(longest);
        self.wait_for_news(Some(Duration::from_millis(pause))).await;
    }
}

fn to_answer(data: PartitionData) -> LeaderAnswer {
    match ErrorCode::from_code(data.error_code) {
        ErrorCode::None if data.diverging_epoch.end_offset >= 0 => {
            let diverging = data.diverging_epoch;
            LeaderAnswer::Diverging {
                end: EpochEnd { epoch: diverging.epoch, end_offset: diverging.end_offset },
                log_start_offset: data.log_start_offset,
            }
        }
        ErrorCode::None => LeaderAnswer::Records {
            high_watermark: data.high_watermark,
            log_start_offset: data.log_start_offset,
            records: match data.records {
                Records::Bytes(bytes) => bytes,
                Records::Null | Records::Parts(_) => bytes::Bytes::new(),
            },
            producers: data.producers,
        },
        ErrorCode::FencedLeaderEpoch => LeaderAnswer::Other(Answer::Error(FetchError::FencedLeaderEpoch)),
        _ => LeaderAnswer::Other(Answer::Error(FetchError::Retriable)),
    }
}

fn offset_request(partition: &Partition, timestamp: i64, replica_id: i32) -> ListOffsetsRequest {
    let asked = ListOffsetsPartition {
        partition_index: partition.index,
        timestamp,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic {
        name: partition.topic.clone(),
        partitions: vec![asked],
        ..ListOffsetsTopic::default()
    };
    ListOffsetsRequest { replica_id, topics: vec![topic], ..ListOffsetsRequest::default() }
}

fn millis(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}
