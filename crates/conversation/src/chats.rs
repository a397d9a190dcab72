//! One send at a time in one chat.
//!
//! Several conversations may share a chat. A message that was lost sight of is sought by trying
//! where it may stand, so nothing else may be placed there meanwhile, and at most one message of
//! a chat may be on its way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tertulia_domain::{AccountId, ChatId, Place};
use tokio::sync::OwnedMutexGuard;

/// Idle chats are forgotten when there are this many.
const KEPT_MAX: usize = 1024;

type Turnstile = Arc<tokio::sync::Mutex<()>>;

/// The chats in which something is being placed.
#[derive(Default)]
pub(crate) struct Chats {
    turnstiles: Mutex<HashMap<(AccountId, ChatId), Turnstile>>,
}

// === impl Chats ===

impl Chats {
    /// Waits until nothing else is on its way to the place's chat, and keeps it so.
    pub(crate) async fn enter(&self, place: &Place) -> OwnedMutexGuard<()> {
        let turnstile = {
            let mut turnstiles = self
                .turnstiles
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if turnstiles.len() >= KEPT_MAX {
                turnstiles.retain(|_, turnstile| Arc::strong_count(turnstile) > 1);
            }
            let chat = (place.account.clone(), place.chat.clone());
            turnstiles.entry(chat).or_default().clone()
        };
        turnstile.lock_owned().await
    }
}
