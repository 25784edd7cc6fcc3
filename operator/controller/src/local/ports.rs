//! Ports on the loopback address: reserved once for each node, and kept.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use klamm_operator_plan::desired::DesiredListener;

use crate::data::state::{NodePorts, State};

/// Ports are taken from here: above the well known ones, below those that systems hand out to outgoing connections.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
/// Ports of one cluster lie together: a cluster starts at a multiple of this, a node at a multiple of `PER_NODE`.
const PER_CLUSTER: u16 = 100;
const PER_NODE: u16 = 10;

/// The ports of a node: those it has, and new ones for what has none yet. `None` if no port is free.
pub fn reserve(state: &State, node: i32, listeners: &[DesiredListener], seed: u16) -> Option<NodePorts> {
    let mut ports = state.ports.get(&node).cloned().unwrap_or_default();
    let mut taken: BTreeSet<u16> =
        state.ports.values().flat_map(|ports| ports.all()).map(|(_, port)| port).collect();
    let mut candidates = candidates(state, node, seed);
    let mut next = || candidates.find(|port| taken.insert(*port) && is_free(*port));
    for listener in listeners {
        if !ports.listeners.contains_key(&listener.name) {
            ports.listeners.insert(listener.name.clone(), next()?);
        }
    }
    for port in [&mut ports.controller, &mut ports.http] {
        if *port == 0 {
            *port = next()?;
        }
    }
    Some(ports)
}

/// Whether somebody could listen on the port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Every port once, those near the cluster's others first.
fn candidates(state: &State, node: i32, seed: u16) -> impl Iterator<Item = u16> {
    let lowest = state.ports.values().flat_map(NodePorts::all).map(|(_, port)| port).min();
    let blocks = (RANGE.end - RANGE.start) / PER_CLUSTER;
    let base = lowest.unwrap_or(RANGE.start + seed % blocks * PER_CLUSTER) / PER_CLUSTER * PER_CLUSTER;
    let offset = u16::try_from(node).unwrap_or(0) % (PER_CLUSTER / PER_NODE) * PER_NODE;
    let first = (base + offset).clamp(RANGE.start, RANGE.end - 1);
    (first..RANGE.end).chain(RANGE.start..first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners() -> Vec<DesiredListener> {
        vec![DesiredListener { name: "plaintext".into(), port: 9092 }]
    }

    #[test]
    fn ports_are_distinct_and_stay() {
        let mut state = State::default();
        for node in 0..3 {
            let ports = reserve(&state, node, &listeners(), 7).unwrap();
            state.ports.insert(node, ports);
        }
        let all: BTreeSet<u16> =
            state.ports.values().flat_map(NodePorts::all).map(|(_, port)| port).collect();
        assert_eq!(all.len(), 9);
        assert_eq!(reserve(&state, 1, &listeners(), 99).as_ref(), state.ports.get(&1));
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let first = reserve(&State::default(), 0, &listeners(), 11).unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, first.listeners["plaintext"])).unwrap();
        let second = reserve(&State::default(), 0, &listeners(), 11).unwrap();
        assert_ne!(first.listeners, second.listeners);
    }
}
