//! Incremental fetch sessions (KIP-227): what a client fetches is kept here, so that a request names only changes and a
//! response only news.

use std::collections::HashMap;
use std::sync::Arc;

use klamm_wire::messages::fetch_request::FetchRequest;
use klamm_wire::{ErrorCode, Str};
use parking_lot::Mutex;
use uuid::Uuid;

/// A session unused for this long may be evicted.
const EVICTABLE_AFTER_MS: i64 = 120_000;
/// Session epoch that asks for no session.
const FINAL_EPOCH: i32 = -1;
/// Session epoch that asks for a new session.
const INITIAL_EPOCH: i32 = 0;

/// A topic as the request's version names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// Up to version 12.
    Name(Str),
    /// From version 13 on.
    Id(Uuid),
}

/// What is fetched of one partition.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The topic.
    pub topic: TopicKey,
    /// Partition index.
    pub partition: i32,
    /// First offset wanted.
    pub fetch_offset: i64,
    /// Where a follower's log begins; -1 when it does not say.
    pub log_start: i64,
    /// The client's idea of the leader epoch; -1 when it has none.
    pub current_leader_epoch: i32,
    /// Epoch of the last record a follower has; -1 when it does not say.
    pub last_fetched_epoch: i32,
    /// Whether a follower is to be told of the producers of what was deleted.
    pub lacks_producers: bool,
    /// Most bytes for this partition.
    pub max_bytes: i32,
    /// High watermark last told within the session; `i64::MIN` before.
    pub told_high_watermark: i64,
    /// Log start offset last told within the session.
    pub told_log_start: i64,
}

/// One client's session.
#[derive(Debug)]
struct Session {
    id: i32,
    epoch: i32,
    partitions: Vec<Wanted>,
    positions: HashMap<(TopicKey, i32), usize>,
    last_used_ms: i64,
    is_follower: bool,
    /// Where the next response starts, so that one busy partition cannot starve the others.
    cursor: usize,
}

/// How a request is answered.
pub struct Plan {
    /// Partitions to read, in the order to read them.
    pub wanted: Vec<Wanted>,
    session: Option<Arc<Mutex<Session>>>,
    /// Whether partitions without news are left out.
    pub incremental: bool,
}

/// All sessions of a broker.
pub struct Sessions {
    /// Most sessions: `max.incremental.fetch.session.cache.slots`.
    limit: usize,
    slots: Mutex<HashMap<i32, Arc<Mutex<Session>>>>,
}

impl Sessions {
    /// None yet, and never more than `limit`.
    pub fn new(limit: usize) -> Self {
        Self { limit, slots: Mutex::default() }
    }

    /// Finds, opens or closes the request's session and folds the request into it.
    ///
    /// # Errors
    /// `FETCH_SESSION_ID_NOT_FOUND` or `INVALID_FETCH_SESSION_EPOCH`; the client then starts afresh.
    pub fn plan(
        &self,
        request: FetchRequest,
        version: i16,
        is_follower: bool,
        now_ms: i64,
    ) -> Result<Plan, ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        if version < 7 || epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            if id != 0 {
                self.slots.lock().remove(&id);
            }
            let opens = version >= 7 && epoch == INITIAL_EPOCH;
            let wanted = wanted(&request, version);
            let session = if opens { self.open(wanted.clone(), is_follower, now_ms) } else { None };
            return Ok(Plan { wanted, session, incremental: false });
        }
        let session = self.slots.lock().get(&id).cloned().ok_or(ErrorCode::FetchSessionIdNotFound)?;
        let wanted = session.lock().update(&request, version, now_ms)?;
        Ok(Plan { wanted, session: Some(session), incremental: true })
    }

    fn open(&self, wanted: Vec<Wanted>, is_follower: bool, now_ms: i64) -> Option<Arc<Mutex<Session>>> {
        if wanted.is_empty() {
            return None;
        }
        let mut slots = self.slots.lock();
        if slots.len() >= self.limit && !evict(&mut slots, wanted.len(), is_follower, now_ms) {
            return None;
        }
        let id =
            std::iter::repeat_with(|| rand::random_range(1..i32::MAX)).find(|id| !slots.contains_key(id))?;
        let mut session = Session {
            id,
            epoch: 1,
            partitions: Vec::new(),
            positions: HashMap::new(),
            last_used_ms: now_ms,
            is_follower,
            cursor: 0,
        };
        wanted.into_iter().for_each(|w| session.put(w));
        let session = Arc::new(Mutex::new(session));
        slots.insert(id, Arc::clone(&session));
        Some(session)
    }
}

/// Makes room: an idle session goes, or, for a follower or a larger one, a smaller consumer's.
fn evict(slots: &mut HashMap<i32, Arc<Mutex<Session>>>, size: usize, is_follower: bool, now_ms: i64) -> bool {
    let victim = slots.iter().find_map(|(id, session)| {
        let session = session.try_lock()?;
        let idle = now_ms - session.last_used_ms > EVICTABLE_AFTER_MS;
        let lesser = !session.is_follower && (is_follower || session.partitions.len() < size);
        (idle || lesser).then_some(*id)
    });
    victim.is_some_and(|id| slots.remove(&id).is_some())
}

impl Session {
    fn put(&mut self, wanted: Wanted) {
        let key = (wanted.topic.clone(), wanted.partition);
        match self.positions.get(&key).and_then(|at| self.partitions.get_mut(*at)) {
            Some(known) => {
                let told = (known.told_high_watermark, known.told_log_start);
                *known = wanted;
                (known.told_high_watermark, known.told_log_start) = told;
            }
            None => {
                self.positions.insert(key, self.partitions.len());
                self.partitions.push(wanted);
            }
        }
    }

    fn forget(&mut self, topic: &TopicKey, partition: i32) {
        let Some(at) = self.positions.remove(&(topic.clone(), partition)) else { return };
        self.partitions.swap_remove(at);
        if let Some(moved) = self.partitions.get(at) {
            self.positions.insert((moved.topic.clone(), moved.partition), at);
        }
    }

    fn update(
        &mut self,
        request: &FetchRequest,
        version: i16,
        now_ms: i64,
    ) -> Result<Vec<Wanted>, ErrorCode> {
        if request.session_epoch != self.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        self.last_used_ms = now_ms;
        wanted(request, version).into_iter().for_each(|w| self.put(w));
        for topic in &request.forgotten_topics_data {
            let key = topic_key(version, &topic.topic, topic.topic_id);
            topic.partitions.iter().for_each(|p| self.forget(&key, *p));
        }
        let start = if self.partitions.is_empty() { 0 } else { self.cursor % self.partitions.len() };
        self.cursor = start + 1;
        let (before, after) = self.partitions.split_at(start);
        Ok(after.iter().chain(before).cloned().collect())
    }
}

impl Plan {
    /// Session id to answer with; 0 for none.
    pub fn session_id(&self) -> i32 {
        self.session.as_ref().map_or(0, |s| s.lock().id)
    }

    /// Remembers what the response told of these partitions: (topic, partition, high watermark, log start).
    pub fn told<'a>(&self, news: impl Iterator<Item = (&'a TopicKey, i32, i64, i64)>) {
        let Some(session) = &self.session else { return };
        let mut session = session.lock();
        for (topic, partition, high_watermark, log_start) in news {
            let at = session.positions.get(&(topic.clone(), partition)).copied();
            if let Some(known) = at.and_then(|at| session.partitions.get_mut(at)) {
                known.told_high_watermark = high_watermark;
                known.told_log_start = log_start;
            }
        }
    }
}

fn topic_key(version: i16, name: &Str, id: Uuid) -> TopicKey {
    if version >= 13 { TopicKey::Id(id) } else { TopicKey::Name(name.clone()) }
}

fn wanted(request: &FetchRequest, version: i16) -> Vec<Wanted> {
    let mut out = Vec::with_capacity(request.topics.iter().map(|t| t.partitions.len()).sum());
    for topic in &request.topics {
        let key = topic_key(version, &topic.topic, topic.topic_id);
        out.extend(topic.partitions.iter().map(|p| Wanted {
            topic: key.clone(),
            partition: p.partition,
            fetch_offset: p.fetch_offset,
            log_start: p.log_start_offset,
            current_leader_epoch: p.current_leader_epoch,
            last_fetched_epoch: p.last_fetched_epoch,
            lacks_producers: p.lacks_producers,
            max_bytes: p.partition_max_bytes,
            told_high_watermark: i64::MIN,
            told_log_start: i64::MIN,
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

    fn request(
        session_id: i32,
        session_epoch: i32,
        partitions: &[(i32, i64)],
        forgotten: &[i32],
    ) -> FetchRequest {
        let id = Uuid::from_u128(7);
        let fetched = partitions.iter().map(|(partition, offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *offset,
            ..FetchPartition::default()
        });
        let topics =
            vec![FetchTopic { topic_id: id, partitions: fetched.collect(), ..FetchTopic::default() }];
        let forgotten = vec![ForgottenTopic {
            topic_id: id,
            partitions: forgotten.to_vec(),
            ..ForgottenTopic::default()
        }];
        FetchRequest {
            session_id,
            session_epoch,
            topics,
            forgotten_topics_data: forgotten,
            ..FetchRequest::default()
        }
    }

    fn offsets(plan: &Plan) -> Vec<(i32, i64)> {
        let mut all: Vec<_> = plan.wanted.iter().map(|w| (w.partition, w.fetch_offset)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn a_session_remembers_what_is_not_named_again() {
        let sessions = Sessions::new(3);
        let first = sessions.plan(request(0, 0, &[(0, 5), (1, 6), (2, 7)], &[]), 17, false, 0).unwrap();
        let id = first.session_id();
        assert!(id > 0 && !first.incremental);
        let second = sessions.plan(request(id, 1, &[(1, 9)], &[2]), 17, false, 1).unwrap();
        assert!(second.incremental);
        assert_eq!(offsets(&second), [(0, 5), (1, 9)]);
    }

    #[test]
    fn a_wrong_epoch_or_id_makes_the_client_start_afresh() {
        let sessions = Sessions::new(3);
        let id = sessions.plan(request(0, 0, &[(0, 5)], &[]), 17, false, 0).unwrap().session_id();
        let stale = sessions.plan(request(id, 2, &[], &[]), 17, false, 0).err();
        assert_eq!(stale, Some(ErrorCode::InvalidFetchSessionEpoch));
        let unknown = sessions.plan(request(id.wrapping_add(1).max(1), 1, &[], &[]), 17, false, 0).err();
        assert_eq!(unknown, Some(ErrorCode::FetchSessionIdNotFound));
    }

    #[test]
    fn a_final_epoch_closes_the_session() {
        let sessions = Sessions::new(3);
        let id = sessions.plan(request(0, 0, &[(0, 5)], &[]), 17, false, 0).unwrap().session_id();
        assert_eq!(sessions.plan(request(id, -1, &[(0, 5)], &[]), 17, false, 0).unwrap().session_id(), 0);
        assert!(sessions.plan(request(id, 1, &[], &[]), 17, false, 0).is_err());
    }

    #[test]
    fn a_full_cache_keeps_followers_and_drops_lesser_sessions() {
        let sessions = Sessions::new(3);
        for _ in 0..3 {
            assert!(sessions.plan(request(0, 0, &[(0, 5)], &[]), 17, false, 0).unwrap().session_id() > 0);
        }
        assert_eq!(sessions.plan(request(0, 0, &[(0, 5)], &[]), 17, false, 0).unwrap().session_id(), 0);
        assert!(sessions.plan(request(0, 0, &[(0, 5)], &[]), 17, true, 0).unwrap().session_id() > 0);
        assert!(sessions.plan(request(0, 0, &[(0, 1), (1, 1)], &[]), 17, false, 0).unwrap().session_id() > 0);
    }
}
