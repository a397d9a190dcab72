//! The config: what is in effect, what was, and what shall be.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use serde_json::json;

use crate::AdminState;
use crate::control::Reloaded;
use crate::problem::Problem;

/// Puts the config files into effect.
pub(crate) async fn reload(State(state): State<AdminState>) -> Result<Json<Reloaded>, Problem> {
    let reloaded = state.control.reload().await;
    reloaded.map(Json).map_err(Problem::faulty)
}

/// Says what is in effect.
pub(crate) async fn effective(State(state): State<AdminState>) -> impl IntoResponse {
    Json(state.control.config())
}

/// Says what was in effect.
pub(crate) async fn versions(State(state): State<AdminState>) -> impl IntoResponse {
    let versions: Vec<_> = state
        .control
        .versions()
        .into_iter()
        .map(|version| {
            json!({
                "version": version.version,
                "at": version.at.to_string(),
                "by": version.by,
                "changed": version.changed,
            })
        })
        .collect();
    Json(json!({ "versions": versions }))
}
