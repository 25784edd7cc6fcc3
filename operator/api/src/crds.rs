//! Every CustomResourceDefinition of Klamm, with the file that it is kept in.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

use crate::{KafkaCluster, KafkaTopic};

/// A definition and the name of its file under `crds/`.
pub struct Crd {
    /// For example `klamm.dev_kafkaclusters.yaml`.
    pub file: String,
    /// The definition.
    pub definition: CustomResourceDefinition,
}

/// Every definition, in the order in which they are printed.
pub fn all() -> Vec<Crd> {
    [KafkaCluster::crd(), KafkaTopic::crd()]
        .into_iter()
        .map(|definition| Crd {
            file: format!("{}_{}.yaml", definition.spec.group, definition.spec.names.plural),
            definition,
        })
        .collect()
}
