//! Previews: the text so far as a draft, and the sign that we are at work.
//!
//! Drafts are newer than many servers, so we believe in them until a server shows that it does
//! not know them; then the account streams by edits until the next start.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::json;
use teloxide_core::payloads::SendChatAction;
use teloxide_core::types::{ChatAction, ChatId, MessageId, ThreadId};
use tertulia_markup::{Dialect, unfinished};
use tertulia_platform::{DeliverError, Preview};

use crate::api::ApiError;
use crate::entities::entities;
use crate::letter::Address;
use crate::telegram::Telegram;

/// A draft that takes longer than this is overtaken by the next one.
const DRAFT_LIMIT: Duration = Duration::from_secs(5);

/// Drafts refused in a row, for whatever reason, after which we no longer believe in them.
const REFUSED_MAX: u32 = 5;

/// What we believe about drafts on this server: how many it refused in a row.
#[derive(Default)]
pub(crate) struct Drafts(AtomicU32);

// === impl Drafts ===

impl Drafts {
    pub(crate) fn are_known(&self) -> bool {
        self.0.load(Ordering::Relaxed) < REFUSED_MAX
    }

    fn shown(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Takes note of a failure; says whether we still believe.
    fn failed(&self, error: &ApiError) -> bool {
        let ApiError::Refused {
            code, description, ..
        } = error
        else {
            return true;
        };
        let said = description.to_ascii_lowercase();
        let unknown = *code == 404
            || (*code == 400
                && ["method", "unknown", "not supported", "unsupported"]
                    .iter()
                    .any(|word| said.contains(word)));
        if unknown {
            self.0.store(REFUSED_MAX, Ordering::Relaxed);
        } else if *code == 400 {
            // Saturates far above the bound, and below an overflow.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        self.are_known()
    }
}

// === impl Telegram ===

impl Telegram {
    pub(crate) async fn show(&self, preview: &Preview) -> Result<(), DeliverError> {
        let address = Address::of(&preview.place).map_err(|_| DeliverError::Unsupported)?;
        match &preview.text {
            None => self.show_typing(address).await,
            Some(_) if address.is_group() || !self.drafts.are_known() => {
                Err(DeliverError::Unsupported)
            }
            // The server takes no draft without a number.
            Some(_) if preview.turn.0 == 0 => Err(DeliverError::Unsupported),
            Some(text) => self.show_draft(address, preview.turn.0, text).await,
        }
    }

    async fn show_typing(&self, address: Address) -> Result<(), DeliverError> {
        if self.flow.is_paused(address.chat) {
            return Err(DeliverError::Skipped);
        }
        let mut action = SendChatAction::new(ChatId(address.chat), ChatAction::Typing);
        action.message_thread_id = address.thread.map(|thread| ThreadId(MessageId(thread)));
        match self.api.send::<_, IgnoredAny>(&action).await {
            Ok(IgnoredAny) => Ok(()),
            Err(error) => Err(self.skip(address, &error)),
        }
    }

    async fn show_draft(
        &self,
        address: Address,
        draft: i64,
        markdown: &str,
    ) -> Result<(), DeliverError> {
        // Of what is longer than one message, the part that is being written is shown.
        let parts = tertulia_markup::parts(&unfinished(markdown), &Dialect::TELEGRAM);
        let Some(part) = parts.last() else {
            return Ok(());
        };
        let Some(_lane) = self.flow.draft(address.chat) else {
            self.count("tertulia_telegram_skipped_total", 1);
            return Err(DeliverError::Skipped);
        };
        let mut body = json!({
            "chat_id": address.chat,
            "draft_id": draft,
            "text": part.text,
            "entities": entities(part),
            "can_stop": true,
        });
        if let Some(thread) = address.thread {
            body["message_thread_id"] = thread.into();
        }
        let shown = self.api.call("sendMessageDraft", &body, DRAFT_LIMIT).await;
        match shown {
            Ok(IgnoredAny) => {
                self.drafts.shown();
                Ok(())
            }
            Err(error) if !self.drafts.failed(&error) => {
                tracing::info!(account = %self.account, %error, "no drafts here, streams by edits");
                Err(DeliverError::Unsupported)
            }
            Err(error) => Err(self.skip(address, &error)),
        }
    }

    fn skip(&self, address: Address, error: &ApiError) -> DeliverError {
        self.watch(error);
        if let Some(pause) = error.retry_after() {
            self.flooded(address, pause);
        }
        tracing::debug!(account = %self.account, chat = address.chat, %error, "a preview is lost");
        DeliverError::Skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, description: &str) -> ApiError {
        ApiError::Refused {
            code,
            description: description.to_owned(),
            retry_after: None,
            migrate_to: None,
        }
    }

    #[test]
    fn belief_in_drafts_ends_with_proof_or_with_patience() {
        for (code, description, believes) in [
            (404, "Not Found: method not found", false),
            (400, "Bad Request: unknown method", false),
            (400, "Bad Request: can't parse entities", true),
            (429, "Too Many Requests: retry after 3", true),
            (403, "Forbidden: bot was blocked by the user", true),
            (500, "Internal Server Error: restart", true),
        ] {
            let drafts = Drafts::default();
            assert_eq!(
                drafts.failed(&refused(code, description)),
                believes,
                "{description}"
            );
            assert_eq!(drafts.are_known(), believes);
        }

        let drafts = Drafts::default();
        let odd = refused(400, "Bad Request: TEXTDRAFT_PEER_INVALID");
        for _ in 1..REFUSED_MAX {
            assert!(drafts.failed(&odd));
        }
        drafts.shown();
        for _ in 1..REFUSED_MAX {
            assert!(drafts.failed(&odd));
        }
        assert!(!drafts.failed(&odd));
    }
}
