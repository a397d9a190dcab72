//! Places: whether they can be reached, and chats that move.

use tertulia_domain::{DeliveryState, Place, PlatformMessageId, TurnEnd};

use super::Scene;
use crate::{Effect, JudgedBy, PlaceState, Storage};

/// A chat is blocked as a whole, a thread is gone by itself.
pub async fn reach_is_known_by_chat_and_thread(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.talk("group", "anna", "one", "1").await;
    let place = Scene::place("group");
    let thread = Place {
        thread: Some("7".into()),
        ..place.clone()
    };
    let (account, chat) = (Scene::account(), Scene::chat("group"));
    let reach = |unreachable: Option<&str>| Effect::Reach {
        account: Scene::account(),
        chat: "group".into(),
        unreachable: unreachable.map(str::to_owned),
    };
    store.close_thread(&thread, scene.now).await.unwrap();
    scene.hear("anna", vec![reach(Some("blocked"))]).await;
    let state = |unreachable: Option<&str>, thread_gone| PlaceState {
        unreachable: unreachable.map(str::to_owned),
        thread_gone,
    };
    assert_eq!(
        store.place_state(&place).await.unwrap(),
        state(Some("blocked"), false)
    );
    assert_eq!(
        store.place_state(&thread).await.unwrap(),
        state(Some("blocked"), true)
    );
    // Who can be reached again gets what waits.
    let accepted = scene.hear("anna", vec![reach(None)]).await;
    assert_eq!(accepted.woken, [turn.conversation]);
    store
        .set_reach(&account, &chat, Some("kicked"), scene.now)
        .await
        .unwrap();
    assert_eq!(
        store.place_state(&place).await.unwrap(),
        state(Some("kicked"), false)
    );
    let elsewhere = Scene::place("elsewhere");
    assert_eq!(
        store.place_state(&elsewhere).await.unwrap(),
        PlaceState::default()
    );
}

/// A delivery that is lost sight of is looked for behind what was known when it was begun, however
/// much is said in the chat meanwhile, and not where others of ours are known to stand.
pub async fn a_delivery_knows_what_it_was_begun_after(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.ask("@anna", "anna", "one").await;
    let parts = [0, 1].map(|part| Scene::part(&turn, part, "so far"));
    let first = store
        .open_delivery(turn.id, &parts[0], scene.now)
        .await
        .unwrap();
    let known = store.whereabouts(first.id).await.unwrap();
    let asked = store.asked(turn.id).await.unwrap().remove(0);
    assert_eq!(
        (known.begun_after, known.others),
        (asked.platform_id.clone(), Vec::new())
    );
    scene.say("@anna", "anna", "two").await;
    let second = store
        .open_delivery(turn.id, &parts[1], scene.now)
        .await
        .unwrap();
    let placed: PlatformMessageId = "1000000".into();
    let (state, now) = (DeliveryState::Sent, scene.now);
    store
        .mark(second.id, state, Some(&placed), now)
        .await
        .unwrap();
    let known = store.whereabouts(first.id).await.unwrap();
    assert_eq!(
        (known.begun_after, known.others),
        (asked.platform_id, vec![placed.clone()])
    );
    // Begun anew it stands behind everything.
    store
        .mark(first.id, DeliveryState::Sending, None, now)
        .await
        .unwrap();
    let known = store.whereabouts(first.id).await.unwrap();
    assert_eq!(
        (known.begun_after, known.others),
        (Some(placed), Vec::new())
    );
}

/// A group becomes a supergroup: the talk goes on there.
pub async fn a_moved_chat_takes_everything_along(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let ended = scene.talk("old", "anna", "one", "1").await;
    scene.say("old", "anna", "two").await;
    scene.talk("bystander", "ben", "hm", "hm").await;
    let moved = Effect::Moved {
        account: Scene::account(),
        from: "old".into(),
        to: "new".into(),
    };
    let accepted = scene.hear("anna", vec![moved.clone()]).await;
    assert_eq!(accepted.woken, [ended.conversation]);
    // Both chats tell of it.
    let again = scene.hear("anna", vec![moved]).await;
    assert_eq!(again.woken, []);

    let conversation = scene.say("new", "anna", "three").await;
    assert_eq!(conversation, ended.conversation);
    let waiting = store.unsettled(conversation).await.unwrap();
    assert_eq!(waiting[0].place, Scene::place("new"));
    // The old chat's message ids mean nothing in the new one.
    assert_eq!(waiting[0].reply_to, None);
    let turn = scene.take(conversation).await;
    assert_eq!((turn.number, turn.place.clone()), (2, Scene::place("new")));
    assert_eq!(turn.reply_to, None);
    assert_eq!(
        scene.context(conversation, turn.id).await,
        ["anna: one", "us: 1", "anna: two"]
    );
    // Buttons below earlier answers still work.
    let by = JudgedBy::Turn(ended.id);
    scene
        .judge("new", "anna", by, tertulia_domain::Judgement::Good)
        .await;
    let export = store.export(&Scene::person("anna")).await.unwrap();
    assert_eq!(export["feedback"].as_array().unwrap().len(), 1);
}

/// Somebody spoke in the new chat before we heard of the move: one conversation, in order.
pub async fn a_moved_chat_is_taken_in_by_the_one_that_is_there(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let first = scene.talk("old", "anna", "one", "1").await;
    let there = scene.talk("new", "ben", "three", "3").await;
    scene.say("new", "ben", "four").await;
    // It came late, yet was said before.
    scene.talk("old", "anna", "two", "2").await;
    scene.say("old", "anna", "two and a half").await;
    store
        .move_chat(&Scene::account(), &Scene::chat("old"), &Scene::chat("new"))
        .await
        .unwrap();
    let earlier = store.conversation(first.conversation).await.unwrap();
    assert_eq!(earlier, None);
    assert_eq!(store.counts().await.unwrap().queued, 2);
    assert_eq!(store.unfinished().await.unwrap(), [there.conversation]);

    let mut numbers = Vec::new();
    for _ in 0..2 {
        let turn = scene.take(there.conversation).await;
        numbers.push(turn.number);
        let outcome = scene.notice(&turn, TurnEnd::Cancelled, "");
        scene.finish(turn.id, &outcome).await;
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [3, 5]);
    let turn = scene.ask("new", "anna", "five").await;
    assert_eq!(turn.conversation, there.conversation);
    assert_eq!(turn.number, 6);
    assert_eq!(
        scene.context(there.conversation, turn.id).await,
        [
            "anna: one",
            "us: 1",
            "anna: two",
            "us: 2",
            "anna: two and a half",
            "ben: three",
            "us: 3",
            "ben: four",
            "anna: five"
        ]
    );
}
