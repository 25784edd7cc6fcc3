//! Set-ups that are broken on purpose, to show that the suite notices: each must make the scenario named with it fail.

use klamm_harness::ClusterSpec;
use serde::{Deserialize, Serialize};

use crate::workload::Setting;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
pub enum Broken {
    /// Producers with acks=1 take a leader's word for it: `leader-stopped` finds acknowledgements of a zombie (P1).
    AcksOne,
    /// Brokers acknowledge before anything is synced: `power-lost-everywhere` finds records lost (P1).
    NoSync,
}

/// What is broken, the scenario that must notice, and how many injections it gets.
pub const PROOFS: &[(Broken, &str, usize)] =
    &[(Broken::AcksOne, "leader-stopped", 3), (Broken::NoSync, "power-lost-everywhere", 1)];

impl Broken {
    /// Breaks what brokers are configured with.
    pub fn spec(self, spec: ClusterSpec) -> ClusterSpec {
        match self {
            Self::AcksOne => spec,
            Self::NoSync => spec.property("log.flush.interval.messages", "9223372036854775807"),
        }
    }

    /// Breaks what clients are configured with.
    pub fn setting(self, setting: Setting) -> Setting {
        match self {
            Self::AcksOne => Setting { acks: "1", ..setting },
            Self::NoSync => setting,
        }
    }
}
