//! What an API server accepts and refuses, case by case: a change of a resource, and the words of the refusal.

#![allow(clippy::unwrap_used)]

use klamm_operator_api::cluster::{MAX_NAME, name_problem};
use klamm_operator_api::crds;
use kube_cel::{Validator, compile_schema};
use serde_json::{Value, json};

/// A case: what it is, the old object, the new one, and a part of the refusal; none if it is accepted.
type Case = (&'static str, Value, Value, Option<&'static str>);

fn judge(kind: &str, cases: &[Case], wrap: impl Fn(&Value) -> Value) {
    let schema = crds::of(kind).unwrap().spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    let schema = serde_json::to_value(schema).unwrap();
    for (what, old, new, refusal) in cases {
        let old = (!old.is_null()).then(|| wrap(old));
        let messages: Vec<String> = match Validator::new().validate(&schema, &wrap(new), old.as_ref()) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
        };
        match refusal {
            None => assert_eq!(messages, Vec::<String>::new(), "{what}"),
            Some(part) => assert!(
                messages.len() == 1 && messages[0].contains(part),
                "{what}: expected a refusal with {part:?}, got {messages:?}"
            ),
        }
    }
}

/// Judges the `spec.kafka` of clusters; three replicas where a case says nothing else.
fn clusters(cases: &[Case]) {
    judge("KafkaCluster", cases, |kafka| {
        let mut kafka = kafka.clone();
        kafka.as_object_mut().unwrap().entry("replicas").or_insert(json!(3));
        json!({"metadata": {"name": "a"}, "spec": {"kafka": kafka}})
    });
}

#[test]
fn listeners() {
    let plain = json!({"name": "plain", "port": 9092, "type": "internal"});
    let out = json!({"name": "out", "port": 9094, "type": "nodeport"});
    let balanced = json!({"name": "lb", "port": 9095, "type": "loadbalancer"});
    let with = |listener: &Value, configuration: Value| {
        let mut listener = listener.clone();
        listener["configuration"] = configuration;
        json!({"listeners": [plain, listener]})
    };
    let inside = json!({"name": "in", "port": 9096, "type": "internal"});
    clusters(&[
        ("none", json!(null), json!({}), None),
        ("three of each kind", json!(null), json!({"listeners": [plain, out, balanced]}), None),
        (
            "the first is not internal",
            json!(null),
            json!({"listeners": [out, plain]}),
            Some("put one of type internal first"),
        ),
        (
            "a port twice",
            json!(null),
            json!({"listeners": [plain, {"name": "b", "port": 9092, "type": "internal"}]}),
            Some("give each a port of its own"),
        ),
        (
            "the name of the controllers' listener",
            json!(null),
            json!({"listeners": [{"name": "controller", "port": 9092, "type": "internal"}]}),
            Some("choose another name"),
        ),
        (
            "an external one with the name of the pool",
            json!(null),
            json!({"listeners": [plain, {"name": "kafka", "port": 9094, "type": "nodeport"}]}),
            Some("those of another cluster: choose another name"),
        ),
        (
            "an internal one with the name of the pool",
            json!(null),
            json!({"listeners": [{"name": "kafka", "port": 9092, "type": "internal"}]}),
            None,
        ),
        ("configured from outside", json!(null), with(&out, json!({"bootstrap": {"nodePort": 30092}})), None),
        (
            "an internal one with configuration",
            json!(null),
            with(&inside, json!({})),
            Some("needs no configuration"),
        ),
        (
            "addresses of nodes at a load balancer",
            json!(null),
            with(&balanced, json!({"preferredNodePortAddressType": "InternalIP"})),
            Some("set type to nodeport"),
        ),
        (
            "addresses of nodes",
            json!(null),
            with(&out, json!({"preferredNodePortAddressType": "InternalIP"})),
            None,
        ),
    ]);
}

/// Every text of up to three of these letters, and texts around the greatest length.
fn names() -> Vec<String> {
    let mut names = vec![String::new()];
    for length in 0..3 {
        let longer = names.iter().filter(|name| name.chars().count() == length);
        let longer =
            longer.flat_map(|name| "az09-.A_ä\n".chars().map(move |letter| format!("{name}{letter}")));
        let longer: Vec<String> = longer.collect();
        names.extend(longer);
    }
    for length in MAX_NAME - 2..MAX_NAME + 3 {
        let (long, dashes) = ("a".repeat(length), "-".repeat(length - 2));
        names.extend([format!("{}-", &long[1..]), format!("a{dashes}9"), long]);
    }
    names
}

#[test]
fn the_api_server_and_the_operator_agree_on_names_of_clusters() {
    let schema = crds::of("KafkaCluster").unwrap().spec.versions[0].schema.clone().unwrap();
    let schema = compile_schema(&serde_json::to_value(schema.open_api_v3_schema.unwrap()).unwrap());
    let (mut legal, mut longest) = (0, 0);
    for name in names() {
        let object = json!({"metadata": {"name": name}, "spec": {"kafka": {"replicas": 1}}});
        let refused: Vec<String> = match Validator::new().validate_compiled(&schema, &object, None) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.into_vec().into_iter().map(|error| error.message).collect(),
        };
        match name_problem(&name) {
            None => assert_eq!(refused, Vec::<String>::new(), "{name:?}"),
            Some(problem) => assert!(
                refused.len() == 1
                    && problem.ends_with(&refused[0])
                    && problem.contains("choose a metadata.name"),
                "{name:?}: {refused:?} and {problem:?}"
            ),
        }
        if name_problem(&name).is_none() {
            (legal, longest) = (legal + 1, longest.max(name.len()));
        }
    }
    assert!(legal > 50, "{legal}");
    assert_eq!(longest, MAX_NAME);
}

#[test]
fn peers() {
    let with = |peer: Value| json!({"listeners": [{"name": "a", "port": 9092, "type": "internal", "networkPolicyPeers": [peer]}]});
    clusters(&[
        ("pods", json!(null), with(json!({"podSelector": {"matchLabels": {"app": "a"}}})), None),
        ("pods of namespaces", json!(null), with(json!({"podSelector": {}, "namespaceSelector": {}})), None),
        ("addresses", json!(null), with(json!({"ipBlock": {"cidr": "10.0.0.0/8"}})), None),
        ("nobody", json!(null), with(json!({})), Some("give one of them")),
        (
            "no block",
            json!(null),
            with(json!({"ipBlock": {"cidr": "ten"}})),
            Some("write for example 10.0.0.0/8"),
        ),
        (
            "addresses and pods",
            json!(null),
            with(json!({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}})),
            Some("make two peers"),
        ),
    ]);
}

#[test]
fn storage() {
    let of = |storage: Value| json!({"storage": storage});
    let claim = |size: &str| of(json!({"type": "persistent-claim", "size": size}));
    let classed = |class: &str| of(json!({"type": "persistent-claim", "class": class}));
    let shrinks = Some("volumes grow and never shrink");
    clusters(&[
        ("a claim", json!(null), claim("100Gi"), None),
        ("no amount", json!(null), claim("lots"), Some("write for example 100Gi")),
        ("nothing", json!(null), claim("0"), Some("write for example 100Gi")),
        ("less than nothing", json!(null), claim("-1Gi"), Some("write for example 100Gi")),
        ("grows", claim("10Gi"), claim("20Gi"), None),
        ("is written otherwise", claim("10Gi"), claim("10240Mi"), None),
        ("shrinks", claim("20Gi"), claim("10Gi"), shrinks),
        ("shrinks below the default", json!({}), claim("9Gi"), shrinks),
        ("grows from the default", json!({}), claim("11Gi"), None),
        ("falls back to the default", claim("11Gi"), json!({}), shrinks),
        ("another class", classed("slow"), classed("fast"), Some("set spec.kafka.storage.class back")),
        (
            "a class where there was none",
            json!({}),
            classed("fast"),
            Some("set spec.kafka.storage.class back"),
        ),
        ("the same class", classed("slow"), classed("slow"), None),
        (
            "another type",
            json!({}),
            of(json!({"type": "ephemeral"})),
            Some("the type of storage cannot be changed"),
        ),
        ("ephemeral", json!(null), of(json!({"type": "ephemeral", "size": "1Gi"})), None),
        (
            "ephemeral with a class",
            json!(null),
            of(json!({"type": "ephemeral", "class": "fast"})),
            Some("take class and deleteClaim out"),
        ),
    ]);
}

#[test]
fn amounts_images_and_labels() {
    let requests = |amounts: Value| json!({"resources": {"requests": amounts}});
    let label = |label: &str| json!({"template": {"pod": {"metadata": {"labels": {label: "x"}}}}});
    clusters(&[
        ("amounts", json!(null), requests(json!({"cpu": "500m", "memory": "1Gi"})), None),
        ("a number", json!(null), requests(json!({"cpu": 2})), None),
        ("no amount", json!(null), requests(json!({"memory": "much"})), Some("write for example cpu: 500m")),
        (
            "no limit",
            json!(null),
            json!({"resources": {"limits": {"cpu": "1 core"}}}),
            Some("write for example cpu: 2"),
        ),
        ("an image", json!(null), json!({"image": "example.com/klamm/broker:1"}), None),
        ("an image with a space", json!(null), json!({"image": "klamm broker"}), Some("has no spaces")),
        ("a label", json!(null), label("team"), None),
        ("a label of ours", json!(null), label("klamm.dev/cluster"), Some("belong to the operator")),
        (
            "a label of the application",
            json!(null),
            label("app.kubernetes.io/name"),
            Some("belong to the operator"),
        ),
    ]);
}

#[test]
fn nodes_and_controllers() {
    let nodes = |replicas: i32, controllers: Option<i32>| match controllers {
        Some(controllers) => json!({"replicas": replicas, "controllers": controllers}),
        None => json!({"replicas": replicas}),
    };
    clusters(&[
        ("one", json!(null), nodes(1, None), None),
        ("two", json!(null), nodes(2, None), Some("set spec.kafka.replicas to 3")),
        ("two controllers", json!(null), nodes(3, Some(2)), Some("set spec.kafka.controllers to 1, 3 or 5")),
        ("more controllers than nodes", json!(null), nodes(3, Some(5)), Some("raise spec.kafka.replicas")),
        ("up", nodes(3, None), nodes(4, None), None),
        ("down", nodes(4, None), nodes(3, None), Some("nodes that hold data cannot be drained yet")),
        ("more controllers", nodes(5, Some(3)), nodes(5, Some(5)), Some("the size that it was founded with")),
    ]);
}

#[test]
fn topics() {
    let cases = [
        (
            "plain",
            json!(null),
            json!({"partitions": 3, "replicas": 3, "config": {"retention.ms": null}}),
            None,
        ),
        ("grows", json!({"partitions": 3}), json!({"partitions": 4}), None),
        ("shrinks", json!({"partitions": 3}), json!({"partitions": 2}), Some("set spec.partitions back")),
        ("is renamed", json!({"topicName": "a"}), json!({"topicName": "b"}), Some("cannot be renamed")),
        ("is named ..", json!(null), json!({"topicName": ".."}), Some("choose another name")),
        (
            "moves",
            json!({"clusterRef": {"name": "a"}}),
            json!({"clusterRef": {"name": "b"}}),
            Some("cannot move"),
        ),
        ("is to be deleted", json!({}), json!({"deletionPolicy": "Delete"}), None),
    ];
    judge("KafkaTopic", &cases, |spec| json!({"metadata": {"name": "a"}, "spec": spec}));
}

#[test]
fn what_nobody_has_looked_at_is_unknown() {
    for kind in ["KafkaCluster", "KafkaTopic"] {
        let definition = serde_json::to_value(crds::of(kind).unwrap()).unwrap();
        let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        assert_eq!(status["default"]["conditions"][0]["status"], "Unknown", "{kind}");
        let required = status["properties"]["conditions"]["items"]["required"].as_array().unwrap();
        for field in required {
            assert!(status["default"]["conditions"][0].get(field.as_str().unwrap()).is_some(), "{field}");
        }
    }
}

#[test]
fn null_counts_as_left_out_except_in_the_configuration_of_topics() {
    let mut nullable = Vec::new();
    for crd in crds::all() {
        let definition = serde_json::to_value(&crd.definition).unwrap();
        find_nullable(&crd.definition.spec.names.kind, &definition, &mut nullable);
    }
    assert_eq!(nullable.len(), 1, "{nullable:?}");
    assert!(nullable[0].contains("KafkaTopic") && nullable[0].contains("config"), "{nullable:?}");
}

fn find_nullable(path: &str, value: &Value, found: &mut Vec<String>) {
    if value["nullable"] == true {
        found.push(path.to_owned());
    }
    for (name, child) in value.as_object().into_iter().flatten() {
        find_nullable(&format!("{path}.{name}"), child, found);
    }
    for child in value.as_array().into_iter().flatten() {
        find_nullable(path, child, found);
    }
}
