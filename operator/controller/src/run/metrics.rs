//! Metrics, in Prometheus' text format.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::key::Key;

/// Looks at a cluster. The name gets the suffix `_total`.
const RECONCILES: &str = "klamm_operator_reconciles";
/// How long looks took, in seconds.
const DURATION: &str = "klamm_operator_reconcile_duration_seconds";
/// What failed, by reason.
const ERRORS: &str = "klamm_operator_errors";
/// Steps carried out, by their name.
const ACTIONS: &str = "klamm_operator_actions";
/// 1 for a cluster at which nothing is left to do, 0 for one in work.
const STEADY: &str = "klamm_operator_reconcile_steady_state";
/// 1 if this operator leads, 0 if it waits.
const LEADER: &str = "klamm_operator_leader";
/// Upper bounds of the buckets of [`DURATION`].
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 20.0, 60.0];

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Counter,
    duration: Histogram,
    errors: Family<Reason, Counter>,
    actions: Family<Action, Counter>,
    steady: Family<Cluster, Gauge>,
    leader: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cluster {
    namespace: String,
    cluster: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            reconciles: Counter::default(),
            duration: Histogram::new(BUCKETS),
            errors: Family::default(),
            actions: Family::default(),
            steady: Family::default(),
            leader: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register(RECONCILES, "Looks at a cluster", metrics.reconciles.clone());
        registry.register(DURATION, "How long looks took", metrics.duration.clone());
        registry.register(ERRORS, "What failed, by reason", metrics.errors.clone());
        registry.register(ACTIONS, "Steps carried out, by name", metrics.actions.clone());
        registry.register(STEADY, "Whether nothing is left to do for a cluster", metrics.steady.clone());
        registry.register(LEADER, "Whether this operator leads", metrics.leader.clone());
        metrics
    }
}

impl Metrics {
    /// A look at a cluster is over.
    pub fn reconciled(&self, took: Duration) {
        self.reconciles.inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Something failed.
    pub fn failed(&self, reason: &str) {
        self.errors.get_or_create(&Reason { reason: reason.to_owned() }).inc();
    }

    /// A step was carried out `times` times.
    pub fn acted(&self, action: &str, times: u64) {
        self.actions.get_or_create(&Action { action: action.to_owned() }).inc_by(times);
    }

    /// Whether nothing is left to do for a cluster; `None` forgets it.
    pub fn steady(&self, cluster: &Key, steady: Option<bool>) {
        let labels = Cluster { namespace: cluster.namespace.clone(), cluster: cluster.name.clone() };
        match steady {
            Some(steady) => {
                self.steady.get_or_create(&labels).set(i64::from(steady));
            }
            None => {
                self.steady.remove(&labels);
            }
        }
    }

    /// This operator leads.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// Everything as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_under_its_name() {
        let metrics = Metrics::default();
        let key = Key::new("n", "a");
        metrics.acted("CreateNode", 3);
        metrics.failed("conflict");
        metrics.steady(&key, Some(true));
        metrics.leads();
        metrics.reconciled(Duration::from_millis(3));
        let text = metrics.text();
        for line in [
            "klamm_operator_actions_total{action=\"CreateNode\"} 3",
            "klamm_operator_errors_total{reason=\"conflict\"} 1",
            "klamm_operator_reconcile_steady_state{namespace=\"n\",cluster=\"a\"} 1",
            "klamm_operator_leader 1",
            "klamm_operator_reconciles_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        metrics.steady(&key, None);
        assert!(!metrics.text().contains("cluster=\"a\""));
    }
}
