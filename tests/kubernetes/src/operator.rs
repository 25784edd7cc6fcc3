//! The operator as it is installed: by its chart, under the release name of the README.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::api::{DEPLOYMENT, Kubernetes, POD, is_true, name_of, until};
use crate::command::helm;

/// Where it is installed.
pub const NAMESPACE: &str = "klamm";
/// The name of the release.
pub const RELEASE: &str = "klamm";
/// The chart, from the root of the repository.
pub const CHART: &str = "charts/klamm-operator";
const PATIENCE: Duration = Duration::from_secs(60);

/// Selects the operator's objects among those of the release.
const SELECTOR: &str = "app.kubernetes.io/name=klamm-operator";

/// Installs the chart, or upgrades what is installed, with `--set` values; waits until the operator is ready.
///
/// # Errors
/// helm fails, or the operator does not become ready.
pub fn install(kubernetes: &Kubernetes, values: &[&str]) -> Result<()> {
    let mut arguments =
        vec!["upgrade", "--install", RELEASE, CHART, "--namespace", NAMESPACE, "--create-namespace"];
    values.iter().for_each(|value| arguments.extend(["--set", value]));
    helm(&arguments)?;
    ready(kubernetes)
}

/// Waits until every wanted pod of the operator is of the newest template and ready.
///
/// # Errors
/// Not in time.
pub fn ready(kubernetes: &Kubernetes) -> Result<()> {
    until(PATIENCE, "the operator is ready", || {
        let deployments = kubernetes.list(NAMESPACE, DEPLOYMENT, SELECTOR)?;
        let deployment = deployments.first().context("no deployment")?;
        let (status, wanted) = (&deployment["status"], &deployment["spec"]["replicas"]);
        ensure!(
            status["observedGeneration"] == deployment["metadata"]["generation"],
            "not observed: {status}"
        );
        ensure!(status["updatedReplicas"] == *wanted && status["readyReplicas"] == *wanted, "{status}");
        ensure!(status["replicas"] == *wanted, "old pods are left: {status}");
        Ok(Some(()))
    })
}

/// The operator's pods.
///
/// # Errors
/// The API server does not answer.
pub fn pods(kubernetes: &Kubernetes) -> Result<Vec<Value>> {
    kubernetes.list(NAMESPACE, POD, SELECTOR)
}

/// The pod that works: the one that is ready.
///
/// # Errors
/// None is.
pub fn pod(kubernetes: &Kubernetes) -> Result<Value> {
    pods(kubernetes)?.into_iter().find(|pod| is_true(pod, "Ready")).context("no pod of the operator is ready")
}

/// Kills every pod of the operator without a farewell.
///
/// # Errors
/// The API server refuses.
pub fn kill(kubernetes: &Kubernetes) -> Result<()> {
    for pod in pods(kubernetes)? {
        kubernetes.delete_at_once(NAMESPACE, POD, &name_of(&pod))?;
    }
    Ok(())
}
