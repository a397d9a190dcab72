//! Bringing deliveries to the platform, and settling those whose fate is not known.
//!
//! Invariant: a delivery is noted as `sending` before its request goes out and as `sent` only
//! with the platform's id, so after a crash at any moment the store knows what may be in doubt
//! (promise G1).

use std::time::Duration;

use tertulia_domain::{ConversationId, Delivery, DeliveryState, PlatformMessageId, Styled};
use tertulia_platform::{DeliverError, Outgoing, Platform, Settled, Traces, Urgency};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::patience::{Halt, describe, patiently};
use crate::shared::Shared;

/// The pause before asking what became of a delivery that was lost sight of just now.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// Delivers everything of a conversation that is not settled, in order.
pub(crate) async fn flush(
    shared: &Shared,
    conversation: ConversationId,
    end: &CancellationToken,
) -> Result<(), Halt> {
    let list = || shared.storage.unsettled(conversation);
    for delivery in patiently(end, "read the outbox", list).await? {
        Courier { shared, end }.bring(delivery).await?;
    }
    Ok(())
}

/// Makes sure that the early message of a running turn stands, and returns its delivery.
///
/// `None` if it cannot be placed just now; the answer comes without it.
pub(crate) async fn place_early(
    shared: &Shared,
    end: &CancellationToken,
    mut delivery: Delivery,
    fresh: bool,
) -> Option<Delivery> {
    let courier = Courier { shared, end };
    let platform = shared.platforms.get(&delivery.place.account)?;
    if delivery.message.is_some() {
        return Some(delivery);
    }
    let _alone = shared.chats.enter(&delivery.place).await;
    if !fresh {
        // A process that died left it, and it may stand there already.
        match courier.settle(&**platform, &delivery).await.ok()? {
            Settled::Placed(message) => {
                courier
                    .mark(&mut delivery, DeliveryState::Sent, Some(message))
                    .await
                    .ok()?;
                return Some(delivery);
            }
            Settled::Absent => {
                courier
                    .mark(&mut delivery, DeliveryState::Sending, None)
                    .await
                    .ok()?;
            }
            Settled::Unknown => return None,
        }
    }
    let (state, message) = match platform.deliver(&outgoing(&delivery, Urgency::Live)).await {
        Ok(message) => (DeliveryState::Sent, Some(message)),
        Err(DeliverError::InDoubt(error)) => {
            warn!(error = describe(&*error), "the early message is in doubt");
            (DeliveryState::InDoubt, None)
        }
        // Certainly not placed: the answer will try again, and wait.
        Err(_) => (DeliveryState::Pending, None),
    };
    courier.mark(&mut delivery, state, message).await.ok()?;
    Some(delivery).filter(|delivery| delivery.message.is_some())
}

/// The delivery as it goes to the platform.
pub(crate) fn outgoing(delivery: &Delivery, urgency: Urgency) -> Outgoing {
    Outgoing {
        delivery: delivery.id,
        turn: delivery.turn,
        place: delivery.place.clone(),
        reply_to: delivery.reply_to.clone(),
        content: delivery.content.clone(),
        buttons: delivery.buttons.clone(),
        message: delivery.message.clone(),
        urgency,
    }
}

struct Courier<'a> {
    shared: &'a Shared,
    end: &'a CancellationToken,
}

/// What to do after one attempt.
enum Then {
    Settled,
    Again,
    After(Duration),
}

// === impl Courier ===

impl Courier<'_> {
    async fn bring(&self, mut delivery: Delivery) -> Result<(), Halt> {
        let Some(platform) = self.shared.platforms.get(&delivery.place.account) else {
            warn!(account = %delivery.place.account, "no such account any more, delivery dropped");
            return self.mark(&mut delivery, DeliveryState::Dropped, None).await;
        };
        let lost = matches!(
            delivery.state,
            DeliveryState::Sending | DeliveryState::InDoubt
        );
        let mut doubtful = lost && delivery.message.is_none();
        loop {
            let known = || self.shared.storage.place_state(&delivery.place);
            let known = patiently(self.end, "read a place", known).await?;
            if let Some(why) = known.unreachable {
                info!(
                    delivery = delivery.id.0,
                    why, "the chat cannot be reached, dropped"
                );
                return self.mark(&mut delivery, DeliveryState::Dropped, None).await;
            }
            if known.thread_gone {
                delivery.place.thread = None;
            }
            // An edit disturbs nobody; whatever places a message, or seeks one, goes alone.
            let _alone = match delivery.message {
                Some(_) => None,
                None => tokio::select! {
                    alone = self.shared.chats.enter(&delivery.place) => Some(alone),
                    () = self.end.cancelled() => return Err(Halt::Ended),
                },
            };
            let then = if doubtful {
                doubtful = false;
                tokio::select! {
                    then = self.resolve(&**platform, &mut delivery, &mut doubtful) => then?,
                    () = self.end.cancelled() => return Err(Halt::Ended),
                }
            } else {
                self.attempt(&**platform, &mut delivery, &mut doubtful)
                    .await?
            };
            match then {
                Then::Settled => return Ok(()),
                Then::Again => {}
                Then::After(pause) => tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = self.end.cancelled() => return Err(Halt::Ended),
                },
            }
        }
    }

    /// One request to the platform and what follows from its answer.
    async fn attempt(
        &self,
        platform: &dyn Platform,
        delivery: &mut Delivery,
        doubtful: &mut bool,
    ) -> Result<Then, Halt> {
        self.mark(delivery, DeliveryState::Sending, None).await?;
        let outgoing = outgoing(delivery, Urgency::Final);
        let sent = tokio::select! {
            sent = platform.deliver(&outgoing) => sent,
            // The row says `sending`: whoever comes next settles it.
            () = self.end.cancelled() => return Err(Halt::Ended),
        };
        let error = match sent {
            Ok(message) => {
                self.mark(delivery, DeliveryState::Sent, Some(message))
                    .await?;
                metrics::counter!("tertulia_deliveries_total", "result" => "sent").increment(1);
                return Ok(Then::Settled);
            }
            Err(error) => error,
        };
        match error {
            DeliverError::Again { after, source } => {
                warn!(
                    delivery = delivery.id.0,
                    error = describe(&*source),
                    ?after,
                    "not delivered"
                );
                self.mark(delivery, DeliveryState::Pending, None).await?;
                return Ok(Then::After(after));
            }
            DeliverError::Skipped | DeliverError::Unsupported => {
                self.mark(delivery, DeliveryState::Pending, None).await?;
                return Ok(Then::After(Duration::from_secs(1)));
            }
            DeliverError::InDoubt(source) => {
                warn!(
                    delivery = delivery.id.0,
                    error = describe(&*source),
                    "delivery in doubt"
                );
                metrics::counter!("tertulia_deliveries_total", "result" => "in_doubt").increment(1);
                self.mark(delivery, DeliveryState::InDoubt, None).await?;
                *doubtful = delivery.message.is_none();
                return Ok(Then::After(SETTLE_PAUSE));
            }
            DeliverError::Unreachable(why) => {
                let now = self.shared.clock.now();
                let (account, chat) = (&delivery.place.account, &delivery.place.chat);
                let reach = || {
                    self.shared
                        .storage
                        .set_reach(account, chat, Some(why.as_str()), now)
                };
                patiently(self.end, "park a chat", reach).await?;
            }
            DeliverError::Moved(to) => {
                info!("the chat goes on under another id");
                let (account, from) = (&delivery.place.account, &delivery.place.chat);
                let moved = || self.shared.storage.move_chat(account, from, &to);
                patiently(self.end, "move a chat", moved).await?;
                delivery.place.chat = to;
            }
            DeliverError::ThreadGone => {
                let now = self.shared.clock.now();
                let place = &delivery.place;
                let close = || self.shared.storage.close_thread(place, now);
                patiently(self.end, "close a thread", close).await?;
                delivery.place.thread = None;
            }
            DeliverError::TargetGone => {
                let now = self.shared.clock.now();
                let id = delivery.id;
                let unplace = || self.shared.storage.unplace(id, now);
                patiently(self.end, "unplace a delivery", unplace).await?;
                delivery.message = None;
            }
            DeliverError::Refused(source) if !delivery.content.spans.is_empty() => {
                warn!(
                    delivery = delivery.id.0,
                    error = describe(&*source),
                    "again without styles"
                );
                delivery.content = Styled::plain(delivery.content.text.as_str());
            }
            DeliverError::Refused(source) => {
                error!(
                    delivery = delivery.id.0,
                    error = describe(&*source),
                    "refused for good"
                );
                metrics::counter!("tertulia_deliveries_total", "result" => "dropped").increment(1);
                self.mark(delivery, DeliveryState::Dropped, None).await?;
                return Ok(Then::Settled);
            }
        }
        Ok(Then::Again)
    }

    /// Finds out what became of a delivery that was lost sight of; still `doubtful` if nobody
    /// could be asked.
    async fn resolve(
        &self,
        platform: &dyn Platform,
        delivery: &mut Delivery,
        doubtful: &mut bool,
    ) -> Result<Then, Halt> {
        match self.settle(platform, delivery).await {
            Ok(Settled::Placed(message)) => {
                info!(delivery = delivery.id.0, "found where it was in doubt");
                self.mark(delivery, DeliveryState::Sent, Some(message))
                    .await?;
                Ok(Then::Settled)
            }
            Ok(settled) => {
                // Losing an answer is worse than showing it twice.
                let result = if settled == Settled::Absent {
                    "absent"
                } else {
                    "unknown"
                };
                metrics::counter!("tertulia_settled_total", "result" => result).increment(1);
                self.mark(delivery, DeliveryState::Pending, None).await?;
                Ok(Then::Again)
            }
            Err(DeliverError::Unreachable(why)) => {
                info!(
                    why = why.as_str(),
                    "the chat of a doubtful delivery cannot be reached"
                );
                self.mark(delivery, DeliveryState::Dropped, None).await?;
                Ok(Then::Settled)
            }
            Err(DeliverError::Moved(to)) => {
                let (account, from) = (&delivery.place.account, &delivery.place.chat);
                let moved = || self.shared.storage.move_chat(account, from, &to);
                patiently(self.end, "move a chat", moved).await?;
                delivery.place.chat = to;
                *doubtful = true;
                Ok(Then::Again)
            }
            Err(error) => {
                warn!(
                    delivery = delivery.id.0,
                    error = describe(&error),
                    "still in doubt"
                );
                *doubtful = true;
                Ok(Then::After(SETTLE_PAUSE))
            }
        }
    }

    async fn settle(
        &self,
        platform: &dyn Platform,
        delivery: &Delivery,
    ) -> Result<Settled, DeliverError> {
        let whereabouts = || self.shared.storage.whereabouts(delivery.id);
        let Ok(found) = patiently(self.end, "trace a delivery", whereabouts).await else {
            return Ok(Settled::Unknown);
        };
        let traces = Traces {
            after: found.begun_after,
            others: found.others,
        };
        platform
            .settle(&outgoing(delivery, Urgency::Final), &traces)
            .await
    }

    async fn mark(
        &self,
        delivery: &mut Delivery,
        state: DeliveryState,
        message: Option<PlatformMessageId>,
    ) -> Result<(), Halt> {
        let now = self.shared.clock.now();
        let id = delivery.id;
        let mark = || self.shared.storage.mark(id, state, message.as_ref(), now);
        patiently(self.end, "mark a delivery", mark).await?;
        delivery.state = state;
        if message.is_some() {
            delivery.message = message;
        }
        Ok(())
    }
}
