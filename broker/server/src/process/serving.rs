//! What everything that a process serves with has in common.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bound::bind_http;
use crate::config::Config;
use crate::health::Health;
use crate::http;
use crate::net::connection::{Limits, Service};
use crate::net::listener;

/// Shared by all listeners and tasks of a process.
pub(super) struct Serving {
    pub limits: Limits,
    pub max_connections: Arc<Semaphore>,
    /// Cancelled when connections and tasks are to end.
    pub stop: CancellationToken,
    /// What is waited for in the end.
    pub tasks: TaskTracker,
    pub health: Arc<Health>,
}

impl Serving {
    pub(super) fn new(config: &Config, data: &Runtime) -> Self {
        Self {
            limits: Limits::new(
                config.max_request_bytes,
                config.queued_max_request_bytes,
                config.max_idle,
                config.socket_buffers,
            ),
            max_connections: Arc::new(Semaphore::new(config.max_connections)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            health: Health::new(data.handle().clone()),
        }
    }

    /// Serves health and metrics, if they have an address; answers it.
    pub(super) fn start_http(&self, config: &Config, control: &Runtime) -> Result<Option<String>> {
        let Some(address) = config.http.as_deref() else { return Ok(None) };
        let socket = TcpListener::from_std(bind_http(address)?)?;
        let bound = socket.local_addr()?.to_string();
        self.tasks
            .spawn_on(http::serve(socket, Arc::clone(&self.health), self.stop.clone()), control.handle());
        Ok(Some(bound))
    }

    /// Accepts connections until the process stops.
    pub(super) fn accept(
        &self,
        socket: TcpListener,
        listener: String,
        service: Arc<dyn Service>,
    ) -> impl Future<Output = ()> + Send + use<> {
        listener::accept(
            socket,
            listener.into(),
            service,
            self.limits.clone(),
            Arc::clone(&self.max_connections),
            self.stop.clone(),
            self.tasks.clone(),
        )
    }

    /// Starts a task without which the process is not alive.
    pub(super) fn spawn_vital(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
        runtime: &Runtime,
    ) {
        self.tasks.spawn_on(self.health.vital(name, &self.stop).run(task), runtime.handle());
    }
}
