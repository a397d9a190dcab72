//! From an HTTP request to a method call and back, with faults and flood control on the way.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::Core;
use super::faults::Fault;
use super::flood::{Scope, Verdict};
use super::ledger::What;
use super::params::{Call, known};
use super::refusal::Refusal;
use super::state::Kind;
use crate::net::Cut;

/// What counts against the limits of a chat.
const SPEAKS: [&str; 4] = [
    "sendmessage",
    "editmessagetext",
    "editmessagereplymarkup",
    "senddocument",
];

pub(crate) fn router(server: Arc<Core>) -> Router {
    Router::new().fallback(enter).with_state(server)
}

async fn enter(
    Shared(server): Shared<Arc<Core>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    if let Some(rest) = path.strip_prefix("/file/bot") {
        return server.download(rest);
    }
    let parts = path
        .strip_prefix("/bot")
        .and_then(|rest| rest.split_once('/'));
    let Some((token, method)) = parts else {
        server.with(|s| s.violation(format!("request for {path}")));
        return answer(&Err(Refusal::new(404, "Not Found")));
    };
    if !matches!(*request.method(), Method::GET | Method::POST) {
        server.with(|s| s.violation(format!("{} {method}", request.method())));
    }
    let Some(bot) = server.peek(|state| state.bot_by_token(token)) else {
        return answer(&Err(Refusal::new(401, "Unauthorized")));
    };
    let call = match Call::read(method, request).await {
        Ok(call) => call,
        Err(refusal) => {
            server.with(|s| s.violation(format!("{method}: {}", refusal.description)));
            return answer(&Err(refusal));
        }
    };
    match server.handle(bot, call).await {
        Some(outcome) => answer(&outcome),
        None => {
            cut.now();
            Response::new(Body::empty())
        }
    }
}

fn answer(outcome: &Result<Value, Refusal>) -> Response {
    let (code, json) = match outcome {
        Ok(result) => (200, json!({"ok": true, "result": result})),
        Err(refusal) => (refusal.code, refusal.json()),
    };
    Response::builder()
        .status(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json.to_string()))
        .expect("a status and a header make a response")
}

impl Core {
    /// Carries out a call; none means that the connection is dropped instead of an answer.
    pub(crate) async fn handle(
        self: &Arc<Self>,
        bot: i64,
        call: Call,
    ) -> Option<Result<Value, Refusal>> {
        let fault = self.with(|state| {
            let fault = state.faults.next(&call.method);
            if let Some(fault) = &fault {
                state.note(What::Fault {
                    method: call.method.clone(),
                    fault: fault.clone(),
                });
            }
            fault
        });
        match &fault {
            Some(Fault::DropBefore) => return None,
            Some(Fault::Status(code, description)) => {
                let outcome = Err(Refusal::new(*code, description));
                self.with(|state| record(state, bot, &call, &outcome));
                return Some(outcome);
            }
            Some(Fault::Flood(seconds)) => {
                let outcome = Err(Refusal::flood(*seconds));
                self.with(|state| {
                    let scope = match call.number("chat_id") {
                        Ok(Some(chat)) => Scope::Chat(chat),
                        _ => Scope::Account(bot),
                    };
                    if SPEAKS.contains(&call.method.as_str()) {
                        state.flood.ban(scope, *seconds);
                    }
                    record(state, bot, &call, &outcome);
                });
                return Some(outcome);
            }
            Some(Fault::Delay(wait)) => tokio::time::sleep(*wait).await,
            _ => {}
        }
        let outcome = self.obey(bot, &call).await;
        self.with(|state| record(state, bot, &call, &outcome));
        match fault {
            Some(Fault::DropAfter) => return None,
            Some(Fault::DelayAnswer(wait)) => tokio::time::sleep(wait).await,
            _ => {}
        }
        Some(outcome)
    }

    async fn obey(self: &Arc<Self>, bot: i64, call: &Call) -> Result<Value, Refusal> {
        let drafts = self.peek(|state| state.options.drafts);
        let Some(params) = known(&call.method).filter(|_| drafts || call.method != DRAFT) else {
            // A server that does not know drafts yet is asked once by everyone.
            if call.method != DRAFT {
                self.with(|s| s.violation(format!("unknown method {}", call.method)));
            }
            return Err(Refusal::new(404, "Not Found"));
        };
        self.with(|state| {
            for key in call.params.keys().chain(call.files.keys()) {
                if !params.contains(&key.as_str()) {
                    state.violation(format!("{}: unknown parameter {key}", call.method));
                }
            }
        });
        if SPEAKS.contains(&call.method.as_str())
            && let Some(chat) = call.number("chat_id")?
        {
            let verdict = self.with(|state| {
                let kind = state.chats.get(&chat).map(|chat| chat.kind);
                let verdict = state
                    .flood
                    .check(bot, chat, kind.is_some_and(Kind::is_group));
                if let Verdict::Wait {
                    seconds,
                    ignored: true,
                } = verdict
                {
                    state.violation(format!(
                        "flood ignored: {} to {chat} with {seconds} s to wait",
                        call.method
                    ));
                }
                verdict
            });
            if let Verdict::Wait { seconds, .. } = verdict {
                return Err(Refusal::flood(seconds));
            }
        }
        match call.method.as_str() {
            "getupdates" => self.get_updates(bot, call).await,
            "setwebhook" => self.set_webhook(bot, call),
            _ => self.with(|state| state.obey(bot, call)),
        }
    }

    fn download(&self, rest: &str) -> Response {
        let found = rest.split_once("/files/").and_then(|(token, id)| {
            self.peek(|state| {
                state.bot_by_token(token)?;
                state.files.get(id).cloned()
            })
        });
        match found {
            Some(bytes) => Response::new(Body::from(bytes)),
            None => answer(&Err(Refusal::new(404, "Not Found"))),
        }
    }
}

const DRAFT: &str = "sendmessagedraft";

fn record(
    state: &mut super::state::State,
    bot: i64,
    call: &Call,
    outcome: &Result<Value, Refusal>,
) {
    let (code, description) = match outcome {
        Ok(_) => (200, None),
        Err(refusal) => (refusal.code, Some(refusal.description.clone())),
    };
    let params = Value::Object(call.params.clone());
    state.note(What::Call {
        bot,
        method: call.method.clone(),
        params,
        code,
        description,
    });
}
