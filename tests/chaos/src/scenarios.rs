//! The scenarios, one file each: a fault, injected again and again while clients go on, and the bar that it is held against.

mod bit_flipped;
mod controller_killed;
mod controllers_gone;
mod disk_full;
mod kafka_leader_killed;
mod leader_isolated;
mod leader_killed;
mod leader_rotten;
mod leader_stopped;
mod lossy;
mod mixed;
mod partitioned;
mod power_lost;
mod power_lost_everywhere;
mod rolled;
mod sync_failed;

use std::time::Duration;

use anyhow::Result;

use crate::run::Run;

/// A scenario.
pub struct Scenario {
    /// For the command line.
    pub name: &'static str,
    /// The fault, for the report.
    pub fault: &'static str,
    /// What shall hold, for the report.
    pub bar: &'static str,
    /// The bar of the 99th percentile of its figure.
    pub limit: Option<Duration>,
    /// Injections in the slice that CI runs; none leaves the scenario out of it.
    pub slice: usize,
    /// Injections in the whole.
    pub whole: usize,
    /// Others beside it would spoil its figure, or it theirs.
    pub alone: bool,
    /// Injects, measures, heals, and has the properties checked.
    pub run: fn(&mut Run) -> Result<()>,
}

/// All of them, in the order of the report.
pub const ALL: &[Scenario] = &[
    leader_killed::SCENARIO,
    kafka_leader_killed::SCENARIO,
    leader_stopped::SCENARIO,
    leader_isolated::SCENARIO,
    controller_killed::SCENARIO,
    controllers_gone::SCENARIO,
    rolled::SCENARIO,
    partitioned::ONE_WAY,
    partitioned::BRIDGE,
    partitioned::MAJORITY,
    lossy::SCENARIO,
    power_lost::SCENARIO,
    power_lost_everywhere::SCENARIO,
    disk_full::SCENARIO,
    sync_failed::SCENARIO,
    bit_flipped::SCENARIO,
    leader_rotten::SCENARIO,
    mixed::SCENARIO,
];

/// The scenario of that name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
