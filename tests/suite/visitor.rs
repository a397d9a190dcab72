//! Somebody at the page without a browser: the chat API of `/chat/v1` with a cookie and an ear.
//!
//! Whoever asks waits for the answer as the page does, by the stream of events.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

/// Nothing that is asked for here takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Somebody with a cookie.
#[derive(Clone)]
pub(crate) struct Visitor {
    client: Client,
    base: String,
    cookie: String,
    /// As in `tertulia person`.
    pub(crate) person: String,
}

/// One conversation of a visitor.
pub(crate) struct Talk {
    pub(crate) visitor: Visitor,
    /// Its name.
    pub(crate) chat: String,
    events: BoxStream<'static, Vec<u8>>,
    raw: Vec<u8>,
    ready: VecDeque<(String, Value)>,
}

/// A message of ours that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) text: String,
    /// Whether it has buttons, as every answer of a model has.
    pub(crate) buttons: bool,
}

/// A client that no proxy of the machine gets in the way of.
pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .build()
        .expect("a plain client")
}

/// A random name in the form of a UUID.
pub(crate) fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

// === impl Visitor ===

impl Visitor {
    /// Comes to the page for the first time.
    pub(crate) async fn new(base: &str) -> Self {
        let client = client();
        let me = client.get(format!("{base}/chat/v1/me")).send().await;
        let me = me
            .expect("the page answers")
            .error_for_status()
            .expect("and lets everybody in");
        let cookie = me.headers()[SET_COOKIE].to_str().expect("a cookie is text");
        let cookie = cookie
            .split(';')
            .next()
            .expect("a cookie has a value")
            .to_owned();
        let me: Value = me.json().await.expect("JSON");
        let person = me["person"]
            .as_str()
            .expect("a person has an id")
            .to_owned();
        Self {
            client,
            base: base.to_owned(),
            cookie,
            person,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.send(self.client.get(self.url(path))).await;
        let status = answer.status();
        let body: Value = answer.json().await.expect("JSON");
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> StatusCode {
        self.send(self.client.post(self.url(path)).json(body))
            .await
            .status()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(
            COOKIE,
            self.cookie.parse().expect("a cookie is header text"),
        );
        request
            .headers(headers)
            .send()
            .await
            .expect("the page answers")
    }

    fn url(&self, path: &str) -> String {
        format!("{}/chat/v1/{path}", self.base)
    }

    /// Opens a new conversation.
    pub(crate) async fn talk(&self) -> Talk {
        self.talk_in(&uuid()).await
    }

    /// Opens a conversation by its name.
    pub(crate) async fn talk_in(&self, chat: &str) -> Talk {
        let path = format!("conversations/{chat}/events");
        let answer = self.send(self.client.get(self.url(&path))).await;
        assert_eq!(answer.status(), 200, "{path}");
        let bytes = answer
            .bytes_stream()
            .map(|piece| piece.map(|p| p.to_vec()).unwrap_or_default());
        let mut talk = Talk {
            visitor: self.clone(),
            chat: chat.to_owned(),
            events: bytes.boxed(),
            raw: Vec::new(),
            ready: VecDeque::new(),
        };
        let (name, _) = talk.event().await;
        assert_eq!(name, "hello");
        talk
    }
}

// === impl Talk ===

impl Talk {
    /// Says something; it is committed when this returns.
    pub(crate) async fn say(&self, text: &str) {
        let path = format!("conversations/{}/messages", self.chat);
        let status = self
            .visitor
            .post(&path, &json!({"id": uuid(), "text": text}))
            .await;
        assert_eq!(status, 202, "{text}");
    }

    /// Presses a button of a turn.
    pub(crate) async fn press(&self, turn: &str, action: &str) {
        let path = format!("conversations/{}/press", self.chat);
        let press = json!({"id": uuid(), "turn": turn, "action": action});
        assert_eq!(self.visitor.post(&path, &press).await, 202, "{action}");
    }

    /// Says something and waits for the answer.
    pub(crate) async fn ask(&mut self, text: &str) -> Arrived {
        self.say(text).await;
        self.message().await
    }

    /// Waits for the next message of ours.
    pub(crate) async fn message(&mut self) -> Arrived {
        loop {
            let (name, data) = self.event().await;
            if name == "message" {
                return Arrived {
                    text: data["text"].as_str().unwrap_or_default().to_owned(),
                    buttons: data["buttons"]
                        .as_array()
                        .is_some_and(|list| !list.is_empty()),
                };
            }
        }
    }

    /// Waits until something of an answer is seen; its turn and the text so far as HTML.
    pub(crate) async fn preview(&mut self) -> (String, String) {
        loop {
            let (name, data) = self.event().await;
            assert_ne!(name, "message", "there was no preview before {data}");
            if let Some(html) = data["html"].as_str().filter(|_| name == "preview") {
                let turn = data["turn"].as_str().expect("a turn has an id");
                return (turn.to_owned(), html.to_owned());
            }
        }
    }

    /// What the house remembers: who and what, oldest first.
    pub(crate) async fn history(&self) -> Vec<(String, String)> {
        let page = self
            .visitor
            .get(&format!("conversations/{}/messages", self.chat))
            .await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = page["messages"].as_array().expect("messages");
        messages
            .iter()
            .map(|one| (text(&one["role"]), text(&one["text"])))
            .collect()
    }

    /// What we said, in order, wherever the person's words stand in between.
    pub(crate) async fn replies(&self) -> Vec<String> {
        let history = self.history().await.into_iter();
        let ours = history.filter(|(role, _)| role == "assistant");
        ours.map(|(_, text)| text).collect()
    }

    /// Fails unless every message has exactly one answer right after it; gives the answers.
    pub(crate) async fn answers(&self) -> Vec<String> {
        let history = self.history().await;
        let alternate = history
            .iter()
            .enumerate()
            .all(|(number, (role, _))| role == if number % 2 == 0 { "user" } else { "assistant" });
        assert!(
            alternate && history.len() % 2 == 0,
            "not one answer each: {history:#?}"
        );
        history
            .into_iter()
            .skip(1)
            .step_by(2)
            .map(|(_, text)| text)
            .collect()
    }

    async fn event(&mut self) -> (String, Value) {
        let wait = async {
            loop {
                if let Some(event) = self.ready.pop_front() {
                    return event;
                }
                let piece = self
                    .events
                    .next()
                    .await
                    .expect("the stream of events goes on");
                self.raw.extend(piece);
                self.read();
            }
        };
        let event = tokio::time::timeout(SOON, wait).await;
        event.unwrap_or_else(|_| panic!("nothing happened in chat {}", self.chat))
    }

    fn read(&mut self) {
        while let Some(end) = self.raw.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.raw.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("events are text");
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name))?;
                Some(line.trim_start_matches(':').trim_start().to_owned())
            };
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                let data = serde_json::from_str(&data).expect("data are JSON");
                self.ready.push_back((name, data));
            }
        }
    }
}
