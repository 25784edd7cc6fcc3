//! The properties of a node as data, under Kafka's names.

use std::collections::BTreeSet;

use crate::desired::{DesiredCluster, DesiredListener, Roles};
use crate::observed::{Address, HostPort, Observed, Place, Properties};

/// The name of the listener that controllers use.
pub const CONTROLLER_LISTENER: &str = "CONTROLLER";

/// Properties that follow from the resource and cannot be given in `spec.kafka.config`, with the reason.
pub const DERIVED: [(&str, &str); 13] = [
    ("advertised.listeners", "it follows from spec.kafka.listeners"),
    ("broker.id", "node ids count from 0 to spec.kafka.replicas"),
    ("cluster.id", "the cluster has got an id when it was founded"),
    ("controller.listener.names", "it follows from spec.kafka.controllers"),
    ("controller.quorum.bootstrap.servers", "it follows from spec.kafka.controllers"),
    ("controller.quorum.voters", "it follows from spec.kafka.controllers"),
    ("inter.broker.listener.name", "it is the first of spec.kafka.listeners"),
    ("klamm.http.listener", "it is chosen for each node"),
    ("listener.security.protocol.map", "it follows from spec.kafka.listeners"),
    ("listeners", "it follows from spec.kafka.listeners"),
    ("log.dirs", "it follows from spec.kafka.storage"),
    ("node.id", "node ids count from 0 to spec.kafka.replicas"),
    ("process.roles", "it follows from spec.kafka.controllers"),
];

/// Properties that matter only at the moment when an internal topic is created: a node need not restart for them.
const WITHOUT_RESTART: [&str; 1] = ["offsets.topic.replication.factor"];

/// The properties of one node. `None` while the cluster has no id, or the node or a voter has no address.
pub fn properties(
    cluster: &DesiredCluster,
    observed: &Observed,
    node: i32,
    roles: Roles,
    voters: &BTreeSet<i32>,
) -> Option<Properties> {
    let place = observed.places.get(&node)?;
    let mut rendered = Properties::new();
    let mut put = |key: &str, value: String| rendered.insert(key.to_owned(), value);
    put("process.roles", roles.to_string());
    put("node.id", node.to_string());
    put("cluster.id", observed.cluster_id.clone()?);
    put("controller.quorum.voters", quorum(observed, voters)?);
    put("listeners", bound(cluster, place, roles)?);
    put("advertised.listeners", advertised(cluster, place)?);
    put("listener.security.protocol.map", protocols(cluster));
    put("inter.broker.listener.name", cluster.listeners.first()?.kafka_name());
    put("controller.listener.names", CONTROLLER_LISTENER.into());
    put("log.dirs", place.data_dir.clone());
    put("klamm.http.listener", place.http.to_string());
    put("offsets.topic.replication.factor", cluster.nodes.len().min(3).to_string());
    rendered.extend(cluster.config.clone());
    Some(rendered)
}

/// The properties that differ between what a node runs with and what it should run with, and matter to it.
pub fn restart_needed_for(running: &Properties, wanted: &Properties) -> BTreeSet<String> {
    let keys: BTreeSet<&String> = running.keys().chain(wanted.keys()).collect();
    keys.into_iter()
        .filter(|key| running.get(*key) != wanted.get(*key))
        .filter(|key| !WITHOUT_RESTART.contains(&key.as_str()))
        .cloned()
        .collect()
}

fn quorum(observed: &Observed, voters: &BTreeSet<i32>) -> Option<String> {
    let voter = |id: &i32| Some(format!("{id}@{}", observed.places.get(id)?.controller.advertised));
    Some(voters.iter().map(voter).collect::<Option<Vec<_>>>()?.join(","))
}

fn bound(cluster: &DesiredCluster, place: &Place, roles: Roles) -> Option<String> {
    let mut all = listeners(cluster, place, |address| &address.bind)?;
    if roles.controller {
        all.push(format!("{CONTROLLER_LISTENER}://{}", place.controller.bind));
    }
    Some(all.join(","))
}

/// Only what clients may use: Kafka does not advertise the listeners of controllers.
fn advertised(cluster: &DesiredCluster, place: &Place) -> Option<String> {
    Some(listeners(cluster, place, |address| &address.advertised)?.join(","))
}

fn listeners(
    cluster: &DesiredCluster,
    place: &Place,
    side: impl Fn(&Address) -> &HostPort,
) -> Option<Vec<String>> {
    let one = |listener: &DesiredListener| {
        Some(format!("{}://{}", listener.kafka_name(), side(place.listeners.get(&listener.name)?)))
    };
    cluster.listeners.iter().map(one).collect()
}

fn protocols(cluster: &DesiredCluster) -> String {
    let names = cluster.listeners.iter().map(|listener| listener.kafka_name());
    let all = names.chain([CONTROLLER_LISTENER.to_owned()]);
    all.map(|name| format!("{name}:PLAINTEXT")).collect::<Vec<_>>().join(",")
}
