//! What a supervisor asks: alive, ready, and how much of everything.
//!
//! Open to everybody, as those who ask rarely carry tokens; nothing here is secret.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;

use crate::AdminState;

const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The process answers.
pub(crate) async fn live() -> impl IntoResponse {
    uncached(Json(json!({"live": true})))
}

/// The house can serve, or why it cannot.
pub(crate) async fn ready(State(state): State<AdminState>) -> impl IntoResponse {
    let reasons = state.control.reasons().await;
    let status = if reasons.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({"ready": reasons.is_empty(), "reasons": reasons});
    (status, uncached(Json(body)))
}

/// The numbers.
pub(crate) async fn metrics(State(state): State<AdminState>) -> impl IntoResponse {
    let text = (
        [(header::CONTENT_TYPE, PROMETHEUS_TEXT)],
        state.metrics.render(),
    );
    uncached(text)
}

fn uncached(response: impl IntoResponse) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], response)
}
