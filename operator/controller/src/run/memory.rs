//! What is remembered of a cluster between two looks. All of it may be lost at any time: it only saves work.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_operator_plan::observed::Refusal;
use tokio::time::Instant;

use super::apply::Applied;
use super::brokers::{Brokers, Seen};
use crate::up::attempts::Attempts;

/// How long the brokers' word is taken while something moves, and at rest.
const BUSY: Duration = Duration::from_millis(900);
const AT_REST: Duration = Duration::from_millis(9_900);
/// How often a refused restart is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// The wait after the first look that failed; it doubles with each.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// What is remembered of a cluster.
pub struct Memory {
    /// The way to its brokers.
    pub brokers: Box<dyn Brokers>,
    /// The resource that all of this is about.
    pub uid: Option<String>,
    /// What the brokers said last; none if they could not be asked.
    pub seen: Option<Seen>,
    /// When they were asked.
    pub asked: Option<Instant>,
    /// Something happened after which they should be asked again.
    pub ask: bool,
    /// Why restarts were refused, and when.
    pub refusals: BTreeMap<i32, (Refusal, Instant)>,
    /// The grant that was given to us and under which nothing was taken away since.
    pub unused: Option<i64>,
    /// What was tried.
    pub attempts: Attempts,
    /// What was applied.
    pub applied: Applied,
    /// Looks that failed since the last that did not.
    pub failures: u32,
    /// What was told in events and not resolved since, so that it is told once.
    pub told: BTreeSet<String>,
}

impl Memory {
    /// Nothing is known yet.
    pub fn new(brokers: Box<dyn Brokers>) -> Self {
        Self {
            brokers,
            uid: None,
            seen: None,
            asked: None,
            ask: true,
            refusals: BTreeMap::new(),
            unused: None,
            attempts: Attempts::default(),
            applied: Applied::default(),
            failures: 0,
            told: BTreeSet::new(),
        }
    }

    /// Whether the controller has said that `holder` has no grant.
    pub fn holds_none(&self, holder: &str) -> bool {
        let grants = self.seen.as_ref().and_then(|seen| seen.grants.as_ref());
        grants.is_some_and(|grants| grants.iter().all(|grant| grant.holder != holder))
    }

    /// Whether the brokers should be asked now.
    pub fn is_curious(&self, now: Instant) -> bool {
        let patience = if self.ask { BUSY } else { AT_REST };
        self.asked.is_none_or(|at| now.saturating_duration_since(at) >= patience)
    }

    /// What was refused. What is old still stands, and the controller is asked again.
    pub fn refusals(&mut self, now: Instant) -> BTreeMap<i32, Refusal> {
        let stale = |at: Instant| now.saturating_duration_since(at) >= ASK_AGAIN;
        let refusals = self.refusals.iter();
        refusals
            .map(|(node, (refusal, at))| (*node, Refusal { stale: stale(*at), ..refusal.clone() }))
            .collect()
    }

    /// How long to wait after one more failure. `jitter` is between 0 and 1, so that clusters that failed together are
    /// not tried together.
    pub fn backoff(&mut self, jitter: f64) -> Duration {
        let wait = AFTER_FAILURE.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait.mul_f64(0.5 + jitter / 2.0)
    }
}
