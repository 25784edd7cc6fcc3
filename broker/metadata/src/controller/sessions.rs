//! When each broker was heard last: soft state that a new controller starts anew.

use std::collections::BTreeMap;

use crate::Image;

/// What is known of one broker's process.
#[derive(Clone, Debug, PartialEq)]
struct Session {
    epoch: i64,
    last_contact_ms: i64,
    /// False while the session is only inherited from an earlier controller.
    heard: bool,
    /// The last metadata offset that the broker is known to have applied.
    applied_offset: i64,
    /// Where in the metadata log a broker that shuts down gave its partitions away.
    handover_offset: Option<i64>,
}

/// The sessions of all brokers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sessions {
    by_broker: BTreeMap<i32, Session>,
}

impl Sessions {
    /// A full session for every unfenced broker.
    pub(super) fn inherit(image: &Image, now_ms: i64) -> Sessions {
        let unfenced = image.brokers().filter(|broker| !broker.fenced);
        let by_broker =
            unfenced.map(|broker| (broker.id, Session::new(broker.epoch, now_ms, false))).collect();
        Sessions { by_broker }
    }

    /// A heartbeat of a registered broker.
    pub(super) fn touch(&mut self, id: i32, epoch: i64, applied_offset: i64, now_ms: i64) {
        let session = self.by_broker.entry(id).or_insert_with(|| Session::new(epoch, now_ms, true));
        if session.epoch != epoch {
            *session = Session::new(epoch, now_ms, true);
        }
        session.heard = true;
        session.last_contact_ms = session.last_contact_ms.max(now_ms);
        session.applied_offset = session.applied_offset.max(applied_offset);
    }

    /// A broker has been silent for longer than is known.
    pub(super) fn advance(&mut self, id: i32, silent_ms: i64) {
        if let Some(session) = self.by_broker.get_mut(&id) {
            session.last_contact_ms = session.last_contact_ms.saturating_sub(silent_ms);
        }
    }

    /// Time during which nobody could be heard.
    pub(super) fn prolong(&mut self, deaf_ms: i64) {
        for session in self.by_broker.values_mut() {
            session.last_contact_ms = session.last_contact_ms.saturating_add(deaf_ms);
        }
    }

    /// A broker was seen to have applied the metadata log this far.
    pub(super) fn applied(&mut self, id: i32, offset: i64) {
        if let Some(session) = self.by_broker.get_mut(&id) {
            session.applied_offset = session.applied_offset.max(offset);
        }
    }

    /// Ends a session: the process is known to be gone, or another has taken its id.
    pub(super) fn end(&mut self, id: i32) {
        self.by_broker.remove(&id);
    }

    /// Whether the process of this registration counts as alive: heard within `timeout_ms`, or inherited within
    /// `inherited_ms`.
    pub(super) fn is_alive(
        &self,
        id: i32,
        epoch: i64,
        timeout_ms: i64,
        inherited_ms: i64,
        now_ms: i64,
    ) -> bool {
        self.by_broker.get(&id).filter(|session| session.epoch == epoch).is_some_and(|session| {
            let limit = if session.heard { timeout_ms } else { inherited_ms };
            now_ms < session.last_contact_ms.saturating_add(limit)
        })
    }

    /// Forgets the sessions that are over and names the unfenced brokers without one.
    pub(super) fn expire(&mut self, image: &Image, timeout_ms: i64, now_ms: i64) -> Vec<i32> {
        self.by_broker.retain(|_, session| now_ms < session.last_contact_ms.saturating_add(timeout_ms));
        let unfenced = image.brokers().filter(|broker| !broker.fenced);
        let gone = unfenced.filter(|broker| {
            self.by_broker.get(&broker.id).is_none_or(|session| session.epoch != broker.epoch)
        });
        gone.map(|broker| broker.id).collect()
    }

    /// When the next session is over.
    pub(super) fn next_expiry(&self, timeout_ms: i64) -> Option<i64> {
        self.by_broker.values().map(|session| session.last_contact_ms.saturating_add(timeout_ms)).min()
    }

    /// Notes where a broker that shuts down gave its partitions away.
    pub(super) fn handed_over(&mut self, id: i32, offset: i64) {
        if let Some(session) = self.by_broker.get_mut(&id) {
            session.handover_offset = Some(offset);
        }
    }

    /// Whether every other active broker has applied the records with which `id` gave its partitions away.
    pub(super) fn handover_is_known(&self, image: &Image, id: i32) -> bool {
        let Some(offset) = self.by_broker.get(&id).and_then(|session| session.handover_offset) else {
            return true;
        };
        let others = image.brokers().filter(|broker| broker.id != id && broker.is_active());
        others
            .map(|broker| self.by_broker.get(&broker.id))
            .all(|session| session.is_none_or(|session| session.applied_offset >= offset))
    }
}

impl Session {
    fn new(epoch: i64, now_ms: i64, heard: bool) -> Session {
        Session { epoch, last_contact_ms: now_ms, heard, applied_offset: -1, handover_offset: None }
    }
}
