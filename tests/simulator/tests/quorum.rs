//! A few seeds of the quorum on every build: nothing is violated, a run is the same each time, and rules that are broken on
//! purpose are noticed. `klamm-sim --world quorum --seeds N` runs as many as one likes.

use klamm_simulator::Mutation;
use klamm_simulator::raft::{Fault, Options, replay_command, run};

/// Short runs, for a debug build.
fn options(faults: &[Fault]) -> Options {
    Options { duration_ms: 2_000, faults: faults.to_vec(), ..Options::default() }
}

#[test]
fn no_property_is_violated() {
    let options = options(&Fault::ALL);
    let violations: Vec<String> = (0..8)
        .filter_map(|seed| {
            let violation = run(seed, &options).violation?;
            Some(format!("{}: {}\n  {}", violation.property, violation.what, replay_command(seed, &options)))
        })
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_seed_runs_the_same_way_each_time() {
    let options = options(&Fault::ALL);
    for seed in [3, 1_234_567] {
        let (first, second) = (run(seed, &options), run(seed, &options));
        assert_eq!((first.trace_hash, first.events), (second.trace_hash, second.events), "seed {seed}");
        assert_ne!(first.trace_hash, run(seed + 1, &options).trace_hash);
    }
}

#[test]
fn a_quorum_without_faults_commits_and_rests() {
    let report = run(1, &options(&[]));
    assert_eq!(report.violation, None);
    assert!(report.committed > 50, "{report:?}");
}

/// Runs seeds until a property notices the broken rule; with the rule whole the same seed breaks nothing.
fn is_caught(name: &str, seeds: u64, faults: &[Fault], by: &[&str]) {
    let whole = options(faults);
    let broken = Options { mutation: Mutation::named(name), ..whole.clone() };
    assert!(broken.mutation.is_some(), "this build cannot break {name}");
    let property = (0..seeds).find_map(|seed| {
        let violation = run(seed, &broken).violation?;
        run(seed, &whole).violation.is_none().then_some(violation.property)
    });
    let expected = property.is_some_and(|property| by.iter().any(|by| property.starts_with(by)));
    assert!(expected, "{name} was noticed by {property:?}");
}

#[test]
fn reused_controller_id() {
    let faults = [Fault::DiskLost, Fault::Isolation, Fault::Pause, Fault::OneWay];
    is_caught("ReusedControllerId", 20, &faults, &["S9", "S8", "S2", "S6", "P1"]);
}

#[test]
fn vote_not_synced() {
    is_caught("VoteNotSynced", 20, &[Fault::Power, Fault::PowerAll, Fault::Isolation], &["S4", "S3"]);
}

#[test]
fn append_acknowledged_before_sync() {
    let faults = [Fault::Power, Fault::PowerAll, Fault::Isolation];
    is_caught("AppendAcknowledgedBeforeSync", 20, &faults, &["S9", "S8", "S2", "S6", "P1"]);
}

#[test]
fn snapshot_not_synced() {
    is_caught("SnapshotNotSynced", 20, &[Fault::Power, Fault::PowerAll], &["S4", "S8"]);
}

const ROT: [Fault; 4] = [Fault::FlippedBit, Fault::ShortFile, Fault::ZeroedBlock, Fault::OldBlock];

#[test]
fn old_vote_believed() {
    let faults = [Fault::OldBlock, Fault::Isolation, Fault::Transfer];
    is_caught("OldVoteBelieved", 60, &faults, &["S4"]);
}

#[test]
fn lost_end_ignored() {
    let faults = [&ROT[..], &[Fault::Isolation, Fault::KindUnanswered]].concat();
    is_caught("LostEndIgnored", 60, &faults, &["S4"]);
}

/// Most damage is met by a process that starts, and every such run ends with a quorum that has all it had.
#[test]
fn damaged_disks_are_noticed() {
    let options = options(&ROT);
    let reports: Vec<_> = (0..6).map(|seed| run(seed, &options)).collect();
    assert!(reports.iter().all(|report| report.violation.is_none()), "{reports:?}");
    assert!(reports.iter().map(|report| report.noticed).sum::<u64>() > 0, "{reports:?}");
}

#[test]
fn unknown_called_refused() {
    is_caught("UnknownCalledRefused", 20, &[Fault::Isolation, Fault::Pause, Fault::Bridge], &["P5"]);
}
