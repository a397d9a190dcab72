//! The context of a turn: what was said before it, in the order of the talk.

use tertulia_domain::{Ask, MessageId, MessageKind, TurnEnd, TurnId};

use super::Scene;
use crate::{Storage, StorageError};

/// What is said while an answer is being made stands behind the answer.
pub async fn a_reply_stands_behind_what_it_answers(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    scene.aside("group", "ben", "nice weather").await;
    let first = scene.ask("group", "anna", "one").await;
    scene.aside("group", "ben", "meanwhile").await;
    scene.say("group", "cleo", "two").await;
    assert_eq!(
        scene.context(first.conversation, first.id).await,
        ["ben: nice weather", "anna: one"]
    );
    let outcome = scene.reply(&first, "1");
    scene.finish(first.id, &outcome).await;
    let second = scene.take(first.conversation).await;
    let context = scene.context(second.conversation, second.id).await;
    assert_eq!(
        context,
        [
            "ben: nice weather",
            "anna: one",
            "us: 1",
            "ben: meanwhile",
            "cleo: two"
        ]
    );
    let anchors: Vec<MessageId> = store
        .context(second.conversation, second.id, MessageId(0), 100)
        .await
        .unwrap()
        .into_iter()
        .map(|anchored| anchored.anchor)
        .collect();
    assert!(anchors.is_sorted());
    assert_eq!(anchors[1], anchors[2]);
}

/// G10: canaries of one conversation never reach another's prompt.
pub async fn contexts_of_conversations_never_meet(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let chats = ["@anna", "@ben", "group", "other group"];
    for round in 0..3 {
        for chat in chats {
            let who = chat.trim_start_matches('@');
            let text = format!("canary of {chat} {round}");
            scene.talk(chat, who, &text, &text).await;
        }
    }
    for chat in chats {
        let who = chat.trim_start_matches('@').to_owned();
        let turn = scene.ask(chat, &who, "what do you know?").await;
        let context = scene.context(turn.conversation, turn.id).await;
        assert_eq!(context.len(), 7);
        let canary = format!(": canary of {chat} ");
        assert!(context[..6].iter().all(|said| said.contains(&canary)));
    }
}

/// The window and its limit keep the latest.
pub async fn the_context_is_the_latest_of_the_window(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let mut anchors = Vec::new();
    for text in ["one", "two", "three"] {
        let turn = scene
            .talk("@anna", "anna", text, &format!("re {text}"))
            .await;
        anchors.push(scene.first_message(turn.id).await);
    }
    let turn = scene.ask("@anna", "anna", "four").await;
    let of = async |after, limit| {
        scene
            .context_after(turn.conversation, turn.id, after, limit)
            .await
    };
    assert_eq!(
        of(MessageId(0), 3).await,
        ["anna: three", "us: re three", "anna: four"]
    );
    assert_eq!(
        of(anchors[1], 100).await,
        ["anna: three", "us: re three", "anna: four"]
    );
    // What is asked is always there.
    assert_eq!(of(MessageId(i64::MAX), 100).await, ["anna: four"]);
}

/// Prompts without an answer, commands and fixed texts are no context.
pub async fn what_has_no_answer_is_no_context(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    for (text, end) in [
        ("refused", TurnEnd::Refused),
        ("failed", TurnEnd::Failed),
        ("cancelled", TurnEnd::Cancelled),
    ] {
        let turn = scene.ask("@anna", "anna", text).await;
        let outcome = scene.notice(&turn, end, "a fixed text");
        scene.finish(turn.id, &outcome).await;
    }
    let partial = scene.ask("@anna", "anna", "partly").await;
    let mut outcome = scene.reply(&partial, "it be");
    outcome.end = TurnEnd::Cancelled;
    scene.finish(partial.id, &outcome).await;
    let command = scene.command("@anna", "anna", "help", "");
    let conversation = scene.send(command).await;
    let help = scene.take(conversation).await;
    let outcome = scene.notice(&help, TurnEnd::Answered, "a fixed text");
    scene.finish(help.id, &outcome).await;

    let next = scene.ask("@anna", "anna", "next").await;
    assert_eq!(
        scene.context(conversation, next.id).await,
        ["anna: cancelled", "anna: partly", "us: it be", "anna: next"]
    );
    let last = store.last_chat(conversation, next.id).await.unwrap();
    assert_eq!(last, Some(partial.id));
    let first = store.last_chat(conversation, TurnId(0)).await.unwrap();
    assert_eq!(first, None);
}

/// Another answer is made from what the first was made from, and takes its place.
pub async fn a_retry_sees_what_the_turn_saw(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    scene.talk("@anna", "anna", "one", "1").await;
    let subject = scene.talk("@anna", "anna", "two", "2").await;
    scene.talk("@anna", "anna", "three", "3").await;
    let mut retry = scene.prompt("@anna", "anna", "");
    retry.ask = Ask::Retry(Some(subject.id));
    retry.message = None;
    let conversation = scene.send(retry).await;
    let retry = scene.take(conversation).await;
    assert_eq!(store.asked(retry.id).await.unwrap(), []);
    assert_eq!(
        scene.context(conversation, subject.id).await,
        ["anna: one", "us: 1", "anna: two"]
    );
    let mut outcome = scene.reply(&retry, "2 again");
    outcome.subject = subject.id;
    scene.finish(retry.id, &outcome).await;

    let next = scene.ask("@anna", "anna", "four").await;
    assert_eq!(
        scene.context(conversation, next.id).await,
        [
            "anna: one",
            "us: 1",
            "anna: two",
            "us: 2 again",
            "anna: three",
            "us: 3",
            "anna: four"
        ]
    );
}

/// What failed and then succeeds is part of the talk.
pub async fn a_retry_brings_a_failed_prompt_back(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let failed = scene.ask("@anna", "anna", "one").await;
    let outcome = scene.notice(&failed, TurnEnd::Failed, "sorry");
    scene.finish(failed.id, &outcome).await;
    let mut retry = scene.prompt("@anna", "anna", "");
    retry.ask = Ask::Retry(Some(failed.id));
    retry.message = None;
    let conversation = scene.send(retry).await;
    let retry = scene.take(conversation).await;
    assert_eq!(scene.context(conversation, failed.id).await, ["anna: one"]);
    let mut outcome = scene.reply(&retry, "1");
    outcome.subject = failed.id;
    scene.finish(retry.id, &outcome).await;
    let next = scene.ask("@anna", "anna", "two").await;
    assert_eq!(
        scene.context(conversation, next.id).await,
        ["anna: one", "us: 1", "anna: two"]
    );
}

/// What is taken back is gone from the context, with every answer to it.
pub async fn an_undone_turn_leaves_the_context(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let first = scene.talk("@anna", "anna", "one", "1").await;
    let second = scene.talk("@anna", "anna", "two", "2").await;
    let next = scene.ask("@anna", "anna", "three").await;
    let last = store.last_chat(first.conversation, next.id).await.unwrap();
    assert_eq!(last, Some(second.id));
    assert!(store.undo_turn(second.id).await.unwrap());
    assert!(!store.undo_turn(second.id).await.unwrap());
    let last = store.last_chat(first.conversation, next.id).await.unwrap();
    assert_eq!(last, Some(first.id));
    assert_eq!(
        scene.context(first.conversation, next.id).await,
        ["anna: one", "us: 1", "anna: three"]
    );
}

/// G10: not even a wrong id in the program mixes two conversations.
pub async fn a_subject_of_another_conversation_is_refused(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let other = scene.talk("@ben", "ben", "secret", "yes").await;
    let turn = scene.ask("@anna", "anna", "one").await;
    let context = store
        .context(turn.conversation, other.id, MessageId(0), 10)
        .await;
    assert!(matches!(context, Err(StorageError::Inconsistent(_))));
    let mut outcome = scene.reply(&turn, "1");
    outcome.subject = other.id;
    let finished = store.finish(turn.id, &outcome).await;
    assert!(matches!(finished, Err(StorageError::Inconsistent(_))));
    // Nothing of it happened: the turn can still be ended.
    outcome.subject = turn.id;
    scene.finish(turn.id, &outcome).await;
}

/// A page shows its person's chats, latest first, and nobody else's.
pub async fn a_chat_is_shown_to_its_person_alone(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let long = "x".repeat(300);
    scene.talk("@first", "anna", &long, "1").await;
    scene.talk("@second", "anna", "two", "2").await;
    scene.talk("@bens", "ben", "three", "3").await;
    scene.talk("group", "anna", "four", "4").await;
    let first = scene.talk("@first", "anna", "five", "5").await;

    let (account, anna) = (Scene::account(), Scene::person("anna"));
    let chats = store.chats_of(&account, &anna, 10).await.unwrap();
    let titles: Vec<(&str, usize)> = chats
        .iter()
        .map(|listed| (listed.chat.as_str(), listed.title.len()))
        .collect();
    assert_eq!(titles, [("@first", 200), ("@second", 3)]);
    assert_eq!(store.chats_of(&account, &anna, 1).await.unwrap().len(), 1);

    let shown = async |chat: &str, before, limit| {
        store
            .shown(&account, &anna, &Scene::chat(chat), before, limit)
            .await
            .unwrap()
    };
    let latest = shown("@first", None, 3).await;
    let texts: Vec<&str> = latest.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(texts, ["1", "five", "5"]);
    assert_eq!(latest[2].kind, MessageKind::Reply);
    assert_eq!(latest[2].turn, Some(first.id));
    let earlier = shown("@first", Some(latest[0].id), 3).await;
    assert_eq!(earlier.len(), 1);
    assert_eq!(earlier[0].text, long);
    assert_eq!(shown("@bens", None, 10).await, []);
    assert_eq!(shown("group", None, 10).await, []);
}

/// Retention: what was said long ago is erased; what waits for an answer is not.
pub async fn old_messages_are_erased_but_not_what_waits(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let old = scene.talk("@anna", "anna", "old", "older").await;
    for _ in 0..3 {
        scene.aside("group", "ben", "chatter").await;
    }
    scene.say("@ben", "ben", "waits").await;
    let now = scene.wait(1000);
    let new = scene.ask("@anna", "anna", "new").await;
    assert_eq!(store.prune_messages(now).await.unwrap(), 5);
    assert_eq!(store.prune_messages(now).await.unwrap(), 0);
    assert_eq!(scene.context(old.conversation, new.id).await, ["anna: new"]);
    // Its part of the outbox still waits, and still knows what to place.
    assert_eq!(store.unsettled(old.conversation).await.unwrap().len(), 1);
    let conversation = scene.say("@ben", "ben", "still").await;
    let turn = scene.take(conversation).await;
    assert_eq!(scene.context(conversation, turn.id).await, ["ben: waits"]);
}
