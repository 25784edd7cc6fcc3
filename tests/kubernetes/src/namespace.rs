//! A namespace of a scenario's own, gone when the scenario is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::api::{self, Kind, Kubernetes, NAMESPACE, POD, until};
use crate::command::{apply, kubectl, run_with_input};
use crate::manifest::{RESTRICTED, client_pod};

/// The image of the client pod, made by `tests/kubernetes/client/image`.
const CLIENT_IMAGE: &str = "klamm/e2e-client:dev";
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace with the restricted Pod Security Standard enforced.
pub struct Namespace {
    kubernetes: Kubernetes,
    name: String,
    owned: bool,
}

impl Namespace {
    /// Makes one, which is deleted with the value. What a run that was killed has left of it goes first.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn create(kubernetes: &Kubernetes, name: &str) -> Result<Self> {
        kubectl(&["delete", "namespace", name, "--ignore-not-found", "--wait=false"])?;
        kubernetes.until_gone(PATIENCE, "", NAMESPACE, name)?;
        kubectl(&["create", "namespace", name])?;
        kubectl(&["label", "namespace", name, &format!("{}={}", RESTRICTED.0, RESTRICTED.1)])?;
        Ok(Self { kubernetes: kubernetes.clone(), name: name.to_owned(), owned: true })
    }

    /// One that is there and stays.
    pub fn existing(kubernetes: &Kubernetes, name: &str) -> Self {
        Self { kubernetes: kubernetes.clone(), name: name.to_owned(), owned: false }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The API server.
    pub fn kubernetes(&self) -> &Kubernetes {
        &self.kubernetes
    }

    /// `kubectl apply` of an object.
    ///
    /// # Errors
    /// It is refused; the error holds the reason.
    pub fn apply(&self, object: &Value) -> Result<()> {
        apply(&self.name, &object.to_string()).map(drop)
    }

    /// `kubectl apply` of an object that must be refused; returns the reason.
    ///
    /// # Errors
    /// It is accepted.
    pub fn refused(&self, object: &Value) -> Result<String> {
        let refusal = self.apply(object).err();
        Ok(format!("{:#}", refusal.with_context(|| format!("accepted: {object}"))?))
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn get(&self, kind: Kind, name: &str) -> Result<Value> {
        self.kubernetes.get(&self.name, kind, name)
    }

    /// Objects by labels.
    ///
    /// # Errors
    /// The API server does not answer.
    pub fn list(&self, kind: Kind, selector: &str) -> Result<Vec<Value>> {
        self.kubernetes.list(&self.name, kind, selector)
    }

    /// Merges a patch into an object.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn merge(&self, kind: Kind, name: &str, patch: &Value) -> Result<Value> {
        self.kubernetes.merge(&self.name, kind, name, patch)
    }

    /// Deletes an object and waits until it is gone.
    ///
    /// # Errors
    /// It is still there after a while.
    pub fn delete(&self, kind: Kind, name: &str) -> Result<()> {
        self.kubernetes.delete(&self.name, kind, name)?;
        self.kubernetes.until_gone(PATIENCE, &self.name, kind, name)
    }

    /// Waits for an object to meet a condition.
    ///
    /// # Errors
    /// It does not in time.
    pub fn until(
        &self,
        kind: Kind,
        name: &str,
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        self.kubernetes.until(PATIENCE, (&self.name, kind, name), what, condition)
    }

    /// Waits for an object to be ready for the generation that it has now.
    ///
    /// # Errors
    /// It is not in time.
    pub fn until_ready(&self, kind: Kind, name: &str) -> Result<Value> {
        self.until(kind, name, "is ready", |object| api::is_true(object, "Ready"))
    }

    /// Starts the pod that clients run in.
    ///
    /// # Errors
    /// It does not start.
    pub fn client(&self) -> Result<ClientPod<'_>> {
        self.apply(&client_pod(CLIENT_IMAGE))?;
        self.until(POD, "client", "is ready", |pod| api::is_true(pod, "Ready"))?;
        Ok(ClientPod { namespace: self })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if self.owned {
            // The end of the suite looks for what is left.
            drop(self.kubernetes.delete("", NAMESPACE, &self.name));
        }
    }
}

/// A pod with kcat.
pub struct ClientPod<'a> {
    namespace: &'a Namespace,
}

impl ClientPod<'_> {
    /// Runs kcat in the pod; returns what it prints.
    ///
    /// # Errors
    /// It fails.
    pub fn kcat(&self, arguments: &[&str], input: &str) -> Result<String> {
        let exec = ["exec", "-i", "-n", self.namespace.name(), "client", "--", "/kcat"];
        run_with_input("kubectl", &[&exec, arguments].concat(), input)
    }

    /// Produces lines as records and reads the topic back until they are all there.
    ///
    /// # Errors
    /// They are not.
    pub fn exchange(&self, bootstrap: &str, topic: &str, lines: &[&str]) -> Result<()> {
        let producing =
            ["-b", bootstrap, "-t", topic, "-P", "-X", "acks=all", "-X", "message.timeout.ms=20000"];
        self.kcat(&producing, &(lines.join("\n") + "\n"))?;
        until(PATIENCE, "kcat reads what it produced", || {
            let read = self.kcat(&["-b", bootstrap, "-t", topic, "-C", "-e", "-q", "-o", "beginning"], "")?;
            let missing: Vec<_> = lines.iter().filter(|line| !read.lines().any(|r| r == **line)).collect();
            ensure!(missing.is_empty(), "{missing:?} are missing in {read:?}");
            Ok(Some(()))
        })
    }
}
