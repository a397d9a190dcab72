//! The account against a scripted Bot API over real HTTP.

mod hearing;
mod server;
mod speaking;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tertulia_domain::{
    Button, ButtonAction, DeliveryId, Place, PlatformMessageId, Styled, SystemClock, TurnId,
};
use tertulia_platform::{Intake, IntakeError, Outgoing, Update, Urgency};

use crate::{Mode, Telegram, TelegramSettings};

use server::Server;

const TOKEN: &str = "123:not-to-be-seen";

/// Remembers what it took; refuses the first few batches if told so.
#[derive(Default)]
struct Inbox {
    refuse: Mutex<usize>,
    taken: Mutex<Vec<Update>>,
}

#[async_trait]
impl Intake for Inbox {
    async fn accept(&self, updates: Vec<Update>) -> Result<(), IntakeError> {
        let mut refuse = self.refuse.lock().unwrap();
        if *refuse > 0 {
            *refuse -= 1;
            return Err(IntakeError("the disk is full".into()));
        }
        self.taken.lock().unwrap().extend(updates);
        Ok(())
    }
}

impl Inbox {
    fn refusing(times: usize) -> Arc<Self> {
        Arc::new(Self {
            refuse: Mutex::new(times),
            ..Self::default()
        })
    }

    fn keys(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken.iter().map(|update| update.key.clone()).collect()
    }
}

fn settings(server: &Server) -> TelegramSettings {
    TelegramSettings {
        api_url: server.url(),
        ..TelegramSettings::new("telegram".into(), TOKEN.into())
    }
}

fn polling(server: &Server) -> Arc<Telegram> {
    Telegram::new(settings(server), Arc::new(SystemClock)).unwrap()
}

fn hooked(server: &Server) -> Arc<Telegram> {
    let settings = TelegramSettings {
        mode: Mode::Webhook {
            url: "https://bot.example.org/base/".to_owned(),
            secret: "sesame".into(),
        },
        ..settings(server)
    };
    Telegram::new(settings, Arc::new(SystemClock)).unwrap()
}

fn outgoing(chat: &str) -> Outgoing {
    Outgoing {
        delivery: DeliveryId(1),
        turn: TurnId(5),
        place: Place {
            account: "telegram".into(),
            chat: chat.into(),
            thread: None,
        },
        reply_to: None,
        content: Styled::plain("hello"),
        buttons: vec![Button {
            action: ButtonAction::Retry,
            turn: TurnId(5),
        }],
        message: None,
        urgency: Urgency::Final,
    }
}

fn id(id: i64) -> PlatformMessageId {
    id.to_string().into()
}

/// Waits for something that is sure to come; a test that waits too long has failed.
async fn until(what: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("it never came about");
}
