//! What a person reads and says.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tertulia_domain::{
    Button, ButtonAction, Judgement, MessageId, MessageKind, Place, PlatformMessageId, TurnId,
};
use tertulia_platform::{Event, Pressed, Said, Update};
use uuid::Uuid;

use super::TEXT_MAX;
use super::problem::Problem;
use super::visitor::{Chat, Preferred, Secret, Visitor, chat_name};
use crate::history::{HistoryError, Shown};
use crate::web::Web;

/// Conversations that are listed.
const LISTED_MAX: u32 = 200;
/// Messages that are read at once, by default and at most.
const SHOWN: u32 = 50;
const SHOWN_MAX: u32 = 200;
/// The name of somebody who never gave one.
const NAME: &str = "Guest";

/// Says who the person is, and makes one of somebody new.
pub(super) async fn me(
    State(web): State<Arc<Web>>,
    Preferred(language): Preferred,
    headers: HeaderMap,
) -> impl IntoResponse {
    let secret = Secret::of(&headers).unwrap_or_else(Secret::draw);
    let commands: Vec<_> = web
        .commands
        .iter()
        .filter(|hint| hint.language == language)
        .map(|hint| json!({"name": hint.name, "description": hint.description}))
        .collect();
    // Set anew on every visit, so that it lives on as long as somebody comes.
    let cookie = AppendHeaders([(header::SET_COOKIE, secret.cookie(&headers))]);
    let body = Json(json!({
        "person": secret.person(),
        "language": language.tag(),
        "commands": commands,
        "text_max": TEXT_MAX,
    }));
    (cookie, body)
}

/// Lists the person's conversations.
pub(super) async fn conversations(
    State(web): State<Arc<Web>>,
    visitor: Visitor,
) -> Result<impl IntoResponse, Problem> {
    let listed = web
        .history
        .conversations(&visitor.person, LISTED_MAX)
        .await
        .map_err(|error| unreadable(&error))?;
    let conversations: Vec<_> = listed
        .iter()
        .filter_map(|listed| {
            let chat = chat_name(&visitor.person, &listed.chat)?;
            let updated = listed.updated.to_string();
            Some(json!({"chat": chat, "title": listed.title, "updated": updated}))
        })
        .collect();
    Ok(Json(json!({ "conversations": conversations })))
}

/// Which messages are read.
#[derive(Deserialize)]
pub(super) struct Window {
    before: Option<MessageId>,
    limit: Option<u32>,
}

/// Reads what was said.
pub(super) async fn messages(
    State(web): State<Arc<Web>>,
    chat: Chat,
    window: Result<Query<Window>, axum::extract::rejection::QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Query(window) = window.map_err(|error| Problem::unreadable(error.body_text()))?;
    let limit = window.limit.unwrap_or(SHOWN).clamp(1, SHOWN_MAX);
    let shown = web
        .history
        .messages(&chat.visitor.person, &chat.id, window.before, limit)
        .await
        .map_err(|error| unreadable(&error))?;
    let more = shown.len() >= limit as usize;
    let messages: Vec<_> = shown.iter().map(Utterance::from).collect();
    Ok(Json(json!({"messages": messages, "more": more})))
}

/// A message as the page reads it; ids are text, as scripts lose precision in large numbers.
#[derive(Serialize)]
struct Utterance<'a> {
    id: String,
    role: &'static str,
    kind: MessageKind,
    text: &'a str,
    html: Option<String>,
    turn: Option<String>,
    state: Option<&'static str>,
    judgement: Option<Judgement>,
    at: String,
}

impl<'a> From<&'a Shown> for Utterance<'a> {
    fn from(shown: &'a Shown) -> Self {
        Self {
            id: shown.id.to_string(),
            role: if shown.ours { "assistant" } else { "user" },
            kind: shown.kind,
            text: &shown.text,
            html: shown.ours.then(|| tertulia_markup::html(&shown.text)),
            turn: shown.turn.map(|turn| turn.to_string()),
            state: shown.state.map(tertulia_domain::TurnState::as_str),
            judgement: shown.judgement,
            at: shown.at.to_string(),
        }
    }
}

/// The page's name for a request: the same again means the same request again.
#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
struct Name(Uuid);

/// Something to say.
#[derive(Deserialize, Serialize)]
pub(super) struct Say {
    id: Name,
    text: String,
}

/// Takes what the person says; answers when it is committed.
pub(super) async fn say(
    State(web): State<Arc<Web>>,
    chat: Chat,
    Body(say): Body<Say>,
) -> Result<impl IntoResponse, Problem> {
    if say.text.len() > TEXT_MAX {
        return Err(Problem::too_long());
    }
    if say.text.trim().is_empty() {
        return Err(Problem::unreadable("There is nothing to say in the text."));
    }
    let changed: Arc<str> = json!({"id": say.id}).to_string().into();
    let raw = raw("said", &chat, &say);
    let now = web.clock.now();
    let event = Event::Said(Box::new(Said {
        place: place(&web, &chat),
        private: true,
        person: chat.visitor.person.clone(),
        name: NAME.to_owned(),
        handle: None,
        chat_handle: None,
        automated: false,
        language: chat.visitor.language,
        message: PlatformMessageId::new(say.id.0.to_string()),
        reply_to: None,
        text: say.text,
        mentioned: false,
        for_another: false,
        attachments: Vec::new(),
        bundle: None,
        at: now,
    }));
    take(&web, &chat, say.id, raw, event).await?;
    web.rooms.changed(&chat.id, changed);
    Ok((StatusCode::ACCEPTED, Json(json!({"id": say.id}))))
}

/// A button that was pressed.
#[derive(Deserialize, Serialize)]
pub(super) struct Press {
    /// Drawn here if there is none; then a repetition counts twice.
    #[serde(default = "Name::draw")]
    id: Name,
    #[serde(deserialize_with = "turn_id")]
    turn: TurnId,
    action: ButtonAction,
}

/// Takes a press; answers when it is committed.
pub(super) async fn press(
    State(web): State<Arc<Web>>,
    chat: Chat,
    Body(press): Body<Press>,
) -> Result<impl IntoResponse, Problem> {
    let event = Event::Pressed(Pressed {
        place: place(&web, &chat),
        private: true,
        person: chat.visitor.person.clone(),
        name: NAME.to_owned(),
        handle: None,
        language: chat.visitor.language,
        button: Button {
            action: press.action,
            turn: press.turn,
        },
        at: web.clock.now(),
    });
    take(&web, &chat, press.id, raw("pressed", &chat, &press), event).await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"id": press.id}))))
}

/// Commits an update; the request may be answered once this returned.
///
/// When the future is dropped the update is committed or not; the page asks again with the same
/// id.
async fn take(web: &Web, chat: &Chat, id: Name, raw: String, event: Event) -> Result<(), Problem> {
    let entry = web.enter().ok_or_else(Problem::closed)?;
    let update = Update {
        account: web.account.clone(),
        key: format!("{}:{}", chat.visitor.person.id(), id.0),
        raw,
        event: Some(event),
        at: web.clock.now(),
    };
    entry.intake.accept(vec![update]).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, chat = %chat.id, "update refused");
        Problem::unavailable()
    })
}

fn place(web: &Web, chat: &Chat) -> Place {
    Place {
        account: web.account.clone(),
        chat: chat.id.clone(),
        thread: None,
    }
}

/// The update as it is kept: what came, who sent it and where to.
fn raw(what: &str, chat: &Chat, body: &impl Serialize) -> String {
    json!({
        "what": what,
        "person": chat.visitor.person,
        "chat": chat.id,
        "language": chat.visitor.language.tag(),
        "body": body,
    })
    .to_string()
}

fn unreadable(error: &HistoryError) -> Problem {
    tracing::warn!(
        error = error as &dyn std::error::Error,
        "history not readable"
    );
    Problem::unavailable()
}

// === impl Name ===

impl Name {
    fn draw() -> Self {
        Self(Uuid::new_v4())
    }
}

impl TryFrom<String> for Name {
    type Error = uuid::Error;

    fn try_from(text: String) -> Result<Self, uuid::Error> {
        Uuid::try_parse(&text).map(Self)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.to_string()
    }
}

/// Reads a turn's id, which is text for scripts and may be a number for others.
fn turn_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<TurnId, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Number(i64),
        Text(String),
    }
    match Id::deserialize(deserializer)? {
        Id::Number(number) => Ok(TurnId(number)),
        Id::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// A JSON body, or the problem with it.
pub(super) struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        // Asked for because a form of another site cannot send it.
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
        if !json {
            return Err(Problem::not_json());
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::too_long()
            } else {
                Problem::unreadable("The body did not come through.")
            }
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::unreadable(format!("The body is not as expected: {error}.")))
    }
}
