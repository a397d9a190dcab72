//! A person's right to see everything and to have it erased.

use tertulia_domain::{Judgement, TurnEnd};

use super::Scene;
use crate::{JudgedBy, Storage};

/// What the export shows is gone after forgetting, and a repeated update is still known.
pub async fn an_export_holds_what_a_forgetting_erases(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    let turn = scene.talk("@anna", "anna", "a secret", "of yours").await;
    scene.talk("group", "anna", "in public", "yes").await;
    scene.aside("group", "anna", "by the way").await;
    let judged = JudgedBy::Turn(turn.id);
    scene.judge("@anna", "anna", judged, Judgement::Good).await;
    store
        .add_summary(
            turn.conversation,
            scene.first_message(turn.id).await,
            "a secret summary",
            scene.now,
        )
        .await
        .unwrap();
    let update = scene.arrival("anna", Vec::new());
    store.accept(std::slice::from_ref(&update)).await.unwrap();

    let anna = Scene::person("anna");
    let export = store.export(&anna).await.unwrap();
    assert_eq!(export["person"], "telegram:anna");
    assert_eq!(export["name"], "anna");
    let text = export.to_string();
    for said in [
        "a secret",
        "of yours",
        "in public",
        "yes",
        "by the way",
        "a secret summary",
        "raw of anna",
        "good",
    ] {
        assert!(text.contains(said), "{said} is not in the export");
    }
    assert_eq!(export["usage"].as_array().unwrap().len(), 2);

    assert_eq!(store.forget(&anna, None).await.unwrap(), 5);
    let after = store.export(&anna).await.unwrap();
    for (name, value) in after.as_object().unwrap() {
        let empty = value.as_array().is_some_and(Vec::is_empty);
        assert!(name == "person" || empty, "{name} still holds {value}");
    }
    assert_eq!(store.conversation(turn.conversation).await.unwrap(), None);
    assert_eq!(store.turn(turn.id).await.unwrap(), None);
    assert_eq!(store.accept(&[update]).await.unwrap().known, 1);
    assert_eq!(store.unfinished().await.unwrap(), []);
    assert_eq!(store.forget(&anna, None).await.unwrap(), 0);
}

/// The turn that asks for it ends like any other, and what came after it is a new beginning.
pub async fn a_forgetting_turn_can_still_be_ended(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    scene.talk("@anna", "anna", "a secret", "of yours").await;
    let command = scene.command("@anna", "anna", "forget_me", "now please");
    let conversation = scene.send(command).await;
    let turn = scene.take(conversation).await;
    scene.say("@anna", "anna", "a new day").await;

    let anna = Scene::person("anna");
    assert_eq!(store.forget(&anna, Some(turn.id)).await.unwrap(), 3);
    let text = store.export(&anna).await.unwrap().to_string();
    for gone in ["a secret", "of yours", "now please", "raw of"] {
        assert!(!text.contains(gone), "{gone} is still there");
    }
    let outcome = scene.notice(&turn, TurnEnd::Answered, "forgotten");
    assert_eq!(scene.finish(turn.id, &outcome).await.len(), 1);
    let next = scene.take(conversation).await;
    assert_eq!(next.number, 3);
    assert_eq!(
        scene.context(conversation, next.id).await,
        ["anna: a new day"]
    );
}

/// What others said stays, except what was answered to the person and may speak of them.
pub async fn a_forgetting_leaves_others_alone(store: &dyn Storage) {
    let mut scene = Scene::new(store);
    scene.talk("group", "ben", "one", "1").await;
    let hers = scene.talk("group", "anna", "two", "dear anna").await;
    scene.talk("@ben", "ben", "mine", "yours").await;
    let upto = scene.first_message(hers.id).await;
    store
        .add_summary(hers.conversation, upto, "anna said two", scene.now)
        .await
        .unwrap();

    assert_eq!(store.forget(&Scene::person("anna"), None).await.unwrap(), 2);
    let group = store
        .conversation(hers.conversation)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(group.summary, None);
    let turn = scene.ask("group", "ben", "three").await;
    assert_eq!(turn.number, 3);
    assert_eq!(
        scene.context(turn.conversation, turn.id).await,
        ["ben: one", "us: 1", "ben: three"]
    );
    // The chat's budget still knows what was spent in it.
    let spent = store
        .spent_in(
            turn.conversation,
            tertulia_domain::Timestamp::default(),
            turn.id,
        )
        .await
        .unwrap();
    assert_eq!(spent.tokens, 20);
    let ben = store.export(&Scene::person("ben")).await.unwrap();
    assert!(ben.to_string().contains("mine"));
}
