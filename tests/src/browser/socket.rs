//! The DevTools protocol: calls and their answers over one WebSocket, and the errors it reports.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

/// A connection to the browser, shared by its pages.
#[derive(Clone)]
pub(super) struct Socket {
    out: mpsc::UnboundedSender<Message>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<Value>>>,
    errors: Mutex<Vec<(String, String)>>,
}

impl Socket {
    pub(super) async fn connect(url: &str) -> Self {
        let (stream, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("the browser takes connections");
        let (mut sink, mut source) = stream.split();
        let (out, mut outgoing) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        tokio::spawn(async move {
            while let Some(message) = outgoing.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        let hears = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Some(Ok(message)) = source.next().await {
                if let Message::Text(text) = message
                    && let Ok(json) = serde_json::from_str::<Value>(text.as_str())
                {
                    hears.take(&json);
                }
            }
            // Whoever still waits learns that no answer will come.
            hears
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
        });
        Self { out, shared }
    }

    pub(super) async fn call(&self, session: &str, method: &str, params: Value) -> Value {
        let answer = self.try_call(session, method, params).await;
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    pub(super) async fn try_call(
        &self,
        session: &str,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let mut call = json!({"id": id, "method": method, "params": params});
        if !session.is_empty() {
            call["sessionId"] = json!(session);
        }
        let (sender, receiver) = oneshot::channel();
        self.shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, sender);
        let gone = || "the browser is gone".to_owned();
        self.out
            .send(Message::text(call.to_string()))
            .map_err(|_| gone())?;
        let mut answer = receiver.await.map_err(|_| gone())?;
        match answer.get("error") {
            Some(error) => Err(error.to_string()),
            None => Ok(answer["result"].take()),
        }
    }

    pub(super) fn errors(&self, session: &str) -> Vec<String> {
        let errors = self
            .shared
            .errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        errors
            .iter()
            .filter(|(of, _)| of == session)
            .map(|(_, what)| what.clone())
            .collect()
    }
}

impl Shared {
    fn take(&self, json: &Value) {
        if let Some(id) = json["id"].as_u64() {
            let sender = self
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&id);
            if let Some(sender) = sender {
                let _ = sender.send(json.clone());
            }
            return;
        }
        let params = &json["params"];
        let error = match json["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(&params["exceptionDetails"]),
            Some("Runtime.consoleAPICalled") if params["type"] == "error" => Some(&params["args"]),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => Some(&params["entry"]),
            _ => None,
        };
        if let Some(error) = error {
            let session = json["sessionId"].as_str().unwrap_or_default().to_owned();
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            errors.push((session, error.to_string()));
        }
    }
}
