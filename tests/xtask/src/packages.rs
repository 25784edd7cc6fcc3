//! Programs that tests need: found, or installed as Debian packages when this runs as root.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell::{has, output, run};

/// A program, and the Debian package that brings it.
pub type Program = (&'static str, &'static str);

/// kcat.
pub const KCAT: Program = ("kcat", "kcat");
/// Python with venv.
pub const PYTHON: Program = ("python3", "python3-venv");
/// Node.js.
pub const NODE: Program = ("node", "nodejs");
/// npm.
pub const NPM: Program = ("npm", "npm");
/// Go, 1.21 or later: it fetches the toolchain that a module asks for.
pub const GO: Program = ("go", "golang-go");
/// A Java development kit, 17 or later.
pub const JAVAC: Program = ("javac", "openjdk-17-jdk-headless");
/// Maven.
pub const MAVEN: Program = ("mvn", "maven");
/// buildah.
pub const BUILDAH: Program = ("buildah", "buildah");
/// busybox, linked statically.
pub const BUSYBOX: Program = ("busybox", "busybox-static");
/// bash, linked statically.
pub const BASH: Program = ("bash-static", "bash-static");
/// Docker's daemon.
pub const DOCKERD: Program = ("dockerd", "docker.io");
/// Docker's command.
pub const DOCKER: Program = ("docker", "docker.io");
/// docker-compose.
pub const COMPOSE: Program = ("docker-compose", "docker-compose");
/// Network namespaces.
pub const IP: Program = ("ip", "iproute2");
/// Docker's rules for published ports.
pub const IPTABLES: Program = ("iptables", "iptables");

/// Installs what is missing.
///
/// # Errors
/// Something is missing and cannot be installed.
pub fn ensure(programs: &[Program]) -> Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(name, _)| !has(name)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !has("apt-get") || output(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!(
            "these packages are missing: {}; install them, on Debian as root: {install}",
            missing.join(" ")
        );
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends"]).args(missing))
}
