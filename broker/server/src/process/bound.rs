//! The listeners of a process, bound before anything else so that a taken port is found out first.

use std::net::TcpListener as StdListener;
use std::time::Duration;

use anyhow::{Context, Result};
use tracing::warn;

use crate::config::Config;
use crate::config::listeners::Endpoint;
use crate::health::Health;
use crate::net::listener::{self, BindError};

/// Pause between two looks at a name that does not resolve.
const RESOLVE_PAUSE: Duration = Duration::from_millis(250);
/// Looks between two lines in the log.
const LOOKS_PER_LINE: u32 = 40;

/// Bound sockets with the endpoints that they serve.
pub(super) struct Bound {
    pub brokers: Vec<(Endpoint, StdListener)>,
    pub controller: Option<(Endpoint, StdListener)>,
}

impl Bound {
    /// Binds every listener. A host name that does not resolve yet, as a pod's own right after its start, is waited for.
    pub(super) async fn bind(config: &Config, health: &Health) -> Result<Self> {
        let mut brokers = Vec::with_capacity(config.broker_listeners.len());
        for endpoint in &config.broker_listeners {
            brokers.push(bind(endpoint, health).await?);
        }
        let controller = match &config.controller_listener {
            Some(endpoint) => Some(bind(endpoint, health).await?),
            None => None,
        };
        Ok(Self { brokers, controller })
    }

    /// What clients are told: the advertised address of each listener, with the bound port where it was 0.
    pub(super) fn advertised(&self, config: &Config) -> Vec<Endpoint> {
        let host = |given: &str| match given {
            "" | "0.0.0.0" | "::" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            name => name.to_owned(),
        };
        let entry = |(bound, _): &(Endpoint, StdListener)| match config
            .advertised
            .iter()
            .find(|a| a.name == bound.name)
        {
            Some(given) if given.port != 0 => given.clone(),
            Some(given) => Endpoint { port: bound.port, ..given.clone() },
            None => Endpoint { host: host(&bound.host), ..bound.clone() },
        };
        self.brokers.iter().map(entry).collect()
    }
}

async fn bind(endpoint: &Endpoint, health: &Health) -> Result<(Endpoint, StdListener)> {
    let mut looks = 0;
    loop {
        match listener::bind(endpoint) {
            Ok(socket) => {
                let port = socket.local_addr()?.port();
                return Ok((Endpoint { port, ..endpoint.clone() }, socket));
            }
            Err(BindError::Unresolved(error)) => {
                if looks % LOOKS_PER_LINE == 0 {
                    warn!(listener = %endpoint, %error, "the listener's host name does not resolve yet; waiting for it");
                }
                health.wait_for(format!("the name {} of a listener to resolve", endpoint.host));
                looks += 1;
                tokio::time::sleep(RESOLVE_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Binds the listener of health and metrics.
pub(super) fn bind_http(address: &str) -> Result<StdListener> {
    let socket = StdListener::bind(address).with_context(|| {
        format!("cannot listen on klamm.http.listener {address}; choose another address, or none")
    })?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
