//! Health and metrics over HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::node::Node;

/// Serves until `stop` is cancelled.
pub async fn serve(listener: TcpListener, node: Arc<Node>, stop: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(node);
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        warn!(%error, "http listener ended");
    }
}

/// The process runs its timers; says nothing of peers.
async fn health() -> &'static str {
    "ok\n"
}

/// Registered, unfenced, and caught up once since the start.
async fn ready(State(node): State<Arc<Node>>) -> impl IntoResponse {
    match node.not_ready_because() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(node): State<Arc<Node>>) -> impl IntoResponse {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], node.metrics.text(node.figures()))
}
