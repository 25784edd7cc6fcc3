//! The API server as tests see it: objects are JSON, calls block, and waiting has a bound.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::{Request, StatusCode};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Pause between two looks at an object.
const PAUSE: Duration = Duration::from_millis(100);

/// A kind of object: group, version, name, plural.
pub type Kind = (&'static str, &'static str, &'static str, &'static str);

/// Pods.
pub const POD: Kind = ("", "v1", "Pod", "pods");
/// Services.
pub const SERVICE: Kind = ("", "v1", "Service", "services");
/// Config maps.
pub const CONFIG_MAP: Kind = ("", "v1", "ConfigMap", "configmaps");
/// Service accounts.
pub const SERVICE_ACCOUNT: Kind = ("", "v1", "ServiceAccount", "serviceaccounts");
/// Claims of volumes.
pub const CLAIM: Kind = ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
/// Events.
pub const EVENT: Kind = ("events.k8s.io", "v1", "Event", "events");
/// Namespaces.
pub const NAMESPACE: Kind = ("", "v1", "Namespace", "namespaces");
/// Nodes.
pub const NODE: Kind = ("", "v1", "Node", "nodes");
/// Deployments.
pub const DEPLOYMENT: Kind = ("apps", "v1", "Deployment", "deployments");
/// Stateful sets.
pub const STATEFUL_SET: Kind = ("apps", "v1", "StatefulSet", "statefulsets");
/// Disruption budgets.
pub const DISRUPTION_BUDGET: Kind = ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
/// Network policies.
pub const NETWORK_POLICY: Kind = ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
/// Kafka clusters.
pub const CLUSTER: Kind = ("klamm.dev", "v1alpha1", "KafkaCluster", "kafkaclusters");
/// Kafka topics.
pub const TOPIC: Kind = ("klamm.dev", "v1alpha1", "KafkaTopic", "kafkatopics");

/// The way to the API server, cheap to clone and usable from several threads: `kubectl proxy`, which knows how to log in.
#[derive(Clone)]
pub struct Kubernetes {
    agent: Agent,
    address: String,
    _proxy: Arc<Proxy>,
}

struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Kubernetes {
    /// Connects by the kubeconfig of the environment.
    ///
    /// # Errors
    /// kubectl does not start.
    pub fn connect() -> Result<Self> {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["proxy", "--port=0", "--reject-paths="]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut proxy = Proxy(kubectl.spawn().context("starting kubectl proxy")?);
        let mut line = String::new();
        BufReader::new(proxy.0.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        let address = line
            .trim()
            .rsplit(' ')
            .next()
            .filter(|a| a.contains(':'))
            .context("kubectl proxy says no address")?;
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(REQUEST));
        let agent = config.build().new_agent();
        Ok(Self { agent, address: format!("http://{address}"), _proxy: Arc::new(proxy) })
    }

    fn url(&self, namespace: &str, (group, version, _, plural): Kind, rest: &str) -> String {
        let root =
            if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let scope = if namespace.is_empty() { String::new() } else { format!("namespaces/{namespace}/") };
        format!("{}/{root}/{scope}{plural}{rest}", self.address)
    }

    /// The answer, or none if there is no such object.
    fn call(&self, method: &str, url: &str, body: Option<&Value>) -> Result<Option<Value>> {
        let request = Request::builder().method(method).uri(url);
        let mut answer = match body {
            None => self.agent.run(request.body(())?),
            Some(body) => {
                let content =
                    if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
                self.agent.run(request.header("content-type", content).body(body.to_string())?)
            }
        }
        .with_context(|| format!("{method} {url}"))?;
        let status = answer.status();
        let body: Value = answer.body_mut().with_config().limit(256 << 20).read_json()?;
        match status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(body)),
            _ => bail!("{}", body["message"].as_str().unwrap_or(status.as_str())),
        }
    }

    /// An object, if it is there; an empty namespace means a kind that has none.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub fn find(&self, namespace: &str, kind: Kind, name: &str) -> Result<Option<Value>> {
        self.call("GET", &self.url(namespace, kind, &format!("/{name}")), None)
    }

    /// An object that must be there.
    ///
    /// # Errors
    /// It is not, or the API server refuses.
    pub fn get(&self, namespace: &str, kind: Kind, name: &str) -> Result<Value> {
        self.find(namespace, kind, name)?.with_context(|| format!("no {} {namespace}/{name}", kind.2))
    }

    /// Objects by a label selector, all with an empty one; an empty namespace means every namespace.
    ///
    /// # Errors
    /// The API server does not answer, or refuses.
    pub fn list(&self, namespace: &str, kind: Kind, selector: &str) -> Result<Vec<Value>> {
        let selector = selector.replace('=', "%3D").replace(',', "%2C");
        let url = self.url(namespace, kind, &format!("?labelSelector={selector}"));
        let mut list = self.call("GET", &url, None)?.with_context(|| format!("no kind {}", kind.2))?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => bail!("a list of {} without items", kind.2),
        }
    }

    /// Merges a patch into an object.
    ///
    /// # Errors
    /// The API server refuses, as admission rules do.
    pub fn merge(&self, namespace: &str, kind: Kind, name: &str, patch: &Value) -> Result<Value> {
        let patched = self.call("PATCH", &self.url(namespace, kind, &format!("/{name}")), Some(patch))?;
        patched.with_context(|| format!("no {} {namespace}/{name}", kind.2))
    }

    /// Merges a patch into an object's status.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn merge_status(&self, namespace: &str, kind: Kind, name: &str, patch: &Value) -> Result<()> {
        let patched =
            self.call("PATCH", &self.url(namespace, kind, &format!("/{name}/status")), Some(patch))?;
        patched.map(drop).with_context(|| format!("no {} {namespace}/{name}", kind.2))
    }

    /// Asks for the deletion of an object; one that is not there is no error.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn delete(&self, namespace: &str, kind: Kind, name: &str) -> Result<()> {
        let options = json!({ "propagationPolicy": "Background" });
        self.call("DELETE", &self.url(namespace, kind, &format!("/{name}")), Some(&options)).map(drop)
    }

    /// Deletes a pod without waiting for its node, as when the node has died.
    ///
    /// # Errors
    /// The API server refuses.
    pub fn delete_at_once(&self, namespace: &str, kind: Kind, name: &str) -> Result<()> {
        let options = json!({ "gracePeriodSeconds": 0 });
        self.call("DELETE", &self.url(namespace, kind, &format!("/{name}")), Some(&options)).map(drop)
    }

    /// Waits until an object is there and meets a condition; returns it.
    ///
    /// # Errors
    /// It does not in time; the error holds the object's status.
    pub fn until(
        &self,
        limit: Duration,
        (namespace, kind, name): (&str, Kind, &str),
        what: &str,
        condition: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let mut last = Value::Null;
        let waited = until(limit, &format!("{} {name} {what}", kind.2), || {
            last = self.find(namespace, kind, name)?.unwrap_or_default();
            Ok(condition(&last).then(|| last.clone()))
        });
        waited.with_context(|| format!("its status: {}", last["status"]))
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// It is still there.
    pub fn until_gone(&self, limit: Duration, namespace: &str, kind: Kind, name: &str) -> Result<()> {
        until(limit, &format!("{} {name} is gone", kind.2), || {
            Ok(self.find(namespace, kind, name)?.is_none().then_some(()))
        })
    }
}

/// Looks until there is something; errors mean "not yet".
///
/// # Errors
/// Nothing within the limit; the error names what was waited for and the last complaint.
pub fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let complaint = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => String::new(),
            Err(error) => format!(": {error:#}"),
        };
        if start.elapsed() >= limit {
            bail!("waited {} s until {what}{complaint}", limit.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether a condition of an object's status is true, for the generation that the object has now.
pub fn is_true(object: &Value, condition: &str) -> bool {
    let found = condition_of(object, condition);
    found["status"] == "True"
        && found.get("observedGeneration").is_none_or(|seen| *seen == object["metadata"]["generation"])
}

/// A condition of an object's status, null if there is none.
pub fn condition_of(object: &Value, condition: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.and_then(|all| all.iter().find(|c| c["type"] == condition));
    found.cloned().unwrap_or_default()
}

/// The name of an object.
pub fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
