//! What goes wrong, as RFC 9457 problem documents.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::control::Fault;

/// A request that was not done, and why.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    /// A sentence for people.
    detail: &'static str,
    /// What is wrong with the config, where that is the problem.
    faults: Option<Vec<Fault>>,
}

// === impl Problem ===

impl Problem {
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "This cannot be done here.")
    }

    pub(crate) fn no_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "This needs the header Authorization: Bearer with the admin token.",
        )
    }

    pub(crate) fn from_afar() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "Without server.admin_token in the config this is for direct connections from the \
             machine itself.",
        )
    }

    pub(crate) fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Another site may not speak for you.")
    }

    pub(crate) fn faulty(faults: Vec<Fault>) -> Self {
        Self {
            faults: Some(faults),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The config has problems; the one in effect stays.",
            )
        }
    }

    fn new(status: StatusCode, detail: &'static str) -> Self {
        Self {
            status,
            detail,
            faults: None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let (Some(faults), Value::Object(body)) = (self.faults, &mut body) {
            body.insert("problems".to_owned(), json!(faults));
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
