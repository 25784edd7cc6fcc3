//! Expiry: offsets that nobody has used for the retention time are removed, and groups that have nothing left.

use crate::group::{Group, GroupState, Turn};
use crate::offsets::CommittedOffset;
use crate::request::Now;
use crate::shard::{Effects, GroupShard};

/// Since when the retention time of a group's offsets runs.
#[derive(Clone, Copy)]
enum Unused {
    /// Since the group lost its last member, Unix ms.
    Since(i64),
    /// Since each was committed, for topics that no member reads.
    SinceCommit,
}

impl GroupShard {
    pub(crate) fn expire_offsets(&mut self, now: Now, effects: &mut Effects) {
        let mut turn = Turn { config: &self.config, now, effects };
        for group in self.groups.values_mut() {
            group.expire_offsets(&mut turn);
        }
        self.groups.retain(|_, group| !group.is_vacant());
    }
}

impl Group {
    fn expire_offsets(&mut self, turn: &mut Turn<'_>) {
        if let Some(unused) = self.unused() {
            let mut offsets = std::mem::take(&mut self.offsets);
            let (now_ms, retention_ms) = (turn.now.wall_ms, turn.config.offsets_retention_ms);
            offsets.remove_where(&self.id, turn, |topic, _, committed| {
                is_expired(committed, unused, now_ms, retention_ms) && !self.is_subscribed_to(topic)
            });
            self.offsets = offsets;
        }
        if self.is(GroupState::Empty) && self.pending_join.is_empty() && self.offsets.is_empty() {
            self.forget(turn);
        }
    }

    /// `None` while all of the group's offsets may be in use.
    fn unused(&self) -> Option<Unused> {
        match (&self.protocol_type, self.state) {
            (None, _) => Some(Unused::SinceCommit),
            (Some(_), GroupState::Empty) => Some(self.state_since.map_or(Unused::SinceCommit, Unused::Since)),
            (Some(_), GroupState::Stable) if self.is_consumer_group() => Some(Unused::SinceCommit),
            _ => None,
        }
    }
}

fn is_expired(committed: &CommittedOffset, unused: Unused, now_ms: i64, retention_ms: i64) -> bool {
    if let Some(expire_timestamp) = committed.expire_timestamp {
        return now_ms >= expire_timestamp;
    }
    let since = match unused {
        Unused::Since(since) => since,
        Unused::SinceCommit => committed.commit_timestamp,
    };
    now_ms.saturating_sub(since) >= retention_ms
}
