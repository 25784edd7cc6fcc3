//! An administrator who gives partitions other replicas (KIP-455), one request after another, and remembers what of it was
//! granted.

use klamm_metadata::controller::{Command, Reply};
use klamm_wire::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use klamm_wire::{ErrorCode, Str};

use crate::message::{Key, Message};
use crate::queue::{MS, Micros};

/// How long an answer may take.
const PATIENCE: Micros = 600 * MS;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// These replicas.
    Replicas(Vec<i32>),
    /// Those from before the reassignment that is under way.
    Back,
}

/// What came of the wishes for one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// The last that was granted.
    granted: Option<Wish>,
    /// Nobody knows whether they were, or will be.
    unanswered: Vec<Wish>,
    /// All replicas that the partition had while no reassignment was under way.
    settled: Vec<Vec<i32>>,
}

/// The administrator.
pub(crate) struct Admin {
    asked: Option<(u64, Key, Micros)>,
    last: Option<Key>,
    partitions: Vec<Wishes>,
}

impl Admin {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { asked: None, last: None, partitions: vec![Wishes::default(); partitions] }
    }

    /// Whether an answer is still awaited.
    pub(crate) fn is_waiting(&self, now: Micros) -> bool {
        self.asked.is_some_and(|(_, _, at)| now - at < PATIENCE)
    }

    /// The partition that was asked for last.
    pub(crate) fn last(&self) -> Option<Key> {
        self.last
    }

    /// The request; until it is answered nobody knows what comes of it.
    pub(crate) fn ask(&mut self, id: u64, key: Key, name: (&str, i32), wish: Wish, now: Micros) -> Message {
        self.asked = Some((id, key, now));
        self.last = Some(key);
        let partition = ReassignablePartition {
            partition_index: name.1,
            replicas: match &wish {
                Wish::Replicas(replicas) => Some(replicas.clone()),
                Wish::Back => None,
            },
            ..ReassignablePartition::default()
        };
        self.partitions[key].unanswered.push(wish);
        let topic = ReassignableTopic {
            name: Str::copy_from(name.0),
            partitions: vec![partition],
            ..ReassignableTopic::default()
        };
        let request = AlterPartitionReassignmentsRequest {
            topics: vec![topic],
            ..AlterPartitionReassignmentsRequest::default()
        };
        Message::Command { id, command: Box::new(Command::AlterPartitionReassignments(request)) }
    }

    /// An answer. One that comes too late leaves its wish among those that nobody knows of, as does a controller that was
    /// replaced meanwhile: what it had proposed may have been committed.
    pub(crate) fn receive(&mut self, message: Message) {
        let Message::Reply { id, outcome: Ok(reply) } = message else { return };
        let Some((_, key, _)) = self.asked.filter(|(asked, ..)| *asked == id) else { return };
        let Reply::AlterPartitionReassignments(reply) = *reply else { return };
        self.asked = None;
        let wishes = &mut self.partitions[key];
        let Some(wish) = wishes.unanswered.pop() else { return };
        let partition = reply.responses.iter().flat_map(|topic| &topic.partitions).next();
        if partition.is_some_and(|partition| ErrorCode::from_code(partition.error_code) == ErrorCode::None) {
            wishes.granted = Some(wish);
        }
    }

    /// The partition has these replicas, and nothing is under way.
    pub(crate) fn settled(&mut self, key: Key, replicas: &[i32]) {
        let known = &mut self.partitions[key].settled;
        if known.last().is_none_or(|last| last != replicas) {
            known.push(replicas.to_vec());
        }
    }

    /// Whether these replicas are what came, or may have come, of the wishes.
    pub(crate) fn is_fulfilled(&self, key: Key, replicas: &[i32]) -> bool {
        let wishes = &self.partitions[key];
        let sorted = |ids: &[i32]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        let was_settled = || wishes.settled.iter().any(|known| sorted(known) == sorted(replicas));
        let is_met = |wish: &Wish| match wish {
            Wish::Replicas(wanted) => wanted == replicas,
            Wish::Back => was_settled(),
        };
        wishes.granted.as_ref().map_or_else(was_settled, is_met) || wishes.unanswered.iter().any(is_met)
    }

    /// All of it, for who reads a violation.
    pub(crate) fn wishes(&self, key: Key) -> &Wishes {
        &self.partitions[key]
    }
}
