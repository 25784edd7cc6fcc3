//! Namespaces of the kernel's, for faults that loopback cannot show: names that move, machines that vanish without a word.
//!
//! A test runs again inside a network and mount namespace of its own, where it may do to interfaces and to `/etc/hosts`
//! what it likes. All of it is gone when the test is. That needs root; elsewhere such a test says so and ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::broker::broker_binary;
use crate::cluster::Place;

/// Set in the environment of a test that runs inside.
const INSIDE: &str = "KLAMM_TEST_NAMESPACE";

/// True inside. Outside it runs the test of this name inside, and says false when that went well.
///
/// # Errors
/// The test failed inside.
pub fn enter(test: &str) -> Result<bool> {
    if std::env::var_os(INSIDE).is_some() {
        mount(&["-t", "tmpfs", "none", "/run"])?;
        run("ip", &["link", "set", "lo", "up"])?;
        return Ok(true);
    }
    let allowed = Command::new("unshare").args(["--net", "--mount", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {test} needs root and `unshare`");
        return Ok(false);
    }
    let inside = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(std::env::current_exe()?)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "yes")
        .env("KLAMM_BROKER_BIN", broker_binary()?)
        .status()?;
    ensure!(inside.success(), "{test} failed in its namespace");
    Ok(false)
}

/// Makes these the names that every process inside resolves, and nothing else.
///
/// # Errors
/// The file cannot be mounted or written.
pub fn set_hosts(folder: &Path, hosts: &[(&str, &str)]) -> Result<()> {
    let file = folder.join("hosts");
    let is_new = !file.exists();
    let lines = hosts.iter().map(|(name, address)| format!("{address} {name}\n"));
    // Written in place: what is mounted is this very file.
    fs::write(&file, format!("127.0.0.1 localhost\n{}", lines.collect::<String>()))?;
    if is_new {
        mount(&["--bind", &file.display().to_string(), "/etc/hosts"])?;
    }
    Ok(())
}

/// A machine of the test's: a network namespace with one interface, on a switch that it shares with the others.
#[derive(Debug)]
pub struct Machine {
    number: u8,
}

impl Machine {
    /// The switch, on which the test itself has an address.
    ///
    /// # Errors
    /// The kernel has no bridges.
    pub fn switch() -> Result<()> {
        run("ip", &["link", "add", "switch", "type", "bridge"])?;
        run("ip", &["address", "add", "10.77.0.254/24", "dev", "switch"])?;
        run("ip", &["link", "set", "switch", "up"])
    }

    /// Machine `number`, with the address `10.77.0.<number>`.
    ///
    /// # Errors
    /// It is there already, or the kernel refuses.
    pub fn plug_in(number: u8) -> Result<Self> {
        let machine = Self { number };
        let (name, outer) = (machine.name(), machine.cable());
        run("ip", &["netns", "add", &name])?;
        run("ip", &["link", "add", &outer, "type", "veth", "peer", "name", "eth0", "netns", &name])?;
        run("ip", &["link", "set", &outer, "master", "switch", "up"])?;
        run("ip", &["-n", &name, "address", "add", &format!("{}/24", machine.address()), "dev", "eth0"])?;
        run("ip", &["-n", &name, "link", "set", "eth0", "up"])?;
        run("ip", &["-n", &name, "link", "set", "lo", "up"])?;
        Ok(machine)
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("10.77.0.{}", self.number)
    }

    /// For [`crate::ClusterSpec::place`].
    pub fn place(&self) -> Place {
        let launcher = ["ip", "netns", "exec", &self.name()].map(str::to_owned).to_vec();
        Place { host: self.address(), launcher }
    }

    /// From now on nothing comes from it and nothing reaches it, and nobody is told.
    ///
    /// # Errors
    /// It is unplugged already.
    pub fn vanish(&self) -> Result<()> {
        run("ip", &["link", "set", &self.cable(), "down"])
    }

    /// It is there again.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn come_back(&self) -> Result<()> {
        run("ip", &["link", "set", &self.cable(), "up"])
    }

    fn name(&self) -> String {
        format!("machine-{}", self.number)
    }

    fn cable(&self) -> String {
        format!("cable-{}", self.number)
    }
}

fn mount(arguments: &[&str]) -> Result<()> {
    run("mount", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("starting {program}"))?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), complaint.trim());
    Ok(())
}
