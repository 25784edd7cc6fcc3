//! What is noticed of live objects: pods that are out of date, objects that were changed, claims that have to grow.
#![allow(clippy::unwrap_used)] // In a test a panic is a failure.

mod support;

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, LocalObjectReference, PersistentVolumeClaim, Pod, Service};
use klamm_operator_manifests::cluster::{Cluster, Storage};
use klamm_operator_manifests::drift::is_current;
use klamm_operator_manifests::{Founding, claims, config_map, outdated, stateful_set};
use serde_json::{Value, json};

use support::{everything, founding, from, quickstart, rendered};

/// A pod as the StatefulSet makes it.
fn pod_of(set: &StatefulSet) -> Pod {
    let template = set.spec.clone().unwrap().template;
    Pod { metadata: template.metadata.unwrap(), spec: template.spec, status: None }
}

fn outdated_by(change: impl FnOnce(&mut Cluster)) -> Vec<String> {
    let mut cluster = quickstart();
    let pod = pod_of(&rendered(&cluster, 3).stateful_sets[0]);
    change(&mut cluster);
    outdated::outdated(&pod, &cluster).into_iter().collect()
}

#[test]
fn a_pod_is_outdated_by_what_the_resource_says_of_pods() {
    assert_eq!(outdated_by(|_| {}), [""; 0]);
    assert_eq!(outdated_by(|cluster| cluster.image = "other".into()), ["image"]);
    assert_eq!(outdated_by(|cluster| cluster.resources = everything().resources), ["resources"]);
    assert_eq!(outdated_by(|cluster| cluster.template = everything().template), ["template"]);
    assert_eq!(outdated_by(|cluster| cluster.rack_label = "rack".into()), ["template"]);
}

#[test]
fn a_pod_is_not_outdated_by_what_does_not_reach_it() {
    let grown = Storage::Claim { size: "20Gi".into(), class: None };
    assert_eq!(outdated_by(|cluster| cluster.storage = grown), [""; 0]);
    assert_eq!(outdated_by(|cluster| cluster.operator = None), [""; 0]);
}

#[test]
fn a_pod_that_says_nothing_is_outdated_in_everything() {
    let all = ["image", "resources", "revision", "template"].map(str::to_owned);
    assert_eq!(outdated::outdated(&Pod::default(), &quickstart()), BTreeSet::from(all));
}

#[test]
fn a_pod_runs_with_the_properties_of_the_config_map_that_it_mounts() {
    let (three, four) = (rendered(&quickstart(), 3), rendered(&quickstart(), 4));
    assert_ne!(three.config_map.metadata.name, four.config_map.metadata.name);
    let pod = pod_of(&three.stateful_sets[0]);
    assert_eq!(config_map::mounted_by(&pod), three.config_map.metadata.name.as_deref());
    let (before, after) =
        (config_map::properties_of(&three.config_map), config_map::properties_of(&four.config_map));
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(before[&1], after[&1], "a new node changes nothing for the others");
    assert_eq!(before[&1]["node.id"], "1");
}

#[test]
fn a_config_map_is_unused_when_no_pod_mounts_it_and_no_set_will() {
    let all: Vec<_> = (3..=6).map(|nodes| rendered(&quickstart(), nodes)).collect();
    let maps: Vec<&ConfigMap> = all.iter().map(|objects| &objects.config_map).collect();
    let pod = pod_of(&all[1].stateful_sets[0]);
    let unused = config_map::unused(maps.iter().copied(), [&pod], [&all[3].stateful_sets[0]]);
    let expected: Vec<_> =
        [0, 2].iter().map(|i: &usize| maps[*i].metadata.name.as_deref().unwrap()).collect();
    assert_eq!(unused, expected);
}

#[test]
fn what_a_server_adds_is_no_drift() {
    let objects = rendered(&everything(), 3);
    let mut service = serde_json::to_value(&objects.external[0]).unwrap();
    service["metadata"]["resourceVersion"] = json!("7");
    service["metadata"]["annotations"]["cloud.example.com/id"] = json!("lb-1");
    service["spec"]["clusterIP"] = json!("10.96.0.7");
    service["spec"]["sessionAffinity"] = json!("None");
    assert!(is_current(&objects.external[0], &from::<Service>(service)));
    let mut set = serde_json::to_value(&objects.stateful_sets[0]).unwrap();
    set["spec"]["template"]["spec"]["dnsPolicy"] = json!("ClusterFirst");
    set["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("0.5");
    assert!(is_current(&objects.stateful_sets[0], &from::<StatefulSet>(set)));
}

#[test]
fn an_amount_that_is_written_otherwise_is_no_drift() {
    let with = |cpu: &str, memory: &str| Cluster {
        resources: from(json!({ "requests": { "cpu": cpu, "memory": memory } })),
        ..quickstart()
    };
    for (cpu, memory) in [("2000m", "1Gi"), ("2e0", "1024Mi"), ("2.0", "1073741824"), ("0.002k", "1048576Ki")]
    {
        let wanted = rendered(&with("2", "1Gi"), 3).stateful_sets.remove(0);
        let mut set = serde_json::to_value(&wanted).unwrap();
        set["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"] =
            json!({ "cpu": cpu, "memory": memory });
        assert!(is_current(&wanted, &from::<StatefulSet>(set)), "{cpu} {memory}");
    }
}

#[test]
fn what_somebody_changed_is_drift() {
    let objects = rendered(&everything(), 3);
    let changes: [fn(&mut Value); 5] = [
        |set| set["spec"]["replicas"] = json!(2),
        |set| set["spec"]["updateStrategy"]["type"] = json!("RollingUpdate"),
        |set| {
            set["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("501m")
        },
        |set| set["spec"]["template"]["spec"]["containers"][0]["env"] = json!([]),
        |set| drop(set["metadata"]["labels"].as_object_mut().unwrap().remove("klamm.dev/cluster")),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut set = serde_json::to_value(&objects.stateful_sets[0]).unwrap();
        change(&mut set);
        assert!(!is_current(&objects.stateful_sets[0], &from::<StatefulSet>(set)), "change {number}");
    }
}

#[test]
fn what_is_not_asked_for_any_more_is_drift() {
    let (before, mut cluster) = (rendered(&everything(), 3), everything());
    cluster.template.node_selector.clear();
    let after = rendered(&cluster, 3);
    assert!(is_current(&before.stateful_sets[0], &before.stateful_sets[0]));
    assert!(!is_current(&after.stateful_sets[0], &before.stateful_sets[0]));
}

#[test]
fn a_set_keeps_the_claims_that_it_was_made_with() {
    let live = rendered(&quickstart(), 3).stateful_sets.remove(0);
    let storage = Storage::Claim { size: "20Gi".into(), class: None };
    let mut wanted = rendered(&Cluster { storage, ..quickstart() }, 4).stateful_sets.remove(0);
    stateful_set::keep_what_cannot_change(&mut wanted, &live);
    let (wanted, live) = (wanted.spec.unwrap(), live.spec.unwrap());
    assert_eq!(wanted.volume_claim_templates, live.volume_claim_templates);
    assert_eq!(wanted.replicas, Some(4));
}

fn claim_of(set: &StatefulSet) -> PersistentVolumeClaim {
    set.spec.clone().unwrap().volume_claim_templates.unwrap().remove(0)
}

#[test]
fn a_claim_grows_and_never_shrinks() {
    let claim = claim_of(&rendered(&quickstart(), 3).stateful_sets[0]);
    let of_size =
        |size: &str| Cluster { storage: Storage::Claim { size: size.into(), class: None }, ..quickstart() };
    let grown = json!({ "spec": { "resources": { "requests": { "storage": "20Gi" } } } });
    assert_eq!(claims::growth(&claim, &of_size("20Gi")), Some(grown));
    assert_eq!(claims::growth(&claim, &of_size("10Gi")), None);
    assert_eq!(claims::growth(&claim, &of_size("10240Mi")), None);
    assert_eq!(claims::growth(&claim, &of_size("5Gi")), None);
}

#[test]
fn a_claim_says_what_the_cluster_was_founded_with() {
    let claim = claim_of(&rendered(&quickstart(), 3).stateful_sets[0]);
    let annotations = claim.metadata.annotations.unwrap();
    assert_eq!(Founding::from_annotations(&annotations), Some(founding()));
}

#[test]
fn a_claim_goes_with_the_cluster_only_if_that_is_asked_for() {
    let mut claim = claim_of(&rendered(&quickstart(), 3).stateful_sets[0]);
    assert_eq!(claims::ownership(&claim, &quickstart(), false), None);
    let patch = claims::ownership(&claim, &quickstart(), true).unwrap();
    claim.metadata.owner_references = from(patch["metadata"]["ownerReferences"].clone());
    assert_eq!(claims::ownership(&claim, &quickstart(), true), None);
    let patch = claims::ownership(&claim, &quickstart(), false).unwrap();
    assert_eq!(patch["metadata"]["ownerReferences"], json!([]));
}

#[test]
fn a_secret_of_the_registry_reaches_the_pod() {
    let pod = pod_of(&rendered(&everything(), 3).stateful_sets[0]);
    let secrets = pod.spec.unwrap().image_pull_secrets.unwrap();
    assert_eq!(secrets, [LocalObjectReference { name: "registry".into() }]);
}
