//! The process: client, leadership, signals, HTTP.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use klamm_operator_manifests::cluster::Operator as Pods;
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::admin::Connections;
use super::api::chain;
use super::context::Settings;
use super::http::{self, Health};
use super::key::Scope;
use super::lease::Leadership;
use super::operator::Operator;
use crate::cli::{self, LogFormat};

/// How long a connection to the API server may take.
const CONNECT: Duration = Duration::from_secs(10);
/// A watch that says nothing for longer than the server lets watches live is broken.
const SILENCE: Duration = Duration::from_secs(330);

/// Why `run` gave up.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no Kubernetes to work with.
    #[error("there is no Kubernetes here: {0}; run it in a pod, or set KUBECONFIG")]
    NoKubernetes(String),
    /// Somebody else leads now.
    #[error("the leadership was lost; starting again to wait for it")]
    NotLeading,
}

/// Runs until it is asked to stop.
///
/// # Errors
/// If Kubernetes cannot be reached, or the leadership is lost.
pub fn run(args: &cli::Run) -> Result<(), RunError> {
    start_log(args.log_format);
    // One thread suffices: the work is waiting. More threads would each have memory of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| RunError::System { what: "cannot start".into(), source })?;
    let outcome = runtime.block_on(serve(args));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(args: &cli::Run) -> Result<(), RunError> {
    let config = config().await?;
    let own = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(|error| RunError::NoKubernetes(chain(&error)))?;
    let scope = Scope::new(&args.namespaces, &own);
    info!(version = env!("CARGO_PKG_VERSION"), "watching {scope}");
    let health = Health::default();
    let stop = stop_on_signals()?;
    let lease_namespace = args.lease_namespace.as_deref().unwrap_or(&own);
    let mut leadership = Leadership::new(&client, lease_namespace, identity());
    let operator = Operator {
        settings: Settings { broker_image: args.broker_image.clone(), operator: own_pods(&own) },
        connect: Arc::new(|| Box::new(Connections::default())),
        instance: identity(),
        health: health.clone(),
        client,
        scope,
    };
    let http = http::serve(args.http, health.clone());
    tokio::select! {
        outcome = lead(&mut leadership, operator, &health, &stop) => outcome,
        served = http => served.map_err(|source| {
            RunError::System { what: format!("cannot serve HTTP on {}", args.http), source }
        }),
    }
}

/// Waits for the leadership, works, and gives it up at the end.
async fn lead(
    leadership: &mut Leadership,
    operator: Operator,
    health: &Health,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    // Somebody who waits is ready to wait.
    health.ready.store(true, Ordering::Relaxed);
    tokio::select! {
        () = leadership.acquire() => {}
        () = stop.cancelled() => return Ok(()),
    }
    health.metrics.leads();
    let lost = {
        let mut work = std::pin::pin!(operator.run(stop.clone()));
        tokio::select! {
            () = leadership.keep() => true,
            () = &mut work => false,
        }
    };
    if lost {
        // Whoever leads now must not find us in the middle of something: nothing is finished, the process ends.
        return Err(RunError::NotLeading);
    }
    leadership.release().await;
    info!("stopped");
    Ok(())
}

async fn config() -> Result<Config, RunError> {
    let mut config = Config::infer().await.map_err(|error| RunError::NoKubernetes(chain(&error)))?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    Ok(config)
}

/// Cancelled by Ctrl-C and by SIGTERM.
fn stop_on_signals() -> Result<CancellationToken, RunError> {
    let system = |source| RunError::System { what: "cannot watch for signals".into(), source };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system)?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        info!("stopping: what is under way is finished first");
        stopped.cancel();
    });
    Ok(stop)
}

/// The name of this process among all that want to lead.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "klamm-operator".into());
    format!("{host}_{}", std::process::id())
}

/// The pods of this operator, if it runs in one: network policies let them in.
fn own_pods(namespace: &str) -> Option<Pods> {
    std::env::var_os("KUBERNETES_SERVICE_HOST")?;
    let labels = BTreeMap::from([("app.kubernetes.io/name".to_owned(), "klamm-operator".to_owned())]);
    Some(Pods { namespace: namespace.to_owned(), labels })
}

fn start_log(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("KLAMM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}
