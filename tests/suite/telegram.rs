//! What people in Telegram see of the whole: the real binary between the strict emulators.
//!
//! The emulator of Telegram judges every call, so a test that says nothing about limits, entities
//! or flood control checks them all the same.

mod answers;
mod buttons;
mod commands;
mod groups;
mod hearing;
mod models;
mod prompts;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use world::openai::{ChatRequest, OpenAiServer, Script};
use world::process::Tertulia;
use world::telegram::{Shown, TelegramOptions, TelegramServer, View};

/// The id of the first bot, as its token says.
const BOT: i64 = 100_200_300;
/// The time that anything may take which is not made to wait.
const SOON: Duration = Duration::from_secs(30);
/// What stands on the button that stops an answer.
const STOP: &str = "⏹";

/// How a house is set up; what is left out is as the defaults are.
#[derive(Default)]
struct Setup {
    options: TelegramOptions,
    /// Further lines of the account.
    account: String,
    /// Further lines of the persona.
    persona: String,
    /// Further tables.
    rest: String,
    /// The grace time of a stop.
    drain: Option<&'static str>,
}

/// A house, the Telegram it serves and the endpoint it asks.
struct Scene {
    // First, so that it is gone before the others judge it.
    house: Tertulia,
    telegram: Arc<TelegramServer>,
    model: Arc<OpenAiServer>,
}

// === impl Setup ===

impl Setup {
    fn without_drafts() -> Self {
        let mut setup = Self::default();
        setup.options.drafts = false;
        setup
    }

    fn account(lines: &str) -> Self {
        let account = lines.to_owned();
        Self {
            account,
            ..Self::default()
        }
    }

    fn rest(tables: &str) -> Self {
        let rest = tables.to_owned();
        Self {
            rest,
            ..Self::default()
        }
    }

    fn config(&self, telegram: &TelegramServer, model: &OpenAiServer) -> String {
        let persona = if self.persona.is_empty() {
            "models = [\"gpt\"]"
        } else {
            &self.persona
        };
        format!(
            r#"
[server]
listen = "{{listen}}"
drain = "{drain}"
[storage]
url = "sqlite:tertulia.db"
[accounts.telegram]
platform = "telegram"
token = "{token}"
api_url = "{api}"
{account}
[models.gpt]
kind = "openai"
base_url = "{base}"
model = "scripted"
[personas.default]
prompt = "You are the house."
{persona}
{rest}
"#,
            drain = self.drain.unwrap_or("5s"),
            token = telegram.token(),
            api = telegram.api_url(),
            account = self.account,
            base = model.base_url(),
            rest = self
                .rest
                .replace("{base}", model.base_url())
                .replace("{api}", telegram.api_url()),
        )
    }
}

// === impl Scene ===

impl Scene {
    async fn new() -> Self {
        Self::set(Setup::default()).await
    }

    async fn set(setup: Setup) -> Self {
        let telegram = TelegramServer::start(setup.options.clone()).await;
        Self::serve(telegram, setup).await
    }

    /// Starts a house for a Telegram that is there already.
    async fn serve(telegram: Arc<TelegramServer>, setup: Setup) -> Self {
        let model = OpenAiServer::start().await;
        model.model("spare");
        model.reply_with(author);
        let house = Tertulia::start(&setup.config(&telegram, &model), &[]).await;
        Self {
            house,
            telegram,
            model,
        }
    }

    /// A person who speaks English, and their private chat.
    fn person(&self, id: i64) -> i64 {
        self.telegram.person(id, &name(id), "en")
    }

    /// Waits until what people see is so.
    async fn until(&self, condition: impl Fn(&View<'_>) -> bool) {
        self.telegram.wait_until(condition, SOON).await;
    }

    /// Waits for the answer behind the first `before` ones to be complete.
    async fn answer(&self, chat: i64, before: usize) -> Shown {
        let answered = |view: &View<'_>| {
            let replies = view.replies(chat);
            replies.get(before).is_some_and(complete)
        };
        self.until(answered).await;
        self.telegram.replies(chat).swap_remove(before)
    }

    /// Says something and waits for its answer.
    async fn ask(&self, chat: i64, person: i64, text: &str) -> Shown {
        let before = self.telegram.replies(chat).len();
        self.telegram.say(chat, person, text);
        self.answer(chat, before).await
    }

    /// Waits until a private chat shows some text of an answer in progress.
    async fn drafted(&self, chat: i64) {
        let drafted = |view: &View<'_>| {
            let draft = view.draft(chat);
            draft.is_some_and(|draft| !draft.text.is_empty())
        };
        self.until(drafted).await;
    }

    /// Waits for the message that shows an answer in progress.
    async fn begun(&self, chat: i64) -> Shown {
        self.until(|view| {
            view.replies(chat)
                .last()
                .is_some_and(|last| !complete(last))
        })
        .await;
        self.telegram.replies(chat).pop().expect("just seen")
    }

    /// Waits until the endpoint was asked so often.
    async fn asked(&self, count: usize) {
        self.model
            .wait_until(|model| model.requests().len() >= count, SOON)
            .await;
    }

    /// Everything stored about a person, as the command line tells it.
    async fn export(&self, person: i64) -> Value {
        let id = format!("telegram:{person}");
        let args = ["person", "export", &id, "--config", "tertulia.toml"];
        let output = self.house.run(&args).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        serde_json::from_slice(&output.stdout).expect("an export is JSON")
    }

    fn last_request(&self) -> ChatRequest {
        let mut requests = self.model.requests();
        requests.pop().expect("the endpoint was asked")
    }

    /// How often a method was called.
    fn calls(&self, method: &str) -> usize {
        self.telegram.view(|view| view.calls(method).len())
    }
}

/// Names by number, so that prompts can be read.
fn name(id: i64) -> String {
    match id {
        1 => "Ada".into(),
        2 => "Bob".into(),
        3 => "Cy".into(),
        id => format!("Person{id}"),
    }
}

fn complete(shown: &Shown) -> bool {
    !shown.buttons.iter().any(|button| button.label == STOP)
}

fn labels(shown: &Shown) -> Vec<&str> {
    shown
        .buttons
        .iter()
        .map(|button| button.label.as_str())
        .collect()
}

/// Says what it was asked; what holds "slow" takes a few seconds, what holds "endless" forever.
fn author(request: &ChatRequest) -> Script {
    let asked = request.last_user();
    let each = Duration::from_millis(25);
    if asked.contains("endless") {
        Script::say(&"endless words ".repeat(800)).paced(Duration::ZERO, each)
    } else if asked.contains("slow") {
        Script::say(&long_answer()).paced(Duration::ZERO, each)
    } else {
        Script::echo(request)
    }
}

/// The answer to what holds "slow".
fn long_answer() -> String {
    "this answer takes its time, ".repeat(24).trim().to_owned()
}
