use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use tertulia_domain::ModelName;
use tertulia_inference::contract::{self, request};
use tertulia_inference::{
    Chunk, Finish, GenerateError, Generator, Prompt, PromptMessage, Request, Role, Sampling,
    TokenCount,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{OpenAi, OpenAiSettings, SettingsError};

/// What the endpoint of a test answers: bytes as they go over the wire.
struct Reply {
    bytes: Vec<u8>,
    /// Whether the connection stays open afterwards.
    hang: bool,
}

/// An endpoint on this machine that notes what it was asked.
struct Endpoint {
    url: String,
    /// Head and body of each request.
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    /// Is told when a connection that hung was closed by the other side.
    hung_up: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Endpoint {
    async fn start(answer: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let hung_up = Arc::new(Notify::new());
        let (noted, closed, answer) = (asked.clone(), hung_up.clone(), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let (noted, closed, answer) = (noted.clone(), closed.clone(), answer.clone());
                tokio::spawn(async move {
                    let Some((head, body)) = read_request(&mut socket).await else {
                        return;
                    };
                    let reply = answer(&body);
                    noted.lock().unwrap().push((head, body));
                    let _ = socket.write_all(&reply.bytes).await;
                    if reply.hang {
                        // Nothing more comes; the end of the stream is the other side going away.
                        let _ = socket.read(&mut [0; 16]).await;
                        closed.notify_one();
                    }
                });
            }
        });
        Self {
            url,
            asked,
            hung_up,
            task,
        }
    }

    fn model(&self) -> OpenAi {
        OpenAi::new(settings(&self.url)).unwrap()
    }

    fn bodies(&self) -> Vec<Value> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .map(|(_, body)| body.clone())
            .collect()
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<(String, Value)> {
    let mut read = Vec::new();
    let head = loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let length: usize = length.parse().ok()?;
    while read.len() < head + length {
        if socket.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&read[head..]).ok()?;
    Some((String::from_utf8_lossy(&read[..head]).into_owned(), body))
}

fn settings(url: &str) -> OpenAiSettings {
    OpenAiSettings {
        name: ModelName::from("gpt"),
        base_url: url.to_owned(),
        api_key: Some(SecretString::from("sk-test")),
        model: "small".to_owned(),
        context: 8192,
        connect: Duration::from_secs(5),
    }
}

fn reply(status: &str, headers: &str, body: &str) -> Reply {
    let head = format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
    Reply {
        bytes: (head + body).into_bytes(),
        hang: false,
    }
}

fn events(body: &str) -> Reply {
    reply("200 OK", "content-type: text/event-stream\r\n", body)
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn text(text: &str) -> String {
    event(&json!({ "choices": [{ "index": 0, "delta": { "content": text } }] }))
}

fn finish(reason: &str) -> String {
    event(&json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] }))
}

fn usage(prompt: u64, cached: u64, reply: u64) -> String {
    event(&json!({ "choices": [], "usage": {
        "prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply,
        "prompt_tokens_details": { "cached_tokens": cached },
    }}))
}

const DONE: &str = "data: [DONE]\n\n";

fn hello() -> Request {
    request("hello", Sampling::greedy(), 20)
}

/// The error of an endpoint that answers so.
async fn failure(reply: impl Fn() -> Reply + Send + Sync + 'static) -> GenerateError {
    let endpoint = Endpoint::start(move |_| reply()).await;
    contract::answer(&endpoint.model(), hello())
        .await
        .expect_err("a failure")
}

/// Says the last message again, word by word, as a good server would.
fn echo(body: &Value) -> Reply {
    let said = body["messages"].as_array().unwrap().last().unwrap()["content"]
        .as_str()
        .unwrap();
    let limit = body["max_tokens"].as_u64().unwrap() as usize;
    let words: Vec<&str> = said.split_inclusive(' ').collect();
    let kept = &words[..words.len().min(limit)];
    let end = if kept.len() < words.len() {
        "length"
    } else {
        "stop"
    };
    let texts: String = kept.iter().map(|word| text(word)).collect();
    events(&(texts + &finish(end) + &usage(9, 0, kept.len() as u64) + DONE))
}

#[tokio::test]
async fn keeps_the_contract() {
    contract::all(&Endpoint::start(echo).await.model()).await;
}

#[tokio::test]
async fn the_request_says_what_is_asked() {
    let endpoint = Endpoint::start(echo).await;
    let prompt = Prompt {
        system: "Be kind.".to_owned(),
        messages: vec![
            PromptMessage {
                role: Role::User,
                text: "hi".to_owned(),
            },
            PromptMessage {
                role: Role::Assistant,
                text: "hey".to_owned(),
            },
            PromptMessage {
                role: Role::User,
                text: "bye".to_owned(),
            },
        ],
    };
    let sampling = Sampling {
        temperature: 0.7,
        top_p: 0.9,
        seed: Some(7),
        stop: ["a", "b", "c", "d", "e"].map(str::to_owned).into(),
        ..Sampling::default()
    };
    let asked = Request::new(prompt, sampling, 30).unwrap();
    let answer = contract::answer(&endpoint.model(), asked).await.unwrap();
    assert_eq!(answer.text, "", "\"b\" is a stop");
    contract::answer(&endpoint.model(), hello()).await.unwrap();
    let bodies = endpoint.bodies();
    assert_eq!(
        bodies[0],
        json!({
            "model": "small",
            "messages": [
                { "role": "system", "content": "Be kind." },
                { "role": "user", "content": "hi" },
                { "role": "assistant", "content": "hey" },
                { "role": "user", "content": "bye" },
            ],
            "stream": true,
            "stream_options": { "include_usage": true },
            "max_tokens": 30,
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 7,
            "stop": ["a", "b", "c", "d"],
        })
    );
    assert!(bodies[1].get("seed").is_none() && bodies[1].get("stop").is_none());
    let (head, _) = endpoint.asked.lock().unwrap()[0].clone();
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1"),
        "{head}"
    );
    assert!(head.contains("Bearer sk-test"), "{head}");
}

#[tokio::test]
async fn a_stream_is_read_with_its_usage() {
    let body = format!(
        ": ping\r\n\r\n{}{}{}{}{}{}",
        event(&json!({ "choices": [{ "delta": { "role": "assistant", "content": null } }] })),
        text("Grüß "),
        text("Gott 🎉"),
        finish("length"),
        usage(12, 5, 3),
        DONE
    );
    let endpoint = Endpoint::start(move |_| events(&body)).await;
    let mut stream = endpoint.model().generate(hello()).await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        chunks.push(chunk.unwrap());
    }
    let done = Chunk::Done {
        finish: Finish::Length,
        tokens: TokenCount {
            prompt: 12,
            cached: 5,
            reply: 3,
        },
        model: ModelName::from("gpt"),
    };
    assert_eq!(
        chunks,
        [
            Chunk::Text("Grüß ".into()),
            Chunk::Text("Gott 🎉".into()),
            done
        ]
    );
}

#[tokio::test]
async fn only_a_whole_stream_is_an_answer() {
    let wholes = [
        text("so") + &finish("stop") + DONE,
        text("so") + &finish("stop") + "data: [DONE]",
        text("so") + &finish("content_filter") + &usage(1, 0, 1) + DONE,
    ];
    for body in wholes {
        let endpoint = Endpoint::start(move |_| events(&body)).await;
        let answer = contract::answer(&endpoint.model(), hello()).await.unwrap();
        assert_eq!(answer.text, "so");
        assert!(answer.tokens.prompt > 0 && answer.tokens.reply == 1);
    }
    let broken = [
        String::new(),
        text("so"),
        text("so") + DONE,
        text("so") + &finish("stop"),
        text("so") + "data: {\"choices\": [{\"del",
        text("so") + "data: <html>\n\n",
    ];
    for body in broken {
        let shown = body.clone();
        let error = failure(move || events(&body)).await;
        assert_eq!(error.kind(), "broken", "{shown:?}");
    }
    // Less than was promised, as when a connection is cut.
    let cut = failure(|| reply("200 OK", "content-length: 999\r\n", &text("so"))).await;
    assert_eq!(cut.kind(), "broken");
}

#[tokio::test]
async fn an_error_within_the_stream_is_a_failure_of_its_kind() {
    let cases = [
        (
            event(&json!({ "error": { "type": "server_error", "message": "x" } })),
            "transient",
        ),
        (
            event(&json!({ "error": { "code": "insufficient_quota" } })),
            "quota",
        ),
        (
            event(&json!({ "error": { "code": "context_length_exceeded" } })),
            "too_long",
        ),
        (
            "event: error\ndata: {\"code\": 503}\n\n".to_owned(),
            "transient",
        ),
        ("event: error\ndata: overloaded\n\n".to_owned(), "transient"),
    ];
    for (body, kind) in cases {
        let body = text("so") + &body;
        let shown = body.clone();
        assert_eq!(failure(move || events(&body)).await.kind(), kind, "{shown}");
    }
}

#[tokio::test]
async fn refusals_are_errors_of_their_kind() {
    let cases = [
        ("401 Unauthorized", "", "refused"),
        (
            "307 Elsewhere",
            "location: http://127.0.0.1:1/\r\n",
            "refused",
        ),
        ("429 Slow", "retry-after: 7\r\n", "transient"),
        ("500 Oops", "", "transient"),
        ("413 Large", "", "too_long"),
    ];
    for (status, headers, kind) in cases {
        let error = failure(move || reply(status, headers, "{}")).await;
        assert_eq!(error.kind(), kind, "{status}");
        if let GenerateError::Transient { after, .. } = error {
            let wanted = (!headers.is_empty()).then_some(Duration::from_secs(7));
            assert_eq!(after, wanted);
        }
    }
    let quota = r#"{"error": {"code": "insufficient_quota"}}"#;
    let error = failure(move || reply("429 Broke", "retry-after: 7\r\n", quota)).await;
    assert_eq!(error.kind(), "quota");
    // An endless error is not read to its end.
    let endless = failure(|| Reply {
        bytes: reply("500 Oops", "", &"x".repeat(1 << 20)).bytes,
        hang: true,
    });
    assert_eq!(endless.await.kind(), "transient");
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let model = OpenAi::new(settings(&url)).unwrap();
    let error = contract::answer(&model, hello())
        .await
        .expect_err("nobody answers");
    assert_eq!(error.kind(), "transient");
    assert!(!format!("{error:?}").contains("/v1"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let body = json!({
        "choices": [{ "index": 0, "message": { "content": "fine" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 4, "completion_tokens": 1 },
    });
    let json = "content-type: application/json; charset=utf-8\r\n";
    let endpoint = Endpoint::start(move |_| reply("200 OK", json, &body.to_string())).await;
    let answer = contract::answer(&endpoint.model(), hello()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.tokens.prompt), ("fine", 4));

    for (body, kind) in [("{", "broken"), (r#"{"choices":[]}"#, "broken")] {
        assert_eq!(
            failure(move || reply("200 OK", json, body)).await.kind(),
            kind
        );
    }
    let error = r#"{"error": {"code": 429}}"#;
    assert_eq!(
        failure(move || reply("200 OK", json, error)).await.kind(),
        "transient"
    );
}

#[tokio::test]
async fn a_parameter_that_is_refused_is_left_out_from_then_on() {
    let endpoint = Endpoint::start(|body| {
        for parameter in ["max_tokens", "temperature", "stream_options"] {
            if body.get(parameter).is_some() {
                let error = json!({ "error": {
                    "message": format!("Unsupported parameter: '{parameter}' is not supported"),
                    "code": "unsupported_parameter", "param": parameter,
                }});
                return reply("400 Bad Request", "", &error.to_string());
            }
        }
        assert_eq!(body["max_completion_tokens"], 20);
        events(&(text("fine") + &finish("stop") + DONE))
    })
    .await;
    let model = endpoint.model();
    for _ in 0..2 {
        assert_eq!(
            contract::answer(&model, hello()).await.unwrap().text,
            "fine"
        );
    }
    assert_eq!(
        endpoint.bodies().len(),
        5,
        "three refusals are learned once"
    );

    let stubborn = || {
        let error = r#"{"error": {"code": "unsupported_parameter", "param": "max_tokens"}}"#;
        reply("400 Bad Request", "", error)
    };
    assert_eq!(failure(stubborn).await.kind(), "refused");
}

#[tokio::test]
async fn a_server_that_ignores_stops_is_cut_off() {
    let endpoint = Endpoint::start(|_| Reply {
        bytes: events(&(text("one tw") + &text("o ") + &text("three"))).bytes,
        hang: true,
    })
    .await;
    let sampling = Sampling {
        stop: vec!["two".to_owned()],
        ..Sampling::greedy()
    };
    let asked = request("count", sampling, 20);
    let answer = contract::answer(&endpoint.model(), asked).await.unwrap();
    assert_eq!(
        (answer.text.as_str(), answer.finish),
        ("one ", Finish::Stop)
    );
    endpoint.hung_up.notified().await;
}

#[tokio::test]
async fn a_dropped_stream_hangs_up() {
    let endpoint = Endpoint::start(|_| Reply {
        bytes: events(&text("so")).bytes,
        hang: true,
    })
    .await;
    let model = endpoint.model();
    let mut stream = model.generate(hello()).await.unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    endpoint.hung_up.notified().await;
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for url in ["", "example.org/v1", "ftp://example.org"] {
        let error = OpenAi::new(settings(url)).err();
        assert!(matches!(error, Some(SettingsError::Address(_))), "{url}");
    }
    let broken = OpenAiSettings {
        api_key: Some(SecretString::from("a\nb")),
        ..settings("http://localhost/v1")
    };
    assert!(matches!(
        OpenAi::new(broken).err(),
        Some(SettingsError::Key(_))
    ));
}
