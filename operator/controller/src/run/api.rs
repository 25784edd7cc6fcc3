//! Calls to Kubernetes, each bounded in time and named in its error.

use std::fmt;
use std::time::Duration;

use kube::client::Client;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Api, Resource};
use tokio::time::timeout;

/// How long one call may take, its retries included.
const PATIENCE: Duration = Duration::from_secs(20);

/// The name under which the operator owns fields.
pub const MANAGER: &str = "klamm-operator";

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct ApiError {
    /// What was tried, such as `apply Service n/a`.
    pub what: String,
    /// What came of it.
    pub why: Why,
}

/// What came of a call that failed.
#[derive(Debug)]
pub enum Why {
    /// No answer in time.
    Timeout,
    /// The API server refused, with its code and message.
    Refused(u16, String),
    /// The API server could not be reached, or was not understood.
    Other(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => write!(f, "Kubernetes did not answer within {} s", PATIENCE.as_secs()),
            Self::Refused(_, message) | Self::Other(message) => f.write_str(message),
        }
    }
}

impl ApiError {
    /// The HTTP code of a refusal.
    pub fn code(&self) -> Option<u16> {
        match &self.why {
            Why::Refused(code, _) => Some(*code),
            Why::Timeout | Why::Other(_) => None,
        }
    }

    /// Whether somebody else was faster: the next look sees it and goes on from there.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// Whether the object is not there.
    pub fn is_missing(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether the namespace is going away, and everything in it.
    pub fn is_farewell(&self) -> bool {
        matches!(&self.why, Why::Refused(403, message) if message.contains("because it is being terminated"))
    }

    /// The label of the error in metrics: a closed list.
    pub fn label(&self) -> &'static str {
        match &self.why {
            Why::Timeout => "timeout",
            Why::Refused(409, _) => "conflict",
            Why::Refused(404, _) => "missing",
            Why::Refused(401 | 403, _) => "forbidden",
            Why::Refused(422, _) => "invalid",
            Why::Refused(..) => "refused",
            Why::Other(_) => "unreachable",
        }
    }
}

/// Waits for a call, not longer than [`PATIENCE`].
///
/// # Errors
/// If it fails or takes too long.
pub async fn bounded<T>(
    what: impl fmt::Display,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ApiError> {
    let why = match timeout(PATIENCE, call).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Why::Refused(status.code, status.message.clone()),
        Ok(Err(error)) => Why::Other(chain(&error)),
        Err(_) => Why::Timeout,
    };
    Err(ApiError { what: what.to_string(), why })
}

/// An error and what lies under it, as one sentence.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut under = error.source();
    while let Some(source) = under {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        under = source.source();
    }
    text
}

/// The objects of a kind in one namespace.
pub fn namespaced<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope>,
    K::DynamicType: Default,
{
    Api::namespaced(client.clone(), namespace)
}

/// The objects of a cluster-wide kind.
pub fn global<K>(client: &Client) -> Api<K>
where
    K: Resource<Scope = ClusterResourceScope>,
    K::DynamicType: Default,
{
    Api::all(client.clone())
}
