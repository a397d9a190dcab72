//! The page's HTTP face through its router, with a scripted house behind it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use serde_json::{Value, json};
use tertulia_domain::{
    Button, ButtonAction, ChatId, Clock, DeliveryId, Judgement, Language, MessageId, MessageKind,
    PersonId, Place, Styled, Timestamp, TurnId, TurnState,
};
use tertulia_platform::{
    Event, Intake, IntakeError, Outgoing, Platform, Preview, Settled, Traces, Update, Urgency,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::history::{History, HistoryError, Listed, Shown};
use crate::web::{CommandHint, Web};

const CHAT: &str = "6f1c1d9e-3f0a-4c43-9d7e-0f4b8a1f6b11";
const MESSAGE: &str = "0b9a7f60-8f2d-4b6e-9a55-2d3c4e5f6a70";

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(43_200)
    }
}

/// Takes updates once per key, unless it is told to refuse or to wait.
#[derive(Default)]
struct Inbox {
    taken: Mutex<Vec<Update>>,
    refuse: Mutex<bool>,
    gate: Option<Arc<Notify>>,
}

#[async_trait]
impl Intake for Inbox {
    async fn accept(&self, updates: Vec<Update>) -> Result<(), IntakeError> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if *self.refuse.lock().unwrap() {
            return Err(IntakeError("the disk is full".into()));
        }
        let mut taken = self.taken.lock().unwrap();
        for update in updates {
            if !taken.iter().any(|one| one.key == update.key) {
                taken.push(update);
            }
        }
        Ok(())
    }
}

/// Remembers by person, as the store does.
#[derive(Default)]
struct Memory {
    by_person: Mutex<HashMap<PersonId, Vec<(ChatId, Shown)>>>,
}

#[async_trait]
impl History for Memory {
    async fn conversations(&self, person: &PersonId, _: u32) -> Result<Vec<Listed>, HistoryError> {
        let by_person = self.by_person.lock().unwrap();
        let mut listed: Vec<Listed> = Vec::new();
        for (chat, shown) in by_person.get(person).into_iter().flatten() {
            if !listed.iter().any(|one| one.chat == *chat) {
                listed.push(Listed {
                    chat: chat.clone(),
                    title: shown.text.clone(),
                    updated: shown.at,
                });
            }
        }
        Ok(listed)
    }

    async fn messages(
        &self,
        person: &PersonId,
        chat: &ChatId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<Shown>, HistoryError> {
        let by_person = self.by_person.lock().unwrap();
        let mut shown: Vec<Shown> = by_person
            .get(person)
            .into_iter()
            .flatten()
            .filter(|(one, shown)| one == chat && before.is_none_or(|before| shown.id < before))
            .map(|(_, shown)| shown.clone())
            .collect();
        Ok(shown.split_off(shown.len().saturating_sub(limit as usize)))
    }
}

struct World {
    web: Arc<Web>,
    inbox: Arc<Inbox>,
    memory: Arc<Memory>,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

/// Somebody at a browser.
struct Visitor<'a> {
    world: &'a World,
    cookie: String,
    person: PersonId,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

// === impl World ===

impl World {
    fn new(inbox: Inbox) -> Self {
        let memory = Arc::new(Memory::default());
        let history: Arc<dyn History> = Arc::clone(&memory) as _;
        let hints = [
            (Language::English, "new", "Begin anew"),
            (Language::Chinese, "new", "重新开始"),
        ];
        let commands = hints
            .map(|(language, name, description)| CommandHint {
                language,
                name: name.into(),
                description: description.into(),
            })
            .into();
        Self {
            web: Web::new("web".into(), Arc::new(Noon), history, commands),
            inbox: Arc::new(inbox),
            memory,
            stop: CancellationToken::new(),
            running: None,
        }
    }

    /// A world in which the house takes updates.
    async fn open() -> Self {
        Self::new(Inbox::default()).start().await
    }

    async fn start(mut self) -> Self {
        let (web, intake) = (Arc::clone(&self.web), Arc::clone(&self.inbox));
        let stop = self.stop.clone();
        self.running = Some(tokio::spawn(async move {
            web.run(intake, stop).await.unwrap();
        }));
        while self.web.enter().is_none() {
            tokio::task::yield_now().await;
        }
        self
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.web.routes().oneshot(request).await.unwrap()
    }

    async fn visitor(&self) -> Visitor<'_> {
        let request = Request::get("/chat/v1/me").body(Body::empty()).unwrap();
        let answer = Answer::read(self.send(request).await).await;
        let cookie = answer.headers["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let person: PersonId = answer.body["person"].as_str().unwrap().parse().unwrap();
        assert!(!cookie.contains(person.id()));
        Visitor {
            world: self,
            cookie,
            person,
        }
    }
}

// === impl Visitor ===

impl Visitor<'_> {
    fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("/chat/v1/{path}"))
            .header("cookie", &self.cookie)
    }

    async fn get(&self, path: &str) -> Answer {
        let request = self.request("GET", path).body(Body::empty()).unwrap();
        Answer::read(self.world.send(request).await).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let request = self
            .request("POST", path)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        Answer::read(self.world.send(request).await).await
    }

    async fn say(&self, id: &str, text: &str) -> Answer {
        let path = format!("conversations/{CHAT}/messages");
        self.post(&path, json!({"id": id, "text": text})).await
    }

    fn place(&self) -> Place {
        Place {
            account: "web".into(),
            chat: ChatId::new(format!("{}.{CHAT}", self.person.id())),
            thread: None,
        }
    }

    fn outgoing(&self, delivery: i64, turn: i64, text: &str) -> Outgoing {
        let turn = TurnId(turn);
        Outgoing {
            delivery: DeliveryId(delivery),
            turn,
            place: self.place(),
            reply_to: None,
            content: Styled::plain(text),
            buttons: vec![Button {
                action: ButtonAction::Retry,
                turn,
            }],
            message: None,
            urgency: Urgency::Final,
        }
    }

    async fn preview(&self, turn: i64, text: Option<&str>) {
        let preview = Preview {
            place: self.place(),
            turn: TurnId(turn),
            text: text.map(str::to_owned),
        };
        self.world.web.preview(&preview).await.unwrap();
    }

    async fn listen(&self) -> Events {
        let path = format!("conversations/{CHAT}/events");
        let request = self.request("GET", &path).body(Body::empty()).unwrap();
        let response = self.world.send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        Events {
            frames: response.into_body().into_data_stream().boxed(),
        }
    }
}

struct Events {
    frames: futures::stream::BoxStream<'static, Result<Bytes, axum::Error>>,
}

// === impl Events ===

impl Events {
    /// The next event and its data; none at the end. Heartbeats have no name.
    async fn next(&mut self) -> Option<(String, Value)> {
        let frame = self.frames.next().await?.unwrap();
        let text = std::str::from_utf8(&frame).unwrap();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        let data = serde_json::from_str(&field("data:")).unwrap_or(Value::Null);
        Some((field("event:"), data))
    }

    async fn expect(&mut self, name: &str) -> Value {
        let (event, data) = self.next().await.unwrap();
        assert_eq!(event, name, "{data}");
        data
    }
}

// === impl Answer ===

impl Answer {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    fn is_problem(&self, status: StatusCode, code: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["code"], code);
        assert_eq!(self.body["status"], status.as_u16());
    }
}

// === who is there ===

#[tokio::test]
async fn a_cookie_makes_a_person_who_stays_the_same() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let again = anna.get("me").await;
    assert_eq!(again.body["person"], anna.person.to_string());
    assert_eq!(again.body["language"], "en");
    assert_ne!(world.visitor().await.person, anna.person);

    let request = anna
        .request("GET", "me")
        .header("accept-language", "zh-Hans,en;q=0.5")
        .header("x-forwarded-proto", "https")
        .body(Body::empty())
        .unwrap();
    let chinese = Answer::read(world.send(request).await).await;
    assert_eq!(chinese.body["language"], "zh");
    assert_eq!(chinese.body["commands"][0]["description"], "重新开始");
    let cookie = chinese.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Secure"), "{cookie}");

    let request = Request::get("/chat/v1/conversations")
        .body(Body::empty())
        .unwrap();
    let nobody = Answer::read(world.send(request).await).await;
    nobody.is_problem(StatusCode::UNAUTHORIZED, "no_cookie");
}

// === saying something ===

#[tokio::test]
async fn what_is_said_is_taken_once_and_confirmed_when_it_is_committed() {
    let world = World::open().await;
    let anna = world.visitor().await;
    for _ in 0..2 {
        let answer = anna.say(MESSAGE, "/new hello").await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        assert_eq!(answer.body, json!({"id": MESSAGE}));
    }
    let taken = world.inbox.taken.lock().unwrap();
    let [update] = taken.as_slice() else {
        panic!("taken once, not {} times", taken.len());
    };
    assert_eq!(update.key, format!("{}:{MESSAGE}", anna.person.id()));
    assert!(update.raw.contains("/new hello"));
    assert!(!update.raw.contains(anna.cookie.split('=').nth(1).unwrap()));
    let Some(Event::Said(said)) = &update.event else {
        panic!("something said");
    };
    assert_eq!(said.place, anna.place());
    assert_eq!(said.person, anna.person);
    assert_eq!(said.message.as_str(), MESSAGE);
    assert_eq!(said.text, "/new hello");
    assert!(said.private && !said.automated);
}

#[tokio::test]
async fn what_cannot_be_committed_is_not_confirmed() {
    let world = World::new(Inbox::default());
    let anna = world.visitor().await;
    let early = anna.say(MESSAGE, "hello").await;
    early.is_problem(StatusCode::SERVICE_UNAVAILABLE, "closed");
    assert_eq!(early.headers["retry-after"], "1");

    let mut world = world.start().await;
    *world.inbox.refuse.lock().unwrap() = true;
    let anna = world.visitor().await;
    let refused = anna.say(MESSAGE, "hello").await;
    refused.is_problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    *world.inbox.refuse.lock().unwrap() = false;
    assert_eq!(
        anna.say(MESSAGE, "hello").await.status,
        StatusCode::ACCEPTED
    );
    drop(anna);

    world.stop.cancel();
    world.running.take().unwrap().await.unwrap();
    let late = world.visitor().await.say(MESSAGE, "hello").await;
    late.is_problem(StatusCode::SERVICE_UNAVAILABLE, "closed");
}

#[tokio::test]
async fn stopping_waits_for_what_is_being_committed() {
    let gate = Arc::new(Notify::new());
    let inbox = Inbox {
        gate: Some(Arc::clone(&gate)),
        ..Inbox::default()
    };
    let mut world = World::new(inbox).start().await;
    let running = world.running.take().unwrap();
    let anna = world.visitor().await;
    let (answer, ()) = tokio::join!(anna.say(MESSAGE, "hello"), async {
        // The request is polled first and waits at the gate.
        world.stop.cancel();
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert!(!running.is_finished(), "somebody is inside");
        gate.notify_one();
    });
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    running.await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_reason() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let long = "x".repeat(64 * 1024 + 1);
    anna.say(MESSAGE, &long)
        .await
        .is_problem(StatusCode::PAYLOAD_TOO_LARGE, "too_long");
    anna.say(MESSAGE, &long.repeat(8))
        .await
        .is_problem(StatusCode::PAYLOAD_TOO_LARGE, "too_long");
    let escaped = "\u{1}".repeat(64 * 1024);
    assert_eq!(
        anna.say(MESSAGE, &escaped).await.status,
        StatusCode::ACCEPTED
    );

    let unreadable = StatusCode::UNPROCESSABLE_ENTITY;
    anna.say(MESSAGE, " \n")
        .await
        .is_problem(unreadable, "unreadable");
    anna.say("1", "hello")
        .await
        .is_problem(unreadable, "unreadable");
    let path = format!("conversations/{CHAT}/messages");
    anna.post(&path, json!([1]))
        .await
        .is_problem(unreadable, "unreadable");
    anna.get(&format!("{path}?before=x"))
        .await
        .is_problem(unreadable, "unreadable");

    let form = anna
        .request("POST", &path)
        .header("content-type", "text/plain")
        .body(Body::from("{}"))
        .unwrap();
    Answer::read(world.send(form).await)
        .await
        .is_problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json");
    let elsewhere = anna
        .request("POST", &path)
        .header("content-type", "application/json")
        .header("sec-fetch-site", "cross-site")
        .body(Body::from("{}"))
        .unwrap();
    Answer::read(world.send(elsewhere).await)
        .await
        .is_problem(StatusCode::FORBIDDEN, "cross_site");

    for path in [
        "conversations/nonsense/messages",
        "nothing",
        "conversations/a/b/c",
    ] {
        anna.get(path)
            .await
            .is_problem(StatusCode::NOT_FOUND, "not_found");
    }
    anna.get(&format!("conversations/{CHAT}/press"))
        .await
        .is_problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
}

#[tokio::test]
async fn a_button_is_pressed_for_its_turn() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let path = format!("conversations/{CHAT}/press");
    for (turn, action) in [(json!("7"), "stop"), (json!(7), "like")] {
        let answer = anna
            .post(&path, json!({"turn": turn, "action": action}))
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED);
    }
    let pressed: Vec<_> = world
        .inbox
        .taken
        .lock()
        .unwrap()
        .iter()
        .map(|update| match &update.event {
            Some(Event::Pressed(pressed)) => (pressed.place.clone(), pressed.button.token()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = ["stop:7", "like:7"].map(|token| (anna.place(), token.to_owned()));
    assert_eq!(pressed, expected);
    anna.post(&path, json!({"turn": "7", "action": "explode"}))
        .await
        .is_problem(StatusCode::UNPROCESSABLE_ENTITY, "unreadable");
}

// === reading ===

#[tokio::test]
async fn the_history_is_shown_with_safe_html() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let shown = |id, ours, kind, text: &str, state, judgement| Shown {
        id: MessageId(id),
        ours,
        kind,
        text: text.into(),
        turn: Some(TurnId(5)),
        state,
        judgement,
        at: Timestamp(0),
    };
    let queued = Some(TurnState::Queued);
    let messages = [
        shown(1, false, MessageKind::Prompt, "<b>hi</b>", queued, None),
        shown(
            2,
            true,
            MessageKind::Reply,
            "**hi** <script>",
            None,
            Some(Judgement::Good),
        ),
    ];
    world.memory.by_person.lock().unwrap().insert(
        anna.person.clone(),
        messages.map(|shown| (anna.place().chat, shown)).into(),
    );

    let listed = anna.get("conversations").await.body;
    assert_eq!(listed["conversations"][0]["chat"], CHAT);
    assert_eq!(listed["conversations"][0]["title"], "<b>hi</b>");

    let path = format!("conversations/{CHAT}/messages");
    let body = anna.get(&path).await.body;
    assert_eq!(body["more"], false);
    assert_eq!(
        body["messages"][0],
        json!({
            "id": "1", "role": "user", "kind": "prompt", "text": "<b>hi</b>", "html": null,
            "turn": "5", "state": "queued", "judgement": null, "at": "1970-01-01T00:00:00.000Z",
        })
    );
    let reply = &body["messages"][1];
    assert_eq!(
        (&reply["role"], &reply["kind"]),
        (&json!("assistant"), &json!("reply"))
    );
    assert_eq!(reply["judgement"], "good");
    let html = reply["html"].as_str().unwrap();
    assert!(
        html.contains("<strong>hi</strong>") || html.contains("<b>hi</b>"),
        "{html}"
    );
    assert!(!html.contains("<script>"), "{html}");

    let latest = anna.get(&format!("{path}?limit=1")).await.body;
    assert_eq!(latest["messages"][0]["id"], "2");
    assert_eq!(latest["more"], true);
    let earlier = anna.get(&format!("{path}?limit=1&before=2")).await.body;
    assert_eq!(earlier["messages"][0]["id"], "1");
}

#[tokio::test]
async fn one_person_never_meets_the_chat_of_another() {
    let world = World::open().await;
    let (anna, ben) = (world.visitor().await, world.visitor().await);
    world.memory.by_person.lock().unwrap().insert(
        anna.person.clone(),
        vec![(
            anna.place().chat,
            Shown {
                id: MessageId(1),
                ours: false,
                kind: MessageKind::Prompt,
                text: "canary".into(),
                turn: None,
                state: None,
                judgement: None,
                at: Timestamp(0),
            },
        )],
    );
    let path = format!("conversations/{CHAT}/messages");
    assert_eq!(anna.get(&path).await.body["messages"][0]["text"], "canary");
    assert_eq!(ben.get(&path).await.body["messages"], json!([]));
    assert_eq!(
        ben.get("conversations").await.body["conversations"],
        json!([])
    );

    // The same name is another chat: what Ben says there is said in his own.
    ben.say(MESSAGE, "hello").await;
    anna.say(MESSAGE, "hello").await;
    {
        let taken = world.inbox.taken.lock().unwrap();
        assert_eq!(taken.len(), 2, "the same id of two people is two messages");
        let Some(Event::Said(said)) = &taken[0].event else {
            panic!("something said");
        };
        assert_ne!(said.place, anna.place());
    }

    // Nor does he hear what is said in hers.
    let mut ears = ben.listen().await;
    ears.expect("hello").await;
    anna.preview(1, Some("canary")).await;
    world
        .web
        .deliver(&anna.outgoing(1, 1, "canary"))
        .await
        .unwrap();
    world
        .web
        .deliver(&ben.outgoing(2, 2, "for Ben"))
        .await
        .unwrap();
    assert_eq!(ears.expect("message").await["text"], "for Ben");
}

// === hearing ===

#[tokio::test(start_paused = true)]
async fn an_answer_is_heard_while_it_is_made_and_when_it_is_done() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let mut ears = anna.listen().await;
    ears.expect("hello").await;

    anna.preview(1, None).await;
    assert_eq!(
        ears.expect("preview").await,
        json!({"turn": "1", "html": null})
    );
    // Only the latest of what was said in the meantime is shown.
    anna.preview(1, Some("one")).await;
    anna.preview(1, Some("one two")).await;
    let preview = ears.expect("preview").await;
    assert!(preview["html"].as_str().unwrap().contains("one two"));

    anna.preview(1, Some("one two three")).await;
    let outgoing = anna.outgoing(9, 1, "one two *three*");
    let id = world.web.deliver(&outgoing).await.unwrap();
    assert_eq!(world.web.deliver(&outgoing).await.unwrap(), id);
    let settled = world
        .web
        .settle(&outgoing, &Traces::default())
        .await
        .unwrap();
    assert_eq!(settled, Settled::Placed(id));
    let message = ears.expect("message").await;
    assert_eq!(message["delivery"], "9");
    assert_eq!(message["buttons"], json!(["retry"]));
    assert!(message["html"].as_str().unwrap().contains("<em>three</em>"));
    ears.expect("message").await;

    // Nothing is left to say but that the stream is alive.
    let (name, _) = ears.next().await.unwrap();
    assert_eq!(name, "", "a heartbeat, not a preview after the message");
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_mid_answer_sees_it_at_once() {
    let world = World::open().await;
    let anna = world.visitor().await;
    anna.preview(3, Some("so far")).await;
    let mut ears = anna.listen().await;
    ears.expect("hello").await;
    let preview = ears.expect("preview").await;
    assert!(preview["html"].as_str().unwrap().contains("so far"));
}

#[tokio::test(start_paused = true)]
async fn previews_keep_a_pause_that_grows_with_the_answer() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let mut ears = anna.listen().await;
    ears.expect("hello").await;
    let mut gap = async |text: String| {
        anna.preview(1, Some(&text)).await;
        ears.expect("preview").await;
        anna.preview(1, Some(&format!("{text}!"))).await;
        let start = tokio::time::Instant::now();
        ears.expect("preview").await;
        start.elapsed()
    };
    let short = gap("short".into()).await;
    assert!(
        short >= Duration::from_millis(50) && short < Duration::from_millis(60),
        "{short:?}"
    );
    tokio::time::advance(Duration::from_secs(1)).await;
    let long = gap("long ".repeat(10_000)).await;
    assert!(long > Duration::from_millis(150), "{long:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_falls_behind_is_told_so() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let mut ears = anna.listen().await;
    ears.expect("hello").await;
    for n in 0..100 {
        world
            .web
            .deliver(&anna.outgoing(n, n, "text"))
            .await
            .unwrap();
    }
    ears.expect("resync").await;
    let message = ears.expect("message").await;
    assert!(
        message["delivery"]
            .as_str()
            .unwrap()
            .parse::<i64>()
            .unwrap()
            > 50
    );
}

#[tokio::test(start_paused = true)]
async fn other_tabs_hear_that_something_was_said() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let mut ears = anna.listen().await;
    ears.expect("hello").await;
    anna.say(MESSAGE, "hello").await;
    assert_eq!(ears.expect("changed").await, json!({"id": MESSAGE}));
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_streams() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let mut ears = anna.listen().await;
    ears.expect("hello").await;
    world.web.close();
    assert!(ears.next().await.is_none());
    anna.get(&format!("conversations/{CHAT}/events"))
        .await
        .is_problem(StatusCode::SERVICE_UNAVAILABLE, "closed");
}

#[tokio::test(start_paused = true)]
async fn streams_of_one_chat_are_bounded() {
    let world = World::open().await;
    let anna = world.visitor().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(anna.listen().await);
    }
    let path = format!("conversations/{CHAT}/events");
    anna.get(&path)
        .await
        .is_problem(StatusCode::TOO_MANY_REQUESTS, "too_many_streams");
    open.clear();
    anna.listen().await.expect("hello").await;
}

// === the page ===

#[tokio::test]
async fn the_page_is_kept_as_long_as_its_version() {
    let world = World::new(Inbox::default());
    let fetch = async |path: &str, etag: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        let response = world.send(request.body(Body::empty()).unwrap()).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (parts, String::from_utf8(body.to_vec()).unwrap())
    };
    let (parts, page) = fetch("/", None).await;
    assert_eq!(parts.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(parts.headers["cache-control"], "no-cache");
    assert_eq!(parts.headers["x-content-type-options"], "nosniff");
    assert_eq!(parts.headers["referrer-policy"], "no-referrer");
    let policy = parts.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
    let etag = parts.headers["etag"].to_str().unwrap().to_owned();
    let (parts, body) = fetch("/", Some(&etag)).await;
    assert_eq!(
        (parts.status, body.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );

    // Every file that the page names is there, and may be kept for ever.
    let names: Vec<&str> = page
        .split('"')
        .filter(|text| text.starts_with("/assets/"))
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    for name in names {
        let (parts, _) = fetch(name, None).await;
        assert_eq!(parts.status, StatusCode::OK, "{name}");
        let cache = parts.headers["cache-control"].to_str().unwrap();
        assert!(cache.contains("immutable"), "{name}");
    }
    let (parts, _) = fetch("/assets/earlier/app.js", None).await;
    assert_eq!(
        parts.headers["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert_eq!(parts.headers["cache-control"], "no-cache");
    let (parts, _) = fetch("/assets/earlier/secret.txt", None).await;
    assert_eq!(parts.status, StatusCode::NOT_FOUND);
}

/// The two languages of the page say the same things.
#[test]
fn every_text_of_the_page_is_there_in_every_language() {
    let source = include_str!("../../page/texts.js");
    let keys = |language: &str| -> Vec<&str> {
        let start = source.find(&format!("const {language} = {{")).unwrap();
        let block = &source[start..][..source[start..].find("\n};").unwrap()];
        block
            .lines()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
            .filter_map(|line| line.trim().split_once(':').map(|(key, _)| key))
            .collect()
    };
    assert!(keys("english").len() > 30);
    assert_eq!(keys("english"), keys("chinese"));
}
