//! One container.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use klamm_harness::until;

use crate::command::docker;

/// A container; dropping it removes it with its volumes.
pub struct Container {
    id: String,
}

impl Container {
    /// `docker create` with these arguments.
    ///
    /// # Errors
    /// Docker refuses.
    pub fn create(arguments: &[&str]) -> Result<Self> {
        let id = docker(&[&["create"], arguments].concat())?;
        Ok(Self { id: id.lines().last().context("docker create prints an id")?.trim().to_owned() })
    }

    /// `docker create`, then `docker start`.
    ///
    /// # Errors
    /// Docker refuses.
    pub fn run(arguments: &[&str]) -> Result<Self> {
        let container = Self::create(arguments)?;
        container.start()?;
        Ok(container)
    }

    /// Starts it.
    ///
    /// # Errors
    /// Docker refuses.
    pub fn start(&self) -> Result<()> {
        docker(&["start", &self.id]).map(drop)
    }

    /// What it has printed.
    ///
    /// # Errors
    /// Docker refuses.
    pub fn logs(&self) -> Result<String> {
        docker(&["logs", &self.id])
    }

    /// Runs a program in it and returns what that printed.
    ///
    /// # Errors
    /// The program fails.
    pub fn exec(&self, arguments: &[&str]) -> Result<String> {
        docker(&[&["exec", &self.id], arguments].concat())
    }

    /// Copies a file into it.
    ///
    /// # Errors
    /// Docker refuses.
    pub fn copy(&self, from: &str, to: &str) -> Result<()> {
        docker(&["cp", from, &format!("{}:{to}", self.id)]).map(drop)
    }

    /// A field of `docker inspect`.
    ///
    /// # Errors
    /// There is no such field.
    pub fn inspect(&self, format: &str) -> Result<String> {
        Ok(docker(&["inspect", "--format", format, &self.id])?.trim().to_owned())
    }

    /// Waits for a line with this text. A container that ends has no more to say.
    ///
    /// # Errors
    /// The text does not come; the error has what came instead.
    pub fn wait_for_line(&self, text: &str) -> Result<()> {
        let found = until(Duration::from_secs(60), &format!("the container prints {text:?}"), || {
            if self.logs()?.contains(text) {
                return Ok(Some(true));
            }
            Ok((self.inspect("{{.State.Running}}")? != "true").then_some(false))
        });
        match found {
            Ok(true) => Ok(()),
            Ok(false) if self.logs()?.contains(text) => Ok(()),
            Ok(false) => bail!("the container ended without {text:?}:\n{}", self.logs()?),
            Err(error) => bail!("{error:#}:\n{}", self.logs()?),
        }
    }

    /// Waits for the end and returns the exit code.
    ///
    /// # Errors
    /// It goes on.
    pub fn wait(&self) -> Result<i32> {
        Ok(docker(&["wait", &self.id])?.trim().parse()?)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&self, signal: &str) -> Result<()> {
        docker(&["kill", "--signal", signal, &self.id]).map(drop)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Its daemon goes away after the tests, and takes with it what cannot be removed here.
        let _ = Command::new("docker").args(["rm", "--force", "--volumes", &self.id]).output();
    }
}
