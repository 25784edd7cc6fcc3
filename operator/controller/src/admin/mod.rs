//! A small admin client: asks a cluster about its topics and changes them, over the Kafka protocol.
//!
//! - [`connection`]: one connection, one request at a time, versions negotiated once.
//! - [`topics`]: what there is; [`changes`]: create, grow, configure; [`batches`]: many topics at once.
//! - [`disruptions`]: whether a node may go for a while.

pub mod batches;
pub mod changes;
pub mod connection;
pub mod disruptions;
pub mod topics;

use klamm_operator_api::conditions::Reason;
use klamm_operator_plan::observed::HostPort;
use klamm_wire::ErrorCode;
use klamm_wire::messages::metadata_request::MetadataRequest;

use connection::Connection;

/// Why the cluster did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No broker could be reached.
    #[error("no broker answers: {0}")]
    Unreachable(String),
    /// A broker answered with something that cannot be understood.
    #[error("a broker answered with something that cannot be understood: {0}")]
    Protocol(String),
    /// The cluster refused.
    #[error("{}", describe(*code, detail))]
    Refused {
        /// Kafka's error code.
        code: i16,
        /// What the cluster added to it.
        detail: String,
    },
}

impl AdminError {
    /// The error of an answer; none for code 0.
    fn of(code: i16, detail: Option<&str>) -> Result<(), Self> {
        let detail = detail.unwrap_or_default().to_owned();
        if code == 0 { Ok(()) } else { Err(Self::Refused { code, detail }) }
    }

    /// What the cluster says, without the name of the error; the whole message where it says nothing.
    pub fn detail(&self) -> String {
        match self {
            Self::Refused { detail, .. } if !detail.is_empty() => detail.clone(),
            other => other.to_string(),
        }
    }

    /// The reason that stands in the condition of a topic that could not be changed.
    pub fn reason(&self) -> Reason {
        match self {
            error if error.is(ErrorCode::InvalidConfig) => Reason::InvalidConfig,
            error if error.is(ErrorCode::InvalidReplicationFactor) => Reason::ReplicasNotSatisfiable,
            Self::Unreachable(_) => Reason::ClusterNotReady,
            _ => Reason::KafkaError,
        }
    }

    /// Whether the cluster refused with this code.
    pub fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Refused { code: refused, .. } if *refused == code.code())
    }
}

fn describe(code: i16, detail: &str) -> String {
    let known = ErrorCode::from_code(code);
    let detail = if detail.is_empty() { known.message() } else { detail };
    format!("{}: {detail}", known.name())
}

/// A client of one cluster. It keeps a connection while it works and makes another one when it breaks.
#[derive(Debug, Default)]
pub struct Admin {
    connection: Option<Connection>,
    /// The id of the cluster, if it is known.
    cluster_id: Option<String>,
}

impl Admin {
    /// From now on only brokers of this cluster are spoken to: an address may belong to somebody else by now.
    pub fn expect_cluster(&mut self, cluster_id: Option<&str>) {
        if self.cluster_id.as_deref() != cluster_id {
            self.cluster_id = cluster_id.map(str::to_owned);
            self.connection = None;
        }
    }

    /// Connects, and checks whose broker it is.
    async fn open(&self, address: &HostPort) -> Result<Connection, AdminError> {
        let mut open = Connection::open(address).await?;
        let Some(expected) = &self.cluster_id else { return Ok(open) };
        let nothing = MetadataRequest {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        let answer = open.call(&nothing).await?;
        let found = answer.cluster_id.as_ref().map(ToString::to_string).unwrap_or_default();
        if found != *expected {
            return Err(AdminError::Protocol(format!(
                "{address} belongs to cluster {found:?}, not {expected:?}"
            )));
        }
        Ok(open)
    }

    /// The present connection, else one to the first of these addresses that answers.
    ///
    /// # Errors
    /// `Unreachable` if none does.
    async fn connection(&mut self, at: &[HostPort]) -> Result<&mut Connection, AdminError> {
        let stale = self.connection.as_ref().is_some_and(|open| !at.contains(open.address()));
        if stale {
            self.connection = None;
        }
        if self.connection.is_none() {
            let mut last = AdminError::Unreachable("no node is ready".into());
            for address in at {
                match self.open(address).await {
                    Ok(open) => {
                        self.connection = Some(open);
                        break;
                    }
                    Err(error) => last = error,
                }
            }
            if self.connection.is_none() {
                return Err(last);
            }
        }
        self.connection.as_mut().ok_or_else(|| AdminError::Unreachable("no node is ready".into()))
    }

    /// Sends a request to any of the brokers; a connection that breaks is given up.
    async fn call<R: klamm_wire::Request>(
        &mut self,
        at: &[HostPort],
        request: &R,
    ) -> Result<R::Response, AdminError> {
        let connection = self.connection(at).await?;
        let answer = connection.call(request).await;
        if matches!(answer, Err(AdminError::Unreachable(_) | AdminError::Protocol(_))) {
            self.connection = None;
        }
        answer
    }
}
