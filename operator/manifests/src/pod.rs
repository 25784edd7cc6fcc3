//! The pod of a node: one container, which may write to nothing but its data and a temporary directory.

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    SeccompProfile, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::cluster::{Cluster, DEFAULT_GRACE_SECONDS, Storage};
use crate::{config_map, labels, names, outdated, scheduling};

/// The port of controllers.
pub const CONTROLLER_PORT: u16 = 9090;
/// The name of the port of controllers.
pub const CONTROLLER_PORT_NAME: &str = "controller";
/// The port of health and metrics.
pub const HTTP_PORT: u16 = 8080;
/// The name of the port of health and metrics.
pub const HTTP_PORT_NAME: &str = "http";
/// Where the claim of a node is mounted.
pub const DATA_MOUNT: &str = "/var/lib/kafka/data";
/// The directory of a node's data: not the root of a volume, where file systems put things of their own.
pub const DATA_DIR: &str = "/var/lib/kafka/data/klamm";
/// Where the properties of all nodes are mounted.
const CONFIG_MOUNT: &str = "/etc/klamm";
/// The user and the group that a node runs as.
const USER: i64 = 1000;
/// How long a node may take to open its data before it is started again: logs that were not closed are read first.
const STARTUP_SECONDS: i32 = 1800;

/// The template of the pods, which mount the ConfigMap of this name.
pub fn template(cluster: &Cluster, config_map: &str) -> PodTemplateSpec {
    let mut labels = cluster.template.labels.clone();
    labels.extend(labels::all(cluster));
    let mut annotations = cluster.template.annotations.clone();
    annotations.insert(outdated::WORKLOAD_HASH.into(), outdated::workload_hash(cluster));
    annotations.insert("kubectl.kubernetes.io/default-container".into(), names::CONTAINER.into());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(spec(cluster, config_map)),
    }
}

fn spec(cluster: &Cluster, config_map: &str) -> PodSpec {
    let template = &cluster.template;
    PodSpec {
        service_account_name: Some(names::pool(&cluster.name)),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(template.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS)),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".into()),
            seccomp_profile: Some(seccomp()),
            ..PodSecurityContext::default()
        }),
        affinity: Some(scheduling::affinity(cluster)),
        topology_spread_constraints: Some(scheduling::spread(cluster)).filter(|all| !all.is_empty()),
        tolerations: Some(template.tolerations.clone()).filter(|all| !all.is_empty()),
        node_selector: Some(template.node_selector.clone()).filter(|all| !all.is_empty()),
        priority_class_name: template.priority_class.clone(),
        image_pull_secrets: Some(template.pull_secrets.clone()).filter(|all| !all.is_empty()),
        containers: vec![container(cluster)],
        volumes: Some(volumes(cluster, config_map)),
        ..PodSpec::default()
    }
}

fn container(cluster: &Cluster) -> Container {
    Container {
        name: names::CONTAINER.into(),
        image: Some(cluster.image.clone()),
        command: Some(vec!["klamm-broker".into()]),
        args: Some(vec!["--config".into(), format!("{CONFIG_MOUNT}/node-$(KLAMM_NODE_ID).properties")]),
        env: Some(vec![
            from_label("KLAMM_NODE_ID", labels::POD_INDEX),
            from_label("KAFKA_BROKER_RACK", &cluster.rack_label),
        ]),
        ports: Some(ports(cluster)),
        resources: Some(cluster.resources.clone()),
        startup_probe: Some(probe("/startupz", 1, STARTUP_SECONDS)),
        readiness_probe: Some(probe("/readyz", 1, 3)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".into()]) }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            seccomp_profile: Some(seccomp()),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            VolumeMount { read_only: Some(true), ..mount(config_map::VOLUME, CONFIG_MOUNT) },
            mount(names::DATA, DATA_MOUNT),
            mount("tmp", "/tmp"),
        ]),
        // The last lines of the log say why a node could not start; `kubectl describe` shows them.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..Container::default()
    }
}

/// Every listener under its name, so that Services follow a pod to the port that it really listens on.
fn ports(cluster: &Cluster) -> Vec<ContainerPort> {
    let port = |name: String, number: u16| ContainerPort {
        name: Some(name),
        container_port: number.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    };
    let listeners = cluster.listeners.iter().map(|listener| port(names::port(&listener.name), listener.port));
    let own = [(CONTROLLER_PORT_NAME, CONTROLLER_PORT), (HTTP_PORT_NAME, HTTP_PORT)]
        .map(|(n, p)| port(n.into(), p));
    listeners.chain(own).collect()
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(HTTP_PORT_NAME.into()),
            scheme: Some("HTTP".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn from_label(name: &str, label: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: format!("metadata.labels['{label}']"),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn volumes(cluster: &Cluster, config_map: &str) -> Vec<Volume> {
    let config = Volume {
        name: config_map::VOLUME.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: config_map.to_owned(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![config, empty("tmp", Some("64Mi"))];
    if let Storage::Ephemeral { size } = &cluster.storage {
        volumes.push(empty(names::DATA, size.as_deref()));
    }
    volumes
}

fn empty(name: &str, limit: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: limit.map(|limit| Quantity(limit.into())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.into(), mount_path: path.into(), ..VolumeMount::default() }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".into(), localhost_profile: None }
}
