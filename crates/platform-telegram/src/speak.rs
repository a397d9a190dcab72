//! Speaking: deliveries under flood control, and what became of one that was lost sight of.

use std::time::Duration;

use tertulia_domain::PlatformMessageId;
use tertulia_platform::{DeliverError, Outgoing, Settled, Traces, Urgency};

use crate::api::ApiError;
use crate::flow::Lane;
use crate::letter::{Address, Letter, NotTelegram, number};
use crate::telegram::Telegram;
use crate::verdict::{Verdict, judge};

/// How many ids above the last known one are tried for a lost message where a chat numbers its own
/// messages: whatever was said there meanwhile lies between.
const PROBES_IN_GROUPS: usize = 64;

/// And where all talks share the account's counter: only what was on its way elsewhere lies
/// between, as the last known id is that of all of them.
const PROBES_IN_TALKS: usize = 24;

/// How often one id is tried again when the line breaks, and how long after.
const PATIENCE: u32 = 4;
const BREATH: Duration = Duration::from_millis(250);

/// How many empty ids in a row end the search in a chat that numbers its own messages: there,
/// only what was deleted leaves a gap.
const GAP_MAX: i32 = 8;

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
        let Some(_lane) = self.flow.live(address.chat, letter.is_edit()) else {
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
        match self.attempt(letter).await {
            Ok(message) => Ok(Posted::Stands(message)),
            Err(error) => judged(error, letter),
        }
    }

    async fn attempt(&self, letter: &Letter) -> Result<PlatformMessageId, ApiError> {
        let name = if letter.is_edit() {
            "tertulia_telegram_edits_total"
        } else {
            "tertulia_telegram_sends_total"
        };
        self.count(name, 1);
        let posted = letter.post(&self.api).await;
        if let Err(error) = &posted {
            self.watch(error);
        }
        posted
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
    /// chat is known to the outbox and is left alone, as at most one send is in flight in one
    /// chat; so the one further message that we may edit is the lost one. Its content is the same
    /// already, or it was a placeholder and gets the content now; either way it stands.
    pub(crate) async fn probe(
        &self,
        outgoing: &Outgoing,
        traces: &Traces,
    ) -> Result<Settled, DeliverError> {
        if let Some(message) = &outgoing.message {
            // An edit is never in doubt: repeating it tells.
            return Ok(Settled::Placed(message.clone()));
        }
        // An answer stands below its question, which is often much nearer to it.
        let anchors = [traces.after.as_ref(), outgoing.reply_to.as_ref()];
        let mut last = None;
        for anchor in anchors.into_iter().flatten() {
            let id: i32 = number(anchor.as_str()).map_err(misaddressed)?;
            last = last.max(Some(id));
        }
        let Some(last) = last else {
            return Ok(Settled::Unknown);
        };
        let address = Address::of(&outgoing.place).map_err(misaddressed)?;
        let lane = self.flow.lane(address.chat).await;
        let mut gap = 0;
        let probes = if address.numbers_its_own() {
            PROBES_IN_GROUPS
        } else {
            PROBES_IN_TALKS
        };
        let ours = |message: i32| {
            traces
                .others
                .iter()
                .any(|it| it.as_str() == message.to_string())
        };
        for message in (last..).skip(1).take(probes) {
            if ours(message) {
                gap = 0;
                continue;
            }
            let letter = Letter::over(address, message, outgoing);
            match self.try_on(address, letter, &lane).await? {
                Tried::Fits(message) => return Ok(Settled::Placed(message)),
                Tried::Others => gap = 0,
                Tried::Nothing => gap += 1,
            }
            if address.numbers_its_own() && gap >= GAP_MAX {
                break;
            }
        }
        Ok(Settled::Absent)
    }

    async fn try_on(
        &self,
        address: Address,
        mut letter: Letter,
        lane: &Lane,
    ) -> Result<Tried, DeliverError> {
        let mut broken = 0;
        loop {
            self.flow.unpaused(lane).await;
            let error = match self.attempt(&letter).await {
                Ok(message) => return Ok(Tried::Fits(message)),
                Err(error) => error,
            };
            let nothing = error.description().contains("not found");
            match judged(error, &letter) {
                Ok(Posted::Stands(message)) => return Ok(Tried::Fits(message)),
                Ok(Posted::Flood(pause)) => self.flooded(address, pause),
                Ok(Posted::Unstylable) => self.strip(address, &mut letter)?,
                Err(DeliverError::TargetGone) if nothing => return Ok(Tried::Nothing),
                Err(DeliverError::TargetGone) => return Ok(Tried::Others),
                // Beginning the search anew for every broken line might never end it.
                Err(DeliverError::Again { .. }) if broken < PATIENCE => {
                    broken += 1;
                    tokio::time::sleep(BREATH).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What became of one attempt.
enum Posted {
    Stands(PlatformMessageId),
    Flood(Duration),
    Unstylable,
}

/// What stands under an id.
enum Tried {
    Fits(PlatformMessageId),
    Others,
    Nothing,
}

fn judged(error: ApiError, letter: &Letter) -> Result<Posted, DeliverError> {
    match judge(error, letter.is_edit()) {
        Verdict::Stands => Ok(Posted::Stands(
            letter.target().expect("only an edit can change nothing"),
        )),
        Verdict::Wait(pause) => Ok(Posted::Flood(pause)),
        Verdict::Plain => Ok(Posted::Unstylable),
        Verdict::Fail(error) => Err(error),
    }
}

fn misaddressed(error: NotTelegram) -> DeliverError {
    DeliverError::Refused(Box::new(error))
}
