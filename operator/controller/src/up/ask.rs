//! Asks the cluster how it is: its topics, its active controller, and the disruptions that it has granted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use klamm_operator_plan::observed::{Grant, HostPort, NodeState, ObservedTopic, Refusal};

use super::Up;

/// How often the cluster is asked while nothing happens, and at most.
const AT_REST: Duration = Duration::from_secs(10);
const BUSY: Duration = Duration::from_millis(200);
/// How long a refusal of the controller stands before it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What the cluster has said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// When it was asked last.
    asked: Option<Instant>,
    /// Its topics; none if nobody could be asked.
    pub(super) topics: Option<BTreeMap<String, ObservedTopic>>,
    /// The active controller, if there is one.
    pub(super) active_controller: Option<i32>,
    /// Our grant.
    pub(super) grant: Option<Grant>,
    /// Whether the controller has said that we have no grant.
    pub(super) holds_none: bool,
    /// The grant that was given to us and under which nothing was taken away since.
    pub(super) unused: Option<i64>,
    /// What the controller has refused, and when.
    pub(super) refusals: BTreeMap<i32, (Refusal, Instant)>,
}

impl Said {
    /// Forgets when it was asked, so that it is asked at once.
    pub(super) fn is_outdated(&mut self) {
        self.asked = None;
    }

    /// What was refused.
    pub(super) fn refusals(&self) -> BTreeMap<i32, Refusal> {
        let stale = |at: &Instant| at.elapsed() >= ASK_AGAIN;
        let refusals = self.refusals.iter();
        refusals
            .map(|(node, (refusal, at))| (*node, Refusal { stale: stale(at), ..refusal.clone() }))
            .collect()
    }
}

impl Up {
    /// Asks the cluster if there is a reason to.
    pub(super) async fn ask(&mut self) {
        let at = self.ready_addresses();
        if at.is_empty() {
            let refusals = std::mem::take(&mut self.said.refusals);
            self.said = Said { refusals, unused: self.said.unused, ..Said::default() };
            return;
        }
        let patience = if self.look_again { BUSY } else { AT_REST };
        if self.said.asked.is_some_and(|asked| asked.elapsed() < patience) {
            return;
        }
        self.admin.expect_cluster(self.nodes.state.cluster_id.as_deref());
        let managed: Vec<&str> = self.manifest.desired.topics.keys().map(String::as_str).collect();
        self.said.topics = self.admin.topics(&at, &managed).await.ok();
        self.said.active_controller = self.admin.active_controller(&at).await.ok().flatten();
        let holder = self.holder();
        let grants = self.admin.disruptions(&at).await.ok();
        let ours = grants.iter().flatten().find(|grant| grant.holder == holder);
        self.said.holds_none = grants.is_some() && ours.is_none();
        self.said.grant = ours.map(|grant| grant.observed(self.said.unused));
        self.said.asked = Some(Instant::now());
        self.look_again = self.said.topics.is_none();
    }

    /// Who holds grants: one cluster is run by one `up`.
    pub(super) fn holder(&self) -> String {
        format!("up of {}", self.nodes.state.cluster_id.as_deref().unwrap_or_default())
    }

    /// The addresses of the first listener of every node that is ready.
    pub(super) fn ready_addresses(&self) -> Vec<HostPort> {
        let now = Instant::now();
        let ready = |id: &i32| self.nodes.node(*id).is_some_and(|node| node.state(now) == NodeState::Ready);
        let first = self.manifest.desired.cluster.listeners.first();
        let port = |id: i32| self.nodes.state.ports.get(&id)?.listeners.get(&first?.name).copied();
        let address = |port: u16| HostPort { host: "127.0.0.1".into(), port };
        self.nodes.ids().into_iter().filter(ready).filter_map(port).map(address).collect()
    }
}
