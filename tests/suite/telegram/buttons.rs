//! What stands below answers: another answer, and judgements that are kept.

use serde_json::Value;

use super::{Scene, labels};

#[tokio::test]
async fn another_answer_takes_the_place_of_the_earlier_one() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    scene
        .model
        .reply_next(world::openai::Script::say("the first answer"));
    let first = scene.ask(ada, 1, "a question").await;
    scene
        .model
        .reply_next(world::openai::Script::say("the second answer"));
    scene.telegram.press(ada, 1, first.id, "🔄");
    let second = scene.answer(ada, 1).await;
    assert_eq!(second.text, "the second answer");
    scene
        .model
        .reply_next(world::openai::Script::say("the third answer"));
    assert_eq!(scene.ask(ada, 1, "/retry").await.text, "the third answer");
    let requests = scene.model.requests();
    assert_eq!(requests[0].messages, requests[1].messages);
    assert_eq!(requests[0].messages, requests[2].messages);
    scene.ask(ada, 1, "and now?").await;
    let prompt = scene.last_request().prompt();
    assert!(prompt.contains("the third answer"), "{prompt}");
    assert!(
        !prompt.contains("first") && !prompt.contains("second"),
        "{prompt}"
    );
    scene
        .until(|view| view.unanswered_callbacks().is_empty())
        .await;
}

#[tokio::test]
async fn judgements_are_kept() {
    let mut scene = Scene::new().await;
    let (ada, bob, group) = (
        scene.person(1),
        scene.person(2),
        scene.telegram.supergroup("Friends"),
    );
    scene.telegram.promote(group, 1);
    let liked = scene.ask(ada, 1, "one").await;
    assert_eq!(labels(&liked), ["🔄", "👍", "👎"]);
    scene.telegram.press(ada, 1, liked.id, "👍");
    let disliked = scene.ask(bob, 2, "two").await;
    scene.telegram.press(bob, 2, disliked.id, "👎");
    let reacted = scene.ask(group, 1, "@tertulia_bot three").await;
    scene.telegram.react(group, 1, reacted.id, &[], &["🎉"]);
    scene.telegram.react(group, 2, reacted.id, &[], &["👍"]);
    scene.telegram.react(group, 2, reacted.id, &["👍"], &["👎"]);
    scene
        .until(|view| view.unconfirmed() == 0 && view.unanswered_callbacks().is_empty())
        .await;
    assert_eq!(scene.house.terminate().await, Some(0));
    let feedback = |export: &Value| -> Vec<(String, String)> {
        let list = export["feedback"].as_array().expect("feedback").clone();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let read = |entry: &Value| (text(&entry["judgement"]), text(&entry["source"]));
        list.iter().map(read).collect()
    };
    let owned = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
    let mut adas = feedback(&scene.export(1).await);
    adas.sort();
    assert_eq!(adas, [("good", "button"), ("good", "🎉")].map(owned));
    let mut bobs = feedback(&scene.export(2).await);
    bobs.sort();
    // Who thinks again is asked once.
    assert_eq!(bobs, [("bad", "button"), ("bad", "👎")].map(owned));
}
