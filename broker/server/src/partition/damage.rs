//! A copy that is not what was written: noticed, given up where others hold it, cut, and fetched again.
//!
//! A damaged replica fetches nothing until the controller has taken it out of the ISR, in a new leader epoch: what it fetched
//! before shows nothing any more. Then it is cut before the damage and follows like any replica that is behind. Where nobody
//! else is in sync it is kept: whatever is sound is served, the rest refused.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use klamm_log::{Checked, EpochEntry, LogError, ReadError, SegmentCheck};
use klamm_replica::{FollowerStart, FollowerState};
use parking_lot::{Condvar, Mutex};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::error::Refused;
use super::fetcher::Follow;
use super::replica::{Partition, State};
use super::role::Role;
use super::wakeups::Wakeups;

/// Bytes that are checked at a time.
const PIECE: u64 = 1 << 20;
/// Pause before the controller is asked again whether the copy may be given up.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What is known to be wrong with a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// Nothing.
    None,
    /// A read met something; where it begins is being looked for.
    Suspected,
    /// Nothing at or behind the offset is known to be sound.
    Found { offset: i64 },
    /// The same, and from this leader epoch on nobody counts on this copy.
    GivenUp { offset: i64, leader_epoch: i32 },
}

/// One damaged copy, on its way to the controller.
#[derive(Debug)]
pub struct DamageReport {
    /// Topic id.
    pub topic_id: Uuid,
    /// Partition index.
    pub partition: i32,
    /// Takes the leader epoch from which on nobody counts on this copy; `None` when nobody else holds what it holds.
    pub reply: oneshot::Sender<Option<i32>>,
}

/// Where damage is reported.
pub type DamageSender = mpsc::UnboundedSender<DamageReport>;

/// Replicas to look at before all others.
#[derive(Default)]
pub(super) struct Suspects {
    waiting: Mutex<Vec<Arc<Partition>>>,
    news: Condvar,
}

impl Suspects {
    pub(super) fn push(&self, partition: Arc<Partition>) {
        self.waiting.lock().push(partition);
        self.news.notify_all();
    }

    /// The next one, if there is one within `patience`.
    pub(super) fn next(&self, patience: Duration) -> Option<Arc<Partition>> {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() && !patience.is_zero() {
            self.news.wait_for(&mut waiting, patience);
        }
        waiting.pop()
    }

    pub(super) fn wake(&self) {
        let _waiting = self.waiting.lock();
        self.news.notify_all();
    }
}

impl Partition {
    /// What a client gets for a failed read. Damage is looked for at once.
    pub(super) fn read_failed(self: &Arc<Self>, error: ReadError) -> Refused {
        if error.is_damage() {
            self.suspect(&mut self.state.lock(), &error);
        }
        error.into()
    }

    /// The same for a lookup by time.
    pub(super) fn lookup_failed(self: &Arc<Self>, state: &mut State, error: LogError) -> Refused {
        if error.is_damage() {
            self.suspect(state, &error);
        }
        error.into()
    }

    fn suspect(self: &Arc<Self>, state: &mut State, error: &dyn Display) {
        if state.damage == Damage::None {
            state.damage = Damage::Suspected;
            warn!(topic = %self.topic, partition = self.index, %error, "damaged records are not served");
            self.shared.suspects.push(Arc::clone(self));
        }
    }

    /// Checks all that nobody has looked at since the process started, calling `pause` after each piece until that says stop.
    /// Waits for the disk.
    pub(super) fn examine(self: &Arc<Self>, mut pause: impl FnMut(u64) -> bool) {
        // Bound to end, whatever retention and truncation do meanwhile.
        for _ in 0..100_000 {
            let Some(mut check) = self.plan_check() else { break };
            loop {
                match check.run(PIECE) {
                    Ok(Checked::More) if pause(PIECE) => {}
                    Ok(Checked::More) => return,
                    Ok(Checked::Done) => break self.mend(&check),
                    Ok(Checked::Damaged { offset, path, position, reason }) => {
                        let file = path.display();
                        error!(%file, position, %reason, offset, "damaged on disk; nothing from this offset on is trusted");
                        return self.damaged(offset);
                    }
                    Err(error) => {
                        // Not for ever: a replica that is suspected fetches nothing. The next read that fails suspects it anew.
                        warn!(topic = %self.topic, partition = self.index, %error, "not checked");
                        return self.suspect_no_more();
                    }
                }
            }
        }
        self.suspect_no_more();
    }

    fn suspect_no_more(&self) {
        let mut state = self.state.lock();
        if state.damage == Damage::Suspected {
            state.damage = Damage::None;
        }
    }

    fn plan_check(&self) -> Option<SegmentCheck> {
        let state = self.state.lock();
        if state.role.is_gone() { None } else { state.log.plan_check() }
    }

    /// Puts right what is wrong beside the records: nobody else is needed for it.
    fn mend(&self, check: &SegmentCheck) {
        let mended = {
            let mut state = self.state.lock();
            // The directory of one that is gone has another name, or another topic's log in it.
            if state.role.is_gone() { Ok(Vec::new()) } else { state.log.mend(check) }
        };
        match mended {
            Ok(files) => {
                for file in files {
                    warn!(file = %file.display(), "not what was written; put right from the records");
                }
            }
            Err(error) => {
                warn!(topic = %self.topic, partition = self.index, %error, "what is wrong beside the records stays");
            }
        }
    }

    fn damaged(self: &Arc<Self>, offset: i64) {
        if self.state.lock().note_damage(offset) {
            self.report();
        }
    }

    /// Tells the controller of a copy whose epochs have been found to be damaged.
    pub(super) fn epoch_is_impossible(self: &Arc<Self>, entry: EpochEntry) {
        let EpochEntry { epoch, start_offset: offset } = entry;
        error!(topic = %self.topic, partition = self.index, epoch, offset, "no leader has had this epoch yet: damaged on disk; nothing from this offset on is trusted");
        self.report();
    }

    fn report(self: &Arc<Self>) {
        let partition = Arc::clone(self);
        self.shared.runtime.spawn(async move { partition.give_up().await });
    }

    async fn give_up(self: Arc<Self>) {
        while !self.state.lock().role.is_gone() {
            let (reply, answer) = oneshot::channel();
            let report = DamageReport { topic_id: self.topic_id, partition: self.index, reply };
            if self.shared.damage.send(report).is_err() {
                return;
            }
            match answer.await {
                Ok(Some(leader_epoch)) => {
                    return self.change(|state, _, wakeups| {
                        if let Damage::Found { offset } = state.damage {
                            state.damage = Damage::GivenUp { offset, leader_epoch };
                            self.repair(state, wakeups);
                        }
                    });
                }
                Ok(None) => tokio::time::sleep(ASK_AGAIN).await,
                // The process stops.
                Err(_) => return,
            }
        }
    }

    /// Cuts the log before the damage, once the metadata counts on others.
    pub(super) fn repair(&self, state: &mut State, wakeups: &mut Wakeups) {
        let Damage::GivenUp { offset, leader_epoch } = state.damage else { return };
        let is_due = state.membership.leader_epoch >= leader_epoch && !state.membership.is_counted_on;
        if !is_due || state.role.is_gone() || matches!(state.role, Role::Leader(_)) || state.log.is_writing()
        {
            return;
        }
        let (from, to) = (state.log.end_offset(), offset.max(0));
        state.is_overstated = true;
        if let Err(error) = state.log.truncate_to(to) {
            let _idle = self.failed(state, &error, wakeups);
            return;
        }
        info!(topic = %self.topic, partition = self.index, from, to, "cut before the damage; the rest is fetched again");
        state.damage = Damage::None;
        state.high_watermark = state.high_watermark.min(state.log.end_offset());
        if let Role::Follower(follower) = &state.role {
            let (leader, leader_epoch) = (follower.leader(), follower.leader_epoch());
            let (log, high_watermark) = (state.log_ends(), state.high_watermark);
            let start = FollowerStart { leader, leader_epoch, log, high_watermark };
            state.role = Role::Follower(FollowerState::new(start));
            state.mark_dirty(wakeups);
            wakeups.follow = Some(Follow::Leader(leader));
        }
    }
}

impl State {
    /// Takes note of damage; true if there was none and the controller is to be told.
    fn note_damage(&mut self, offset: i64) -> bool {
        match &mut self.damage {
            Damage::None | Damage::Suspected => {
                self.damage = Damage::Found { offset };
                true
            }
            Damage::Found { offset: known } | Damage::GivenUp { offset: known, .. } => {
                *known = offset.min(*known);
                false
            }
        }
    }

    /// Compares the leader epochs that were on the disk with the partition's, once: those of the metadata only rise, and what has
    /// come since is of leaders that the metadata names. An epoch lies outside a batch's checksum, so where the epoch checkpoint is
    /// damaged, too, a flipped bit is believed. As a follower such a log seems to be ahead of old metadata and waits for newer; as
    /// a leader it takes no record of an earlier epoch.
    ///
    /// The metadata must have the registration of this very process. Every epoch in the log was in the metadata of the process
    /// that wrote it, so committed before that process ended and this one registered. No log of an earlier quorum is taken
    /// for damaged: with the quorum its topics are gone, and topics founded anew have other ids, so that its directories end as
    /// strays; one that has lost its id as well is not compared. Only where most controllers were put back to older copies of their own
    /// disks do the metadata lack epochs that there were. Then replicas are cut to what the metadata know, one after another
    /// and never the last in sync; what only others had written meanwhile is lost, as everything is that such metadata lack.
    pub(super) fn compare_epochs(&mut self, leader_epoch: i32, wakeups: &mut Wakeups) {
        if !std::mem::replace(&mut self.doubts_epochs, false) {
            return;
        }
        let impossible = self.log.epochs().iter().find(|entry| entry.epoch > leader_epoch).copied();
        wakeups.impossible_epoch = impossible.filter(|entry| self.note_damage(entry.start_offset));
    }
}

/// What the metadata says of this replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub leader_epoch: i32,
    /// It is in the ISR or eligible to lead.
    pub is_counted_on: bool,
}
