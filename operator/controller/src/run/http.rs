//! Health and metrics over HTTP.
//!
//! `/healthz`: this process moves. `/readyz`: it leads and has seen everything, or waits for another operator that leads;
//! never whether a cluster is well. `/metrics`: Prometheus' text format.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::metrics::Metrics;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is served.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Whether the operator is ready.
    pub ready: Arc<AtomicBool>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Listens and serves for as long as the future is polled.
///
/// # Errors
/// If it cannot listen.
pub async fn serve(listener: SocketAddr, health: Health) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(listener).await?;
    axum::serve(listener, router(health)).await
}

fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    if health.ready.load(Ordering::Relaxed) {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the first lists of resources are not complete\n")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    ([(CONTENT_TYPE, TEXT)], health.metrics.text())
}
