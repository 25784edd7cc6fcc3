//! A network of the run's own: every machine in a namespace, and every packet between two of them through this program, which
//! may lose it, hold it back, or send it twice, in either direction of any pair.
//!
//! - `tun`: the cables, as the kernel's TUN devices
//! - [`link`]: what happens to packets from one machine to another
//! - `router`: takes packets from one cable to the other
//!
//! The kernels that this runs on need neither netem nor netfilter, and what was withheld is counted.

pub mod link;
mod router;
mod tun;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use klamm_harness::Place;

use crate::shell;
use link::Link;
use router::Router;

/// The host part of this program's own address, whose packets nothing ever happens to.
const OWN: u8 = 254;
/// The host part of the clients' address.
const CLIENTS: u8 = 200;

/// The network.
pub struct Wire {
    router: Arc<Router>,
    machines: BTreeMap<i32, u8>,
}

impl Wire {
    /// A network with a machine for each of these nodes and one for the clients.
    ///
    /// # Errors
    /// This is not root, or the kernel has no namespaces or TUN devices.
    pub fn of(nodes: &[i32]) -> Result<Self> {
        let machines: BTreeMap<i32, u8> = nodes.iter().copied().zip(1..).collect();
        let mut cables = BTreeMap::new();
        for host in machines.values().copied().chain([CLIENTS]) {
            cables.insert(host, plug_in(host)?);
        }
        cables.insert(OWN, plug_in_here()?);
        Ok(Self { router: Router::start(cables), machines })
    }

    fn host(&self, node: i32) -> Result<u8> {
        self.machines.get(&node).copied().with_context(|| format!("node {node} has no machine"))
    }

    /// Where a node runs.
    ///
    /// # Errors
    /// It has no machine.
    pub fn place(&self, node: i32) -> Result<Place> {
        let host = self.host(node)?;
        Ok(Place { host: format!("10.78.0.{host}"), launcher: launcher(host) })
    }

    /// The program and arguments that start a process on the clients' machine.
    pub fn clients(&self) -> Vec<String> {
        launcher(CLIENTS)
    }

    /// From now on this happens to packets from one node to another.
    ///
    /// # Errors
    /// A node has no machine.
    pub fn set(&self, from: i32, to: i32, link: Link) -> Result<()> {
        self.router.set(self.host(from)?, self.host(to)?, link);
        Ok(())
    }

    /// From now on this happens to packets between a node and the clients, in both directions.
    ///
    /// # Errors
    /// The node has no machine.
    pub fn set_clients(&self, node: i32, link: Link) -> Result<()> {
        let host = self.host(node)?;
        self.router.set(host, CLIENTS, link);
        self.router.set(CLIENTS, host, link);
        Ok(())
    }

    /// Nothing happens to any packet any more.
    pub fn heal(&self) {
        self.router.heal();
    }

    /// Packets that were lost, held back, or sent twice so far.
    pub fn withheld(&self) -> link::Counts {
        self.router.counts()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.router.stop();
        for host in self.machines.values().copied().chain([CLIENTS]) {
            drop(shell::run("ip", &["netns", "delete", &namespace(host)]));
        }
        drop(shell::run("ip", &["link", "delete", &cable(OWN)]));
    }
}

fn namespace(host: u8) -> String {
    format!("chaos-{host}")
}

fn cable(host: u8) -> String {
    format!("cable-{host}")
}

fn launcher(host: u8) -> Vec<String> {
    ["ip", "netns", "exec", &namespace(host)].map(str::to_owned).to_vec()
}

/// A machine's end of a cable goes into its namespace; ours stays here.
fn plug_in(host: u8) -> Result<std::fs::File> {
    let (namespace, cable) = (namespace(host), cable(host));
    shell::run("ip", &["netns", "add", &namespace])?;
    let ours = tun::open(&cable)?;
    shell::run("ip", &["link", "set", &cable, "netns", &namespace, "name", "eth0"])?;
    let address = format!("10.78.0.{host}/24");
    shell::run("ip", &["-n", &namespace, "address", "add", &address, "dev", "eth0"])?;
    shell::run("ip", &["-n", &namespace, "link", "set", "eth0", "up"])?;
    shell::run("ip", &["-n", &namespace, "link", "set", "lo", "up"])?;
    Ok(ours)
}

fn plug_in_here() -> Result<std::fs::File> {
    let cable = cable(OWN);
    let ours = tun::open(&cable)?;
    shell::run("ip", &["address", "add", &format!("10.78.0.{OWN}/24"), "dev", &cable])?;
    shell::run("ip", &["link", "set", &cable, "up"])?;
    Ok(ours)
}

#[cfg(test)]
mod tests;
