//! What a client knows of the cluster: who leads which partition, in which epoch.

use crate::message::{Key, Leadership, Message};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, Micros};

/// How long an answer may take.
const PATIENCE: Micros = 300 * MS;
/// Least time between two questions.
const PAUSE: Micros = 20 * MS;

/// Leaders as known, and the question under way.
pub(super) struct Routing {
    nodes: usize,
    known: Vec<Leadership>,
    asked: Option<(u64, Micros)>,
    last: Micros,
    is_stale: bool,
}

impl Routing {
    pub(super) fn new(nodes: usize, partitions: usize) -> Self {
        let known = vec![Leadership { leader: None, epoch: -1 }; partitions];
        Self { nodes, known, asked: None, last: -PAUSE, is_stale: true }
    }

    /// The leader and its epoch.
    pub(super) fn leader(&self, key: Key) -> Option<(usize, i32)> {
        let known = self.known.get(key)?;
        Some((known.leader?, known.epoch))
    }

    /// What is known does not hold any more.
    pub(super) fn mark_stale(&mut self) {
        self.is_stale = true;
    }

    /// Asks any node, when it is time to.
    pub(super) fn refresh(&mut self, party: Party, out: &mut Outbox) {
        let is_waiting = self.asked.is_some_and(|(_, at)| out.now - at < PATIENCE);
        let lacks = self.known.iter().any(|known| known.leader.is_none());
        if is_waiting || !(self.is_stale || lacks) || out.now - self.last < PAUSE {
            return;
        }
        let id = out.id();
        self.asked = Some((id, out.now));
        self.last = out.now;
        let node = out.random.index(self.nodes);
        out.send(party, Party::Node(node), Message::Metadata { id });
    }

    /// Takes an answer; what is older than what is known already does not count.
    pub(super) fn answered(&mut self, id: u64, partitions: &[Leadership]) {
        if self.asked.is_none_or(|(asked, _)| asked != id) {
            return;
        }
        self.asked = None;
        self.is_stale = false;
        for (known, new) in self.known.iter_mut().zip(partitions) {
            if new.epoch >= known.epoch {
                *known = *new;
            }
        }
    }
}
