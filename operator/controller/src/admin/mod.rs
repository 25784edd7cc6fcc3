//! A small admin client: asks a cluster about its topics and changes them, over the Kafka protocol.
//!
//! - [`connection`]: one connection, one request at a time, versions negotiated once.
//! - [`topics`]: what there is; [`changes`]: create, grow, configure.

pub mod changes;
pub mod connection;
pub mod topics;

use klamm_wire::ErrorCode;

use connection::Connection;

/// Why the cluster did not do as asked.
#[derive(Debug, thiserror::Error)]
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
}

impl Admin {
    /// The present connection, else one to the first of these ports on the loopback address that answers.
    ///
    /// # Errors
    /// `Unreachable` if none does.
    async fn connection(&mut self, ports: &[u16]) -> Result<&mut Connection, AdminError> {
        let stale = self.connection.as_ref().is_some_and(|open| !ports.contains(&open.port()));
        if stale {
            self.connection = None;
        }
        if self.connection.is_none() {
            let mut last = AdminError::Unreachable("no node is ready".into());
            for port in ports {
                match Connection::open(*port).await {
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
        ports: &[u16],
        request: &R,
    ) -> Result<R::Response, AdminError> {
        let connection = self.connection(ports).await?;
        let answer = connection.call(request).await;
        if matches!(answer, Err(AdminError::Unreachable(_) | AdminError::Protocol(_))) {
            self.connection = None;
        }
        answer
    }
}
