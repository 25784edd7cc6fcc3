//! The services of one compose file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use klamm_harness::until;

use crate::command::{bounded, docker, output};

/// Longest wait for services to turn healthy.
const HEALTHY: Duration = Duration::from_secs(120);

/// A compose file that is up; dropping it takes it down with its volumes.
pub struct Project {
    file: PathBuf,
    name: String,
    data: PathBuf,
}

impl Project {
    /// `docker-compose up --detach` of a file, by its path from the root of the repository. Host directories that it mounts
    /// are made by Docker, as root.
    ///
    /// # Errors
    /// A service cannot be started.
    pub fn up(file: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
        let stem = path.file_stem().context("a file has a name")?.to_string_lossy().into_owned();
        let all = std::env::var_os("KLAMM_COMPOSE_DATA").context("run `cargo xtask compose`")?;
        let data = PathBuf::from(all).join(&stem);
        let project = Self { file: path, name: format!("klamm-{stem}"), data };
        output(project.compose().args(["up", "--detach"]))?;
        Ok(project)
    }

    fn compose(&self) -> Command {
        let mut command = bounded("docker-compose");
        command.arg("--file").arg(&self.file).args(["--project-name", &self.name]);
        command.env("KLAMM_COMPOSE_DATA", &self.data);
        command
    }

    /// The network of a file that names none, or of one that it names.
    pub fn network(&self, name: &str) -> String {
        format!("{}_{name}", self.name)
    }

    /// The host's side of mounted directories.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// What a service has printed.
    ///
    /// # Errors
    /// There is no such service.
    pub fn logs(&self, service: &str) -> Result<String> {
        output(self.compose().args(["logs", "--no-color", service]))
    }

    /// Kills a service's container as a power cut would.
    ///
    /// # Errors
    /// There is no such service.
    pub fn kill(&self, service: &str) -> Result<()> {
        docker(&["kill", "--signal", "KILL", &self.container(service)?]).map(drop)
    }

    /// Starts a container that was killed.
    ///
    /// # Errors
    /// There is no such service.
    pub fn start(&self, service: &str) -> Result<()> {
        docker(&["start", &self.container(service)?]).map(drop)
    }

    /// Runs a program in a service's container.
    ///
    /// # Errors
    /// It fails.
    pub fn exec(&self, service: &str, arguments: &[&str]) -> Result<String> {
        docker(&[&["exec", &self.container(service)?], arguments].concat())
    }

    /// The id of a service's container, running or not.
    ///
    /// # Errors
    /// There is no such service.
    pub fn container(&self, service: &str) -> Result<String> {
        let project = format!("label=com.docker.compose.project={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        let id =
            docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &project, "--filter", &service])?;
        let id = id.lines().next().with_context(|| format!("no container with {service}"))?;
        Ok(id.to_owned())
    }

    /// `healthy`, `unhealthy` or `starting`; `running` or `exited N` where there is no health check.
    ///
    /// # Errors
    /// There is no such service.
    pub fn state(&self, service: &str) -> Result<String> {
        let format = "{{if .State.Health}}{{.State.Health.Status}}{{else if .State.Running}}running{{else}}\
                      exited {{.State.ExitCode}}{{end}}";
        Ok(docker(&["inspect", "--format", format, &self.container(service)?])?.trim().to_owned())
    }

    /// Waits until each service is in the state that goes with it.
    ///
    /// # Errors
    /// One is not in time; the error has the end of its log.
    pub fn wait(&self, expected: &[(&str, &str)]) -> Result<()> {
        let reached = until(HEALTHY, "all services are as expected", || {
            for (service, state) in expected {
                let found = self.state(service)?;
                if found != *state {
                    std::thread::sleep(Duration::from_millis(300));
                    bail!("{service} is {found}, not {state}");
                }
            }
            Ok(Some(()))
        });
        let Err(error) = reached else { return Ok(()) };
        let mut ends = BTreeMap::new();
        for (service, state) in expected {
            if self.state(service)? != *state {
                let log = self.logs(service)?;
                let lines: Vec<&str> = log.lines().collect();
                ends.insert(service, lines[lines.len().saturating_sub(40)..].join("\n"));
            }
        }
        bail!("{error:#}\n{ends:#?}")
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Its daemon goes away after the tests, and takes with it what cannot be taken down here.
        let _ = self.compose().args(["down", "--volumes", "--timeout", "1"]).output();
    }
}
