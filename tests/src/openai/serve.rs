//! The HTTP side: checks a request, then plays its script.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::script::{Ending, Refused, Script};
use super::{ChatRequest, Core};
use crate::net::Cut;

enum Step {
    Emit(Duration, String),
    Cut,
    Stall,
}

/// Counts an answer in progress; dropped early it counts a client that went away.
struct Active {
    core: Arc<Core>,
    over: bool,
}

pub(crate) fn router(core: Arc<Core>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(16 << 20))
        .with_state(core)
}

async fn unknown(Shared(core): Shared<Arc<Core>>, uri: axum::http::Uri) -> Response {
    core.with(|state| state.violations.push(format!("request for {uri}")));
    refuse(
        404,
        "unknown_url",
        &format!("Unknown request URL: {uri}"),
        None,
    )
}

async fn models(Shared(core): Shared<Arc<Core>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = unauthorized(&core, &headers) {
        return refusal;
    }
    let models = core.peek(|state| state.models.clone());
    let data: Vec<Value> = models
        .iter()
        .map(|id| json!({"id": id, "object": "model", "created": 0, "owned_by": "world"}))
        .collect();
    reply(200, None, &json!({"object": "list", "data": data}))
}

async fn complete(
    Shared(core): Shared<Arc<Core>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = unauthorized(&core, &headers) {
        return refusal;
    }
    let parsed = serde_json::from_slice(&body).map_err(|error| error.to_string());
    let mut request = match parsed.and_then(ChatRequest::read) {
        Ok(request) => request,
        Err(problem) => {
            core.with(|state| state.violations.push(problem.clone()));
            return refuse(400, "invalid_request_error", &problem, None);
        }
    };
    let known = core.peek(|state| state.models.contains(&request.model));
    if !known {
        let problem = format!("The model `{}` does not exist", request.model);
        return refuse(404, "model_not_found", &problem, None);
    }
    let (author, queued) = core.with(|state| {
        request.number = state.requests.len();
        state.requests.push(request.clone());
        (Arc::clone(&state.author), state.queued.pop_front())
    });
    let script = queued.unwrap_or_else(|| author(&request));
    if let Some(Refused {
        status,
        code,
        retry_after,
    }) = &script.refused
    {
        return refuse(
            *status,
            code,
            &format!("refused by the script: {code}"),
            *retry_after,
        );
    }
    let active = Active::begin(core);
    if request.stream {
        stream(&request, &script, active)
    } else {
        whole(&request, &script, active, &cut).await
    }
}

async fn whole(request: &ChatRequest, script: &Script, mut active: Active, cut: &Cut) -> Response {
    let pieces = u32::try_from(script.pieces.len()).unwrap_or(u32::MAX);
    tokio::time::sleep(script.first_delay + script.delay * pieces).await;
    match &script.ending {
        Ending::Stall => std::future::pending().await,
        Ending::CutMidChunk => cut.now(),
        Ending::ErrorEvent(code) => {
            active.end();
            return refuse(500, code, "an error of the script", None);
        }
        Ending::Done | Ending::NoFinish | Ending::NoDone => {}
    }
    active.end();
    let finish = (script.ending != Ending::NoFinish).then_some(&script.finish_reason);
    let text = script.pieces.concat();
    reply(
        200,
        None,
        &json!({
            "id": format!("chatcmpl-{}", request.number),
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": request.model,
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": null},
                "logprobs": null,
                "finish_reason": finish,
            }],
            "usage": usage(script.tokens(request)),
        }),
    )
}

fn stream(request: &ChatRequest, script: &Script, active: Active) -> Response {
    let steps = steps(request, script);
    let body = futures::stream::unfold((steps, active), |(mut steps, mut active)| async move {
        match steps.pop_front() {
            Some(Step::Emit(wait, line)) => {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                Some((Ok(Bytes::from(line)), (steps, active)))
            }
            Some(Step::Cut) => {
                active.end();
                Some((
                    Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                    (steps, active),
                ))
            }
            Some(Step::Stall) => std::future::pending().await,
            None => {
                active.end();
                None
            }
        }
    });
    Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")
        .header("x-request-id", format!("req-{}", request.number))
        .body(Body::from_stream(body))
        .expect("a stream makes a response")
}

fn steps(request: &ChatRequest, script: &Script) -> VecDeque<Step> {
    let chunk = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-{}", request.number),
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": request.model,
            "choices": choices,
        });
        if request.include_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, finish: Value| {
        chunk(
            json!([{"index": 0, "delta": delta, "finish_reason": finish}]),
            Value::Null,
        )
    };
    let now = Duration::ZERO;
    let mut steps = VecDeque::new();
    let opening = delta(json!({"role": "assistant", "content": ""}), Value::Null);
    steps.push_back(Step::Emit(script.first_delay, opening));
    for (number, piece) in script.pieces.iter().enumerate() {
        let wait = if number == 0 { now } else { script.delay };
        steps.push_back(Step::Emit(
            wait,
            delta(json!({"content": piece}), Value::Null),
        ));
    }
    let finish = Step::Emit(now, delta(json!({}), json!(script.finish_reason)));
    let spent = Step::Emit(now, chunk(json!([]), usage(script.tokens(request))));
    let done = Step::Emit(now, "data: [DONE]\n\n".into());
    match &script.ending {
        Ending::Done => {
            steps.push_back(finish);
            if request.include_usage {
                steps.push_back(spent);
            }
            steps.push_back(done);
        }
        Ending::NoFinish => steps.push_back(done),
        Ending::NoDone => steps.push_back(finish),
        Ending::CutMidChunk => {
            let torn = "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.comp".to_owned();
            steps.push_back(Step::Emit(now, torn));
            // The torn bytes shall leave before the connection does.
            steps.push_back(Step::Emit(Duration::from_millis(5), String::from(" ")));
            steps.push_back(Step::Cut);
        }
        Ending::Stall => steps.push_back(Step::Stall),
        Ending::ErrorEvent(code) => {
            let error = json!({"error": {
                "message": "an error of the script",
                "type": "server_error",
                "param": null,
                "code": code,
            }});
            steps.push_back(Step::Emit(now, format!("data: {error}\n\n")));
        }
    }
    steps
}

fn usage((prompt, completion): (u64, u64)) -> Value {
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    })
}

fn unauthorized(core: &Core, headers: &HeaderMap) -> Option<Response> {
    let key = core.peek(|state| state.key.clone())?;
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    if given == Some(&format!("Bearer {key}")) {
        return None;
    }
    Some(refuse(
        401,
        "invalid_api_key",
        "Incorrect API key provided",
        None,
    ))
}

fn refuse(status: u16, code: &str, message: &str, retry_after: Option<u64>) -> Response {
    let kind = match (status, code) {
        (429, "insufficient_quota") => "insufficient_quota",
        (429, _) => "requests",
        (500.., _) => "server_error",
        _ => "invalid_request_error",
    };
    let error = json!({"message": message, "type": kind, "param": null, "code": code});
    reply(status, retry_after, &json!({"error": error}))
}

fn reply(status: u16, retry_after: Option<u64>, body: &Value) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        response = response.header(header::RETRY_AFTER, seconds);
    }
    response
        .body(Body::from(body.to_string()))
        .expect("a status and headers make a response")
}

// === impl Active ===

impl Active {
    fn end(&mut self) {
        self.over = true;
    }

    fn begin(core: Arc<Core>) -> Self {
        core.with(|state| {
            state.active += 1;
            state.active_max = state.active_max.max(state.active);
        });
        Self { core, over: false }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.core.with(|state| {
            state.active -= 1;
            if self.over {
                state.finished += 1;
            } else {
                state.disconnects += 1;
            }
        });
    }
}
