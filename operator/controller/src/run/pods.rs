//! How a node is, read from its pod.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use klamm_operator_api::conditions::Reason;
use klamm_operator_manifests::names;
use klamm_operator_plan::observed::NodeState;

/// Why a container waits that will not start by itself soon.
const STUCK: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];
/// What lasts for this long does not pass by itself: a pod that should have been gone is held by a node that does not
/// answer, and one that finds no node needs somebody to make room.
const OVERDUE: SignedDuration = SignedDuration::from_secs(30);

/// The state of the node that a pod is.
pub fn state(pod: &Pod) -> NodeState {
    if pod.metadata.deletion_timestamp.is_some() {
        return NodeState::Stopping;
    }
    if matches!(phase(pod), Some("Failed" | "Succeeded")) {
        return NodeState::BackingOff;
    }
    if condition(pod, "Ready").is_some_and(|ready| ready.status == "True") {
        return NodeState::Ready;
    }
    let Some(container) = container(pod) else { return NodeState::Starting };
    let waits = container.state.as_ref().and_then(|state| state.waiting.as_ref()?.reason.as_deref());
    if waits.is_some_and(|reason| STUCK.contains(&reason)) {
        return NodeState::BackingOff;
    }
    if was_ready(pod, container) { NodeState::Unready } else { NodeState::Starting }
}

/// Why a pod does not get on, in the words of Kubernetes. `now` tells what has just begun from what lasts.
pub fn trouble(pod: &Pod, now: Timestamp) -> Option<(Reason, String)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if let Some(why) = unschedulable(pod, now) {
        return Some((Reason::PodsUnschedulable, format!("pod {name} cannot be scheduled: {why}")));
    }
    let container = container(pod)?;
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).filter(|r| STUCK.contains(r))?;
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.message.as_deref());
    // What a container said when it ended explains why it ends again and again, and nothing else.
    let ended = ended.filter(|said| reason == "CrashLoopBackOff" && !said.trim().is_empty());
    let detail = ended.or_else(|| waiting?.message.as_deref()).unwrap_or_default().trim();
    let last_line = detail.lines().last().unwrap_or_default();
    let said = format!("pod {name} is in {reason}: {last_line}");
    let word = match reason {
        "CrashLoopBackOff" => Reason::NodeCrashing,
        "ImagePullBackOff" | "ErrImagePull" | "ErrImageNeverPull" | "InvalidImageName" => {
            return Some(no_image(pod, said));
        }
        _ if names_missing_secret(last_line) => Reason::SecretMissing,
        _ => Reason::NodeCannotStart,
    };
    Some((word, said))
}

/// An image that cannot be pulled. Pull secrets that are not there are the likeliest reason; the operator may not look at
/// Secrets, so that it only names them.
fn no_image(pod: &Pod, said: String) -> (Reason, String) {
    let secrets: Vec<&str> = pod
        .spec
        .iter()
        .flat_map(|spec| spec.image_pull_secrets.iter().flatten())
        .map(|one| one.name.as_str())
        .collect();
    if secrets.is_empty() {
        return (Reason::ImageUnavailable, said);
    }
    let word = if names_missing_secret(&said) { Reason::SecretMissing } else { Reason::ImageUnavailable };
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let secrets = secrets.join(" ");
    (
        word,
        format!(
            "{said}; see whether the pull secrets are there: kubectl get secret --namespace {namespace} {secrets}"
        ),
    )
}

/// How Kubernetes says that a Secret is not there.
fn names_missing_secret(said: &str) -> bool {
    said.contains("image pull secrets") || (said.contains("secret") && said.contains("not found"))
}

fn unschedulable(pod: &Pod, now: Timestamp) -> Option<&str> {
    let scheduled = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False")?;
    let Time(since) = scheduled.last_transition_time.as_ref()?;
    (now.duration_since(*since) >= OVERDUE).then_some(scheduled.message.as_deref().unwrap_or_default())
}

/// That a pod should have been gone long ago, and what only Kubernetes or a person can do about it. The operator never
/// removes such a pod by force: its processes may still run on a node that does not answer.
pub fn overdue(pod: &Pod, now: Timestamp) -> Option<String> {
    let Time(deadline) = pod.metadata.deletion_timestamp.as_ref()?;
    if now.duration_since(*deadline) < OVERDUE {
        return None;
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("unknown");
    Some(format!(
        "pod {name} does not end, as its Kubernetes node {node} does not answer; it is replaced when the node comes \
         back, is deleted, or gets the taint node.kubernetes.io/out-of-service"
    ))
}

/// The address of a pod, once it has one.
pub fn ip(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref().filter(|ip| !ip.is_empty())
}

/// Whether the pod is controlled by the object with this uid.
pub fn is_owned_by(pod: &Pod, uid: &str) -> bool {
    let owners = pod.metadata.owner_references.iter().flatten();
    owners.into_iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// A container that ran before it stopped being ready. One that starts has not been ready since.
fn was_ready(pod: &Pod, container: &ContainerStatus) -> bool {
    let running = container.state.as_ref().and_then(|state| state.running.as_ref());
    let since = condition(pod, "Ready").and_then(|ready| ready.last_transition_time.as_ref());
    match (running.and_then(|running| running.started_at.as_ref()), since) {
        (Some(Time(started)), Some(Time(since))) => container.started == Some(true) && since > started,
        _ => false,
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == type_)
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find(|status| status.name == names::CONTAINER)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: Value, deleted: Option<&str>) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "c-kafka-0", "deletionTimestamp": deleted},
            "spec": {"nodeName": "n1", "containers": []},
            "status": status,
        }))
        .unwrap()
    }

    fn with(ready: &str, since: &str, container: Value) -> Pod {
        let ready = json!({"type": "Ready", "status": ready, "lastTransitionTime": since});
        pod(json!({"phase": "Running", "conditions": [ready], "containerStatuses": [container]}), None)
    }

    fn container(started: bool, state: Value, message: &str) -> Value {
        json!({"name": "kafka", "image": "i", "imageID": "i", "ready": false, "restartCount": 0, "started": started,
            "state": state, "lastState": {"terminated": {"exitCode": 1, "message": message}}})
    }

    #[test]
    fn the_state_follows_from_what_kubernetes_says_of_the_pod() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:10Z"}});
        let one = |started| container(started, running.clone(), "");
        assert_eq!(state(&pod(json!({"phase": "Pending"}), None)), NodeState::Starting);
        assert_eq!(state(&with("True", "2026-01-01T00:00:12Z", one(true))), NodeState::Ready);
        assert_eq!(state(&with("False", "2026-01-01T00:00:01Z", one(true))), NodeState::Starting);
        assert_eq!(state(&with("False", "2026-01-01T00:01:00Z", one(true))), NodeState::Unready);
        assert_eq!(state(&with("False", "2026-01-01T00:01:00Z", one(false))), NodeState::Starting);
        assert_eq!(state(&pod(json!({}), Some("2026-01-01T00:00:00Z"))), NodeState::Stopping);
        assert_eq!(state(&pod(json!({"phase": "Failed"}), None)), NodeState::BackingOff);
    }

    #[test]
    fn a_crash_loop_is_told_with_the_last_line_of_the_log() {
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}});
        let pod = with("False", "2026-01-01T00:00:01Z", container(false, waiting, "first\nno such disk\n"));
        assert_eq!(state(&pod), NodeState::BackingOff);
        let (reason, message) = trouble(&pod, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(reason, Reason::NodeCrashing);
        assert_eq!(message, "pod c-kafka-0 is in CrashLoopBackOff: no such disk");
    }

    #[test]
    fn secrets_that_may_be_missing_are_named() {
        let waiting =
            |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
        let mut pulling =
            with("False", "2026-01-01T00:00:01Z", container(false, waiting("ErrImagePull", "denied"), ""));
        pulling.metadata.namespace = Some("shop".into());
        assert_eq!(trouble(&pulling, Timestamp::UNIX_EPOCH).unwrap().0, Reason::ImageUnavailable);
        let secrets = serde_json::from_value(json!([{"name": "registry"}])).unwrap();
        pulling.spec.as_mut().unwrap().image_pull_secrets = Some(secrets);
        let (reason, message) = trouble(&pulling, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(reason, Reason::ImageUnavailable);
        assert!(message.ends_with("kubectl get secret --namespace shop registry"), "{message}");
        let config = waiting("CreateContainerConfigError", "secret \"key\" not found");
        let pod = with("False", "2026-01-01T00:00:01Z", container(false, config, ""));
        assert_eq!(trouble(&pod, Timestamp::UNIX_EPOCH).unwrap().0, Reason::SecretMissing);
    }

    #[test]
    fn a_pod_that_finds_no_node_is_told_after_a_while() {
        let unscheduled = json!({"type": "PodScheduled", "status": "False", "message": "no room",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let pod = pod(json!({"phase": "Pending", "conditions": [unscheduled]}), None);
        let at = |second: &str| format!("2026-01-01T00:00:{second}Z").parse::<Timestamp>().unwrap();
        assert_eq!(trouble(&pod, at("29")), None);
        assert_eq!(trouble(&pod, at("31")).unwrap().0, Reason::PodsUnschedulable);
    }

    #[test]
    fn a_pod_that_does_not_end_is_told_after_a_while() {
        let pod = pod(json!({}), Some("2026-01-01T00:00:00Z"));
        let at = |second: &str| format!("2026-01-01T00:00:{second}Z").parse::<Timestamp>().unwrap();
        assert_eq!(overdue(&pod, at("29")), None);
        assert!(overdue(&pod, at("31")).unwrap().contains("node n1"));
    }
}
