//! Summaries, fresh starts, and what is chosen for a conversation.

use tertulia_domain::MessageId;

use super::Scene;
use crate::{Storage, Summary};

/// A summary is a view of the past: it moves the window and can be taken back.
pub async fn a_summary_moves_the_window_and_back(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.talk("@anna", "anna", "one", "1").await;
    let first = scene.first_message(turn.id).await;
    let turn = scene.talk("@anna", "anna", "two", "2").await;
    let second = scene.first_message(turn.id).await;
    let id = turn.conversation;
    let seen = async || {
        let conversation = store.conversation(id).await.unwrap().unwrap();
        (conversation.window_after, conversation.summary)
    };
    let summary = |upto, text: &str| {
        Some(Summary {
            upto,
            text: text.to_owned(),
        })
    };
    assert_eq!(seen().await, (MessageId(0), None));
    store.add_summary(id, first, "A", scene.now).await.unwrap();
    assert_eq!(seen().await, (first, summary(first, "A")));
    store.set_window(id, first).await.unwrap();
    store
        .add_summary(id, second, "A, B", scene.now)
        .await
        .unwrap();
    store.set_window(id, second).await.unwrap();
    assert_eq!(seen().await, (second, summary(second, "A, B")));

    assert!(store.undo_summary(id, scene.now).await.unwrap());
    assert_eq!(seen().await, (first, summary(first, "A")));
    assert!(store.undo_summary(id, scene.now).await.unwrap());
    assert_eq!(seen().await, (MessageId(0), None));
    assert!(!store.undo_summary(id, scene.now).await.unwrap());
}

/// A summary that was being made when somebody began anew does not bring the past back.
pub async fn a_fresh_start_outlives_a_late_summary(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.talk("@anna", "anna", "one", "1").await;
    let first = scene.first_message(turn.id).await;
    let turn = scene.talk("@anna", "anna", "two", "2").await;
    let second = scene.first_message(turn.id).await;
    let id = turn.conversation;
    store.add_summary(id, first, "A", scene.now).await.unwrap();
    store.set_window(id, first).await.unwrap();
    store.start_afresh(id, second).await.unwrap();
    store
        .add_summary(id, first, "late", scene.now)
        .await
        .unwrap();
    store.start_afresh(id, first).await.unwrap();
    let conversation = store.conversation(id).await.unwrap().unwrap();
    assert_eq!(
        (conversation.window_after, conversation.summary),
        (second, None)
    );
    assert!(!store.undo_summary(id, scene.now).await.unwrap());
    let next = scene.ask("@anna", "anna", "three").await;
    let context = scene
        .context_after(id, next.id, conversation.window_after, 100)
        .await;
    assert_eq!(context, ["anna: three"]);
}

/// Persona and model are chosen and let go.
pub async fn choices_of_a_conversation_are_kept(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let id = scene.say("@anna", "anna", "one").await;
    let persona = "pirate".into();
    let model = "big".into();
    store.set_persona(id, Some(&persona)).await.unwrap();
    store.set_model(id, Some(&model)).await.unwrap();
    let conversation = store.conversation(id).await.unwrap().unwrap();
    assert_eq!(conversation.persona, Some(persona));
    assert_eq!(conversation.model, Some(model));
    assert_eq!(conversation.key, Scene::key("@anna"));
    assert!(conversation.private);
    store.set_persona(id, None).await.unwrap();
    store.set_model(id, None).await.unwrap();
    let conversation = store.conversation(id).await.unwrap().unwrap();
    assert_eq!((conversation.persona, conversation.model), (None, None));
    let nobody = tertulia_domain::ConversationId(9999);
    assert_eq!(store.conversation(nobody).await.unwrap(), None);
}
