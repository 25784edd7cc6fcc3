//! The coordinator of groups: a shard over the local leader of the group partition.

use std::collections::{BTreeMap, VecDeque};

use klamm_coordinator::{Effects, GroupConfig, GroupReply, GroupRequest, GroupShard, Now, RequestContext};
use klamm_records::{BatchBuilder, batches};
use klamm_wire::ErrorCode;

use super::Node;
use super::append::Append;
use super::replica::{Ack, Replica};
use crate::message::{Key, Message};
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;
use crate::party::Party;
use crate::queue::{MS, NodeTimer};

/// Version of OffsetCommit and OffsetFetch that the clients speak.
pub(crate) const VERSION: i16 = 8;

/// A write that replies wait for.
struct Write {
    serial: u64,
    done: Option<Result<(), ErrorCode>>,
    replies: Vec<(u64, GroupReply)>,
}

/// The shard of one leader epoch.
pub(super) struct Shard {
    leader_epoch: i32,
    groups: GroupShard,
    waiting: BTreeMap<u64, (Party, u64)>,
    writes: VecDeque<Write>,
    next_token: u64,
}

impl Node {
    /// Starts and stops the shard as the leadership of its partition changes.
    pub(super) fn lead_groups(&mut self, out: &mut Outbox) {
        let key = self.topology.groups();
        let led = self.replica(key).and_then(|replica| replica.role.led_epoch());
        let Some(process) = self.process.as_mut() else { return };
        if process.shard.as_ref().map(|shard| shard.leader_epoch) == led {
            return;
        }
        self.drop_shard(out);
        if let Some(leader_epoch) = led {
            self.load_shard(key, leader_epoch, out);
        }
    }

    fn load_shard(&mut self, key: Key, leader_epoch: i32, out: &mut Outbox) {
        let config = GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() };
        let mut groups = GroupShard::new(config);
        let now = self.clocks(out);
        let loaded = self.replica(key).map(|replica| replay(replica, &mut groups));
        if let Some(Err(error)) = loaded {
            return out.note(|| format!("the group shard is not loaded: {error}"));
        }
        let effects = groups.on_loaded(now);
        let (waiting, writes) = (BTreeMap::new(), VecDeque::new());
        let shard = Shard { leader_epoch, groups, waiting, writes, next_token: 1 };
        if let Some(process) = self.process.as_mut() {
            process.shard = Some(shard);
        }
        self.await_committed(key, out);
        self.take_effects(effects, out);
        self.after(200 * MS, NodeTimer::ShardTick, out);
    }

    /// Replies wait until all that was loaded is committed: it might be gone with this leader otherwise.
    fn await_committed(&mut self, key: Key, out: &mut Outbox) {
        let Some(process) = self.process.as_mut() else { return };
        process.serial += 1;
        let serial = process.serial;
        let waits = self.change(key, out, |replica, _, _| {
            let end = replica.log.end_offset();
            let waits = replica.high_watermark < end;
            if waits {
                replica.wait_replicated(end, Ack::Shard { serial });
            }
            waits
        });
        let Some(shard) = self.process.as_mut().and_then(|process| process.shard.as_mut()) else { return };
        if waits == Some(true) {
            shard.writes.push_back(Write { serial, done: None, replies: Vec::new() });
        }
    }

    fn clocks(&self, out: &Outbox) -> Now {
        Now { steady_ms: self.steady_ms(out), wall_ms: self.wall_ms(out) }
    }

    fn drop_shard(&mut self, out: &mut Outbox) {
        let Some(shard) = self.process.as_mut().and_then(|process| process.shard.take()) else { return };
        for (to, id) in shard.waiting.into_values() {
            let outcome = Err(ErrorCode::NotCoordinator);
            out.send(self.party(), to, Message::GroupAnswer { id, outcome });
        }
    }

    pub(super) fn shard_tick(&mut self, out: &mut Outbox) {
        let now = self.clocks(out);
        let Some(shard) = self.process.as_mut().and_then(|process| process.shard.as_mut()) else { return };
        let effects = shard.groups.tick(now);
        self.take_effects(effects, out);
        self.after(200 * MS, NodeTimer::ShardTick, out);
    }

    pub(super) fn group_requested(&mut self, from: Party, id: u64, request: GroupRequest, out: &mut Outbox) {
        self.lead_groups(out);
        let now = self.clocks(out);
        let Some(shard) = self.process.as_mut().and_then(|process| process.shard.as_mut()) else {
            let outcome = Err(ErrorCode::NotCoordinator);
            return out.send(self.party(), from, Message::GroupAnswer { id, outcome });
        };
        let token = shard.next_token;
        shard.next_token += 1;
        shard.waiting.insert(token, (from, id));
        let context = RequestContext { version: VERSION, ..RequestContext::default() };
        let effects = shard.groups.handle(token, context, request, now);
        self.take_effects(effects, out);
    }

    /// Writes the records; replies follow the write, and all writes before it.
    fn take_effects(&mut self, effects: Effects, out: &mut Outbox) {
        let Effects { records, replies } = effects;
        let Some(process) = self.process.as_mut() else { return };
        process.serial += 1;
        let serial = process.serial;
        let Some(shard) = process.shard.as_mut() else { return };
        let leader_epoch = shard.leader_epoch;
        let needs_write = !records.is_empty();
        let is_early = is_active(Mutation::CommitAnsweredEarly);
        let done = (!needs_write || is_early).then_some(Ok(()));
        shard.writes.push_back(Write { serial, done, replies });
        if needs_write {
            let key = self.topology.groups();
            let now_ms = self.wall_ms(out);
            let mut builder = BatchBuilder::new(0);
            let pushed = records
                .iter()
                .try_for_each(|(key, value)| builder.push(now_ms, Some(key), value.as_deref(), &[]));
            let appended = match pushed.and_then(|()| builder.finish()) {
                Err(_) => Some(Err(ErrorCode::UnknownServerError)),
                Ok(batch) => self.change(key, out, |replica, now_ms, sparks| {
                    replica.append(batch, Some(leader_epoch), |_| Ack::Shard { serial }, now_ms, sparks)
                }),
            };
            match appended {
                Some(Ok(Append::Waits)) => {}
                Some(Ok(Append::Done(_))) => self.shard_written(key, serial, Ok(()), out),
                Some(Err(error)) => self.shard_written(key, serial, Err(error), out),
                None => self.shard_written(key, serial, Err(ErrorCode::NotLeaderOrFollower), out),
            }
        }
        self.release_replies(out);
    }

    /// A write is committed, or will not be known to be: then the shard is given up.
    pub(super) fn shard_written(
        &mut self,
        _: Key,
        serial: u64,
        result: Result<(), ErrorCode>,
        out: &mut Outbox,
    ) {
        let Some(shard) = self.process.as_mut().and_then(|process| process.shard.as_mut()) else { return };
        if let Some(write) = shard.writes.iter_mut().find(|write| write.serial == serial) {
            write.done = Some(result);
        }
        if result.is_err() {
            return self.drop_shard(out);
        }
        self.release_replies(out);
    }

    fn release_replies(&mut self, out: &mut Outbox) {
        let party = self.party();
        let Some(shard) = self.process.as_mut().and_then(|process| process.shard.as_mut()) else { return };
        while shard.writes.front().is_some_and(|write| write.done == Some(Ok(()))) {
            let Some(write) = shard.writes.pop_front() else { return };
            for (token, reply) in write.replies {
                if let Some((to, id)) = shard.waiting.remove(&token) {
                    out.send(party, to, Message::GroupAnswer { id, outcome: Ok(Box::new(reply)) });
                }
            }
        }
    }
}

/// Replays every record from the log's start to its end.
fn replay(replica: &Replica, groups: &mut GroupShard) -> Result<(), String> {
    let (mut position, end) = (replica.log.start_offset(), replica.log.end_offset());
    while position < end {
        let bytes = replica.bytes(position, 1 << 20, end).map_err(|e| e.to_string())?;
        let before = position;
        for batch in batches(bytes) {
            let batch = batch.map_err(|e| e.to_string())?;
            position = position.max(batch.header.next_offset());
            for record in batch.records(1 << 20).map_err(|e| e.to_string())? {
                let record = record.map_err(|e| e.to_string())?;
                if let Some(key) = record.key {
                    groups.replay(key, record.value).map_err(|e| e.to_string())?;
                }
            }
        }
        if position == before {
            return Err(format!("no progress at offset {position} of {end}"));
        }
    }
    Ok(())
}
