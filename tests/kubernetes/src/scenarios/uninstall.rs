//! The end.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::api::{CLUSTER, NAMESPACE, until};
use crate::bed::Bed;
use crate::command::{helm, kubectl};
use crate::kafka::Cluster;
use crate::manifest::cluster;
use crate::namespace::Namespace;
use crate::operator;

const PATIENCE: Duration = Duration::from_secs(90);
/// Every kind that the chart or the operator makes, claims and definitions of resources apart.
const KINDS: &str = "deployments,statefulsets,pods,services,configmaps,serviceaccounts,poddisruptionbudgets,\
                     networkpolicies,leases,roles,rolebindings,clusterroles,clusterrolebindings";

/// Clusters deleted, the chart uninstalled: claims and definitions stay, and nothing else.
pub fn leaves_nothing_but_claims(bed: &Bed) -> Result<String> {
    bed.forget();
    let namespace = Namespace::create(&bed.kubernetes, "e2e-last")?;
    Cluster::apply(&namespace, "last", &cluster("last", 1))?;
    namespace.delete(CLUSTER, "last")?;
    helm(&["uninstall", operator::RELEASE, "--namespace", operator::NAMESPACE, "--wait"])?;
    until(PATIENCE, "nothing but claims is left", || {
        let mut left = Vec::new();
        for selector in
            ["app.kubernetes.io/managed-by=klamm-operator", "app.kubernetes.io/name=klamm-operator"]
        {
            left.push(kubectl(&["get", KINDS, "-A", "-l", selector, "-o", "name", "--ignore-not-found"])?);
        }
        left.push(kubectl(&["get", "leases", "-n", operator::NAMESPACE, "-o", "name"])?);
        ensure!(left.iter().all(|l| l.trim().is_empty()), "{}", left.concat());
        Ok(Some(()))
    })?;
    let claims = kubectl(&["get", "pvc", "-n", namespace.name(), "-o", "name"])?;
    ensure!(claims.lines().count() == 1, "claims: {claims:?}");
    let definitions = kubectl(&["get", "crd", "-o", "name"])?;
    ensure!(
        definitions.contains("kafkaclusters.klamm.dev"),
        "the definitions, and with them every cluster, are gone"
    );
    kubectl(&["delete", "namespace", operator::NAMESPACE, "--wait=false"])?;
    bed.kubernetes.until_gone(PATIENCE, "", NAMESPACE, operator::NAMESPACE)?;
    Ok(String::new())
}
