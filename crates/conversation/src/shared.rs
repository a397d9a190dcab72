//! What every part of the service shares.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tertulia_domain::{AccountId, Clock};
use tertulia_platform::Platform;
use tertulia_storage::Storage;

use crate::chats::Chats;
use crate::operator::Operator;
use crate::settings::Settings;

/// What every part of the service shares.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) platforms: HashMap<AccountId, Arc<dyn Platform>>,
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) operator: Arc<dyn Operator>,
    pub(crate) chats: Chats,
}
