//! The HTTP face for operators: health, metrics, config.
//!
//! | request | does | for |
//! | --- | --- | --- |
//! | `GET /health/live` | 200 while the process answers | everybody |
//! | `GET /health/ready` | 200, or 503 with reasons | everybody |
//! | `GET /metrics` | Prometheus; numbers and names from the config, no secrets and no texts | everybody |
//! | `POST /api/v1/config/reload` | applies the config files | operators |
//! | `GET /api/v1/config` | the config in effect, secrets hidden | operators |
//! | `GET /api/v1/config/versions` | what was in effect since the start | operators |
//!
//! Operators show the admin token; where none is configured they are whoever sits at the machine
//! itself (`access`). What the house can be asked to do is [`Control`], which the composition root
//! fulfils. What goes wrong is said as an RFC 9457 problem document.

mod access;
mod config;
mod control;
mod health;
mod problem;

pub use control::{Control, Fault, Reloaded, Version};

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{any, get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;

use problem::Problem;

/// What the operators' face needs.
#[derive(Clone)]
pub struct AdminState {
    /// What the house can be asked to do.
    pub control: Arc<dyn Control>,
    /// Where the metrics are.
    pub metrics: PrometheusHandle,
    /// What operators show; without one only the machine itself is let in.
    pub token: Option<SecretString>,
}

/// The operators' face, to be mounted at the root.
///
/// The server must say who connects (`into_make_service_with_connect_info::<SocketAddr>()`): a
/// connection from nowhere counts as one from afar.
pub fn routes(state: AdminState) -> Router {
    let api = Router::new()
        .route("/api/v1/config", get(config::effective))
        .route("/api/v1/config/versions", get(config::versions))
        .route("/api/v1/config/reload", post(config::reload))
        .route("/api/{*rest}", any(not_found))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn_with_state(
            state.clone(),
            access::operators_only,
        ));
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .merge(api)
        .with_state(state)
}

async fn not_found() -> Problem {
    Problem::not_found()
}

#[cfg(test)]
mod tests;
