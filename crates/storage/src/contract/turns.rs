//! Turns: in order, one at a time, one end.

use std::time::Duration;

use tertulia_domain::{Money, TurnEnd, TurnId, TurnState};

use super::Scene;
use crate::{Effect, Next, Spent, Storage};

/// G2: in the order of arrival, numbered from 1.
pub async fn turns_are_taken_in_order(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let conversation = scene.say("@anna", "anna", "one").await;
    scene.say("@anna", "anna", "two").await;
    let other = scene.say("@ben", "ben", "mine").await;
    for (number, text) in [(1, "one"), (2, "two")] {
        let turn = scene.take(conversation).await;
        assert_eq!((turn.number, turn.attempts), (number, 1));
        assert_eq!(turn.state, TurnState::Running);
        assert_eq!(store.asked(turn.id).await.unwrap()[0].text, text);
        assert_eq!(store.turn(turn.id).await.unwrap().unwrap(), turn);
        let outcome = scene.reply(&turn, "answer");
        scene.finish(turn.id, &outcome).await;
    }
    assert_eq!(
        store.take(conversation, scene.now).await.unwrap(),
        Next::Idle
    );
    assert_eq!(scene.take(other).await.number, 1);
}

/// A turn is not begun before its time, and what is behind it does not overtake.
pub async fn a_prompt_waits_for_its_pieces(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let mut early = scene.prompt("@anna", "anna", "one");
    early.ready_at = scene.now.after(Duration::from_secs(30));
    let ready_at = early.ready_at;
    let conversation = scene.send(early).await;
    let command = scene.command("@anna", "anna", "help", "");
    scene.send(command).await;
    assert_eq!(
        store.take(conversation, scene.now).await.unwrap(),
        Next::NotBefore(ready_at)
    );
    let Next::Turn(turn) = store.take(conversation, ready_at).await.unwrap() else {
        panic!("its time has come");
    };
    assert_eq!((turn.number, turn.ready_at), (1, ready_at));
}

/// A turn whose process died is taken up again and counted; one that is given back is not.
pub async fn a_running_turn_is_taken_up_again(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.ask("@anna", "anna", "one").await;
    assert_eq!(scene.take(turn.conversation).await.attempts, 2);
    store.give_back(turn.id).await.unwrap();
    let back = store.turn(turn.id).await.unwrap().unwrap();
    assert_eq!((back.state, back.attempts), (TurnState::Queued, 1));
    // Twice is once: it does not run any more.
    store.give_back(turn.id).await.unwrap();
    assert_eq!(scene.take(turn.conversation).await.attempts, 2);
}

/// G1: the first end counts.
pub async fn a_turn_ends_once(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.ask("@anna", "anna", "one").await;
    let first = scene.reply(&turn, "first");
    let second = scene.notice(&turn, TurnEnd::Failed, "second");
    assert_eq!(scene.finish(turn.id, &first).await.len(), 1);
    assert_eq!(store.finish(turn.id, &second).await.unwrap(), None);
    assert_eq!(store.finish(TurnId(9999), &second).await.unwrap(), None);

    let ended = store.turn(turn.id).await.unwrap().unwrap();
    assert_eq!(ended.state, TurnState::Ended(TurnEnd::Answered));
    let deliveries = store.deliveries(turn.id).await.unwrap();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].content.text, "first");
    // The end stands against a late give-back too.
    store.give_back(turn.id).await.unwrap();
    assert_eq!(store.turn(turn.id).await.unwrap().unwrap(), ended);
}

/// After a restart everything that is open is found: turns and deliveries.
pub async fn what_is_unfinished_is_found(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let queued = scene.say("@anna", "anna", "one").await;
    let placing = scene.talk("@ben", "ben", "two", "2").await;
    let done = scene.talk("@cleo", "cleo", "three", "3").await;
    let delivery = store.deliveries(done.id).await.unwrap().remove(0);
    store
        .mark(
            delivery.id,
            tertulia_domain::DeliveryState::Dropped,
            None,
            scene.now,
        )
        .await
        .unwrap();
    let mut unfinished = store.unfinished().await.unwrap();
    unfinished.sort();
    assert_eq!(unfinished, [queued, placing.conversation]);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.queued, counts.running, counts.unsettled), (1, 0, 1));
    assert_eq!((counts.conversations, counts.people), (3, 3));
}

/// Budgets see what was spent, by whom, where, and leave out what comes later.
pub async fn usage_is_counted_by_person_chat_and_model(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let start = scene.now;
    let first = scene.talk("group", "anna", "one", "1").await;
    scene.talk("group", "ben", "two", "2").await;
    scene.talk("@anna", "anna", "three", "3").await;
    let refused = scene.ask("group", "anna", "four").await;
    let outcome = scene.notice(&refused, TurnEnd::Refused, "no");
    scene.finish(refused.id, &outcome).await;
    let command = scene.command("group", "anna", "usage", "");
    scene.send(command).await;
    let now = scene.take(first.conversation).await;

    let anna = Scene::person("anna");
    let spent = |times: u64| Spent {
        messages: times,
        tokens: 10 * times,
        money: Money(5 * times as i64),
    };
    let by = store.spent_by(&anna, start, now.id).await.unwrap();
    assert_eq!(by, spent(2));
    let before = store.spent_by(&anna, start, first.id).await.unwrap();
    assert_eq!(before, Spent::default());
    let lately = store.spent_by(&anna, scene.now, now.id).await.unwrap();
    assert_eq!(lately, Spent::default());
    let here = store
        .spent_in(now.conversation, start, now.id)
        .await
        .unwrap();
    assert_eq!(here, spent(2));
    let models = store.spent_by_model(&anna, start).await.unwrap();
    assert_eq!(models, [("small".into(), spent(2))]);
}

/// A stop command is answered by what it did.
pub async fn a_stop_command_knows_whether_it_stopped(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let running = scene.ask("@anna", "anna", "one").await;
    for expected in [true, false] {
        let stop = scene.command("@anna", "anna", "stop", "");
        let key = Scene::key("@anna");
        let accepted = scene
            .hear(
                "anna",
                vec![Effect::Stop { key }, Effect::Prompt(Box::new(stop))],
            )
            .await;
        assert_eq!(accepted.stopped.is_empty(), !expected);
        if expected {
            let outcome = scene.notice(&running, TurnEnd::Cancelled, "stopped");
            scene.finish(running.id, &outcome).await;
        }
        let stop = scene.take(running.conversation).await;
        assert_eq!(store.stopped_by(stop.id).await.unwrap(), expected);
        let outcome = scene.notice(&stop, TurnEnd::Answered, "done");
        scene.finish(stop.id, &outcome).await;
    }
}
