//! One StatefulSet for each pool. It makes pods and claims and never restarts or removes any: the operator does, one at
//! a time and only with the controller's consent.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetOrdinals, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::{Cluster, Storage};
use crate::founding::Founding;
use crate::{labels, names, pod};

/// The StatefulSet of the pool. The number of a pod is the node id, so the ids of a pool have no gap.
pub fn stateful_set(
    cluster: &Cluster,
    founding: &Founding,
    nodes: &BTreeSet<i32>,
    config_map: &str,
) -> StatefulSet {
    let first = nodes.first().copied().unwrap_or_default();
    let count = nodes.last().map_or(0, |last| last - first + 1);
    let retain = || Some("Retain".to_owned());
    StatefulSet {
        metadata: labels::metadata(cluster, names::pool(&cluster.name)),
        spec: Some(StatefulSetSpec {
            replicas: Some(count),
            ordinals: Some(StatefulSetOrdinals { start: Some(first) }),
            service_name: Some(names::headless(&cluster.name)),
            selector: labels::label_selector(cluster),
            pod_management_policy: Some("Parallel".into()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".into()),
                ..StatefulSetUpdateStrategy::default()
            }),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: retain(),
                when_scaled: retain(),
            }),
            revision_history_limit: Some(3),
            template: pod::template(cluster, config_map),
            volume_claim_templates: claim(cluster, founding).map(|claim| vec![claim]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

fn claim(cluster: &Cluster, founding: &Founding) -> Option<PersistentVolumeClaim> {
    let Storage::Claim { size, class } = &cluster.storage else { return None };
    let space = [("storage".to_owned(), Quantity(size.clone()))].into();
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA.into()),
            labels: Some(labels::all(cluster)),
            annotations: Some(founding.annotations()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: class.clone(),
            resources: Some(VolumeResourceRequirements { requests: Some(space), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

/// Takes over from the live set what Kubernetes lets nobody change. A volume grows through its claim, so the template
/// of claims may stay as it was; what is made from it grows at once.
pub fn keep_what_cannot_change(wanted: &mut StatefulSet, live: &StatefulSet) {
    let (Some(wanted), Some(live)) = (&mut wanted.spec, &live.spec) else { return };
    wanted.volume_claim_templates.clone_from(&live.volume_claim_templates);
    wanted.service_name.clone_from(&live.service_name);
    wanted.pod_management_policy.clone_from(&live.pod_management_policy);
    wanted.selector.clone_from(&live.selector);
}
