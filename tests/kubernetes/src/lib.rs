//! End-to-end tests of the operator on a real Kubernetes, and its measurements there.
//!
//! `cargo xtask e2e` builds what they need, starts the testbed (or takes `--kubeconfig`) and runs `klamm-e2e` inside its
//! network. Nothing in here knows how the operator works: it installs the chart, applies resources, breaks things, and looks.
//!
//! - [`scenarios`]: the behaviours, in the order in which they run; [`runner`] runs them and keeps what a failure left
//! - [`bed`]: what scenarios share: a cluster of three brokers with traffic that never stops, and one of a single broker
//! - [`traffic`]: producers and readers over every fault, and the ledger of what they were told
//! - [`api`], [`command`]: the API server as data, and the commands that a user types
//! - [`namespace`], [`kafka`], [`manifest`], [`operator`], [`wire`]: what scenarios are written in
//! - [`faults`]: machines that vanish and processes that die
//! - [`roll_watch`], [`audit`]: what a roll looked like from outside, and what the operator asked the API server for
//! - [`bench`]: the figures

pub mod api;
pub mod audit;
pub mod bed;
pub mod bench;
pub mod command;
pub mod faults;
pub mod kafka;
pub mod manifest;
pub mod namespace;
pub mod operator;
pub mod roll_watch;
pub mod runner;
pub mod scenarios;
pub mod traffic;
pub mod wire;
