//! A quorum of controllers in one process: the real `klamm-quorum`, openraft included, on simulated disks and a simulated
//! network, under tokio's paused clock. One seed is one run, and a run is the same each time.
//!
//! Nothing of the quorum is written again here. Its feature `simulated` makes tasks, random numbers and the time that a disk
//! takes follow from the seed, and lets a process be stopped and killed between any two of its steps; what this world adds is
//! the network, the disks, who proposes, what strikes, and what is looked at every few virtual milliseconds.
//!
//! | module | one thing |
//! |---|---|
//! | `world` | all parties of a run, and the run |
//! | `controller` | a disk, and the process that runs on it |
//! | `network` | what a message meets |
//! | `client` | who proposes, one change at a time |
//! | `faults`, `strike`, `rot` | what may strike, and what it does |
//! | `look` | what the invariants are told of each controller |
//! | `ending` | what must come true when nothing strikes any more |
//! | `book` | the trace, and the invariants |

mod book;
mod client;
mod controller;
mod ending;
mod faults;
mod look;
mod network;
mod rot;
mod strike;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use faults::Fault;

use crate::invariants::Violation;
use crate::mutation::{self, Mutation};
use world::World;

/// Virtual milliseconds of faults, unless told otherwise.
pub const DURATION_MS: u64 = 6_000;

/// What a run is like, apart from its seed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long faults strike, in virtual milliseconds; the repair comes after it.
    pub duration_ms: u64,
    /// What may strike.
    pub faults: Vec<Fault>,
    /// A rule that is broken on purpose.
    pub mutation: Option<Mutation>,
    /// Whether to print what happens.
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { duration_ms: DURATION_MS, faults: Fault::ALL.to_vec(), mutation: None, trace: false }
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
    /// Messages, answers and looks that found something new.
    pub events: u64,
    /// Virtual milliseconds that passed.
    pub virtual_ms: u64,
    /// Proposals that were answered as committed.
    pub committed: u64,
    /// The last controller epoch.
    pub epochs: u64,
    /// Snapshots that a controller was sent because its log ended before the leader's began.
    pub installed: u64,
    /// Damaged disks over which a process did not start.
    pub noticed: u64,
    /// How often each fault struck, and had an effect.
    pub strikes: BTreeMap<Fault, u64>,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Report {
    mutation::with(options.mutation, || {
        let world = World::new(seed, options);
        if catch_unwind(AssertUnwindSafe(|| world.run())).is_err() {
            world.book.lock().panicked("the simulator itself");
        }
        world.report(seed)
    })
}

/// The command that runs this seed again.
pub fn replay_command(seed: u64, options: &Options) -> String {
    let mut command = "cargo run -p klamm-simulator".to_owned();
    if options.mutation.is_some() {
        command += " --features mutations";
    }
    command += &format!(" -- --world quorum --seed {seed} --duration {}", options.duration_ms);
    if options.faults != Fault::ALL {
        let names: Vec<String> = options.faults.iter().map(|fault| fault.name()).collect();
        command +=
            &format!(" --faults {}", if names.is_empty() { "none".to_owned() } else { names.join(",") });
    }
    if let Some(mutation) = options.mutation {
        command += &format!(" --mutation {}", mutation.name());
    }
    command + " --trace"
}
