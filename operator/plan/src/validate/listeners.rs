//! The rules of listeners.

use std::collections::BTreeSet;

use klamm_operator_api::listener::{Listener, ListenerType};

use crate::desired::DesiredListener;
use crate::resources::{Problem, Subject};

/// The listener of a cluster that names none.
const DEFAULT_LISTENER: (&str, u16) = ("plaintext", 9092);

/// The listeners with every default resolved.
pub fn listeners(
    subject: &Subject,
    written: Option<&[Listener]>,
    problems: &mut Vec<Problem>,
) -> Vec<DesiredListener> {
    let Some(written) = written.filter(|written| !written.is_empty()) else {
        return vec![DesiredListener { name: DEFAULT_LISTENER.0.into(), port: DEFAULT_LISTENER.1 }];
    };
    let mut desired: Vec<DesiredListener> = Vec::new();
    for (index, listener) in written.iter().enumerate() {
        let position = index.to_string();
        for (field, message) in wrong(index, listener, &desired) {
            problems.push(Problem::new(subject, &["spec", "kafka", "listeners", &position, field], message));
        }
        let port = u16::try_from(listener.port).unwrap_or(DEFAULT_LISTENER.1);
        desired.push(DesiredListener { name: listener.name.clone(), port });
    }
    node_ports(subject, written, problems);
    desired
}

/// What is wrong with one listener, by field.
fn wrong(index: usize, listener: &Listener, before: &[DesiredListener]) -> Vec<(&'static str, String)> {
    let (name, port) = (&listener.name, listener.port);
    let inside = listener.type_ == ListenerType::Internal;
    let configuration = listener.configuration.as_ref();
    let address = configuration.is_some_and(|is| is.preferred_node_port_address_type.is_some());
    let rules = [
        (!is_name(name), "name", format!("{name:?} cannot be a listener: use up to 11 lower-case letters and digits")),
        (
            name == "controller",
            "name",
            "controller is taken by the controller quorum: choose another name".into(),
        ),
        (
            // The bootstrap Service of cluster `x` for it would be that of cluster `x-kafka`.
            name == "kafka" && !inside,
            "name",
            "the Services of an external listener named kafka would have the names of those of another cluster: \
             choose another name"
                .into(),
        ),
        (
            before.iter().any(|other| other.name == *name),
            "name",
            format!("there are two listeners named {name}: rename one"),
        ),
        (
            before.iter().any(|other| i32::from(other.port) == port),
            "port",
            format!("port {port} is taken by another listener: choose another one"),
        ),
        (
            !(9092..=65535).contains(&port),
            "port",
            format!("port {port} is not for clients: choose one from 9092 to 65535"),
        ),
        (
            index == 0 && !inside,
            "type",
            "brokers speak to each other on the first listener: put one of type internal first".into(),
        ),
        (
            listener.tls == Some(true),
            "tls",
            "listeners with TLS are not served yet: set tls to false".into(),
        ),
        (
            inside && configuration.is_some(),
            "configuration",
            "an internal listener needs none: take it out, or set type to nodeport or loadbalancer".into(),
        ),
        (
            address && listener.type_ == ListenerType::Loadbalancer,
            "configuration",
            "only listeners of type nodeport advertise addresses of nodes: take preferredNodePortAddressType out"
                .into(),
        ),
    ];
    rules.into_iter().filter(|(broken, ..)| *broken).map(|(_, field, message)| (field, message)).collect()
}

fn is_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=11).contains(&name.len()) && name.bytes().all(fits)
}

/// A node port is given away once in the whole of Kubernetes.
fn node_ports(subject: &Subject, listeners: &[Listener], problems: &mut Vec<Problem>) {
    let mut taken = BTreeSet::new();
    for (index, listener) in listeners.iter().enumerate() {
        let Some(configuration) = &listener.configuration else { continue };
        let brokers = configuration.brokers.iter().flatten().filter_map(|broker| broker.node_port);
        let bootstrap = configuration.bootstrap.iter().filter_map(|bootstrap| bootstrap.node_port);
        for port in bootstrap.chain(brokers).filter(|port| !taken.insert(*port)) {
            let path = ["spec", "kafka", "listeners", &index.to_string(), "configuration"];
            let message = format!("node port {port} is given twice: choose another one, or leave it out");
            problems.push(Problem::new(subject, &path, message));
        }
    }
}
