//! What a resource asks of Kubernetes, with every default resolved.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use klamm_operator_api::KafkaCluster;
use klamm_operator_api::cluster::KafkaSpec;
use klamm_operator_api::listener::{
    BootstrapConfiguration, BrokerConfiguration, ExternalTrafficPolicy, Listener, ListenerConfiguration,
    ListenerType, NodeAddressType,
};
use klamm_operator_api::quantity::{self as api, ResourceRequirements};
use klamm_operator_api::storage::{DEFAULT_SIZE, StorageType};
use klamm_operator_api::template;
use klamm_operator_manifests::cluster;
use klamm_operator_manifests::cluster::{
    Cluster, DEFAULT_RACK_LABEL, Entry, Exposure, External, PodTemplate, Storage,
};
use klamm_operator_plan::desired::DesiredCluster;
use kube::ResourceExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::Settings;

/// The cluster as its objects are rendered from it.
///
/// # Errors
/// What Kubernetes could never take, with the way out.
pub fn cluster(
    resource: &KafkaCluster,
    desired: &DesiredCluster,
    settings: &Settings,
) -> Result<Cluster, String> {
    let (name, spec) = (resource.name_any(), &resource.spec.kafka);
    let image = spec.image.clone().unwrap_or_else(|| settings.broker_image.clone());
    Ok(Cluster {
        namespace: resource.namespace().unwrap_or_default(),
        uid: resource.uid().unwrap_or_default(),
        image,
        resources: spec.resources.as_ref().map(resources).unwrap_or_default(),
        listeners: listeners(spec, desired)?,
        storage: storage(spec),
        rack_label: spec
            .rack
            .as_ref()
            .map_or_else(|| DEFAULT_RACK_LABEL.to_owned(), |rack| rack.topology_key.clone()),
        template: spec
            .template
            .as_ref()
            .and_then(|template| template.pod.as_ref())
            .map(pod_template)
            .transpose()?
            .unwrap_or_default(),
        operator: settings.operator.clone(),
        name,
    })
}

fn resources(written: &ResourceRequirements) -> core::ResourceRequirements {
    let amounts = |amounts: &BTreeMap<String, api::Quantity>| {
        let amount = |(name, amount): (&String, &api::Quantity)| (name.clone(), Quantity(amount.to_string()));
        (!amounts.is_empty()).then(|| amounts.iter().map(amount).collect())
    };
    core::ResourceRequirements {
        requests: amounts(&written.requests),
        limits: amounts(&written.limits),
        ..core::ResourceRequirements::default()
    }
}

fn listeners(spec: &KafkaSpec, desired: &DesiredCluster) -> Result<Vec<cluster::Listener>, String> {
    let mut all = Vec::new();
    for listener in &desired.listeners {
        let written = spec.listeners.iter().flatten().find(|written| written.name == listener.name);
        let peers = written.and_then(|written| written.network_policy_peers.as_ref());
        all.push(cluster::Listener {
            name: listener.name.clone(),
            port: listener.port,
            exposure: written.map_or(Exposure::Internal, exposure),
            peers: peers
                .map(|peers| alike::<Vec<networking::NetworkPolicyPeer>>("networkPolicyPeers", peers))
                .transpose()?,
        });
    }
    Ok(all)
}

fn exposure(listener: &Listener) -> Exposure {
    let external = || external(&listener.configuration.clone().unwrap_or_default());
    match listener.type_ {
        ListenerType::Internal => Exposure::Internal,
        ListenerType::Nodeport => Exposure::NodePort(external()),
        ListenerType::Loadbalancer => Exposure::LoadBalancer(external()),
    }
}

fn external(written: &ListenerConfiguration) -> External {
    let brokers = written.brokers.iter().flatten();
    External {
        only_local: written.external_traffic_policy == Some(ExternalTrafficPolicy::Local),
        preferred_address: written
            .preferred_node_port_address_type
            .map(NodeAddressType::as_str)
            .map(str::to_owned),
        bootstrap: written.bootstrap.as_ref().map(bootstrap).unwrap_or_default(),
        brokers: brokers.map(|one| (one.broker, broker(one))).collect(),
    }
}

fn bootstrap(written: &BootstrapConfiguration) -> Entry {
    Entry { node_port: written.node_port, annotations: written.annotations.clone(), ..Entry::default() }
}

fn broker(written: &BrokerConfiguration) -> Entry {
    Entry {
        node_port: written.node_port,
        annotations: written.annotations.clone(),
        advertised_host: written.advertised_host.clone(),
        advertised_port: written.advertised_port.and_then(|port| u16::try_from(port).ok()),
    }
}

fn storage(spec: &KafkaSpec) -> Storage {
    let written = spec.storage.as_ref();
    let size = written.and_then(|storage| storage.size.clone());
    match written.map(|storage| storage.type_) {
        Some(StorageType::Ephemeral) => Storage::Ephemeral { size },
        Some(StorageType::PersistentClaim) | None => Storage::Claim {
            size: size.unwrap_or_else(|| DEFAULT_SIZE.to_owned()),
            class: written.and_then(|storage| storage.class.clone()),
        },
    }
}

fn pod_template(written: &template::PodTemplate) -> Result<PodTemplate, String> {
    let metadata = written.metadata.clone().unwrap_or_default();
    let spread = &written.topology_spread_constraints;
    Ok(PodTemplate {
        labels: metadata.labels,
        annotations: metadata.annotations,
        affinity: written
            .affinity
            .as_ref()
            .map(|affinity| alike::<core::Affinity>("template.pod.affinity", affinity))
            .transpose()?,
        tolerations: alike("template.pod.tolerations", &written.tolerations)?,
        node_selector: BTreeMap::clone(&written.node_selector),
        topology_spread: match spread.is_empty() {
            true => None,
            false => Some(alike("template.pod.topologySpreadConstraints", spread)?),
        },
        priority_class: written.priority_class_name.clone(),
        pull_secrets: alike("template.pod.imagePullSecrets", &written.image_pull_secrets)?,
        grace_seconds: written.termination_grace_period_seconds,
    })
}

/// The same thing as a type of Kubernetes: these fields have Kubernetes' own shape.
fn alike<T: DeserializeOwned>(field: &str, written: &impl Serialize) -> Result<T, String> {
    let value = serde_json::to_value(written).map_err(|error| format!("spec.kafka.{field}: {error}"))?;
    serde_json::from_value(value).map_err(|error| format!("spec.kafka.{field}: {error}"))
}
