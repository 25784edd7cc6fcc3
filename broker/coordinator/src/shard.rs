//! The groups of one `__consumer_offsets` partition: dispatch, loading and timers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_wire::{DecodeError, Str};

use crate::config::GroupConfig;
use crate::group::{Group, Turn};
use crate::records::{self, KeyValue, Record};
use crate::reply::GroupReply;
use crate::request::{Call, GroupRequest, Now, RequestContext};

/// What a call to the shard asks of its caller.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Keys and values to append to the partition, in order; no value is a tombstone. May be more than fits in one
    /// batch: they need not be atomic.
    pub records: Vec<KeyValue>,
    /// Replies by token, to be released when everything appended up to and including `records` is committed. A token
    /// may belong to an earlier call.
    pub replies: Vec<(u64, GroupReply)>,
}

/// The coordinator of the groups of one `__consumer_offsets` partition.
///
/// A new shard is fed the partition with [`replay`](Self::replay), then started with [`on_loaded`](Self::on_loaded);
/// only then it takes requests. It changes its state at once: if the records cannot be written, the shard must be
/// dropped, and those who wait be told NOT_COORDINATOR.
#[derive(Debug, Default)]
pub struct GroupShard {
    pub(crate) config: GroupConfig,
    pub(crate) groups: BTreeMap<Str, Group>,
    /// When to look at which group. A group is in here at `Group::armed`.
    timers: BTreeSet<(i64, Str)>,
    /// The groups in which JoinGroup and SyncGroup requests wait, by token.
    waiting: BTreeMap<u64, Str>,
    cancelled: Vec<u64>,
    next_expiry: Option<i64>,
}

impl GroupShard {
    /// A shard without groups, to be loaded.
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            waiting: BTreeMap::new(),
            cancelled: Vec::new(),
            next_expiry: None,
        }
    }

    /// Applies a record of the partition, in order, before [`on_loaded`](Self::on_loaded). Records of key types that
    /// belong to other coordinators are skipped; an error means that the record is not what its type says.
    pub fn replay(&mut self, key: Bytes, value: Option<Bytes>) -> Result<(), DecodeError> {
        // What a group keeps of its record must not hold the whole batch alive.
        let value = value.map(|value| Bytes::copy_from_slice(&value));
        let group_id = match records::decode(key, value)? {
            None => return Ok(()),
            Some(Record::Offset { group, topic, partition, committed }) => {
                self.group_or_new(&group).offsets.apply(&topic, partition, committed);
                group
            }
            Some(Record::Group { group, metadata }) => {
                self.group_or_new(&group).apply_metadata(metadata);
                group
            }
        };
        if self.groups.get(&*group_id).is_some_and(Group::is_vacant) {
            self.groups.remove(&*group_id);
        }
        Ok(())
    }

    /// Everything has been replayed: members of the loaded groups must be heard of within their session timeouts.
    pub fn on_loaded(&mut self, now: Now) -> Effects {
        let mut effects = Effects::default();
        self.next_expiry = Some(self.expiry_after(now));
        let group_ids: Vec<Str> = self.groups.keys().cloned().collect();
        for group_id in &group_ids {
            if let Some(group) = self.groups.get_mut(&**group_id) {
                group.on_loaded(&mut Turn { config: &self.config, now, effects: &mut effects });
            }
            self.settle(group_id, now, &mut effects);
        }
        effects
    }

    /// Handles one request. The reply carries `token`, which must be unused; JoinGroup and SyncGroup may be answered by
    /// a later call, all others are answered in this one.
    pub fn handle(
        &mut self,
        token: u64,
        context: RequestContext,
        request: GroupRequest,
        now: Now,
    ) -> Effects {
        let mut effects = Effects::default();
        self.take_cancellations(now, &mut effects);
        let group_id = request.group_id().cloned();
        let may_wait = matches!(request, GroupRequest::Join(_) | GroupRequest::Sync(_));
        self.dispatch(&Call { token, context, now }, request, &mut effects);
        if let Some(group_id) = group_id {
            if may_wait {
                self.waiting.insert(token, Str::copy_from(&group_id));
            }
            self.settle(&group_id, now, &mut effects);
        }
        self.forget_answered(&effects);
        effects
    }

    fn dispatch(&mut self, call: &Call, request: GroupRequest, effects: &mut Effects) {
        let reply = match request {
            GroupRequest::Join(request) => return self.join(call, &request, effects),
            GroupRequest::Sync(request) => return self.sync(call, &request, effects),
            GroupRequest::Heartbeat(request) => return self.heartbeat(call, &request, effects),
            GroupRequest::Leave(request) => return self.leave(call, request, effects),
            GroupRequest::OffsetCommit(request) => return self.offset_commit(call, &request, effects),
            GroupRequest::OffsetDelete(request) => return self.offset_delete(call, &request, effects),
            GroupRequest::DeleteGroup(group_id) => return self.delete_group(call, group_id, effects),
            GroupRequest::TopicsDeleted(topics) => return self.topics_deleted(call, topics, effects),
            GroupRequest::OffsetFetch(request) => GroupReply::OffsetFetch(self.offset_fetch(request)),
            GroupRequest::Describe(group_id) => {
                GroupReply::Describe(self.describe(call.context.version, group_id))
            }
            GroupRequest::List(request) => GroupReply::List(Ok(self.list(&request))),
        };
        effects.replies.push((call.token, reply));
    }

    /// Acts on every deadline that has come. To be called when [`next_deadline`](Self::next_deadline) has passed;
    /// calling it early does no harm.
    pub fn tick(&mut self, now: Now) -> Effects {
        let mut effects = Effects::default();
        self.take_cancellations(now, &mut effects);
        let mut due = Vec::new();
        while self.timers.first().is_some_and(|(at, _)| *at <= now.steady_ms) {
            due.extend(self.timers.pop_first());
        }
        for (_, group_id) in due {
            if let Some(group) = self.groups.get_mut(&*group_id) {
                group.armed = i64::MAX;
            }
            self.settle(&group_id, now, &mut effects);
        }
        if self.next_expiry.is_some_and(|at| at <= now.steady_ms) {
            self.expire_offsets(now, &mut effects);
            self.next_expiry = Some(self.expiry_after(now));
        }
        self.forget_answered(&effects);
        effects
    }

    /// When [`tick`](Self::tick) must be called next, by the steady clock; in the past means now.
    pub fn next_deadline(&self) -> Option<i64> {
        if !self.cancelled.is_empty() {
            return Some(i64::MIN);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.next_expiry).min()
    }

    /// The connection that waits for `token` has closed. Takes effect with the next call of [`tick`](Self::tick) or
    /// [`handle`](Self::handle); no reply with this token follows.
    pub fn cancel(&mut self, token: u64) {
        if self.waiting.contains_key(&token) {
            self.cancelled.push(token);
        }
    }

    /// The group, made if it does not exist.
    pub(crate) fn group_or_new(&mut self, group_id: &str) -> &mut Group {
        let id = Str::copy_from(group_id);
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id))
    }

    fn take_cancellations(&mut self, now: Now, effects: &mut Effects) {
        for token in std::mem::take(&mut self.cancelled) {
            let Some(group_id) = self.waiting.remove(&token) else { continue };
            if let Some(group) = self.groups.get_mut(&*group_id) {
                group.on_cancelled(token, &mut Turn { config: &self.config, now, effects });
            }
            self.settle(&group_id, now, effects);
        }
    }

    /// After a group may have changed: acts on deadlines that have come already, arms its timer, forgets it if nothing
    /// is left of it.
    fn settle(&mut self, group_id: &str, now: Now, effects: &mut Effects) {
        let Some(group) = self.groups.get_mut(group_id) else { return };
        if group.earliest <= now.steady_ms {
            group.on_deadline(&mut Turn { config: &self.config, now, effects });
        }
        let wanted = if group.is_vacant() { i64::MAX } else { group.earliest };
        if group.armed != wanted {
            self.timers.remove(&(group.armed, group.id.clone()));
            if wanted != i64::MAX {
                self.timers.insert((wanted, group.id.clone()));
            }
            group.armed = wanted;
        }
        if group.is_vacant() {
            self.groups.remove(group_id);
        }
    }

    fn forget_answered(&mut self, effects: &Effects) {
        if !self.waiting.is_empty() {
            for (token, _) in &effects.replies {
                self.waiting.remove(token);
            }
        }
    }

    fn expiry_after(&self, now: Now) -> i64 {
        now.steady_ms.saturating_add(self.config.offsets_retention_check_interval_ms.max(1))
    }
}
