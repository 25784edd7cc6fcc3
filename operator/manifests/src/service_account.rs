//! The account of a cluster's pods. They never ask Kubernetes anything, so it has no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use crate::cluster::Cluster;
use crate::{labels, names};

/// The account.
pub fn service_account(cluster: &Cluster) -> ServiceAccount {
    ServiceAccount {
        metadata: labels::metadata(cluster, names::pool(&cluster.name)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
