//! The difference between what is wanted and what is there.

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_api::conditions::Reason;
use klamm_operator_api::status::RollState;

use crate::action::Action;
use crate::desired::Validated;
use crate::observed::Observed;
use crate::resources::Subject;
use crate::{nodes, topics};

/// What to do now, in this order, and what is not done although it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps. At most one is disruptive.
    pub actions: Vec<Action>,
    /// What is held back, with the reason.
    pub held: Vec<Held>,
    /// Every node that is due for a restart or in it.
    pub roll: BTreeMap<i32, RollStep>,
    /// Resources on their way out that nothing has to be done for any more: they may go.
    pub released: BTreeSet<String>,
}

/// How far the restart of a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollStep {
    /// What it does not run with yet.
    pub reasons: BTreeSet<String>,
    /// How far it is. A grant is worth renewing only while this is `Restarting`.
    pub state: RollState,
    /// What stands in the way.
    pub blockers: Vec<String>,
}

/// Something that is asked for and not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The resource that asks for it.
    pub subject: Subject,
    /// Why it is not done.
    pub reason: Reason,
    /// Why, as a sentence that names everything in the way.
    pub message: String,
}

impl Held {
    /// Whether only a person can get it moving. The rest waits for the cluster and goes on by itself.
    pub fn needs_a_person(&self) -> bool {
        !matches!(self.reason, Reason::ClusterNotReady | Reason::RollBlocked | Reason::RestartWaiting)
    }
}

/// Plans the next steps. An empty plan means that nothing is left to do until something changes.
pub fn plan(desired: &Validated, observed: &Observed) -> Plan {
    let mut plan = Plan::default();
    nodes::plan(&desired.cluster, observed, &mut plan);
    topics::plan(desired, observed, &mut plan);
    plan
}
