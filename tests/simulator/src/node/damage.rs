//! Copies that are not what was written: looked for, given up where others hold them, cut, and fetched again.

use klamm_log::Checked;
use klamm_metadata::controller::Command;
use klamm_replica::{FollowerStart, FollowerState};
use klamm_wire::messages::replica_damage_request::ReplicaDamageRequest;
use klamm_wire::messages::replica_damage_response::ReplicaDamageResponse;

use super::Node;
use super::replica::{Replica, Role, Sparks};
use crate::message::Key;
use crate::mutation::{Mutation, is_active};
use crate::outbox::Outbox;

/// Bytes that are checked at a time.
const PIECE: u64 = 4_096;

/// What is known to be wrong with a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    None,
    /// Nothing at or behind the offset is known to be sound.
    Found(i64),
    /// The same, and from this leader epoch on nobody counts on this copy.
    GivenUp {
        offset: i64,
        leader_epoch: i32,
    },
}

impl Node {
    /// Looks through what nobody has looked at, and asks the controller to count on others where something is wrong.
    pub(super) fn look_for_damage(&mut self, out: &mut Outbox) {
        for key in 0..self.topology.partitions() {
            let found = self.change(key, out, |replica, _, sparks| replica.examine(sparks)).flatten();
            self.renew_points(out);
            if let Some(offset) = found {
                let node = self.id;
                out.note(|| format!("node {node}: partition {key} is damaged at {offset}"));
                self.report_damage(key, out);
            }
        }
    }

    fn report_damage(&mut self, key: Key, out: &mut Outbox) {
        let (topic, partition_index) = self.topology.name(key);
        let Some(process) = self.process.as_ref().filter(|process| process.damage_call.is_none()) else {
            return;
        };
        let topic_id = process.image.topic(topic).map(|topic| topic.id).unwrap_or_default();
        let request = ReplicaDamageRequest {
            broker_id: self.id as i32,
            broker_epoch: process.broker_epoch,
            topic_id,
            partition_index,
            ..ReplicaDamageRequest::default()
        };
        let id = self.command(Command::ReplicaDamage(request), out);
        if let Some(process) = self.process.as_mut() {
            process.damage_call = Some((id, key));
        }
    }

    /// The controller's answer; `None` when there was none in time.
    pub(super) fn damage_reported(&mut self, answer: Option<&ReplicaDamageResponse>, out: &mut Outbox) {
        let Some((_, key)) = self.process.as_mut().and_then(|process| process.damage_call.take()) else {
            return;
        };
        let Some(answer) = answer.filter(|answer| answer.error_code == 0) else { return };
        let leader_epoch = answer.leader_epoch;
        self.change(key, out, |replica, _, sparks| {
            if let Damage::Found(offset) = replica.damage {
                replica.damage = Damage::GivenUp { offset, leader_epoch };
                replica.repair(sparks);
            }
        });
        self.renew_points(out);
    }
}

impl Replica {
    /// The offset from which on nothing is known to be sound, until it is given up.
    fn examine(&mut self, sparks: &mut Sparks) -> Option<i64> {
        if self.damage == Damage::None
            && !matches!(self.role, Role::Offline)
            && let Some(offset) = self.first_damage()
        {
            self.damage = Damage::Found(offset);
            if is_active(Mutation::DamageCutAtOnce) {
                self.damage = Damage::GivenUp { offset, leader_epoch: i32::MIN };
                self.repair(sparks);
            }
        }
        match self.damage {
            Damage::Found(offset) => Some(offset),
            Damage::None | Damage::GivenUp { .. } => None,
        }
    }

    /// Compares the leader epochs that were on the disk with the partition's, once: one above that no leader has had.
    pub(super) fn compare_epochs(&mut self, leader_epoch: i32) {
        if !std::mem::replace(&mut self.doubts_epochs, false) {
            return;
        }
        let Some(impossible) = self.log.epochs().iter().find(|entry| entry.epoch > leader_epoch) else {
            return;
        };
        match &mut self.damage {
            Damage::None => self.damage = Damage::Found(impossible.start_offset),
            Damage::Found(offset) | Damage::GivenUp { offset, .. } => {
                *offset = impossible.start_offset.min(*offset);
            }
        }
    }

    fn first_damage(&mut self) -> Option<i64> {
        while let Some(mut check) = self.log.plan_check() {
            loop {
                match check.run(PIECE) {
                    Ok(Checked::More) => {}
                    Ok(Checked::Done) => break self.log.mend(&check).map(drop).unwrap_or_default(),
                    Ok(Checked::Damaged { offset, .. }) => return Some(offset),
                    // The disk fails elsewhere, too.
                    Err(_) => return None,
                }
            }
        }
        None
    }

    /// Cuts the log before the damage, once the metadata counts on others.
    pub(super) fn repair(&mut self, sparks: &mut Sparks) {
        let Damage::GivenUp { offset, leader_epoch } = self.damage else { return };
        let (known_epoch, is_counted_on) = self.counted;
        let is_due = known_epoch >= leader_epoch && !is_counted_on;
        let waits = !is_due && !is_active(Mutation::DamageCutAtOnce);
        if waits || matches!(self.role, Role::Leader(_) | Role::Offline) || self.log.is_writing() {
            return;
        }
        self.outdated_point = true;
        self.checked_to = self.checked_to.min(offset);
        if let Err(error) = self.log.truncate_to(offset) {
            return self.go_offline(&error.to_string(), sparks);
        }
        self.damage = Damage::None;
        self.high_watermark = self.high_watermark.min(self.log.end_offset());
        if let Role::Follower(follower) = &self.role {
            let (leader, leader_epoch) = (follower.leader(), follower.leader_epoch());
            let (log, high_watermark) = (self.log_ends(), self.high_watermark);
            let start = FollowerStart { leader, leader_epoch, log, high_watermark };
            self.role = Role::Follower(FollowerState::new(start));
            sparks.assigned_to = usize::try_from(leader).ok();
            self.mark_dirty(sparks);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use klamm_log::{Log, LogConfig, OpenOptions, SimDisk};
    use klamm_metadata::Partition;
    use klamm_records::BatchBuilder;

    use super::*;
    use crate::node::role::Assignment;

    /// A replica with one record of each of these leader epochs.
    fn replica(epochs: &[i32]) -> Replica {
        let disk = Arc::new(SimDisk::new(1));
        let dir = PathBuf::from("/data/t-0");
        let (mut log, _) = Log::open(disk, dir, LogConfig::default(), OpenOptions::default()).unwrap();
        for epoch in epochs {
            let mut batch = BatchBuilder::new(0);
            batch.push(0, None, Some(b"record"), &[]).unwrap();
            log.append_as_leader(batch.finish().unwrap(), *epoch, 0).unwrap();
        }
        log.flush().unwrap();
        Replica::new(log, 0)
    }

    fn assign(replica: &mut Replica, leader: i32, leader_epoch: i32, knows_epochs: bool) {
        let partition =
            Partition { replicas: vec![0, 1], isr: vec![0, 1], leader, leader_epoch, ..Partition::default() };
        let assignment = Assignment {
            local: 0,
            partition: &partition,
            min_isr: 1,
            eligible: vec![(0, 7), (1, 8)],
            is_registered: knows_epochs,
            knows_epochs,
        };
        replica.assign(&assignment, 0, &mut Sparks::default());
    }

    #[test]
    fn an_epoch_that_no_leader_had_is_damage_once_the_metadata_are_not_older() {
        for leader in [0, 1] {
            let mut replica = replica(&[3, 3, 4, 260]);
            assign(&mut replica, leader, 4, false);
            assert_eq!(replica.damage, Damage::None, "perhaps the metadata are of the past");
            assign(&mut replica, leader, 4, true);
            assert_eq!(replica.damage, Damage::Found(3), "led by {leader}");
            assert_eq!(replica.examine(&mut Sparks::default()), Some(3), "until it is given up");
        }
    }

    #[test]
    fn it_is_cut_once_and_then_fetched_again() {
        let mut replica = replica(&[3, 4, 260, 260]);
        assign(&mut replica, 1, 4, true);
        replica.damage = Damage::GivenUp { offset: 2, leader_epoch: 4 };
        replica.counted = (5, false);
        replica.repair(&mut Sparks::default());
        assert_eq!((replica.damage, replica.log.end_offset()), (Damage::None, 2));
        assert_eq!(replica.log.latest_epoch(), Some(4));
        let Role::Follower(follower) = &replica.role else { panic!("{:?}", replica.role) };
        assert!(matches!(follower.next_fetch(0), klamm_replica::NextFetch::Now(_)));
    }

    #[test]
    fn epochs_that_leaders_had_are_no_damage_and_looked_at_once() {
        let mut replica = replica(&[3, 4]);
        assign(&mut replica, 1, 4, true);
        assert_eq!(replica.damage, Damage::None);
        assign(&mut replica, 1, 3, true);
        assert_eq!(replica.damage, Damage::None, "what came since is of leaders that the metadata name");
    }

    #[test]
    fn damage_that_is_known_stays_where_it_begins_first() {
        for (known, begins) in [(1, 1), (9, 2)] {
            let mut replica = replica(&[3, 4, 260]);
            replica.damage = Damage::Found(known);
            assign(&mut replica, 1, 4, true);
            assert_eq!(replica.damage, Damage::Found(begins));
        }
    }
}
