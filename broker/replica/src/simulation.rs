//! Seeded runs of a partition under message loss, delay, reordering and repetition, crashes, lost disks and leader
//! changes, checked after every step; and the same with one rule broken, to show that the checks would notice.

mod cluster;
mod controller;
mod failures;
mod invariants;
mod node;
mod random;

use crate::mutation::{Mutation, with};
use cluster::Cluster;

const STEPS: usize = 1_500;
const SEEDS: u64 = 300;
/// More seeds than the slowest of the broken rules needs.
const SEEDS_TO_CATCH: u64 = 3_000;

/// Runs one seed and returns what did not hold.
fn run(seed: u64) -> Option<String> {
    let mut cluster = Cluster::new(seed);
    for step in 0..STEPS {
        cluster.step();
        if let Some(violation) = invariants::violation(&cluster) {
            return Some(format!("seed {seed}, step {step}: {violation}"));
        }
    }
    cluster.heal();
    let broken = invariants::violation(&cluster).or_else(|| invariants::not_at_rest(&cluster));
    broken.map(|violation| format!("seed {seed}, after the repair: {violation}"))
}

fn assert_caught(mutation: Mutation) {
    let caught = with(Some(mutation), || (0..SEEDS_TO_CATCH).find_map(run));
    assert!(caught.is_some(), "{mutation:?} went unnoticed");
}

#[test]
fn acknowledged_records_survive_and_the_replicas_come_to_agree() {
    let violations: Vec<String> = (0..SEEDS).filter_map(run).collect();
    assert!(violations.is_empty(), "{violations:#?}");
}

#[test]
fn catches_a_high_watermark_that_moves_below_min_isr() {
    assert_caught(Mutation::HighWatermarkBelowMinIsr);
}

#[test]
fn catches_a_high_watermark_that_ignores_a_pending_expansion() {
    assert_caught(Mutation::HighWatermarkIgnoresPendingExpansion);
}

#[test]
fn catches_a_leader_that_counts_what_is_not_durable() {
    assert_caught(Mutation::LeaderCountsUndurable);
}

#[test]
fn catches_a_follower_that_joins_below_the_high_watermark() {
    assert_caught(Mutation::ExpandBelowHighWatermark);
}

#[test]
fn catches_a_follower_that_joins_with_what_was_deleted() {
    assert_caught(Mutation::ExpandBelowLogStart);
}

#[test]
fn catches_a_deletion_that_does_not_wait_for_eligible_replicas() {
    assert_caught(Mutation::DeletionIgnoresElr);
}

#[test]
fn catches_a_fetch_of_an_earlier_process() {
    assert_caught(Mutation::BrokerEpochIgnored);
}

#[test]
fn catches_a_follower_that_fetches_on_before_its_flush() {
    assert_caught(Mutation::FollowerFetchesBeforeFlush);
}

#[test]
fn catches_a_leader_that_serves_a_diverged_follower() {
    assert_caught(Mutation::DivergenceIgnored);
}
