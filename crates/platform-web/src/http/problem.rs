//! What goes wrong, as RFC 9457 problem documents.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A request that was not done, and why.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// A name that programs can rely on.
    code: &'static str,
    /// A sentence for people.
    detail: String,
    /// When to ask again, in seconds.
    retry_after: Option<u32>,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This cannot be done here.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    pub(crate) fn nobody() -> Self {
        let detail = "There is no cookie that says who you are; ask /chat/v1/me for one.";
        Self::new(StatusCode::UNAUTHORIZED, "no_cookie", detail)
    }

    pub(crate) fn cross_site() -> Self {
        let detail = "Another site may not speak for you.";
        Self::new(StatusCode::FORBIDDEN, "cross_site", detail)
    }

    pub(crate) fn not_json() -> Self {
        let detail = "The body must be application/json.";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail)
    }

    pub(crate) fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable", detail)
    }

    pub(crate) fn too_long() -> Self {
        let detail = format!("The text is longer than {} KiB.", super::TEXT_MAX / 1024);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail)
    }

    pub(crate) fn too_many_streams() -> Self {
        let detail = "This conversation is open in too many places.";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail).again_in(15)
    }

    pub(crate) fn closed() -> Self {
        let detail = "Not taking messages right now; the same request may be sent again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "closed", detail).again_in(1)
    }

    pub(crate) fn unavailable() -> Self {
        let detail = "The store cannot be reached right now; the same request may be sent again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).again_in(2)
    }

    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            retry_after: None,
        }
    }

    fn again_in(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
