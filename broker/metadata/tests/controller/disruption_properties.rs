//! Disruption grants over every sequence of what happens to a cluster: never two, and never one that breaks anything.

use std::collections::BTreeSet;

use klamm_metadata::Image;
use klamm_metadata::controller::VoterState;
use proptest::prelude::*;

use crate::cluster::Cluster;

const NODES: i32 = 5;
/// Name, replicas and min ISR.
const TOPICS: [(&str, &[i32], &str); 5] = [
    ("t", &[0, 1, 2], "2"),
    ("u", &[2, 3, 4], "2"),
    ("one", &[3], "1"),
    ("equal", &[1, 4], "2"),
    ("wide", &[4, 3, 2, 1, 0], "3"),
];

#[derive(Clone, Debug)]
enum Step {
    Begin { node: i32, holder: usize },
    End { node: i32, right: bool },
    Kill { node: i32 },
    Start { node: i32, clean: bool },
    Stop { node: i32 },
    Heartbeat { node: i32 },
    Join { node: i32 },
    Voter { node: i32, state: VoterState },
    Wait { ms: i64 },
    NewController,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..NODES;
    let state = prop_oneof![
        3 => Just(VoterState::CaughtUp),
        1 => Just(VoterState::Behind),
        1 => Just(VoterState::Silent),
    ];
    prop_oneof![
        8 => (node.clone(), 0..2usize).prop_map(|(node, holder)| Step::Begin { node, holder }),
        3 => (node.clone(), prop::bool::weighted(0.8)).prop_map(|(node, right)| Step::End { node, right }),
        2 => node.clone().prop_map(|node| Step::Kill { node }),
        3 => (node.clone(), any::<bool>()).prop_map(|(node, clean)| Step::Start { node, clean }),
        1 => node.clone().prop_map(|node| Step::Stop { node }),
        3 => node.clone().prop_map(|node| Step::Heartbeat { node }),
        4 => node.clone().prop_map(|node| Step::Join { node }),
        2 => (node, state).prop_map(|(node, state)| Step::Voter { node, state }),
        1 => (0..8_000i64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::NewController),
        1 => Just(Step::Reload),
    ]
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::of(NODES);
    for (name, replicas, min_isr) in TOPICS {
        cluster.topic_called(name, replicas, &[("min.insync.replicas", min_isr)]);
    }
    for id in 0..3 {
        cluster.voter(id, VoterState::CaughtUp);
    }
    cluster
}

fn take(cluster: &mut Cluster, step: &Step) {
    match step.clone() {
        Step::Begin { node, holder } => begin(cluster, node, ["operator", "drain"][holder]),
        Step::End { node, right } => {
            let id = granted(&cluster.image, node).map_or(7, |(id, _)| id);
            cluster.end(node, if right { id } else { id ^ 1 });
            assert_eq!(granted(&cluster.image, node).is_none(), right || id == 7);
        }
        Step::Kill { node } => cluster.kill(node),
        Step::Start { node, clean } => {
            let previous = if clean { cluster.epoch(node) } else { -1 };
            cluster.register(node, previous);
            cluster.heartbeat(node);
        }
        Step::Stop { node } => {
            cluster.heartbeat_with(node, |request| request.want_shut_down = true);
        }
        Step::Heartbeat { node } => {
            cluster.heartbeat(node);
        }
        Step::Join { node } => join(cluster, node),
        Step::Voter { node, state } => cluster.voter(node % 3, state),
        Step::Wait { ms } => cluster.advance_to(cluster.now_ms + ms),
        Step::NewController => cluster.new_controller(),
        Step::Reload => cluster.image = Image::from_snapshot(cluster.image.to_snapshot()).unwrap(),
    }
}

/// Id and holder of the node's grant.
fn granted(image: &Image, node: i32) -> Option<(i64, String)> {
    image
        .disruptions()
        .find(|granted| granted.node == node)
        .map(|granted| (granted.id, granted.holder.clone()))
}

/// Asks, and holds the answer against what the image says in other words than the rules do.
fn begin(cluster: &mut Cluster, node: i32, holder: &'static str) {
    let before = granted(&cluster.image, node);
    let answer = cluster.begin_with(node, |request| request.holder = holder.into());
    assert_eq!(answer.error_code, 0);
    if let Some((id, own)) = &before
        && own == holder
    {
        assert!(answer.granted && answer.grant_id == *id, "a renewal is refused");
        return;
    }
    assert_eq!(answer.granted, answer.blockers.is_empty());
    if answer.granted {
        assert_eq!(before, None);
        assert_eq!(granted(&cluster.image, node), Some((answer.grant_id, holder.to_owned())));
        check_partitions(&cluster.image, node);
        check_quorum(cluster, node);
    }
}

/// With the node gone, every partition that can do without one replica has its min ISR, if it had it before.
fn check_partitions(image: &Image, node: i32) {
    for (name, replicas, min_isr) in TOPICS {
        let min_isr: usize = min_isr.parse().unwrap();
        let active = |id: &&i32| image.broker(**id).is_some_and(|broker| broker.is_active());
        let isr: BTreeSet<i32> =
            image.partition(name, 0).unwrap().isr.iter().filter(active).copied().collect();
        let left = isr.iter().filter(|id| **id != node).count();
        if replicas.len() > min_isr && isr.contains(&node) {
            assert!(left >= min_isr, "{name} has {left} without {node}");
        }
    }
}

/// With the node gone, two of the three voters are caught up, unless it took no part before either.
fn check_quorum(cluster: &Cluster, node: i32) {
    let voters = &cluster.quorum.0;
    let left = voters.iter().filter(|(id, state)| **id != node && **state == VoterState::CaughtUp).count();
    let takes_part = voters.get(&node).is_some_and(|state| *state != VoterState::Silent);
    assert!(!takes_part || left >= 2, "{left} controllers are left without {node}: {voters:?}");
}

/// The leader of `t-0` takes the node into the ISR, if it may.
fn join(cluster: &mut Cluster, node: i32) {
    let partition = cluster.partition();
    let mut isr = partition.isr.clone();
    if partition.has_leader() && partition.replicas.contains(&node) && !isr.contains(&node) {
        isr.push(node);
        cluster.alter_isr(&isr);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_grant_never_breaks_what_works(steps in prop::collection::vec(step(), 1..60)) {
        let mut cluster = cluster();
        for step in steps {
            let held: Vec<i64> = cluster.image.disruptions().map(|granted| granted.id).collect();
            take(&mut cluster, &step);
            let now: Vec<i64> = cluster.image.disruptions().map(|granted| granted.id).collect();
            prop_assert!(now.len() <= 1, "two at a time: {now:?}");
            if matches!(step, Step::NewController | Step::Reload | Step::Kill { .. } | Step::Start { .. }) {
                prop_assert_eq!(&held, &now, "only time and its holder end a grant");
            }
            if let Some(deadline) = cluster.grants().first().map(|grant| grant.expires_in_ms) {
                prop_assert!((1..=10_000).contains(&deadline), "{}", deadline);
            }
        }
        let latest = cluster.now_ms + 10_000;
        cluster.advance_to(latest);
        prop_assert_eq!(cluster.image.disruptions().count(), 0, "an end for every grant");
    }
}
