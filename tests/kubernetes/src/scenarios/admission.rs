//! What the API server refuses, and that the refusal names the way out.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::api::{CLUSTER, STATEFUL_SET, TOPIC, condition_of};
use crate::bed::Bed;
use crate::manifest::{cluster, reachable_cluster, topic};
use crate::namespace::Namespace;

/// A change of a good cluster, and what its refusal must say.
type Case = (&'static str, fn(&mut Value), &'static [&'static str]);

const CLUSTERS: &[Case] = &[
    ("two controllers", |k| k["controllers"] = json!(2), &["spec.kafka.controllers", "1, 3 or 5"]),
    ("more controllers than nodes", |k| k["controllers"] = json!(5), &["replicas"]),
    ("no nodes", |k| k["replicas"] = json!(0), &["replicas", "greater than or equal to 1"]),
    ("a quantity that does not parse", |k| k["storage"]["size"] = json!("10 gigs"), &["size"]),
    ("a negative quantity", |k| k["storage"]["size"] = json!("-1Gi"), &["size"]),
    (
        "an unknown type of storage",
        |k| k["storage"]["type"] = json!("floppy"),
        &["floppy", "persistent-claim"],
    ),
    ("a port below 9092", |k| k["listeners"][0]["port"] = json!(80), &["port", "9092"]),
    (
        "an unknown type of listener",
        |k| k["listeners"][0]["type"] = json!("carrier-pigeon"),
        &["carrier-pigeon"],
    ),
    (
        "a listener that takes the controllers' name",
        |k| k["listeners"][0]["name"] = json!("controller"),
        &["another name"],
    ),
    (
        "a first listener that is not internal",
        |k| k["listeners"][0]["type"] = json!("nodeport"),
        &["internal"],
    ),
    ("TLS, which is not served yet", |k| k["listeners"][0]["tls"] = json!(true), &["tls"]),
    ("two listeners on one port", |k| k["listeners"][1]["port"] = json!(9092), &["port"]),
    ("two listeners of one name", |k| k["listeners"][1]["name"] = json!("plain"), &["plain"]),
    (
        "a resource that does not parse",
        |k| k["resources"] = json!({ "requests": { "memory": "plenty" } }),
        &["memory"],
    ),
];

const TOPICS: &[Case] = &[
    ("a slash in the name", |s| s["topicName"] = json!("a/b"), &["topicName"]),
    ("the name of a folder", |s| s["topicName"] = json!(".."), &["another name"]),
    ("no partitions", |s| s["partitions"] = json!(0), &["partitions"]),
    ("no replicas", |s| s["replicas"] = json!(0), &["replicas"]),
    ("an unknown policy", |s| s["deletionPolicy"] = json!("Maybe"), &["Retain", "Delete"]),
];

fn check(what: &str, refusal: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(refusal.contains(word), "{what}: the refusal does not speak of {word:?}: {refusal}");
    }
    Ok(())
}

/// Resources that must not be made.
pub fn bad_resources_are_refused(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-refused")?;
    for (what, spoil, words) in CLUSTERS {
        let mut bad = reachable_cluster("bad", 3);
        spoil(&mut bad["spec"]["kafka"]);
        check(what, &namespace.refused(&bad)?, words)?;
    }
    for (what, spoil, words) in TOPICS {
        let mut bad = topic("bad", "shared", 1);
        spoil(&mut bad["spec"]);
        check(what, &namespace.refused(&bad)?, words)?;
    }
    let mut typo = cluster("bad", 3);
    typo["spec"]["kafka"]["replicsa"] = json!(3);
    check("a misspelt field", &namespace.refused(&typo)?, &["replicsa"])?;
    Ok(format!("{} resources", CLUSTERS.len() + TOPICS.len() + 1))
}

/// Changes that must not be made.
pub fn bad_changes_are_refused(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-unchanged")?;
    namespace.apply(&cluster("unchanged", 1))?;
    let mut unchanged = topic("unchanged", "unchanged", 3);
    unchanged["spec"]["clusterRef"] = json!({ "name": "unchanged" });
    namespace.apply(&unchanged)?;
    let cluster_changes: &[(&str, Value, &[&str])] = &[
        ("fewer controllers", json!({ "replicas": 3, "controllers": 3 }), &["controllers"]),
        ("a storage shrink", json!({ "storage": { "size": "512Mi" } }), &["size"]),
        ("another type of storage", json!({ "storage": { "type": "ephemeral" } }), &["type"]),
    ];
    for (what, change, words) in cluster_changes {
        let patch = json!({ "spec": { "kafka": change } });
        let refusal = namespace.merge(CLUSTER, "unchanged", &patch).err().map(|e| format!("{e:#}"));
        check(what, &refusal.unwrap_or_default(), words)?;
    }
    let topic_changes: &[(&str, Value, &[&str])] = &[
        ("fewer partitions", json!({ "partitions": 2 }), &["partitions", "set spec.partitions back"]),
        ("another name", json!({ "topicName": "other" }), &["cannot be renamed"]),
        ("another cluster", json!({ "clusterRef": { "name": "other" } }), &["cluster"]),
    ];
    for (what, change, words) in topic_changes {
        let refusal = namespace.merge(TOPIC, "unchanged", &json!({ "spec": change })).err();
        check(what, &refusal.map(|e| format!("{e:#}")).unwrap_or_default(), words)?;
    }
    Ok(format!("{} changes", cluster_changes.len() + topic_changes.len()))
}

/// What no rule can see becomes a condition, and nothing is made.
pub fn unservable_clusters_say_so(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-unservable")?;
    let cases: &[Case] = &[
        (
            "a configuration that follows from the resource",
            |k| k["config"]["node.id"] = json!(7),
            &["node.id"],
        ),
        (
            "an unknown configuration",
            |k| k["config"]["min.insync.replica"] = json!(2),
            &["min.insync.replica"],
        ),
        (
            "a configuration out of its range",
            |k| k["config"]["min.insync.replicas"] = json!("many"),
            &["min.insync.replicas"],
        ),
    ];
    for (number, (what, spoil, words)) in cases.iter().enumerate() {
        let name = format!("bad-{number}");
        let mut bad = cluster(&name, 1);
        spoil(&mut bad["spec"]["kafka"]);
        let refusal = match namespace.apply(&bad) {
            Err(refusal) => format!("{refusal:#}"),
            Ok(()) => namespace
                .until(CLUSTER, &name, "is refused", |c| {
                    condition_of(c, "Stalled")["reason"] == "InvalidSpec"
                })
                .map(|c| condition_of(&c, "Stalled").to_string())?,
        };
        check(what, &refusal, words)?;
    }
    let made = namespace.list(STATEFUL_SET, "")?.len();
    ensure!(made == 0, "{made} stateful sets were made");
    Ok(format!("{} clusters", cases.len()))
}

/// A Secret that the resource names and nobody made: the image cannot be pulled, and the status says what to look for.
pub fn missing_secret_is_named(bed: &Bed) -> Result<String> {
    let namespace = Namespace::create(&bed.kubernetes, "e2e-secret")?;
    let mut manifest = cluster("closed", 1);
    manifest["spec"]["kafka"]["image"] = json!("registry.invalid/klamm/broker:1");
    manifest["spec"]["kafka"]["template"] = json!({ "pod": { "imagePullSecrets": [{ "name": "nowhere" }] } });
    namespace.apply(&manifest)?;
    let says = |cluster: &Value, word: &str| cluster["status"]["conditions"].to_string().contains(word);
    let told = namespace.until(CLUSTER, "closed", "names the Secret", |cluster| {
        says(cluster, "kubectl get secret --namespace e2e-secret nowhere")
    })?;
    Ok(condition_of(&told, "Stalled")["reason"].as_str().unwrap_or_default().to_owned())
}
