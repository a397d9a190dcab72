//! Speaking: deliveries under flood control, and what became of one that was lost sight of.

use std::time::Duration;

use tertulia_domain::PlatformMessageId;
use tertulia_platform::{DeliverError, Outgoing, Settled, Urgency};

use crate::flow::Lane;
use crate::letter::{Address, Letter, NotTelegram, number};
use crate::telegram::Telegram;
use crate::verdict::{Verdict, judge};

/// How many ids above the last known one are tried for a lost message.
///
/// A supergroup numbers its own messages. Private chats and basic groups share the account's
/// counter, so whatever else went on meanwhile lies between.
const PROBES_OWN: i32 = 32;
const PROBES_SHARED: i32 = 64;

// === impl Telegram ===

impl Telegram {
    /// Places or edits one message.
    ///
    /// Dropped halfway, a send is in doubt and an edit is worth repeating.
    pub(crate) async fn place(
        &self,
        outgoing: &Outgoing,
    ) -> Result<PlatformMessageId, DeliverError> {
        let address = Address::of(&outgoing.place).map_err(misaddressed)?;
        let letter = Letter::new(address, outgoing).map_err(misaddressed)?;
        let placed = match outgoing.urgency {
            Urgency::Final => {
                let lane = self.flow.lane(address.chat).await;
                self.place_final(address, letter, &lane).await
            }
            Urgency::Live => self.place_live(address, letter).await,
        };
        if matches!(placed, Err(DeliverError::Skipped)) {
            self.count("tertulia_telegram_skipped_total", 1);
        }
        placed
    }

    /// Waits as long as it takes; only what no waiting mends comes back.
    async fn place_final(
        &self,
        address: Address,
        mut letter: Letter,
        lane: &Lane,
    ) -> Result<PlatformMessageId, DeliverError> {
        loop {
            self.flow.room(lane).await;
            match self.post(&letter).await? {
                Posted::Stands(message) => return Ok(message),
                Posted::Flood(pause) => self.flooded(address, pause),
                Posted::Unstylable => self.strip(address, &mut letter)?,
            }
        }
    }

    /// Goes at once or not at all.
    async fn place_live(
        &self,
        address: Address,
        mut letter: Letter,
    ) -> Result<PlatformMessageId, DeliverError> {
        let Some(_lane) = self.flow.live(address.chat) else {
            return Err(DeliverError::Skipped);
        };
        loop {
            match self.post(&letter).await {
                Ok(Posted::Stands(message)) => return Ok(message),
                Ok(Posted::Flood(pause)) => {
                    self.flooded(address, pause);
                    return Err(DeliverError::Skipped);
                }
                Ok(Posted::Unstylable) => self.strip(address, &mut letter)?,
                // Certainly not shown; the next one says more.
                Err(DeliverError::Again { .. }) => return Err(DeliverError::Skipped),
                Err(error) => return Err(error),
            }
        }
    }

    async fn post(&self, letter: &Letter) -> Result<Posted, DeliverError> {
        let name = if letter.is_edit() {
            "tertulia_telegram_edits_total"
        } else {
            "tertulia_telegram_sends_total"
        };
        self.count(name, 1);
        let error = match letter.post(&self.api).await {
            Ok(message) => return Ok(Posted::Stands(message)),
            Err(error) => error,
        };
        self.watch(&error);
        match judge(error, letter.is_edit()) {
            Verdict::Stands => Ok(Posted::Stands(
                letter.target().expect("only an edit can change nothing"),
            )),
            Verdict::Wait(pause) => Ok(Posted::Flood(pause)),
            Verdict::Plain => Ok(Posted::Unstylable),
            Verdict::Fail(error) => Err(error),
        }
    }

    /// Takes the styles off a letter whose styles were refused.
    fn strip(&self, address: Address, letter: &mut Letter) -> Result<(), DeliverError> {
        tracing::warn!(account = %self.account, chat = address.chat, "styles refused, goes plain");
        self.count("tertulia_telegram_plain_fallback_total", 1);
        if letter.strip() {
            Ok(())
        } else {
            Err(DeliverError::Refused(
                "styles refused where there are none".into(),
            ))
        }
    }

    /// Pauses a chat as long as Telegram asks for.
    pub(crate) fn flooded(&self, address: Address, pause: Duration) {
        self.count("tertulia_telegram_floods_total", 1);
        tracing::warn!(account = %self.account, chat = address.chat, ?pause, "flood control");
        self.flow.pause(address.chat, pause);
    }

    /// Looks for a lost message by writing its own content over the ids where it may stand.
    ///
    /// Telegram has no way to ask which messages stand in a chat, but an edit of a message that
    /// is not there, or not ours, fails and changes nothing. Every other message of ours in this
    /// chat is known to the outbox and lies at or below `after`, as at most one send is in flight
    /// in one chat; so the one message above it that we may edit is the lost one. Its content is
    /// the same already, or it was a placeholder and gets the content now; either way it stands.
    pub(crate) async fn probe(
        &self,
        outgoing: &Outgoing,
        after: Option<&PlatformMessageId>,
    ) -> Result<Settled, DeliverError> {
        if let Some(message) = &outgoing.message {
            // An edit is never in doubt: repeating it tells.
            return Ok(Settled::Placed(message.clone()));
        }
        let Some(after) = after else {
            return Ok(Settled::Unknown);
        };
        let address = Address::of(&outgoing.place).map_err(misaddressed)?;
        let mut last: i32 = number(after.as_str()).map_err(misaddressed)?;
        // An answer stands below its question, which is often much nearer to it.
        if let Some(question) = outgoing.reply_to.as_ref() {
            last = last.max(number(question.as_str()).map_err(misaddressed)?);
        }
        let probes = if address.numbers_its_own() {
            PROBES_OWN
        } else {
            PROBES_SHARED
        };
        let lane = self.flow.lane(address.chat).await;
        for step in 1..=probes {
            let Some(message) = last.checked_add(step) else {
                break;
            };
            let mut letter = Letter::over(address, message, outgoing);
            let found = loop {
                self.flow.unpaused(&lane).await;
                match self.post(&letter).await {
                    Ok(Posted::Stands(message)) => break Some(message),
                    Ok(Posted::Flood(pause)) => self.flooded(address, pause),
                    Ok(Posted::Unstylable) => self.strip(address, &mut letter)?,
                    Err(DeliverError::TargetGone) => break None,
                    Err(error) => return Err(error),
                }
            };
            if let Some(message) = found {
                return Ok(Settled::Placed(message));
            }
        }
        Ok(Settled::Absent)
    }
}

/// What became of one attempt.
enum Posted {
    Stands(PlatformMessageId),
    Flood(Duration),
    Unstylable,
}

fn misaddressed(error: NotTelegram) -> DeliverError {
    DeliverError::Refused(Box::new(error))
}
