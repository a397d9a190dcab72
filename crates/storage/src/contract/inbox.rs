//! What comes in, once.

use tertulia_domain::{Ask, Judgement, Refusal, Scope, TurnEnd, TurnId, TurnState};

use super::Scene;
use crate::{Effect, JudgedBy, Next, Storage};

/// G1: a platform repeats an update until it is confirmed; it is one all the same.
pub async fn a_repeated_update_changes_nothing(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let prompt = scene.prompt("@anna", "anna", "hello");
    let arrival = scene.arrival("anna", vec![Effect::Prompt(Box::new(prompt))]);

    let first = store
        .accept(&[arrival.clone(), arrival.clone()])
        .await
        .unwrap();
    let again = store.accept(&[arrival]).await.unwrap();
    assert_eq!((first.known, first.woken.len()), (1, 1));
    assert_eq!((again.known, again.woken.len()), (1, 0));
    let counts = store.counts().await.unwrap();
    assert_eq!(
        (counts.queued, counts.conversations, counts.people),
        (1, 1, 1)
    );
}

/// A batch is taken in as a whole, in its order.
pub async fn a_batch_is_taken_in_as_a_whole(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let good = scene.prompt("@anna", "anna", "one");
    let other = scene.prompt("@ben", "ben", "two");
    let batch = [
        scene.arrival("anna", vec![Effect::Prompt(Box::new(good))]),
        scene.arrival("ben", vec![Effect::Prompt(Box::new(other))]),
    ];
    let accepted = store.accept(&batch).await.unwrap();
    assert_eq!(accepted.woken.len(), 2);
    assert_eq!(store.unfinished().await.unwrap(), accepted.woken);
}

/// Raw updates are kept for as long as platforms repeat them.
pub async fn old_updates_are_forgotten_with_their_keys(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let old = scene.arrival("anna", Vec::new());
    let new = scene.arrival("anna", Vec::new());
    store.accept(&[old.clone(), new.clone()]).await.unwrap();
    assert_eq!(store.prune_updates(new.at).await.unwrap(), 1);
    assert_eq!(store.prune_updates(new.at).await.unwrap(), 0);
    assert_eq!(store.accept(&[old, new]).await.unwrap().known, 1);
}

/// A client splits a long paste: its pieces are one prompt.
pub async fn pieces_within_the_window_are_one_prompt(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let mut first = scene.prompt("group", "anna", "one");
    first.ready_at = scene.now.after(std::time::Duration::from_secs(30));
    let conversation = scene.send(first).await;
    // Somebody else in between does not cut it in two.
    scene.say("group", "ben", "me too").await;
    let mut second = scene.prompt("group", "anna", "two");
    second.ready_at = scene.now.after(std::time::Duration::from_secs(40));
    let ready_at = second.ready_at;
    scene.send(second).await;

    assert_eq!(store.counts().await.unwrap().queued, 2);
    assert_eq!(
        store.take(conversation, scene.now).await.unwrap(),
        Next::NotBefore(ready_at)
    );
    scene.wait(60);
    let turn = scene.take(conversation).await;
    let texts: Vec<String> = store
        .asked(turn.id)
        .await
        .unwrap()
        .into_iter()
        .map(|m| m.text)
        .collect();
    assert_eq!(texts, ["one", "two"]);
    // A piece that comes after the turn was begun is a prompt of its own.
    scene.say("group", "anna", "three").await;
    assert_eq!(store.counts().await.unwrap().queued, 2);
}

/// Order within what one person says.
pub async fn pieces_do_not_overtake_a_command(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let mut first = scene.prompt("@anna", "anna", "one");
    first.ready_at = scene.now.after(std::time::Duration::from_secs(60));
    scene.send(first).await;
    let command = scene.command("@anna", "anna", "new", "");
    scene.send(command).await;
    scene.say("@anna", "anna", "two").await;
    assert_eq!(store.counts().await.unwrap().queued, 3);
}

/// G7: what is shed is told, and takes no part in the talk.
pub async fn too_much_waiting_is_refused_visibly(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let conversation = scene.say("@anna", "anna", "one").await;
    let mut second = scene.prompt("@anna", "anna", "two");
    second.open_max = 1;
    scene.send(second).await;
    // Commands are never shed: they are how one gets out.
    let mut command = scene.command("@anna", "anna", "stop", "");
    command.open_max = 1;
    scene.send(command).await;

    let first = scene.take(conversation).await;
    let outcome = scene.reply(&first, "1");
    scene.finish(first.id, &outcome).await;
    let refused = scene.take(conversation).await;
    assert_eq!(refused.ask, Ask::Refusal(Refusal::Overloaded));
    assert_eq!(store.asked(refused.id).await.unwrap()[0].text, "two");
    let outcome = scene.notice(&refused, TurnEnd::Refused, "too much");
    scene.finish(refused.id, &outcome).await;
    let stop = scene.take(conversation).await;
    assert!(matches!(stop.ask, Ask::Command(_)));
    let outcome = scene.notice(&stop, TurnEnd::Answered, "nothing to stop");
    scene.finish(stop.id, &outcome).await;

    let next = scene.ask("@anna", "anna", "three").await;
    assert_eq!(
        scene.context(conversation, next.id).await,
        ["anna: one", "us: 1", "anna: three"]
    );
}

/// Who edits a question that waits gets the edited one answered.
pub async fn an_edit_changes_what_was_said(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let conversation = scene.say("@anna", "anna", "helo").await;
    let platform_id = {
        let turn = scene.take(conversation).await;
        let asked = store.asked(turn.id).await.unwrap();
        store.give_back(turn.id).await.unwrap();
        asked[0].platform_id.clone().unwrap()
    };
    let command = scene.command("@anna", "anna", "new", "");
    let command_id = command.message.as_ref().unwrap().platform_id.clone();
    scene.send(command).await;
    for (chat, message, text) in [
        ("@ben", platform_id.clone(), "another chat"),
        ("@anna", platform_id, "hello"),
        ("@anna", command_id.unwrap(), "/forget_me"),
    ] {
        let edited = Effect::Edited {
            account: Scene::account(),
            chat: chat.into(),
            message,
            text: text.to_owned(),
        };
        scene.hear("anna", vec![edited]).await;
    }
    let turn = scene.take(conversation).await;
    assert_eq!(store.asked(turn.id).await.unwrap()[0].text, "hello");
    let outcome = scene.reply(&turn, "hi");
    scene.finish(turn.id, &outcome).await;
    let command = scene.take(conversation).await;
    assert_eq!(store.asked(command.id).await.unwrap()[0].text, "/new ");
}

/// A stop means the turns before it, not the one that it came with or those after.
pub async fn a_stop_means_what_came_before(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let first = scene.ask("@anna", "anna", "one").await;
    let mut second = scene.prompt("@anna", "anna", "two");
    second.ready_at = scene.now.after(std::time::Duration::from_secs(3600));
    scene.send(second).await;
    scene.say("@ben", "ben", "not mine").await;

    let stop = scene.command("@anna", "anna", "stop", "");
    let key = Scene::key("@anna");
    let accepted = scene
        .hear(
            "anna",
            vec![Effect::Prompt(Box::new(stop)), Effect::Stop { key }],
        )
        .await;
    assert_eq!(accepted.woken, [first.conversation]);
    assert_eq!(accepted.stopped.len(), 2);
    assert!(store.turn(first.id).await.unwrap().unwrap().stopped);

    let outcome = scene.notice(&first, TurnEnd::Cancelled, "stopped");
    scene.finish(first.id, &outcome).await;
    // It is stopped: nobody waits for more pieces of it.
    let second = scene.take(first.conversation).await;
    assert!(second.stopped);
    let outcome = scene.notice(&second, TurnEnd::Cancelled, "stopped");
    scene.finish(second.id, &outcome).await;
    assert!(!scene.take(first.conversation).await.stopped);

    let nobody = Effect::Stop {
        key: tertulia_domain::ConversationKey::new(
            Scene::place("elsewhere"),
            &Scene::person("anna"),
            Scope::Person,
        ),
    };
    let accepted = scene.hear("anna", vec![nobody]).await;
    assert_eq!(accepted, crate::Accepted::default());
}

/// A button names a turn; who forges one reaches nothing of another chat.
pub async fn a_stop_of_one_turn_stays_in_its_chat(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.ask("@anna", "anna", "one").await;
    let stop = |chat: &str, turn: TurnId| Effect::StopTurn {
        account: Scene::account(),
        chat: chat.into(),
        turn,
    };
    let forged = scene.hear("ben", vec![stop("@ben", turn.id)]).await;
    assert_eq!(forged.stopped, []);
    let meant = scene.hear("anna", vec![stop("@anna", turn.id)]).await;
    assert_eq!(meant.stopped, [turn.id]);
    let outcome = scene.notice(&turn, TurnEnd::Cancelled, "stopped");
    scene.finish(turn.id, &outcome).await;
    let late = scene.hear("anna", vec![stop("@anna", turn.id)]).await;
    assert_eq!(late.stopped, []);
    let ended = store.turn(turn.id).await.unwrap().unwrap();
    assert_eq!(ended.state, TurnState::Ended(TurnEnd::Cancelled));
}

/// A judgement counts for a reply of ours in that chat; the latest of a person counts.
pub async fn a_judgement_needs_a_reply_of_ours(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.talk("@anna", "anna", "hello", "hi").await;
    let delivery = store.deliveries(turn.id).await.unwrap().remove(0);
    let placed = "777".into();
    store
        .mark(
            delivery.id,
            tertulia_domain::DeliveryState::Sent,
            Some(&placed),
            scene.now,
        )
        .await
        .unwrap();

    let judged = async |scene: &mut Scene<'_>, chat: &str, by, judgement| {
        scene.judge(chat, "anna", by, judgement).await;
        let shown = store
            .shown(
                &Scene::account(),
                &Scene::person("anna"),
                &Scene::chat("@anna"),
                None,
                10,
            )
            .await
            .unwrap();
        shown.last().unwrap().judgement
    };
    let by_turn = JudgedBy::Turn(turn.id);
    let by_message = JudgedBy::Message(placed);
    let scene = &mut scene;
    assert_eq!(
        judged(scene, "@ben", by_turn.clone(), Judgement::Good).await,
        None
    );
    let other = JudgedBy::Message("778".into());
    assert_eq!(judged(scene, "@anna", other, Judgement::Good).await, None);
    assert_eq!(
        judged(scene, "@anna", by_message, Judgement::Good).await,
        Some(Judgement::Good)
    );
    assert_eq!(
        judged(scene, "@anna", by_turn, Judgement::Bad).await,
        Some(Judgement::Bad)
    );
    let export = store.export(&Scene::person("anna")).await.unwrap();
    assert_eq!(export["feedback"].as_array().unwrap().len(), 1);
}
