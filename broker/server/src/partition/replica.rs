//! One replica on this broker: its log and its role behind one lock.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use klamm_log::Log;
use klamm_replica::LogEnds;
use klamm_wire::{ErrorCode, Str};
use parking_lot::Mutex;
use tracing::error;
use uuid::Uuid;

use super::acks::AckQueue;
use super::checkpoints::Known;
use super::damage::{Counted, Damage};
use super::parked::Watchers;
use super::role::Role;
use super::settings::TopicSettings;
use super::shared::Shared;
use super::wakeups::Wakeups;
use crate::clock::steady_ms;

/// A partition's replica on this broker.
///
/// The methods never wait for the disk unless they say so: appends go to memory and to the IO engine.
pub struct Partition {
    /// Topic id.
    pub topic_id: Uuid,
    /// Topic name.
    pub topic: Str,
    /// Partition index.
    pub index: i32,
    /// Directory of the log.
    pub(super) dir: PathBuf,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: ArcSwap<TopicSettings>,
    /// Whether the metadata has this replica in the ISR.
    pub(super) is_in_sync: AtomicBool,
    pub(super) state: Mutex<State>,
    /// Held while a job is out: it opens files by their paths, so the directory must keep its name. Taken before the state.
    pub(super) writing: Mutex<()>,
}

/// Whether the log is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Io {
    /// Nothing to write.
    Idle,
    /// The partition waits for a thread of the engine.
    Queued,
    /// A job runs; `again` when there is more to write since it started.
    Writing { again: bool },
}

/// What the lock guards.
pub(super) struct State {
    pub log: Log,
    pub role: Role,
    /// Whether a record counts only once it is durable.
    pub counts_durable: bool,
    /// Whether records get the time of the append.
    pub stamps_append_time: bool,
    pub high_watermark: i64,
    pub io: Io,
    /// The last write found no space: appends are refused until one succeeds.
    pub disk_full: bool,
    pub damage: Damage,
    /// The leader epochs that were on the disk have not been compared with the metadata yet.
    pub doubts_epochs: bool,
    pub membership: Counted,
    /// The checkpoint files may say more of this log than it holds.
    pub is_overstated: bool,
    pub acks: AckQueue,
    pub consumers: Watchers,
    pub followers: Watchers,
}

impl Partition {
    pub(super) fn new(
        identity: Identity,
        shared: Arc<Shared>,
        settings: Arc<TopicSettings>,
        log: Log,
        known: Known,
    ) -> Self {
        let state = State {
            counts_durable: settings.counts_durable,
            stamps_append_time: settings.stamps_append_time(),
            damage: Damage::None,
            doubts_epochs: true,
            membership: Counted { leader_epoch: -1, is_counted_on: true },
            is_overstated: known.is_outdated || known.recovery_point > log.end_offset(),
            high_watermark: known.high_watermark.clamp(log.start_offset(), log.end_offset()),
            log,
            role: Role::Idle,
            io: Io::Idle,
            disk_full: false,
            acks: AckQueue::default(),
            consumers: Watchers::default(),
            followers: Watchers::default(),
        };
        Self {
            topic_id: identity.topic_id,
            topic: identity.topic,
            index: identity.index,
            dir: identity.dir,
            shared,
            settings: ArcSwap::new(settings),
            is_in_sync: AtomicBool::new(false),
            state: Mutex::new(state),
            writing: Mutex::default(),
        }
    }

    /// Changes the state under the lock, then does what that sets off. The time is that of the steady clock.
    pub(super) fn change<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, i64, &mut Wakeups) -> T) -> T {
        let mut wakeups = Wakeups::default();
        let result = change(&mut self.state.lock(), steady_ms(), &mut wakeups);
        wakeups.carry_out(self);
        result
    }

    /// Takes over changed settings.
    pub(super) fn reconfigure(self: &Arc<Self>, settings: Arc<TopicSettings>) {
        self.settings.store(Arc::clone(&settings));
        self.change(|state, steady_ms, wakeups| {
            state.counts_durable = settings.counts_durable;
            state.stamps_append_time = settings.stamps_append_time();
            state.log.reconfigure(settings.log_config());
            state.stored(steady_ms, wakeups);
        });
    }

    /// Ends the role and closes the log, which must have nothing left to write; true when it was closed cleanly.
    pub(super) fn close(self: &Arc<Self>) -> bool {
        self.change(|state, _, wakeups| {
            state.leave_role(ErrorCode::NotLeaderOrFollower, wakeups);
            let closed = state.log.close();
            state.role = Role::Offline;
            if let Err(error) = &closed {
                error!(topic = %self.topic, partition = self.index, %error, "log not closed");
            }
            closed.is_ok()
        })
    }

    /// First offset.
    pub fn log_start_offset(&self) -> i64 {
        self.state.lock().log.start_offset()
    }

    /// Offset after the last record, also when it is only in memory.
    pub fn log_end_offset(&self) -> i64 {
        self.state.lock().log.end_offset()
    }

    /// Offset up to which records are committed.
    pub fn high_watermark(&self) -> i64 {
        self.state.lock().high_watermark
    }

    /// The epoch in which this broker leads; `None` when it does not.
    pub fn led_epoch(&self) -> Option<i32> {
        self.state.lock().role.led_epoch()
    }

    /// Bytes of the log.
    pub fn size_bytes(&self) -> u64 {
        self.state.lock().log.size_bytes()
    }

    /// How far this replica is behind what it knows to be committed; 0 on the leader.
    pub fn offset_lag(&self) -> i64 {
        let state = self.state.lock();
        state.role.leader_high_watermark().map_or(0, |hw| hw.saturating_sub(state.log.end_offset()).max(0))
    }
}

/// Which partition a replica belongs to, and where it lies.
pub(super) struct Identity {
    pub topic_id: Uuid,
    pub topic: Str,
    pub index: i32,
    pub dir: PathBuf,
}

impl State {
    /// End of what counts on this broker.
    pub(super) fn counted_end(&self) -> i64 {
        if self.counts_durable { self.log.durable_end() } else { self.log.written_end() }
    }

    /// The log's ends for the follower state.
    pub(super) fn log_ends(&self) -> LogEnds {
        LogEnds {
            start: self.log.start_offset(),
            end: self.log.end_offset(),
            durable_end: self.counted_end(),
            last_epoch: self.log.latest_epoch().unwrap_or(-1),
        }
    }

    /// Notes that the log has something to write.
    pub(super) fn mark_dirty(&mut self, wakeups: &mut Wakeups) {
        match self.io {
            Io::Idle => {
                self.io = Io::Queued;
                wakeups.write = true;
            }
            Io::Queued => {}
            Io::Writing { .. } => self.io = Io::Writing { again: true },
        }
    }
}
