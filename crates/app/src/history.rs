//! What the web page reads of earlier talk, out of the store.

use std::sync::Arc;

use async_trait::async_trait;
use tertulia_domain::{AccountId, ChatId, MessageId, MessageKind, PersonId};
use tertulia_platform_web::{History, HistoryError, Listed, Shown};
use tertulia_storage::{Storage, StorageError};

/// The past of the web account.
pub(crate) struct StoredHistory {
    pub(crate) account: AccountId,
    pub(crate) storage: Arc<dyn Storage>,
}

#[async_trait]
impl History for StoredHistory {
    async fn conversations(
        &self,
        person: &PersonId,
        limit: u32,
    ) -> Result<Vec<Listed>, HistoryError> {
        let chats = self
            .storage
            .chats_of(&self.account, person, limit)
            .await
            .map_err(unreadable)?;
        Ok(chats
            .into_iter()
            .map(|chat| Listed {
                chat: chat.chat,
                title: chat.title,
                updated: chat.updated,
            })
            .collect())
    }

    async fn messages(
        &self,
        person: &PersonId,
        chat: &ChatId,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<Shown>, HistoryError> {
        let messages = self
            .storage
            .shown(&self.account, person, chat, before, limit)
            .await
            .map_err(unreadable)?;
        Ok(messages
            .into_iter()
            .map(|message| Shown {
                id: message.id,
                ours: matches!(message.kind, MessageKind::Reply | MessageKind::Notice),
                kind: message.kind,
                text: message.text,
                turn: message.turn,
                state: message.turn_state,
                judgement: message.judgement,
                at: message.at,
            })
            .collect())
    }
}

fn unreadable(error: StorageError) -> HistoryError {
    HistoryError(Box::new(error))
}
