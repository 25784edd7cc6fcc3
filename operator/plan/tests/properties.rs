//! What holds for every plan, whatever is wanted and whatever is there.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use klamm_operator_plan::observed::{NodeState, ObservedPartition};
use klamm_operator_plan::{Action, Observed, Validated, plan, validate};
use proptest::prelude::*;
use support::{apply, cluster, resources, topic};

fn config() -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    prop::collection::vec(
        (prop::sample::select(vec!["a", "b", "min.insync.replicas"]), prop::sample::select(vec!["1", "2"])),
        0..3,
    )
}

fn desired() -> impl Strategy<Value = Validated> {
    let topics = prop::collection::btree_map("[a-c]", (1..6i32, 1..4i32, config()), 0..4);
    let nodes =
        prop::sample::select(vec![(1, None), (2, Some(1)), (3, None), (3, Some(1)), (4, Some(3)), (5, None)]);
    (nodes, config(), topics).prop_map(|((replicas, controllers), config, topics)| {
        let topics = topics.into_iter().map(|(name, (partitions, copies, config))| {
            let config: Vec<_> = config.into_iter().filter(|(key, _)| key.len() == 1).collect();
            let config: Vec<_> = config.iter().map(|(k, v)| (*k, (*v == "1").then_some(*v))).collect();
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
    prop::sample::select(vec![Stopped, BackingOff, Starting, Ready, Unready, Stopping])
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
    fn a_serving_node_is_restarted_only_while_all_serve_and_all_is_in_sync(
        first in desired(),
        then in desired(),
        states in prop::collection::vec(node_state(), 5),
        lost in prop::option::of(0..3i32),
    ) {
        let mut observed = Observed::default();
        converge(&first, &mut observed)?;
        for (node, state) in observed.nodes.values_mut().zip(&states) {
            node.state = *state;
        }
        let lose = |partition: &mut ObservedPartition| partition.isr.retain(|id| Some(*id) != lost);
        let topics = observed.topics.iter_mut().flatten();
        topics.for_each(|(_, topic)| topic.partitions.iter_mut().for_each(lose));
        let planned = plan(&then, &observed);
        for action in &planned.actions {
            let Action::RestartNode { node, .. } = action else { continue };
            if observed.nodes[node].state != NodeState::Ready {
                continue;
            }
            prop_assert!(observed.nodes.values().all(|node| node.state == NodeState::Ready));
            let hosted = observed.topics.iter().flatten().flat_map(|(_, topic)| &topic.partitions);
            for partition in hosted.filter(|partition| partition.replicas.contains(node)) {
                prop_assert_eq!(&partition.isr, &partition.replicas);
            }
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
