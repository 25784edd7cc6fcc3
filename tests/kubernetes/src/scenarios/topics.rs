//! The life of a topic.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::api::{TOPIC, condition_of, is_true, until};
use crate::bed::{Bed, Small};
use crate::command::{kubectl, run_with_input};
use crate::manifest::topic;
use crate::wire::{delete_topic, topic_config};

const PATIENCE: Duration = Duration::from_secs(60);

fn has_partition(small: &Small, topic: &str, partition: i32) -> Result<bool> {
    Ok(small.cluster().client()?.topology()?.replicas(topic, partition).is_ok())
}

/// Waits until a topic is not ready, for a reason; returns the message.
fn until_refused(small: &Small, name: &str, reason: &str) -> Result<String> {
    let object = small.namespace.until(TOPIC, name, &format!("is not ready: {reason}"), |object| {
        let ready = condition_of(object, "Ready");
        ready["status"] == "False" && ready["reason"] == reason
    })?;
    Ok(condition_of(&object, "Ready")["message"].as_str().unwrap_or_default().to_owned())
}

/// Created, grown; shrinking is refused by a rule.
pub fn created_grows_and_never_shrinks(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    let made = small.cluster().topic("life", 3)?;
    let status = &made["status"];
    ensure!(
        status["partitions"] == 3 && status["replicas"] == 1 && status["topicName"] == "life",
        "{status}"
    );
    ensure!(status["topicId"].as_str().is_some_and(|id| id.len() == 22), "{status}");
    ensure!(has_partition(&small, "life", 2)? && !has_partition(&small, "life", 3)?, "3 partitions");
    small.namespace.merge(TOPIC, "life", &json!({ "spec": { "partitions": 5 } }))?;
    let grown = small.namespace.until(TOPIC, "life", "has grown", |t| t["status"]["partitions"] == 5)?;
    ensure!(grown["status"]["topicId"] == status["topicId"], "another topic");
    ensure!(has_partition(&small, "life", 4)?, "5 partitions");
    let shrink = small.namespace.merge(TOPIC, "life", &json!({ "spec": { "partitions": 1 } }));
    ensure!(shrink.is_err(), "shrinking was accepted");
    Ok(String::new())
}

/// Config: set, changed, taken out.
pub fn config_is_applied_and_taken_back(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    let mut object = topic("configured", "shared", 1);
    object["spec"]["config"] = json!({ "retention.ms": 3_600_000, "cleanup.policy": "compact" });
    small.namespace.apply(&object)?;
    small.namespace.until_ready(TOPIC, "configured")?;
    let mut client = small.cluster().client()?;
    ensure!(
        topic_config(&mut client, "configured", "retention.ms")? == ("3600000".into(), true),
        "retention"
    );
    ensure!(topic_config(&mut client, "configured", "cleanup.policy")?.0 == "compact", "cleanup");
    object["spec"]["config"] = json!({ "retention.ms": 7_200_000 });
    small.namespace.apply(&object)?;
    until(PATIENCE, "the change is applied", || {
        let retention = topic_config(&mut client, "configured", "retention.ms")?;
        let cleanup = topic_config(&mut client, "configured", "cleanup.policy")?;
        ensure!(retention.0 == "7200000" && cleanup == ("delete".into(), false), "{retention:?} {cleanup:?}");
        Ok(Some(()))
    })?;
    Ok(String::new())
}

/// A configuration that Kafka does not know.
pub fn unknown_config_is_named(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    let mut object = topic("misconfigured", "shared", 1);
    object["spec"]["config"] = json!({ "retention.sm": 1 });
    let refusal = match small.namespace.apply(&object) {
        Err(refusal) => format!("{refusal:#}"),
        Ok(()) => until_refused(&small, "misconfigured", "InvalidConfig")?,
    };
    ensure!(refusal.contains("retention.sm"), "{refusal}");
    small.cluster().topic("beside", 1)?;
    ensure!(!small.cluster().client()?.topology()?.topics().contains(&"misconfigured".into()), "it was made");
    small.namespace.delete(TOPIC, "misconfigured")?;
    Ok(String::new())
}

/// A topic whose cluster is not there, until it is.
pub fn missing_cluster_is_named(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    small.namespace.apply(&topic("orphan", "nowhere", 1))?;
    let message = until_refused(&small, "orphan", "ClusterMissing")?;
    ensure!(message.contains("nowhere"), "{message}");
    small.namespace.delete(TOPIC, "orphan")?;
    Ok(String::new())
}

/// A topic that clients made gets its resource later; topics without one stay as they are.
pub fn existing_topic_is_adopted(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    let mut client = small.cluster().client()?;
    for name in ["adopted", "left.alone"] {
        client.create_topic(name, 2, &[("retention.ms", "1234567")])?;
        client.produce(name, 0, &["made by a client"])?;
    }
    let adopted = small.cluster().topic("adopted", 2)?;
    ensure!(adopted["status"]["partitions"] == 2, "{}", adopted["status"]);
    ensure!(client.read_all("adopted", 0)?.len() == 1, "the data of the adopted topic");
    ensure!(topic_config(&mut client, "left.alone", "retention.ms")?.0 == "1234567", "its config");
    ensure!(client.read_all("left.alone", 0)?.len() == 1, "its data");
    Ok(String::new())
}

/// Two resources that name the same topic: the older one counts, and each names the other.
pub fn conflict_is_named_in_both(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    small.cluster().topic("contested", 1)?;
    let mut second = topic("rival", "shared", 2);
    second["spec"]["topicName"] = json!("contested");
    small.namespace.apply(&second)?;
    ensure!(until_refused(&small, "rival", "ResourceConflict")?.contains("contested"), "the rival's message");
    until(PATIENCE, "the older one names its rival and stays ready", || {
        let first = small.namespace.get(TOPIC, "contested")?;
        ensure!(is_true(&first, "Ready"), "{}", first["status"]);
        Ok(first["status"]["conditions"].to_string().contains("KafkaTopic rival").then_some(()))
    })?;
    ensure!(!has_partition(&small, "contested", 1)?, "the rival was applied");
    small.namespace.delete(TOPIC, "rival")?;
    small.namespace.until_ready(TOPIC, "contested")?;
    Ok(String::new())
}

/// Retain is the default, Delete deletes.
pub fn deletion_policy_decides(bed: &Bed) -> Result<String> {
    let small = bed.small()?;
    let mut doomed = topic("doomed", "shared", 1);
    doomed["spec"]["deletionPolicy"] = json!("Delete");
    small.namespace.apply(&doomed)?;
    let made = small.namespace.until_ready(TOPIC, "doomed")?;
    ensure!(made["metadata"]["finalizers"].as_array().is_some_and(|f| f.len() == 1), "{}", made["metadata"]);
    let kept = small.cluster().topic("kept", 1)?;
    ensure!(kept["metadata"]["finalizers"].is_null(), "a finalizer that nobody needs");
    small.namespace.delete(TOPIC, "doomed")?;
    small.namespace.delete(TOPIC, "kept")?;
    let mut client = small.cluster().client()?;
    let topics = client.topology()?.topics();
    ensure!(topics.contains(&"kept".into()) && !topics.contains(&"doomed".into()), "{topics:?}");
    // A topic that somebody else has deleted already is no reason to keep its resource.
    small.namespace.apply(&doomed)?;
    small.namespace.until_ready(TOPIC, "doomed")?;
    delete_topic(&mut client, "doomed")?;
    small.namespace.delete(TOPIC, "doomed")?;
    Ok(String::new())
}

/// A thousand resources at once.
pub fn thousand_take_few_calls(bed: &Bed) -> Result<String> {
    const COUNT: usize = 1000;
    let small = bed.small()?;
    let name = |n: usize| format!("many-{n:04}");
    let before = requests(&small, "CreateTopics")?;
    let items: Vec<Value> = (0..COUNT).map(|n| topic(&name(n), "shared", 1)).collect();
    let started = Instant::now();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    kubectl_create(small.namespace.name(), &list)?;
    let created = started.elapsed();
    until(PATIENCE, "a thousand topics are ready", || {
        let topics = small.namespace.list(TOPIC, "klamm.dev/cluster=shared")?;
        let ready = topics.iter().filter(|topic| is_true(topic, "Ready")).count();
        ensure!(ready >= COUNT, "{ready} are");
        Ok(Some(()))
    })?;
    let (elapsed, calls) = (started.elapsed(), requests(&small, "CreateTopics")? - before);
    ensure!(calls <= 100, "{calls} calls of CreateTopics");
    let known = small.cluster().client()?.topology()?.topics();
    ensure!((0..COUNT).all(|n| known.contains(&name(n))), "not all are there");
    kubectl(&["delete", "kafkatopics", "--all", "-n", small.namespace.name(), "--wait=false"])?;
    Ok(format!(
        "{calls} calls; kubectl took {:.1} s, all ready after {:.1} s",
        created.as_secs_f64(),
        elapsed.as_secs_f64()
    ))
}

/// One request for each: `apply` would ask for what is there first.
fn kubectl_create(namespace: &str, list: &Value) -> Result<()> {
    let arguments = ["create", "--namespace", namespace, "--validate=ignore", "-f", "-"];
    run_with_input("kubectl", &arguments, &list.to_string()).map(drop)
}

/// How many requests of an API the broker has answered, by its own count.
fn requests(small: &Small, api: &str) -> Result<u64> {
    let path =
        format!("/api/v1/namespaces/{}/pods/shared-kafka-0:8080/proxy/metrics", small.namespace.name());
    let metrics = kubectl(&["get", "--raw", &path])?;
    let label = format!("\"{api}\"");
    let counts = metrics.lines().filter(|l| l.contains("requests_total") && l.contains(&label));
    counts.map(|l| Ok(l.rsplit(' ').next().context("a count")?.parse::<f64>()? as u64)).sum()
}
