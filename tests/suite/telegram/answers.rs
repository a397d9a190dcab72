//! One answer from its first word to its last: drafts, edits, stops and the order of things.

use std::time::Duration;

use world::openai::Script;
use world::telegram::What;

use super::{SOON, STOP, Scene, Setup, complete, labels, long_answer};

#[tokio::test]
async fn a_draft_grows_into_one_message() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    let answer = "Some **bold** words and `code`, then quite a few more to be read.";
    scene
        .model
        .reply_next(Script::say(answer).paced(Duration::ZERO, Duration::from_millis(120)));
    scene.telegram.say(ada, 1, "hello");
    scene.drafted(ada).await;
    let draft = scene.telegram.view(|view| view.draft(ada)).unwrap();
    assert!(draft.can_stop);
    let shown = scene.answer(ada, 0).await;
    assert_eq!(
        shown.text,
        "Some bold words and code, then quite a few more to be read."
    );
    let kinds: Vec<_> = shown
        .entities
        .iter()
        .filter_map(|e| e["type"].as_str())
        .collect();
    assert_eq!(kinds, ["bold", "code"]);
    assert_eq!((shown.edits, shown.reply_to), (0, None));
    assert_eq!(labels(&shown), ["🔄", "👍", "👎"]);
    assert_eq!(scene.telegram.view(|view| view.draft(ada)), None);
    assert_eq!(scene.telegram.replies(ada).len(), 1);
    assert_eq!(scene.calls("sendMessage"), 1);
    let drafts: Vec<(i64, String)> = scene
        .telegram
        .ledger()
        .into_iter()
        .filter_map(|event| match event.what {
            What::Draft { draft, text, .. } => Some((draft, text)),
            _ => None,
        })
        .collect();
    assert!(drafts.len() > 1, "{drafts:?}");
    assert!(
        drafts
            .iter()
            .all(|(id, text)| *id == draft.id && shown.text.starts_with(text))
    );
}

#[tokio::test]
async fn without_drafts_one_message_is_edited_to_its_end() {
    let scene = Scene::set(Setup::without_drafts()).await;
    let ada = scene.person(1);
    scene.telegram.say(ada, 1, "something slow");
    let begun = scene.begun(ada).await;
    assert_eq!(labels(&begun), [STOP]);
    assert!(long_answer().starts_with(&begun.text));
    let shown = scene.answer(ada, 0).await;
    assert_eq!(
        (shown.id, shown.text.as_str()),
        (begun.id, long_answer().as_str())
    );
    assert!(shown.edits > 1);
    assert_eq!(labels(&shown), ["🔄", "👍", "👎"]);
    assert_eq!(scene.telegram.replies(ada).len(), 1);
    assert_eq!(scene.calls("sendMessage"), 1);
    scene.ask(ada, 1, "again").await;
    assert_eq!(
        scene.calls("sendMessageDraft"),
        1,
        "the server was asked once"
    );
}

#[tokio::test]
async fn a_stop_leaves_what_was_said() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    let group = scene.telegram.supergroup("Friends");
    for (chat, person, text) in [
        (ada, 1, "endless"),
        (bob, 2, "endless"),
        (group, 1, "@tertulia_bot endless"),
    ] {
        scene.telegram.say(chat, person, text);
    }
    scene.drafted(ada).await;
    scene.telegram.stop_draft(ada);
    scene.drafted(bob).await;
    scene.telegram.say(bob, 2, "/stop");
    let begun = scene.begun(group).await;
    scene.telegram.press(group, 1, begun.id, STOP);
    for chat in [ada, bob, group] {
        let partial = scene.answer(chat, 0).await;
        assert!("endless words ".repeat(800).starts_with(&partial.text));
    }
    assert_eq!(scene.telegram.replies(group)[0].id, begun.id);
    assert_eq!(scene.answer(bob, 1).await.text, "Stopped.");
    scene
        .model
        .wait_until(
            |model| model.disconnects() == 3 && model.active() == 0,
            SOON,
        )
        .await;
    scene
        .until(|view| view.unanswered_callbacks().is_empty() && view.draft(ada).is_none())
        .await;
    assert_eq!(scene.telegram.replies(ada).len(), 1);
    // What was said before the stop is part of the conversation.
    let partial = scene.telegram.replies(ada)[0].text.clone();
    scene.ask(ada, 1, "go on").await;
    let messages = scene.last_request().messages;
    assert_eq!(messages[2].content, partial);
    // Nothing runs any more.
    assert_eq!(scene.ask(ada, 1, "/stop").await.text, "Nothing is running.");
}

#[tokio::test]
async fn messages_wait_their_turn_in_their_own_conversation_only() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    scene.telegram.say(ada, 1, "slow one");
    scene.drafted(ada).await;
    scene.telegram.say(ada, 1, "two");
    scene.telegram.say(ada, 1, "three");
    assert_eq!(scene.ask(bob, 2, "me too").await.text, "echo: me too");
    assert!(
        scene.telegram.replies(ada).is_empty(),
        "somebody else did not wait"
    );
    scene
        .until(|view| view.replies(ada).iter().filter(|m| complete(m)).count() == 3)
        .await;
    let texts: Vec<String> = scene
        .telegram
        .replies(ada)
        .into_iter()
        .map(|m| m.text)
        .collect();
    assert_eq!(texts, [long_answer().as_str(), "echo: two", "echo: three"]);
    assert_eq!(scene.model.active_max(), 2);
}
