//! Health and metrics over HTTP: `/startupz`, `/livez` (also `/healthz`), `/readyz`, `/metrics`.
//!
//! Served from the first moment of a start on, so that whoever supervises the process can tell recovery from a hang.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::health::Health;

/// Serves until `stop` is cancelled.
pub async fn serve(listener: TcpListener, health: Arc<Health>, stop: CancellationToken) {
    let router = Router::new()
        .route("/startupz", get(started))
        .route("/livez", get(live))
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        warn!(%error, "http listener ended");
    }
}

/// The process is up and its data directory accepted.
async fn started(State(health): State<Arc<Health>>) -> Response {
    answer("started", health.not_started_because())
}

/// The process's own threads and loops go on; says nothing of peers.
async fn live(State(health): State<Arc<Health>>) -> Response {
    answer("ok", health.not_live_because().await)
}

/// Registered, unfenced, and caught up once since the start.
async fn ready(State(health): State<Arc<Health>>) -> Response {
    answer("ready", health.not_ready_because())
}

fn answer(well: &str, reason: Option<String>) -> Response {
    match reason {
        None => (StatusCode::OK, format!("{well}\n")).into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    let Some(node) = health.node() else {
        return answer("", Some("the logs are being opened".to_owned()));
    };
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], node.metrics.text(node.figures())).into_response()
}
