//! Where pods go: apart from each other and spread over zones where that is possible, or as the resource says.

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

use crate::cluster::Cluster;
use crate::labels;

/// The label that tells machines apart.
const MACHINE: &str = "kubernetes.io/hostname";

/// Two nodes of a cluster on one machine are avoided, and accepted where there are too few machines.
pub fn affinity(cluster: &Cluster) -> Affinity {
    if let Some(affinity) = &cluster.template.affinity {
        return affinity.clone();
    }
    let apart = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            topology_key: MACHINE.into(),
            label_selector: Some(labels::label_selector(cluster)),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![apart]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// Zones get as many nodes as each other, give or take one, where that is possible.
pub fn spread(cluster: &Cluster) -> Vec<TopologySpreadConstraint> {
    if let Some(constraints) = &cluster.template.topology_spread {
        return constraints.iter().map(|constraint| counting_ours(constraint, cluster)).collect();
    }
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: cluster.rack_label.clone(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(labels::label_selector(cluster)),
        ..TopologySpreadConstraint::default()
    }]
}

/// A constraint that does not say which pods it counts counts those of the cluster.
fn counting_ours(constraint: &TopologySpreadConstraint, cluster: &Cluster) -> TopologySpreadConstraint {
    let mut constraint = constraint.clone();
    constraint.label_selector.get_or_insert_with(|| labels::label_selector(cluster));
    constraint
}
