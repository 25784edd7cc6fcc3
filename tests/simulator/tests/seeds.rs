//! A few seeds on every build: nothing is violated, and a run is the same each time.

use klamm_simulator::{Family, Options, Strikes, replay_command, run};

/// Few enough for a debug build; `klamm-sim --seeds` runs as many as one likes.
const SEEDS: u64 = 100;

#[test]
fn no_property_is_violated() {
    let options = Options::default();
    let violations: Vec<String> = (0..SEEDS)
        .filter_map(|seed| {
            let violation = run(seed, &options).violation?;
            Some(format!("{}: {}\n  {}", violation.property, violation.what, replay_command(seed, &options)))
        })
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_seed_runs_the_same_way_each_time() {
    let options = Options::default();
    for seed in [3, 17, 1_234_567] {
        let (first, second) = (run(seed, &options), run(seed, &options));
        assert_eq!((first.trace_hash, first.events), (second.trace_hash, second.events), "seed {seed}");
        assert_ne!(first.trace_hash, run(seed + 1, &options).trace_hash);
    }
}

#[test]
fn every_fault_strikes() {
    let mut strikes = Strikes::default();
    (200..240).for_each(|seed| strikes.add(&run(seed, &Options::default()).strikes));
    let never: Vec<Family> =
        Family::usual().into_iter().filter(|family| !strikes.struck.contains_key(family)).collect();
    assert!(never.is_empty(), "{never:?} never struck");
}

#[test]
fn no_damage_of_any_file_is_served_or_loses_what_others_hold() {
    let faults = vec![
        Family::Rot,
        Family::Truncated,
        Family::Zeroed,
        Family::StaleBlock,
        Family::Crash,
        Family::Shutdown,
        Family::Cut,
    ];
    let options = Options { faults, ..Options::default() };
    let violations: Vec<String> = (0..SEEDS)
        .filter_map(|seed| {
            let violation = run(seed, &options).violation?;
            Some(format!("{}: {}\n  {}", violation.property, violation.what, replay_command(seed, &options)))
        })
        .collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn a_cluster_without_faults_commits_and_rests() {
    let report = run(1, &Options { faults: Vec::new(), duration_ms: 3_000, ..Options::default() });
    assert_eq!(report.violation, None);
    assert!(report.acked > 100, "{report:?}");
}
