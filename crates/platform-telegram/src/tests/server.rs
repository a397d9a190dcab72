//! A Bot API that answers by a script and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How a call is answered.
#[derive(Clone)]
pub(super) enum Reply {
    /// `ok`, with this result.
    Good(Value),
    /// `ok: false`, with this code, description and parameters.
    Bad(u16, &'static str, Value),
    /// Something that is no answer of the Bot API.
    Page(u16),
}

/// The server; it ends when dropped.
pub(super) struct Server {
    port: u16,
    script: Arc<Script>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Script {
    replies: Mutex<HashMap<String, VecDeque<Reply>>>,
    calls: Mutex<Vec<(String, Value)>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Script::default());
        let app = Router::new()
            .route("/{bot}/{method}", axum::routing::post(answer))
            .with_state(script.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, script, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers the next call of a method so; those beyond the script get what is usual.
    pub(super) fn next(&self, method: &str, reply: Reply) -> &Self {
        let mut replies = self.script.replies.lock().unwrap();
        replies
            .entry(method.to_owned())
            .or_default()
            .push_back(reply);
        drop(replies);
        self
    }

    /// The bodies of all calls of a method so far.
    pub(super) fn calls(&self, method: &str) -> Vec<Value> {
        let calls = self.script.calls.lock().unwrap();
        calls
            .iter()
            .filter(|(name, _)| name == method)
            .map(|(_, body)| body.clone())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(script): State<Arc<Script>>,
    Path((bot, method)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    assert_eq!(bot, format!("bot{}", super::TOKEN));
    let body: Value = serde_json::from_slice(&body).unwrap();
    script
        .calls
        .lock()
        .unwrap()
        .push((method.clone(), body.clone()));
    let scripted = script
        .replies
        .lock()
        .unwrap()
        .get_mut(&method)
        .and_then(VecDeque::pop_front);
    match scripted {
        Some(reply) => reply.into_response(),
        None => usual(&method, &body).await.into_response(),
    }
}

async fn usual(method: &str, body: &Value) -> Reply {
    Reply::Good(match method {
        "getMe" => json!({"id": 42, "is_bot": true, "first_name": "T", "username": "tertulia_bot"}),
        "getWebhookInfo" => json!({"url": "", "has_custom_certificate": false,
            "pending_update_count": 0}),
        "getMyCommands" => json!([]),
        "getUpdates" => {
            let seconds = body["timeout"].as_u64().unwrap();
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            json!([])
        }
        "sendMessage" => json!({"message_id": 100, "date": 1, "chat": {"id": body["chat_id"]}}),
        _ => json!(true),
    })
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        match self {
            Self::Good(result) => axum::Json(json!({"ok": true, "result": result})).into_response(),
            Self::Bad(code, description, parameters) => {
                let status = StatusCode::from_u16(code).unwrap();
                let body = json!({"ok": false, "error_code": code, "description": description,
                    "parameters": parameters});
                (status, axum::Json(body)).into_response()
            }
            Self::Page(code) => {
                let status = StatusCode::from_u16(code).unwrap();
                (status, "<html>an error</html>").into_response()
            }
        }
    }
}

/// A server that hears a request out and hangs up, so that nobody knows what became of it.
pub(super) async fn hanging_up() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut heard = Vec::new();
            // The body is JSON, so its last byte is known.
            while !heard.ends_with(b"}") {
                if stream.read_buf(&mut heard).await.unwrap() == 0 {
                    break;
                }
            }
        }
    });
    url
}
