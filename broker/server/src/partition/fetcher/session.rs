//! The follower's end of an incremental fetch session (KIP-227).

use std::collections::{BTreeMap, HashMap, HashSet};

use klamm_replica::FetchPosition;
use klamm_wire::messages::fetch_request::{
    FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState,
};
use uuid::Uuid;

use super::Key;

/// `replica.fetch.max.bytes`.
const PARTITION_MAX_BYTES: i32 = 1 << 20;
/// `replica.fetch.response.max.bytes`.
const MAX_BYTES: i32 = 10 << 20;

/// What the leader is asked for, and told, about one partition.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Asked {
    position: FetchPosition,
    /// Where the follower's log begins: who deletes records waits until the leader has heard it.
    log_start: i64,
    /// Whether the follower is to be told of the producers of what was deleted.
    lacks_producers: bool,
}

/// Where a follower's log begins, and whether it knows the producers of what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::partition) struct LogHead {
    pub log_start: i64,
    pub lacks_producers: bool,
}

/// What the leader knows, or is told with the next request.
#[derive(Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    asked: HashMap<Key, Asked>,
    changed: HashSet<Key>,
    forgotten: HashSet<Key>,
}

impl Session {
    /// Fetches `key` into this log.
    pub(super) fn ask(&mut self, key: Key, position: FetchPosition, log: LogHead) {
        let LogHead { log_start, lacks_producers } = log;
        let asked = Asked { position, log_start, lacks_producers };
        let is_new = self.asked.insert(key, asked) != Some(asked);
        if self.forgotten.remove(&key) || is_new {
            self.changed.insert(key);
        }
    }

    /// Does not fetch `key`.
    pub(super) fn forget(&mut self, key: Key) {
        if self.asked.remove(&key).is_some() {
            self.changed.remove(&key);
            self.forgotten.insert(key);
        }
    }

    /// The position that the leader was last asked for.
    pub(super) fn asked(&self, key: &Key) -> Option<FetchPosition> {
        self.asked.get(key).map(|asked| asked.position)
    }

    /// Number of partitions that are fetched.
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    /// Starts over with a new session.
    pub(super) fn reset(&mut self) {
        (self.id, self.epoch) = (0, 0);
        self.changed = self.asked.keys().copied().collect();
        self.forgotten.clear();
    }

    /// The next request: what changed since the last.
    pub(super) fn request(&mut self, replica_id: i32, replica_epoch: i64, max_wait_ms: i32) -> FetchRequest {
        let mut topics: BTreeMap<Uuid, Vec<FetchPartition>> = BTreeMap::new();
        for key in self.changed.drain() {
            if let Some(asked) = self.asked.get(&key) {
                topics.entry(key.0).or_default().push(partition(key.1, asked));
            }
        }
        let mut forgotten: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for (topic, index) in self.forgotten.drain() {
            forgotten.entry(topic).or_default().push(index);
        }
        let topic = |(topic_id, partitions)| FetchTopic { topic_id, partitions, ..FetchTopic::default() };
        let forget =
            |(topic_id, partitions)| ForgottenTopic { topic_id, partitions, ..ForgottenTopic::default() };
        FetchRequest {
            replica_state: ReplicaState { replica_id, replica_epoch, ..ReplicaState::default() },
            max_wait_ms,
            min_bytes: 1,
            max_bytes: MAX_BYTES,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: topics.into_iter().map(topic).collect(),
            forgotten_topics_data: forgotten.into_iter().map(forget).collect(),
            ..FetchRequest::default()
        }
    }

    /// The leader accepted the last request and answered with this session id, 0 when it keeps none.
    pub(super) fn accepted(&mut self, id: i32) {
        if id == 0 {
            self.reset();
        } else {
            self.epoch = if self.id != id || self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
            self.id = id;
        }
    }
}

fn partition(index: i32, Asked { position, log_start, lacks_producers }: &Asked) -> FetchPartition {
    FetchPartition {
        partition: index,
        current_leader_epoch: position.current_leader_epoch,
        fetch_offset: position.offset,
        last_fetched_epoch: position.last_fetched_epoch,
        log_start_offset: *log_start,
        lacks_producers: *lacks_producers,
        partition_max_bytes: PARTITION_MAX_BYTES,
        ..FetchPartition::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: Uuid = Uuid::from_u128(1);

    fn at(offset: i64) -> FetchPosition {
        FetchPosition { offset, last_fetched_epoch: 0, current_leader_epoch: 0 }
    }

    fn begins(log_start: i64) -> LogHead {
        LogHead { log_start, lacks_producers: false }
    }

    fn named(request: &FetchRequest) -> Vec<(i32, i64)> {
        let mut named: Vec<_> = request
            .topics
            .iter()
            .flat_map(|t| &t.partitions)
            .map(|p| (p.partition, p.fetch_offset))
            .collect();
        named.sort_unstable();
        named
    }

    #[test]
    fn only_what_changed_is_named_again() {
        let mut session = Session::default();
        session.ask((TOPIC, 0), at(5), begins(0));
        session.ask((TOPIC, 1), at(6), begins(0));
        let first = session.request(2, 7, 500);
        assert_eq!((first.session_id, first.session_epoch), (0, 0));
        assert_eq!(named(&first), [(0, 5), (1, 6)]);
        session.accepted(42);
        session.ask((TOPIC, 0), at(5), begins(0));
        session.ask((TOPIC, 1), at(9), begins(0));
        let second = session.request(2, 7, 500);
        assert_eq!((second.session_id, second.session_epoch), (42, 1));
        assert_eq!(named(&second), [(1, 9)]);
        session.accepted(42);
        session.forget((TOPIC, 0));
        let third = session.request(2, 7, 500);
        assert_eq!(third.session_epoch, 2);
        assert_eq!(third.forgotten_topics_data[0].partitions, [0]);
    }

    #[test]
    fn a_log_that_begins_elsewhere_is_named_again() {
        let mut session = Session::default();
        session.ask((TOPIC, 0), at(5), begins(0));
        drop(session.request(2, 7, 500));
        session.accepted(42);
        session.ask((TOPIC, 0), at(5), begins(3));
        let request = session.request(2, 7, 500);
        assert_eq!(request.topics[0].partitions[0].log_start_offset, 3);
    }

    #[test]
    fn a_log_that_lacks_its_producers_says_so_until_it_is_told() {
        let mut session = Session::default();
        let lacking = LogHead { log_start: 5, lacks_producers: true };
        session.ask((TOPIC, 0), at(5), lacking);
        let first = session.request(2, 7, 500);
        assert!(first.topics[0].partitions[0].lacks_producers);
        session.accepted(42);
        session.ask((TOPIC, 0), at(5), LogHead { lacks_producers: false, ..lacking });
        let second = session.request(2, 7, 500);
        assert!(!second.topics[0].partitions[0].lacks_producers);
    }

    #[test]
    fn what_is_asked_for_again_before_it_was_forgotten_is_not_forgotten() {
        let mut session = Session::default();
        session.ask((TOPIC, 0), at(5), begins(0));
        drop(session.request(2, 7, 500));
        session.accepted(42);
        session.forget((TOPIC, 0));
        session.ask((TOPIC, 0), at(5), begins(0));
        let request = session.request(2, 7, 500);
        assert_eq!(named(&request), [(0, 5)]);
        assert!(request.forgotten_topics_data.is_empty());
    }

    #[test]
    fn without_a_session_everything_is_named_each_time() {
        let mut session = Session::default();
        session.ask((TOPIC, 0), at(5), begins(0));
        drop(session.request(2, 7, 500));
        session.accepted(0);
        let again = session.request(2, 7, 500);
        assert_eq!((again.session_epoch, named(&again)), (0, vec![(0, 5)]));
    }
}
