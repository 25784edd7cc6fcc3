//! What holds for every cluster that validation lets through.
#![allow(clippy::unwrap_used)] // In a test a panic is a failure.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::Metadata;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use klamm_operator_api::KafkaCluster;
use klamm_operator_api::cluster::{MAX_NAME, name_problem};
use klamm_operator_manifests::cluster::{Cluster, Exposure, External, Listener};
use klamm_operator_manifests::names;
use klamm_operator_manifests::{Objects, config_map};
use klamm_operator_plan::{Resources, validate};
use proptest::prelude::*;
use serde_json::json;

use support::{from, internal, listener, quickstart, rendered, services};

prop_compose! {
    fn listeners()(kinds in prop::collection::vec((0..3, "[a-z0-9]{1,11}"), 0..4)) -> Vec<Listener> {
        let mut all = vec![internal("first", 9092)];
        for (kind, name) in kinds {
            let exposure = match kind {
                0 => Exposure::Internal,
                1 => Exposure::NodePort(External::default()),
                _ => Exposure::LoadBalancer(External::default()),
            };
            if name != "controller" && all.iter().all(|other| other.name != name) {
                all.push(listener(&name, 9092 + u16::try_from(all.len()).unwrap(), exposure));
            }
        }
        all
    }
}

prop_compose! {
    fn clusters()(name in "[a-z]([-a-z0-9]{0,33}[a-z0-9])?", listeners in listeners()) -> Cluster {
        Cluster { name, listeners, ..quickstart() }
    }
}

/// What names of objects are made of.
const WORDS: [&str; 7] = ["x", "kafka", "bootstrap", "brokers", "data", "0", "a0b1c2d3e4"];

/// Every cluster of the namespace that is named with up to three of these words, with every external listener that is
/// named with one, as far as validation lets it through.
fn confusable() -> Vec<Cluster> {
    let mut names: Vec<String> = WORDS.map(str::to_owned).to_vec();
    for first in 0..2 {
        let longer: Vec<String> =
            names.iter().filter(|name| name.matches('-').count() == first).cloned().collect();
        names.extend(longer.iter().flat_map(|name| WORDS.map(|word| format!("{name}-{word}"))));
    }
    let named = |name: String| {
        let with = |listeners| Cluster { name: name.clone(), listeners, ..quickstart() };
        let outside = |(word, port)| listener(word, port, Exposure::NodePort(External::default()));
        let legal: Vec<Listener> = WORDS
            .into_iter()
            .zip(9093..)
            .map(outside)
            .filter(|outside| is_legal(&with(vec![internal("first", 9092), outside.clone()])))
            .collect();
        with([vec![internal("first", 9092)], legal].concat())
    };
    names.into_iter().map(named).filter(|cluster| cluster.listeners.len() > 1).collect()
}

/// Whether validation lets the cluster through.
fn is_legal(cluster: &Cluster) -> bool {
    let type_ = |exposure: &Exposure| match exposure {
        Exposure::Internal => "internal",
        Exposure::NodePort(_) => "nodeport",
        Exposure::LoadBalancer(_) => "loadbalancer",
    };
    let listeners = cluster.listeners.iter();
    let listeners: Vec<_> =
        listeners.map(|l| json!({ "name": l.name, "port": l.port, "type": type_(&l.exposure) })).collect();
    let spec = from(json!({ "kafka": { "replicas": 3, "listeners": listeners } }));
    validate(&Resources { cluster: KafkaCluster::new(&cluster.name, spec), topics: Vec::new() }).is_ok()
}

/// The kind and the name of every object of a cluster, of those as well that Kubernetes makes for it.
fn all_names(cluster: &Cluster) -> BTreeSet<(&'static str, String)> {
    let objects = rendered(cluster, 3);
    let named = |kind, metadata: &ObjectMeta| (kind, metadata.name.clone().unwrap());
    let mut all = BTreeSet::from([
        named("ServiceAccount", &objects.service_account.metadata),
        named("ConfigMap", &objects.config_map.metadata),
        named("PodDisruptionBudget", &objects.budget.metadata),
        named("NetworkPolicy", &objects.network_policy.metadata),
    ]);
    all.extend(objects.stateful_sets.iter().map(|set| named("StatefulSet", &set.metadata)));
    all.extend(services(&objects).iter().map(|service| named("Service", &service.metadata)));
    all.extend((0..3).map(|node| ("Pod", names::pod(&cluster.name, node))));
    all.extend((0..3).map(|node| ("PersistentVolumeClaim", names::claim(&cluster.name, node))));
    all
}

#[test]
fn no_two_clusters_of_a_namespace_share_the_name_of_an_object() {
    let clusters = confusable();
    assert!(clusters.len() > 200, "{}", clusters.len());
    let mut taken: BTreeMap<(&str, String), &str> = BTreeMap::new();
    for cluster in &clusters {
        for (kind, name) in all_names(cluster) {
            let other = taken.insert((kind, name.clone()), &cluster.name);
            assert_eq!(other, None, "{kind} {name} belongs to cluster {} as well", cluster.name);
        }
    }
}

fn metadata(objects: &Objects) -> Vec<&ObjectMeta> {
    let mut all = vec![
        &objects.service_account.metadata,
        &objects.headless.metadata,
        &objects.bootstrap.metadata,
        &objects.config_map.metadata,
        &objects.budget.metadata,
        &objects.network_policy.metadata,
    ];
    all.extend(objects.external.iter().map(Metadata::metadata));
    all.extend(objects.stateful_sets.iter().map(Metadata::metadata));
    all
}

fn is_label(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(legal)
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
}

fn ports_of(service: &Service) -> BTreeSet<(String, i32)> {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.map(|port| (port.name.clone().unwrap(), port.port)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_names_of_services_pods_and_labels_are_legal(cluster in clusters()) {
        prop_assert_eq!(name_problem(&cluster.name), None);
        let objects = rendered(&cluster, 3);
        for service in services(&objects) {
            let name = service.metadata.name.unwrap();
            prop_assert!(is_label(&name), "{}", name);
        }
        // Ids go up to 999, and a StatefulSet labels its pods with its own name and a hash of ten letters.
        prop_assert!(is_label(&names::pod(&cluster.name, 999)));
        prop_assert!(names::pool(&cluster.name).len() + 11 <= 63);
        for one in metadata(&objects) {
            prop_assert!(one.labels.iter().flatten().all(|(_, value)| value.len() <= 63));
        }
    }

    #[test]
    fn two_clusters_whose_names_begin_alike_share_no_name(
        cluster in clusters(),
        end in prop::sample::select(vec!["-kafka", "-kafka-kafka", "-bootstrap", "-0", "x"]),
        word in prop::sample::select(WORDS.to_vec()),
    ) {
        let mut first = cluster;
        first.listeners.push(listener(word, 9099, Exposure::NodePort(External::default())));
        let second = Cluster { name: format!("{}{end}", first.name), ..first.clone() };
        prop_assume!(is_legal(&first) && is_legal(&second));
        prop_assert!(all_names(&first).is_disjoint(&all_names(&second)));
    }

    #[test]
    fn the_same_input_gives_the_same_bytes(cluster in clusters()) {
        let bytes = |objects: Objects| {
            (serde_json::to_vec(&objects.stateful_sets).unwrap(), serde_json::to_vec(&objects.config_map).unwrap())
        };
        prop_assert_eq!(bytes(rendered(&cluster, 3)), bytes(rendered(&cluster, 3)));
    }

    #[test]
    fn everything_is_owned_labelled_and_named_once(cluster in clusters()) {
        let objects = rendered(&cluster, 3);
        for one in metadata(&objects) {
            let owners = one.owner_references.as_ref().unwrap();
            prop_assert!(owners.len() == 1 && owners[0].uid == cluster.uid && owners[0].controller == Some(true));
            prop_assert_eq!(one.namespace.as_ref(), Some(&cluster.namespace));
            prop_assert_eq!(one.labels.as_ref().unwrap().get("klamm.dev/cluster"), Some(&cluster.name));
        }
        let named: BTreeSet<_> = services(&objects).into_iter().map(|service| service.metadata.name).collect();
        prop_assert_eq!(named.len(), services(&objects).len());
    }

    #[test]
    fn every_selector_matches_the_pods_of_its_own_cluster_only(cluster in clusters()) {
        let objects = rendered(&cluster, 3);
        let labels = |objects: &Objects| {
            let template = objects.stateful_sets[0].spec.clone().unwrap().template;
            template.metadata.unwrap().labels.unwrap()
        };
        let own = labels(&objects);
        let others = labels(&rendered(&Cluster { name: format!("{}x", &cluster.name[..1]), ..cluster.clone() }, 3));
        prop_assume!(own != others);
        let set = objects.stateful_sets[0].spec.as_ref().unwrap();
        let mut selectors = vec![
            set.selector.match_labels.clone().unwrap(),
            objects.budget.spec.clone().unwrap().selector.unwrap().match_labels.unwrap(),
            objects.network_policy.spec.clone().unwrap().pod_selector.unwrap().match_labels.unwrap(),
        ];
        for service in services(&objects) {
            let mut selector = service.spec.unwrap().selector.unwrap();
            // The StatefulSet adds this one to each pod.
            if let Some(pod) = selector.remove("statefulset.kubernetes.io/pod-name") {
                prop_assert!((0..3).any(|id| names::pod(&cluster.name, id) == pod));
            }
            selectors.push(selector);
        }
        for selector in selectors {
            prop_assert!(!selector.is_empty());
            prop_assert!(selector.iter().all(|(key, value)| own.get(key) == Some(value)));
            prop_assert!(selector.iter().any(|(key, value)| others.get(key) != Some(value)));
        }
    }

    #[test]
    fn every_listener_is_everywhere_that_it_has_to_be(cluster in clusters()) {
        let objects = rendered(&cluster, 3);
        let pod = objects.stateful_sets[0].spec.clone().unwrap().template.spec.unwrap();
        let ports = pod.containers[0].ports.clone().unwrap();
        let names: BTreeSet<_> = ports.iter().map(|port| port.name.clone()).collect();
        prop_assert_eq!(names.len(), ports.len(), "port names are unique");
        for one in &cluster.listeners {
            let (name, number) = (names::port(&one.name), i32::from(one.port));
            prop_assert!(name.len() <= 15);
            let has = |port: &k8s_openapi::api::core::v1::ContainerPort| {
                port.name.as_ref() == Some(&name) && port.container_port == number
            };
            prop_assert!(ports.iter().any(has));
            prop_assert!(ports_of(&objects.headless).contains(&(name.clone(), number)));
            prop_assert!(ports_of(&objects.bootstrap).contains(&(name.clone(), number)));
            let outside = objects.external.iter().filter(|service| ports_of(service).contains(&(name.clone(), number)));
            let expected = if one.exposure.external().is_some() { 4 } else { 0 };
            prop_assert_eq!(outside.count(), expected);
            let rules = objects.network_policy.spec.clone().unwrap().ingress.unwrap();
            let open = rules.iter().filter(|rule| {
                let named = |port: &IntOrString| *port == IntOrString::String(name.clone());
                rule.ports.iter().flatten().any(|port| port.port.as_ref().is_some_and(named))
            });
            prop_assert_eq!(open.count(), 2, "for clients and for the operator");
            for (_, properties) in config_map::properties_of(&objects.config_map) {
                let bound = format!("{}://0.0.0.0:{number}", one.name.to_uppercase());
                prop_assert!(properties["listeners"].split(',').any(|listener| listener == bound));
                let told = format!("{}://", one.name.to_uppercase());
                prop_assert!(properties["advertised.listeners"].contains(&told));
            }
        }
    }

    #[test]
    fn nobody_but_brokers_reaches_the_controllers(cluster in clusters()) {
        let rules = rendered(&cluster, 3).network_policy.spec.unwrap().ingress.unwrap();
        for rule in rules {
            let every_port = rule.ports.as_ref().is_none_or(Vec::is_empty);
            if every_port {
                let [peer] = &rule.from.as_ref().unwrap()[..] else { panic!("one peer") };
                prop_assert!(peer.namespace_selector.is_none() && peer.ip_block.is_none());
                let labels = peer.pod_selector.as_ref().unwrap().match_labels.as_ref().unwrap();
                prop_assert_eq!(labels.get("klamm.dev/cluster"), Some(&cluster.name));
            }
            for port in rule.ports.iter().flatten() {
                prop_assert_ne!(port.port.as_ref(), Some(&IntOrString::Int(9090)));
                prop_assert_ne!(port.port.as_ref(), Some(&IntOrString::String("controller".into())));
            }
        }
    }
}

#[test]
fn the_longest_name_just_fits() {
    let name = "a".repeat(MAX_NAME);
    assert_eq!(names::external_bootstrap(&name, "elevenchars").len(), 63);
}

#[test]
fn pods_are_as_restricted_as_pod_security_asks() {
    let spec = rendered(&quickstart(), 3).stateful_sets[0].spec.clone().unwrap().template.spec.unwrap();
    let pod = spec.security_context.unwrap();
    assert_eq!((pod.run_as_non_root, pod.run_as_user, pod.fs_group), (Some(true), Some(1000), Some(1000)));
    assert_eq!(pod.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert_eq!((spec.automount_service_account_token, spec.enable_service_links), (Some(false), Some(false)));
    let container = spec.containers[0].security_context.clone().unwrap();
    assert_eq!(container.allow_privilege_escalation, Some(false));
    assert_eq!(container.read_only_root_filesystem, Some(true));
    assert_eq!(container.capabilities.unwrap().drop.unwrap(), ["ALL"]);
    assert!(spec.volumes.unwrap().iter().all(|volume| volume.host_path.is_none()));
}
