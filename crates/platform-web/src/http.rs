//! The HTTP face of the page.
//!
//! Everything lies under `/chat/v1`, except the page itself. What goes wrong is said as an
//! RFC 9457 problem document.
//!
//! | request | does |
//! | --- | --- |
//! | `GET me` | who you are, and the cookie if you had none; the commands to suggest |
//! | `GET conversations` | your conversations, latest first |
//! | `GET conversations/{chat}/messages?before=&limit=` | what was said, oldest first |
//! | `POST conversations/{chat}/messages` `{id, text}` | says something; 202 once it is committed |
//! | `POST conversations/{chat}/press` `{id?, turn, action}` | stop, retry, like, dislike |
//! | `GET conversations/{chat}/events` | what happens, as server-sent events |
//!
//! `{chat}` and `id` are UUIDs of the page's making; the same `id` again is the same message again.
//! The Host header is not checked: a page of another name that resolves here holds no cookie of
//! ours and so speaks for nobody.

pub(crate) mod assets;
mod guard;
mod problem;
mod stream;
mod talk;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};

use crate::web::Web;
use problem::Problem;

/// The longest text that is taken, in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// The longest body: a text in which every character is escaped.
const BODY_MAX: usize = 6 * TEXT_MAX + 1024;

pub(crate) fn routes(web: Arc<Web>) -> Router {
    let api = Router::new()
        .route("/chat/v1/me", get(talk::me))
        .route("/chat/v1/conversations", get(talk::conversations))
        .route(
            "/chat/v1/conversations/{chat}/messages",
            get(talk::messages).post(talk::say),
        )
        .route("/chat/v1/conversations/{chat}/press", post(talk::press))
        .route("/chat/v1/conversations/{chat}/events", get(stream::events))
        .route("/chat/v1/{*rest}", any(not_found))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn(guard::same_origin))
        .layer(DefaultBodyLimit::max(BODY_MAX));
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{version}/{file}", get(assets::file))
        .merge(api)
        .layer(middleware::map_response(guard::headers))
        .with_state(web)
}

async fn not_found() -> Problem {
    Problem::not_found()
}

#[cfg(test)]
mod tests;
