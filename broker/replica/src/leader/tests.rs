//! The leader's rules, one test each.

use super::*;

const LAG: i64 = 30_000;

fn members(partition_epoch: i32, isr: &[i32]) -> Membership {
    Membership {
        partition_epoch,
        isr: isr.to_vec(),
        elr: Vec::new(),
        replicas: vec![1, 2, 3],
        min_isr: 2,
        eligible: vec![(1, 11), (2, 12), (3, 13)],
    }
}

fn leader_at(end: i64, isr: &[i32]) -> LeaderState {
    let start = LeaderStart {
        local: 1,
        leader_epoch: 5,
        log_start: 0,
        log_end: end,
        counted_end: end,
        high_watermark: 0,
        lag_time_max_ms: LAG,
        membership: members(7, isr),
    };
    LeaderState::new(start, 0).0
}

fn append(leader: &mut LeaderState, end: i64, now: i64) -> Option<i64> {
    assert_eq!(leader.step(LeaderEvent::LocalAppended { end }, now), LeaderEffects::default());
    leader.step(LeaderEvent::LocalDurable { end }, now).high_watermark
}

fn fetch(leader: &mut LeaderState, replica: i32, fetch_offset: i64, now: i64) -> LeaderEffects {
    fetch_from(leader, replica, 0, fetch_offset, now)
}

/// A fetch into a log that begins at `log_start`.
fn fetch_from(
    leader: &mut LeaderState,
    replica: i32,
    log_start: i64,
    fetch_offset: i64,
    now: i64,
) -> LeaderEffects {
    let broker_epoch = i64::from(10 + replica);
    leader.step(LeaderEvent::FollowerFetched { replica, broker_epoch, fetch_offset, log_start }, now)
}

fn done(leader: &mut LeaderState, outcome: AlterPartitionOutcome) -> LeaderEffects {
    leader.step(LeaderEvent::AlterPartitionDone(outcome), 0)
}

#[test]
fn the_high_watermark_is_the_smallest_end_in_the_isr() {
    let mut leader = leader_at(0, &[1, 2, 3]);
    assert_eq!(append(&mut leader, 10, 0), None);
    assert_eq!(fetch(&mut leader, 2, 10, 0).high_watermark, None);
    assert_eq!(fetch(&mut leader, 3, 4, 0).high_watermark, Some(4));
    assert_eq!(fetch(&mut leader, 3, 10, 0).high_watermark, Some(10));
    assert_eq!(leader.is_acked(10), Acked::Acked);
    assert_eq!(leader.is_acked(11), Acked::Pending);
}

#[test]
fn the_leaders_own_records_count_only_once_durable() {
    let mut leader = leader_at(0, &[1, 2]);
    let effects = leader.step(LeaderEvent::LocalAppended { end: 10 }, 0);
    assert_eq!(effects, LeaderEffects::default());
    assert_eq!(fetch(&mut leader, 2, 10, 0).high_watermark, None);
    assert_eq!(leader.step(LeaderEvent::LocalDurable { end: 6 }, 0).high_watermark, Some(6));
}

#[test]
fn a_single_replica_commits_alone() {
    let mut leader = leader_at(0, &[1]);
    let alone = Membership { replicas: vec![1], ..members(8, &[1]) };
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(alone), 0), LeaderEffects::default());
    assert!(leader.can_accept_acks_all(), "min.insync.replicas is capped by the replicas there are");
    assert_eq!(append(&mut leader, 3, 0), Some(3));
}

#[test]
fn below_min_isr_nothing_is_accepted_and_the_high_watermark_stands() {
    let mut leader = leader_at(0, &[1]);
    assert!(!leader.can_accept_acks_all());
    assert_eq!(append(&mut leader, 10, 0), None);
    assert_eq!(leader.high_watermark(), 0);
}

#[test]
fn an_isr_that_falls_below_minimum_after_the_append_is_reported() {
    let mut leader = leader_at(0, &[1, 2]);
    append(&mut leader, 10, 0);
    assert_eq!(fetch(&mut leader, 2, 10, 0).high_watermark, Some(10));
    let _ = leader.step(LeaderEvent::MetadataChanged(members(8, &[1])), 0);
    assert_eq!(leader.is_acked(10), Acked::NotEnoughReplicasAfterAppend);
}

#[test]
fn a_follower_joins_at_the_high_watermark_and_the_epoch_start() {
    let mut leader = leader_at(10, &[1, 2]);
    assert_eq!(fetch(&mut leader, 3, 9, 0).alter_partition, None, "below the start of the epoch");
    let proposal = fetch(&mut leader, 3, 10, 0).alter_partition.unwrap();
    assert_eq!(proposal.new_isr, [(1, 11), (2, -1), (3, 13)]);
    assert_eq!((proposal.leader_epoch, proposal.partition_epoch), (5, 7));
    assert_eq!(leader.isr(), &IsrState::PendingExpand { isr: vec![1, 2], adding: 3 });
}

#[test]
fn a_joining_follower_counts_before_it_is_committed() {
    let mut leader = leader_at(10, &[1, 2]);
    assert!(fetch(&mut leader, 3, 10, 0).alter_partition.is_some());
    append(&mut leader, 20, 0);
    assert_eq!(fetch(&mut leader, 2, 20, 0).high_watermark, Some(10));
    assert_eq!(fetch(&mut leader, 3, 20, 0).high_watermark, Some(20));
}

#[test]
fn a_follower_of_another_registration_does_not_join() {
    let mut leader = leader_at(10, &[1, 2]);
    let fetched =
        LeaderEvent::FollowerFetched { replica: 3, broker_epoch: 9, fetch_offset: 10, log_start: 0 };
    assert_eq!(leader.step(fetched, 0).alter_partition, None);
    assert!(fetch(&mut leader, 3, 10, 0).alter_partition.is_some());
    assert!(!leader.accepts_fetch(3, 9) && leader.accepts_fetch(3, 13) && !leader.accepts_fetch(4, 99));
}

#[test]
fn a_follower_joins_as_soon_as_it_is_unfenced() {
    let mut leader = leader_at(10, &[1, 2]);
    let fenced = Membership { eligible: vec![(1, 11), (2, 12)], ..members(7, &[1, 2]) };
    let _ = leader.step(LeaderEvent::MetadataChanged(fenced), 0);
    assert_eq!(fetch(&mut leader, 3, 10, 0).alter_partition, None);
    assert!(leader.step(LeaderEvent::MetadataChanged(members(7, &[1, 2])), 0).alter_partition.is_some());
}

#[test]
fn one_proposal_is_under_way_at_a_time() {
    let mut leader = leader_at(10, &[1]);
    assert!(fetch(&mut leader, 2, 10, 0).alter_partition.is_some());
    assert_eq!(fetch(&mut leader, 3, 10, 0).alter_partition, None);
    let committed = AlterPartitionOutcome::Committed { leader_epoch: 5, partition_epoch: 8, isr: vec![1, 2] };
    let next = done(&mut leader, committed).alter_partition.unwrap();
    assert_eq!(next.new_isr, [(1, 11), (2, 12), (3, 13)]);
    assert_eq!(next.partition_epoch, 8);
}

#[test]
fn metadata_overtakes_a_proposal_but_frees_it_only_when_answered() {
    let mut leader = leader_at(10, &[1, 2]);
    assert!(fetch(&mut leader, 3, 10, 0).alter_partition.is_some());
    let _ = leader.step(LeaderEvent::MetadataChanged(members(8, &[1, 2])), 0);
    assert!(leader.isr().is_committed());
    assert_eq!(fetch(&mut leader, 3, 10, 0).alter_partition, None, "the first is still under way");
    assert_eq!(done(&mut leader, AlterPartitionOutcome::AwaitMetadata).alter_partition, None);
    assert!(fetch(&mut leader, 3, 10, 0).alter_partition.is_some());
}

#[test]
fn outcomes_retry_revert_or_wait() {
    let mut leader = leader_at(10, &[1, 2]);
    let first = fetch(&mut leader, 3, 10, 0).alter_partition;
    assert_eq!(done(&mut leader, AlterPartitionOutcome::Retry).alter_partition, first);
    assert_eq!(done(&mut leader, AlterPartitionOutcome::AwaitMetadata).alter_partition, None);
    assert!(leader.isr().maximal_contains(3), "an unknown outcome keeps the maximal ISR");
    let mut leader = leader_at(10, &[1, 2]);
    assert!(fetch(&mut leader, 3, 10, 0).alter_partition.is_some());
    assert_eq!(done(&mut leader, AlterPartitionOutcome::Revert).alter_partition, None);
    assert_eq!(leader.isr(), &IsrState::Committed { isr: vec![1, 2] });
}

/// Whoever comes back with an empty disk before the proposal is decided must not be taken for who was proposed.
#[test]
fn a_proposal_made_again_names_the_process_that_had_caught_up() {
    let mut leader = leader_at(10, &[1, 2]);
    let first = fetch(&mut leader, 3, 10, 0).alter_partition.unwrap();
    let restarted = Membership { eligible: vec![(1, 11), (2, 12), (3, 23)], ..members(7, &[1, 2]) };
    let _ = leader.step(LeaderEvent::MetadataChanged(restarted), 0);
    let emptied =
        LeaderEvent::FollowerFetched { replica: 3, broker_epoch: 23, fetch_offset: 0, log_start: 0 };
    assert_eq!(leader.step(emptied, 0).alter_partition, None);
    assert_eq!(done(&mut leader, AlterPartitionOutcome::Retry).alter_partition, Some(first));
}

#[test]
fn a_stale_commit_changes_nothing() {
    let mut leader = leader_at(10, &[1, 2]);
    let stale = AlterPartitionOutcome::Committed { leader_epoch: 5, partition_epoch: 7, isr: vec![1] };
    let _ = done(&mut leader, stale);
    let foreign = AlterPartitionOutcome::Committed { leader_epoch: 4, partition_epoch: 9, isr: vec![1] };
    let _ = done(&mut leader, foreign);
    assert_eq!((leader.isr().committed(), leader.partition_epoch()), ([1, 2].as_slice(), 7));
}

#[test]
fn a_lagging_follower_is_removed_and_counts_until_that_is_committed() {
    let mut leader = leader_at(0, &[1, 2, 3]);
    append(&mut leader, 10, 0);
    let _ = fetch(&mut leader, 2, 10, LAG);
    let proposal = leader.step(LeaderEvent::Tick, LAG + 1).alter_partition.unwrap();
    assert_eq!(proposal.new_isr, [(1, 11), (2, 12)]);
    assert_eq!(leader.high_watermark(), 0);
    let committed = AlterPartitionOutcome::Committed { leader_epoch: 5, partition_epoch: 8, isr: vec![1, 2] };
    assert_eq!(done(&mut leader, committed).high_watermark, Some(10));
}

#[test]
fn an_idle_follower_that_holds_everything_stays() {
    let mut leader = leader_at(0, &[1, 2, 3]);
    append(&mut leader, 10, 0);
    let _ = (fetch(&mut leader, 2, 10, 0), fetch(&mut leader, 3, 10, 0));
    assert_eq!(leader.step(LeaderEvent::Tick, 100 * LAG).alter_partition, None);
}

#[test]
fn a_follower_that_keeps_up_with_a_moving_end_stays() {
    let mut leader = leader_at(0, &[1, 2]);
    for round in 1..100 {
        append(&mut leader, 10 * round, round * 1_000);
        let _ = fetch(&mut leader, 2, 10 * (round - 1), round * 1_000);
    }
    assert_eq!(leader.step(LeaderEvent::Tick, 101_000).alter_partition, None);
}

#[test]
fn the_high_watermark_waits_for_a_caught_up_follower_that_is_about_to_join() {
    let mut leader = leader_at(10, &[1, 2]);
    assert!(fetch(&mut leader, 3, 10, 0).alter_partition.is_some());
    let _ = done(&mut leader, AlterPartitionOutcome::Revert);
    append(&mut leader, 20, 1);
    assert_eq!(fetch(&mut leader, 2, 20, 1).high_watermark, Some(10));
    let without_3 = Membership { eligible: vec![(1, 11), (2, 12)], ..members(7, &[1, 2]) };
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(without_3), 1).high_watermark, Some(20));
}

#[test]
fn the_high_watermark_never_moves_back() {
    let mut leader = leader_at(0, &[1, 2]);
    append(&mut leader, 10, 0);
    assert_eq!(fetch(&mut leader, 2, 10, 0).high_watermark, Some(10));
    assert_eq!(fetch(&mut leader, 2, 3, 0).high_watermark, None);
    assert_eq!(leader.high_watermark(), 10);
}

#[test]
fn a_fetch_past_the_leaders_end_is_no_progress() {
    let mut leader = leader_at(5, &[1, 2]);
    let _ = fetch(&mut leader, 2, 50, 0);
    assert_eq!(leader.high_watermark(), 0);
}

#[test]
fn the_low_watermark_is_the_smallest_start_of_all_that_may_be_elected() {
    let mut leader = leader_at(10, &[1, 2]);
    assert_eq!(leader.step(LeaderEvent::LocalStartMoved { start: 8 }, 0).low_watermark, None);
    assert_eq!(leader.low_watermark(), -1, "nothing is known of 2");
    assert_eq!(fetch_from(&mut leader, 2, 5, 10, 0).low_watermark, Some(5));
    assert_eq!(fetch_from(&mut leader, 3, 0, 4, 0).low_watermark, None);
    assert_eq!(fetch_from(&mut leader, 2, 9, 10, 0).low_watermark, Some(8));
    assert_eq!(fetch_from(&mut leader, 2, 0, 10, 0).low_watermark, None, "an old fetch takes nothing back");
    assert_eq!(leader.low_watermark(), 8);
}

#[test]
fn a_deletion_waits_for_eligible_leader_replicas() {
    let mut leader = leader_at(10, &[1, 2]);
    let _ = (fetch(&mut leader, 2, 10, 0), leader.step(LeaderEvent::LocalStartMoved { start: 8 }, 0));
    let without_2 = Membership { elr: vec![2], ..members(8, &[1]) };
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(without_2), 0).low_watermark, None);
    let lost = members(9, &[1]);
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(lost), 0).low_watermark, Some(8));
}

/// The answer names the ISR alone: who left it may be elected until the metadata says otherwise.
#[test]
fn a_deletion_waits_for_who_left_the_isr_until_the_metadata_tells_of_the_elr() {
    let mut leader = leader_at(10, &[1, 2]);
    let _ = (fetch(&mut leader, 2, 10, 0), leader.step(LeaderEvent::LocalStartMoved { start: 8 }, 0));
    let _ = leader.step(LeaderEvent::LocalAppended { end: 12 }, LAG + 1);
    assert!(leader.step(LeaderEvent::Tick, 2 * LAG + 2).alter_partition.is_some());
    let done = AlterPartitionOutcome::Committed { leader_epoch: 5, partition_epoch: 8, isr: vec![1] };
    assert_eq!(leader.step(LeaderEvent::AlterPartitionDone(done), 0).low_watermark, None);
    let of_before = members(7, &[1, 2]);
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(of_before), 0).low_watermark, None);
    let eligible = Membership { elr: vec![2], ..members(8, &[1]) };
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(eligible), 0).low_watermark, None);
    assert_eq!(leader.step(LeaderEvent::MetadataChanged(members(9, &[1])), 0).low_watermark, Some(8));
}

#[test]
fn a_deletion_waits_for_a_follower_that_is_about_to_join() {
    let mut leader = leader_at(10, &[1, 2]);
    let _ = (fetch(&mut leader, 2, 10, 0), leader.step(LeaderEvent::LocalStartMoved { start: 4 }, 0));
    assert_eq!(fetch_from(&mut leader, 3, 0, 10, 0).alter_partition, None, "it holds what was deleted");
    assert!(fetch_from(&mut leader, 3, 4, 10, 0).alter_partition.is_some());
    let _ = leader.step(LeaderEvent::LocalStartMoved { start: 8 }, 0);
    assert_eq!(fetch_from(&mut leader, 2, 8, 10, 0).low_watermark, Some(4));
    assert_eq!(fetch_from(&mut leader, 3, 8, 10, 0).low_watermark, Some(8));
}

/// A leader that is behind on what is committed tells followers only that, and they delete no further.
#[test]
fn a_follower_joins_a_leader_whose_high_watermark_is_before_its_log_start() {
    let mut leader = leader_at(10, &[1]);
    let _ = leader.step(LeaderEvent::LocalStartMoved { start: 8 }, 0);
    assert_eq!(leader.high_watermark(), 0);
    assert!(fetch_from(&mut leader, 3, 0, 10, 0).alter_partition.is_some());
}

#[test]
fn a_follower_that_does_not_say_where_it_starts_joins_but_nothing_counts_as_deleted() {
    let mut leader = leader_at(10, &[1, 2]);
    let _ = (fetch(&mut leader, 2, 10, 0), leader.step(LeaderEvent::LocalStartMoved { start: 8 }, 0));
    assert!(fetch_from(&mut leader, 3, -1, 10, 0).alter_partition.is_some());
    assert_eq!(fetch_from(&mut leader, 2, 8, 10, 0).low_watermark, None);
}
