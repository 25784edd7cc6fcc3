//! One run of one seed, and many.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::faults::{Family, Strikes};
use crate::history::ServerEvent;
use crate::invariants::Violation;
use crate::mutation::{self, Mutation};
use crate::world::World;

/// Virtual milliseconds of faults, unless told otherwise.
pub const DURATION_MS: i64 = 10_000;

/// What a run is like, apart from its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long faults strike, in virtual milliseconds; the repair comes after it.
    pub duration_ms: i64,
    /// What may strike.
    pub faults: Vec<Family>,
    /// A rule that is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Whether to print what happens.
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { duration_ms: DURATION_MS, faults: Family::usual(), mutation: None, trace: false }
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first property that did not hold.
    pub violation: Option<Violation>,
    /// Equal for every run of this seed with these options.
    pub trace_hash: u64,
    /// Events that happened.
    pub events: u64,
    /// Virtual milliseconds that passed.
    pub virtual_ms: i64,
    /// Records that were acknowledged.
    pub acked: u64,
    /// Messages that were lost, that came twice, that came late.
    pub messages: [u64; 3],
    /// What struck.
    pub strikes: Strikes,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Report {
    mutation::with(options.mutation, || {
        let mut world = World::new(options, seed);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            world.tell_server(&ServerEvent::Panicked { what: text(&*payload) });
        }
        Report {
            seed,
            violation: world.violation.take(),
            trace_hash: world.trace.hash(),
            events: world.trace.events(),
            virtual_ms: world.out.now_ms(),
            acked: world.acked(),
            messages: [world.network.lost, world.network.duplicated, world.network.delayed],
            strikes: world.strikes.clone(),
        }
    })
}

fn text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without text").to_owned()
}

/// The command that runs this seed again.
pub fn replay_command(seed: u64, options: &Options) -> String {
    let mut command = "cargo run -p klamm-simulator".to_owned();
    if options.mutation.is_some() {
        command += " --features mutations";
    }
    command += &format!(" -- --seed {seed} --duration {}", options.duration_ms);
    if options.faults != Family::usual() {
        let names: Vec<String> = options.faults.iter().map(|family| family.name()).collect();
        command += &format!(" --faults {}", names.join(","));
    }
    if let Some(mutation) = options.mutation {
        command += &format!(" --mutation {}", mutation.name());
    }
    command + " --trace"
}
