//! The address of a machine of Kubernetes, as clients outside may use it.

use k8s_openapi::api::core::v1::{Node, Pod};

/// Kinds of addresses in the order in which they are tried.
const ORDER: [&str; 5] = ["ExternalDNS", "ExternalIP", "InternalDNS", "InternalIP", "Hostname"];

/// The address of a machine: of the preferred kind if it has one, else the most public one.
pub fn of_machine<'a>(machine: &'a Node, preferred: Option<&str>) -> Option<&'a str> {
    let addresses = machine.status.as_ref()?.addresses.as_ref()?;
    let kinds = preferred.into_iter().chain(ORDER);
    let mut found = kinds.filter_map(|kind| addresses.iter().find(|address| address.type_ == kind));
    Some(&found.next()?.address)
}

/// The address of the machine that a pod runs on. Without knowledge of machines it is the one that the pod's status
/// names, which is internal.
pub fn of_pod<'a>(pod: &'a Pod, machines: Option<&'a [Node]>, preferred: Option<&str>) -> Option<&'a str> {
    let internal = || pod.status.as_ref()?.host_ip.as_deref();
    let Some(machines) = machines else { return internal() };
    let name = pod.spec.as_ref()?.node_name.as_ref()?;
    let machine = machines.iter().find(|machine| machine.metadata.name.as_ref() == Some(name));
    machine.and_then(|machine| of_machine(machine, preferred)).or_else(internal)
}

/// Whether a machine takes part at the moment.
pub fn is_ready(machine: &Node) -> bool {
    let conditions = machine.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
