//! Hearing by being told: Telegram posts one update at a time.
//!
//! Anything but a 2xx is posted again, and again, for a day; so what can never be read is
//! accepted and dropped, and what cannot be stored now is refused with a time to come back.
//!
//! Invariant: the body of a request is not read before its secret is known to be right.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use secrecy::ExposeSecret;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq as _;

use crate::settings::Mode;
use crate::telegram::Telegram;

/// The largest update that is read; real ones stay far below.
const BODY_MAX: usize = 1 << 20;

const SECRET_HEADER: &str = "x-telegram-bot-api-secret-token";

// === impl Telegram ===

impl Telegram {
    /// The route that Telegram posts to: `POST /telegram/<account>`; none unless in webhook mode.
    pub fn webhook_routes(self: &Arc<Self>) -> Router {
        match self.mode {
            Mode::Polling => Router::new(),
            Mode::Webhook { .. } => {
                // Braces would make a pattern of the account's name.
                let name = self.account.as_str().replace('{', "{{").replace('}', "}}");
                Router::new()
                    .route(&format!("/telegram/{name}"), post(hear))
                    .with_state(self.clone())
            }
        }
    }

    fn knows_the_secret(&self, headers: &HeaderMap) -> bool {
        let Mode::Webhook { secret, .. } = &self.mode else {
            return false;
        };
        headers.get(SECRET_HEADER).is_some_and(|shown| {
            let secret = secret.expose_secret().as_bytes();
            bool::from(shown.as_bytes().ct_eq(secret))
        })
    }
}

async fn hear(State(telegram): State<Arc<Telegram>>, headers: HeaderMap, body: Body) -> Response {
    if !telegram.knows_the_secret(&headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(hearing) = telegram.hearing() else {
        return come_back("1");
    };
    let Ok(body) = to_bytes(body, BODY_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Ok(raw) = serde_json::from_slice::<Box<RawValue>>(&body) else {
        tracing::warn!(account = %telegram.account, "the webhook was told something unreadable");
        return StatusCode::OK.into_response();
    };
    let batch = telegram.read(&hearing, &[raw]);
    match telegram.take(&hearing, batch).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            tracing::error!(account = %telegram.account, cause = %error.0,
                "an update is left with telegram, as it cannot be stored");
            come_back("2")
        }
    }
}

fn come_back(seconds: &'static str) -> Response {
    let again = [(header::RETRY_AFTER, seconds)];
    (StatusCode::SERVICE_UNAVAILABLE, again).into_response()
}
