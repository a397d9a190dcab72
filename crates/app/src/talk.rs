//! `tertulia chat`: the same way of a message, with the terminal as the platform and a store that
//! lives as long as the talk.

use std::collections::HashMap;
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use tertulia_config::Config;
use tertulia_conversation::{Account, Operator, Parts, Service, Settings};
use tertulia_domain::{AccountId, Clock, Language, PersonId, Place, SystemClock};
use tertulia_platform::{Event, Intake, Platform, Said, Update};
use tertulia_storage::Storage;
use tertulia_storage_sqlite::SqliteStorage;
use tokio::sync::mpsc;

use crate::configs::ConfigFile;
use crate::models::Shelf;
use crate::outcome::{Done, Failure};
use crate::settings::settings;
use crate::terminal::{ACCOUNT, Answer, Terminal};
use crate::{configs, output};

/// What was said last is noted within this time.
const GOODBYE: Duration = Duration::from_secs(2);

/// Talks until the input ends, or answers `text` once.
pub(crate) async fn run(file: &ConfigFile, persona: Option<&str>, text: &str) -> Done {
    let config = configs::read(file)?;
    let persona = persona.unwrap_or(tertulia_config::DEFAULT_PERSONA);
    if !config.personas.contains_key(persona) {
        let names: Vec<&str> = config.personas.keys().map(String::as_str).collect();
        return Err(Failure::Config(format!(
            "there is no persona {persona}; there are: {}",
            names.join(", ")
        )));
    }
    let (done, mut answers) = mpsc::unbounded_channel();
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open("sqlite::memory:").await?);
    let terminal = Terminal::new(storage.clone(), done);
    let talk = Talk::begin(&config, persona, storage, terminal).await?;
    if !text.trim().is_empty() {
        let answer = talk.say(text, &mut answers).await?;
        // What was shown is still being noted.
        talk.service.drain(GOODBYE).await;
        return answer.map_err(|why| anyhow!(why).into());
    }
    if std::io::stdin().is_terminal() {
        output::say("Write, and Enter sends. Ctrl-C stops an answer, Ctrl-D ends.");
    }
    let mut lines = lines();
    loop {
        if std::io::stdin().is_terminal() {
            output::stream("> ");
        }
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else { break };
        if !line.trim().is_empty()
            && let Err(why) = talk.say(&line, &mut answers).await?
        {
            output::say(&why);
        }
    }
    talk.service.drain(GOODBYE).await;
    Ok(())
}

struct Talk {
    service: Arc<Service>,
    clock: Arc<dyn Clock>,
    person: PersonId,
    language: Language,
    said: std::sync::atomic::AtomicU64,
}

// === impl Talk ===

impl Talk {
    async fn begin(
        config: &Config,
        persona: &str,
        storage: Arc<dyn Storage>,
        terminal: Arc<Terminal>,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let shelf = Shelf::default();
        let only = only(config, persona);
        let prepared = shelf.prepare(&only).await;
        if prepared.models.is_empty() {
            let problem = prepared
                .failed
                .first()
                .map(|(name, problem)| format!("{name}: {problem}"));
            bail!("no model works: {}", problem.unwrap_or_default());
        }
        let platforms: HashMap<AccountId, Arc<dyn Platform>> =
            HashMap::from([(ACCOUNT.into(), terminal as Arc<dyn Platform>)]);
        let service = Service::new(Parts {
            storage,
            platforms,
            settings: with_terminal(settings(&only, prepared.models, 1), persona),
            clock: clock.clone(),
            operator: Arc::new(NoOperator),
            parallel: 1,
        });
        let language = std::env::var("LC_ALL").or_else(|_| std::env::var("LANG"));
        Ok(Self {
            service,
            clock,
            person: PersonId::new(ACCOUNT, "me"),
            language: Language::from_tag(&language.unwrap_or_default()),
            said: std::sync::atomic::AtomicU64::new(0),
        })
    }

    /// Says something and waits for the end of the answer; Ctrl-C stops the answer.
    async fn say(
        &self,
        text: &str,
        answers: &mut mpsc::UnboundedReceiver<Answer>,
    ) -> anyhow::Result<Answer> {
        self.send(text).await?;
        let answer = tokio::select! {
            answer = answers.recv() => answer,
            _ = tokio::signal::ctrl_c() => {
                self.send("/stop").await?;
                // The answer so far, then the word that it was stopped.
                answers.recv().await;
                answers.recv().await
            }
        };
        answer.context("the terminal is gone")
    }

    async fn send(&self, text: &str) -> anyhow::Result<()> {
        let number = self.said.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let at = self.clock.now();
        let said = Said {
            place: Place {
                account: ACCOUNT.into(),
                chat: "terminal".into(),
                thread: None,
            },
            private: true,
            person: self.person.clone(),
            name: "me".to_owned(),
            handle: None,
            chat_handle: None,
            automated: false,
            language: self.language,
            message: number.to_string().into(),
            reply_to: None,
            text: text.trim().to_owned(),
            mentioned: false,
            for_another: false,
            attachments: Vec::new(),
            bundle: None,
            at,
        };
        let update = Update {
            account: ACCOUNT.into(),
            key: number.to_string(),
            raw: "{}".to_owned(),
            event: Some(Event::Said(Box::new(said))),
            at,
        };
        Ok(self.service.accept(vec![update]).await?)
    }
}

/// The config with no other persona, so that only its models are loaded.
fn only(config: &Config, persona: &str) -> Config {
    let mut only = config.clone();
    only.personas.retain(|name, _| name == persona);
    only.accounts.clear();
    only
}

fn with_terminal(mut settings: Settings, persona: &str) -> Settings {
    settings
        .accounts
        .insert(ACCOUNT.into(), Account::for_talks(persona, false));
    settings
}

/// The lines of stdin, read by a thread of their own as reading cannot be cancelled.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// In a talk of one's own there is no service to operate.
struct NoOperator;

#[async_trait]
impl Operator for NoOperator {
    async fn reload(&self) -> Result<(u64, Vec<String>), String> {
        Err("start it again to use another config".to_owned())
    }

    fn status(&self) -> Vec<String> {
        Vec::new()
    }
}
