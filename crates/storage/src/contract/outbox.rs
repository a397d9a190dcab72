//! Deliveries: what shall stand, and whether it does.

use tertulia_domain::{Button, ButtonAction, DeliveryState, Span, Style, Styled, TurnEnd};

use super::Scene;
use crate::Storage;

/// A process that died had placed something: its successor finds it and places no second one.
pub async fn an_opened_delivery_is_there_once(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.ask("@anna", "anna", "one").await;
    let new = Scene::part(&turn, 0, "…");
    let opened = store.open_delivery(turn.id, &new, scene.now).await.unwrap();
    assert_eq!(opened.state, DeliveryState::Sending);
    assert_eq!(
        (opened.turn, opened.conversation),
        (turn.id, turn.conversation)
    );
    let other = Scene::part(&turn, 0, "something else");
    let again = store
        .open_delivery(turn.id, &other, scene.now)
        .await
        .unwrap();
    assert_eq!(again, opened);
    let outcome = scene.notice(&turn, TurnEnd::Answered, "done");
    scene.finish(turn.id, &outcome).await;
    let late = Scene::part(&turn, 1, "late");
    assert!(
        store
            .open_delivery(turn.id, &late, scene.now)
            .await
            .is_err()
    );
}

/// The placeholder becomes the answer; only if nobody knows where it is, it is in doubt.
pub async fn an_opened_delivery_is_completed_by_the_answer(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    for (placed, expected) in [
        (Some("41"), DeliveryState::Pending),
        (None, DeliveryState::InDoubt),
    ] {
        let turn = scene.ask("@anna", "anna", "one").await;
        let new = Scene::part(&turn, 0, "…");
        let opened = store.open_delivery(turn.id, &new, scene.now).await.unwrap();
        if let Some(placed) = placed {
            let placed = placed.into();
            store
                .mark(opened.id, DeliveryState::Sent, Some(&placed), scene.now)
                .await
                .unwrap();
        }
        let mut outcome = scene.reply(&turn, "bold words");
        outcome.deliveries[0].content = Styled {
            text: "bold words".to_owned(),
            spans: vec![Span {
                range: 0..4,
                style: Style::Pre(Some("rust".to_owned())),
            }],
        };
        outcome.deliveries[0].buttons = vec![Button {
            action: ButtonAction::Retry,
            turn: turn.id,
        }];
        outcome.deliveries.push(Scene::part(&turn, 1, "more"));
        let waiting = scene.finish(turn.id, &outcome).await;
        assert_eq!(waiting, store.deliveries(turn.id).await.unwrap());
        assert_eq!(waiting.len(), 2);
        assert_eq!(waiting[0].id, opened.id);
        assert_eq!(waiting[0].state, expected);
        assert_eq!(waiting[0].content, outcome.deliveries[0].content);
        assert_eq!(waiting[0].buttons, outcome.deliveries[0].buttons);
        assert_eq!(waiting[0].message, placed.map(Into::into));
        assert_eq!(waiting[1].state, DeliveryState::Pending);
    }
}

/// What a running turn shows is that turn's own business.
pub async fn deliveries_of_running_turns_are_not_settled_by_others(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let first = scene.talk("@anna", "anna", "one", "1").await;
    let turn = scene.ask("@anna", "anna", "two").await;
    let new = Scene::part(&turn, 0, "…");
    store.open_delivery(turn.id, &new, scene.now).await.unwrap();
    let of = async || -> Vec<_> {
        let unsettled = store.unsettled(first.conversation).await.unwrap();
        unsettled.into_iter().map(|d| (d.turn, d.state)).collect()
    };
    assert_eq!(of().await, [(first.id, DeliveryState::Pending)]);
    let outcome = scene.reply(&turn, "2");
    scene.finish(turn.id, &outcome).await;
    let both = [
        (first.id, DeliveryState::Pending),
        (turn.id, DeliveryState::InDoubt),
    ];
    assert_eq!(of().await, both);
    assert_eq!(store.counts().await.unwrap().in_doubt, 1);
    for delivery in store.unsettled(first.conversation).await.unwrap() {
        store
            .mark(delivery.id, DeliveryState::Sent, None, scene.now)
            .await
            .unwrap();
    }
    assert_eq!(of().await, []);
}

/// A message that somebody deleted is placed anew.
pub async fn an_unplaced_delivery_is_placed_anew(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.talk("@anna", "anna", "one", "1").await;
    let delivery = store.deliveries(turn.id).await.unwrap().remove(0);
    let placed = "900".into();
    store
        .mark(
            delivery.id,
            DeliveryState::Sending,
            Some(&placed),
            scene.now,
        )
        .await
        .unwrap();
    // An id that is known is not lost by a later mark without one.
    store
        .mark(delivery.id, DeliveryState::Sent, None, scene.now)
        .await
        .unwrap();
    let sent = store.deliveries(turn.id).await.unwrap().remove(0);
    assert_eq!(
        (sent.state, &sent.message),
        (DeliveryState::Sent, &Some(placed))
    );
    store.unplace(delivery.id, scene.now).await.unwrap();
    let again = store.deliveries(turn.id).await.unwrap().remove(0);
    assert_eq!((again.state, again.message), (DeliveryState::Pending, None));
}
