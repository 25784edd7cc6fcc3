//! What `helm install` brings.

use anyhow::{Context, Result, ensure};

use crate::audit::Audit;
use crate::bed::Bed;
use crate::command::{helm, kubectl};
use crate::operator;

/// `helm test`.
pub fn chart_test_passes(_bed: &Bed) -> Result<String> {
    let said = helm(&["test", operator::RELEASE, "--namespace", operator::NAMESPACE, "--timeout", "60s"])?;
    ensure!(said.contains("Succeeded"), "{said}");
    Ok(String::new())
}

/// `--dry-run=server`: the API server is asked, and nothing changes.
pub fn chart_is_tried_on_the_server(_bed: &Bed) -> Result<String> {
    let release = ["upgrade", operator::RELEASE, operator::CHART, "--namespace", operator::NAMESPACE];
    let revision = || helm(&["history", operator::RELEASE, "--namespace", operator::NAMESPACE]);
    let before = revision()?;
    let said = helm(&[release.as_slice(), &["--dry-run=server"]].concat())?;
    ensure!(said.contains("kind: Deployment") && said.contains("first message"), "{said}");
    ensure!(revision()? == before, "a dry run made a revision");
    Ok(String::new())
}

/// `kubectl explain` and short names.
pub fn kubectl_explains_the_resources(_bed: &Bed) -> Result<String> {
    for (path, word) in [
        ("kafkacluster.spec.kafka", "replicas"),
        ("kcluster.spec.kafka.listeners", "loadbalancer"),
        ("kafkacluster.spec.kafka.storage", "deleteClaim"),
        ("ktopic.spec", "deletionPolicy"),
        ("kafkatopic.status", "topicId"),
    ] {
        let said = kubectl(&["explain", path])?;
        ensure!(said.contains(word) && said.contains("DESCRIPTION"), "explain {path} lacks {word}:\n{said}");
        ensure!(!said.contains("<no description>"), "{path} has a field without a description:\n{said}");
    }
    Ok(String::new())
}

/// What only `rbac.readNodes` grants: the operator asks, and does without.
const MAY_BE_REFUSED: &str = "list nodes: 403";

/// Nothing that the operator asked for in all these scenarios was forbidden.
pub fn chart_grants_all_that_is_asked(_bed: &Bed) -> Result<String> {
    let requests = Audit::find().context("this cluster keeps no audit log")?.requests(0)?;
    let forbidden = |request: &&String| request.ends_with(": 403") && *request != MAY_BE_REFUSED;
    let forbidden: Vec<_> = requests.keys().filter(forbidden).collect();
    ensure!(!requests.is_empty() && forbidden.is_empty(), "{forbidden:?} of {} kinds", requests.len());
    Ok(format!("{} requests of {} kinds", requests.values().sum::<u64>(), requests.len()))
}
