//! A whole cluster in one process: the real log, replica, metadata and coordinator code under a virtual clock, a virtual
//! network and simulated disks. One seed is one run, and a run is the same each time.
//!
//! What the server does with threads and sockets, the simulated node does with events: the glue of
//! `broker/server/src/partition`, `metadata`, `group` and `lifecycle` is written again in `node`, in the same shape, as
//! the server's own cannot run without tokio. A bug of that glue shows here only if it was written here, too.
//!
//! **In this world raft is a model.** The metadata quorum is one committed log of record batches, an active controller
//! that decides with the real controller code, proposals that take time and may or may not survive an election, a
//! replaced controller that does not know yet and whose proposals fail, voters whose image lags, and a quorum without a
//! majority. [`raft`] is a second world, in which the real quorum runs, openraft included. Fetch sessions, requests'
//! encoding, transactions, compaction, retention and the deletion of topics are tested elsewhere.
//!
//! | module | one thing |
//! |---|---|
//! | `run` | a run of one seed, and its report |
//! | `world` | all parties under one clock, and what is looked at after each event |
//! | `node` | a broker's glue |
//! | `quorum` | the metadata quorum |
//! | `client` | idempotent producers, consumers with groups, administrators |
//! | `network`, `disk` | what messages and writes meet |
//! | `faults` | what strikes, when, and what it does |
//! | `history` | what the invariants are told |
//! | `invariants` | the properties, one file each |
//! | `raft` | the other world: controllers, and nothing else |
//! | `mutation` | rules broken on purpose, to show that the properties notice |
//!
//! A property that does not hold is printed with its seed and one command that runs it again, with its trace.

mod client;
mod disk;
mod faults;
mod history;
mod invariants;
mod message;
mod mutation;
mod network;
mod node;
mod outbox;
mod party;
mod queue;
mod quorum;
pub mod raft;
mod random;
mod run;
mod topology;
mod trace;
mod world;

pub use faults::{Family, Strikes};
pub use history::{ClientEvent, Digest, ServerEvent};
pub use invariants::{Invariant, Invariants, Verdict, Violation};
pub use mutation::{Mutation, all as mutations};
pub use run::{DURATION_MS, Options, Report, replay_command, run};
