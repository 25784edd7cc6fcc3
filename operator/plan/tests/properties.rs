//! What holds for every plan, whatever is wanted and whatever is there.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use klamm_operator_plan::observed::{Grant, NodeState, Refusal};
use klamm_operator_plan::{Action, Observed, Validated, plan, validate};
use proptest::prelude::*;
use support::{apply, cluster, resources, topic};

fn config() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec(
        (
            prop::sample::select(vec!["num.partitions", "log.retention.hours", "min.insync.replicas"]),
            prop::sample::select(vec!["1", "2"]),
        ),
        0..3,
    )
}

fn topic_config() -> impl Strategy<Value = Vec<(&'static str, Option<&'static str>)>> {
    let value = prop::sample::select(vec![Some("1"), Some("2"), None]);
    prop::collection::vec((prop::sample::select(vec!["retention.ms", "segment.ms"]), value), 0..3)
}

fn desired() -> impl Strategy<Value = Validated> {
    let topics = prop::collection::btree_map("[a-c]", (1..6i32, 1..4i32, topic_config()), 0..4);
    let nodes =
        prop::sample::select(vec![(1, None), (2, Some(1)), (3, None), (3, Some(1)), (4, Some(3)), (5, None)]);
    (nodes, config(), topics).prop_map(|((replicas, controllers), config, topics)| {
        let topics = topics.into_iter().map(|(name, (partitions, copies, config))| {
            topic(&name, partitions, copies.min(replicas), &config)
        });
        validate(&resources(cluster(replicas, controllers, &config), topics.collect())).unwrap()
    })
}

/// Plans and carries out until nothing is left, checking what must hold of every single plan.
fn converge(desired: &Validated, observed: &mut Observed) -> Result<Vec<Action>, TestCaseError> {
    let mut done = Vec::new();
    for _ in 0..50 {
        let planned = plan(desired, observed);
        prop_assert!(planned.actions.iter().filter(|action| action.is_disruptive()).count() <= 1);
        if planned.actions.is_empty() {
            return Ok(done);
        }
        for action in planned.actions {
            apply(&action, observed);
            done.push(action);
        }
    }
    Err(TestCaseError::fail("no fixed point"))
}

fn node_state() -> impl Strategy<Value = NodeState> {
    use NodeState::{BackingOff, Ready, Starting, Stopped, Stopping, Unready};
    prop::sample::select(vec![Stopped, BackingOff, Starting, Ready, Ready, Ready, Unready, Stopping])
}

/// What may be out of order.
#[derive(Clone, Debug)]
struct Around {
    states: Vec<NodeState>,
    active_controller: Option<i32>,
    grant: Option<(i32, bool, bool)>,
    refused: BTreeSet<i32>,
    outdated: BTreeSet<i32>,
}

impl Around {
    fn disturb(&self, observed: &mut Observed) {
        for ((id, node), state) in observed.nodes.iter_mut().zip(&self.states) {
            node.state = *state;
            if self.outdated.contains(id) {
                node.outdated.insert("image".into());
            }
        }
        observed.active_controller = self.active_controller;
        observed.disruption =
            self.grant.map(|(node, restored, unused)| Grant { node, id: 7, restored, unused });
        let refusal = Refusal { blockers: vec!["it is needed".into()], stale: false };
        observed.refusals = self.refused.iter().map(|node| (*node, refusal.clone())).collect();
    }
}

fn surroundings() -> impl Strategy<Value = Around> {
    (
        prop::collection::vec(node_state(), 5),
        prop::option::of(0..3i32),
        prop::option::of((0..6i32, any::<bool>(), any::<bool>())),
        prop::collection::btree_set(0..5i32, 0..3),
        prop::collection::btree_set(0..5i32, 0..3),
    )
        .prop_map(|(states, active_controller, grant, refused, outdated)| Around {
            states,
            active_controller,
            grant,
            refused,
            outdated,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn carrying_out_a_plan_leaves_nothing_to_plan(first in desired(), then in desired()) {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        converge(&then, &mut observed)?;
        prop_assert_eq!(plan(&then, &observed).actions, Vec::new());
    }

    #[test]
    fn nothing_ever_shrinks(first in desired(), then in desired()) {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        let before = observed.clone();
        converge(&then, &mut observed)?;
        for node in before.nodes.keys() {
            prop_assert!(observed.nodes.contains_key(node));
        }
        prop_assert_eq!(&observed.voters, &before.voters);
        for (name, topic) in before.topics.iter().flatten() {
            let after = observed.topics.as_ref().and_then(|topics| topics.get(name)).unwrap();
            prop_assert!(after.partition_count() >= topic.partition_count());
            prop_assert_eq!(after.replication_factor(), topic.replication_factor());
        }
    }

    #[test]
    fn a_serving_node_is_restarted_only_under_a_grant_and_while_all_others_serve(
        first in desired(),
        then in desired(),
        around in surroundings(),
    ) {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        around.disturb(&mut observed);
        let planned = plan(&then, &observed);
        let disruptive = planned.actions.iter().filter(|action| action.is_disruptive());
        prop_assert!(disruptive.count() <= 1);
        for action in &planned.actions {
            let Action::RestartNode { node, .. } = action else { continue };
            let granted = observed.disruption.as_ref().is_some_and(|grant| grant.node == *node);
            if observed.nodes[node].state == NodeState::Ready {
                prop_assert!(granted);
                prop_assert!(observed.nodes.values().all(|node| node.state == NodeState::Ready));
            } else {
                prop_assert!(granted || observed.serving().may_go_unasked(*node));
            }
        }
    }

    #[test]
    fn nobody_is_asked_while_a_grant_is_out_or_no_controller_is_there(
        first in desired(),
        then in desired(),
        around in surroundings(),
    ) {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        around.disturb(&mut observed);
        let asked: Vec<_> = plan(&then, &observed)
            .actions
            .into_iter()
            .filter(|action| matches!(action, Action::RequestDisruption { .. }))
            .collect();
        prop_assert!(asked.len() <= 1);
        if observed.disruption.is_some() || observed.quorum_lost() {
            prop_assert_eq!(asked, Vec::new());
        }
    }

    #[test]
    fn a_refused_roll_plans_nothing_and_names_what_blocks_it(first in desired(), then in desired()) {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        observed.active_controller = Some(0);
        for _ in 0..50 {
            let planned = plan(&then, &observed);
            for action in &planned.actions {
                match action {
                    Action::RequestDisruption { node, .. } => {
                        let blockers = vec![format!("node {node} is needed")];
                        drop(observed.refusals.insert(*node, Refusal { blockers, stale: false }));
                    }
                    other => apply(other, &mut observed),
                }
            }
        }
        let planned = plan(&then, &observed);
        prop_assert_eq!(&planned.actions, &Vec::new());
        for (node, step) in &planned.roll {
            let waits_for_others = observed.active_controller == Some(*node) && planned.roll.len() > 1;
            let blockers = vec![format!("node {node} is needed")];
            prop_assert!(waits_for_others || step.blockers == blockers);
        }
    }

    #[test]
    fn without_an_answer_about_topics_no_topic_is_touched(desired in desired()) {
        let mut observed = Observed::default();
        converge(&desired, &mut observed)?;
        observed.topics = None;
        prop_assert!(plan(&desired, &observed).actions.iter().all(|action| action.topic().is_none()));
    }

    #[test]
    fn topics_that_no_resource_names_are_left_alone(first in desired(), foreign in "[x-z]{1,3}") {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        let config = BTreeMap::from([("retention.ms".to_owned(), "1".to_owned())]);
        let topic = klamm_operator_plan::observed::ObservedTopic {
            partitions: support::partitioned(2, 1), config, ..Default::default()
        };
        observed.topics.get_or_insert_default().insert(foreign, topic);
        prop_assert_eq!(plan(&first, &observed).actions, Vec::new());
    }
}
