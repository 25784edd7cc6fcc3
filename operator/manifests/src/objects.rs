//! Everything that a cluster consists of.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use klamm_operator_plan::observed::Properties;

use crate::budget::budget;
use crate::cluster::Cluster;
use crate::config_map::config_map;
use crate::drift;
use crate::founding::Founding;
use crate::network_policy::network_policy;
use crate::service_account::service_account;
use crate::services::{Services, services};
use crate::stateful_set::stateful_set;

/// The objects of a cluster, in the order in which they have to exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// The account of the pods.
    pub service_account: ServiceAccount,
    /// The Service that gives each pod a name.
    pub headless: Service,
    /// The Service in front of all brokers, within Kubernetes.
    pub bootstrap: Service,
    /// The Services for the outside.
    pub external: Vec<Service>,
    /// The properties of all nodes.
    pub config_map: ConfigMap,
    /// The pods, one set a pool.
    pub stateful_sets: Vec<StatefulSet>,
    /// How many nodes may be evicted at once.
    pub budget: PodDisruptionBudget,
    /// Who may connect.
    pub network_policy: NetworkPolicy,
}

/// The objects of a cluster whose nodes have these properties. Each is sealed, see [`drift`].
pub fn objects(cluster: &Cluster, founding: &Founding, nodes: &BTreeMap<i32, Properties>) -> Objects {
    let ids: BTreeSet<i32> = nodes.keys().copied().collect();
    let Services { headless, bootstrap, external } = services(cluster, &ids);
    let config_map = config_map(cluster, nodes);
    let set = stateful_set(cluster, founding, &ids, config_map.metadata.name.as_deref().unwrap_or_default());
    Objects {
        service_account: drift::seal(service_account(cluster)),
        headless,
        bootstrap,
        external,
        config_map: drift::seal(config_map),
        stateful_sets: vec![drift::seal(set)],
        budget: drift::seal(budget(cluster)),
        network_policy: drift::seal(network_policy(cluster)),
    }
}
