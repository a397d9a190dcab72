//! The model's side of it: what it is told, what happens when it fails, and answers that a stop
//! of the process cuts in two.

use world::openai::{Ending, Script};

use super::{Scene, Setup, complete, long_answer};

fn two_models(first_base: &str) -> Setup {
    Setup {
        persona: "models = [\"first\", \"other\"]".into(),
        rest: format!(
            "[models.first]\nkind = \"openai\"\nbase_url = \"{first_base}\"\nmodel = \"scripted\"\n\
             [models.other]\nkind = \"openai\"\nbase_url = \"{{base}}\"\nmodel = \"spare\""
        ),
        ..Setup::default()
    }
}

#[tokio::test]
async fn when_an_endpoint_is_down_another_answers_and_says_so() {
    let scene = Scene::set(two_models("http://127.0.0.1:9/v1")).await;
    let ada = scene.person(1);
    let answer = scene.ask(ada, 1, "hello").await;
    assert_eq!(answer.text, "echo: hello\n\nanswered by other");
    assert!(
        answer
            .entities
            .iter()
            .any(|entity| entity["type"] == "italic")
    );
    scene.ask(ada, 1, "more").await;
    assert!(!scene.last_request().prompt().contains("answered by"));
}

#[tokio::test]
async fn half_an_answer_gives_way_to_a_whole_one() {
    let mut setup = two_models("{base}");
    setup.options.drafts = false;
    let scene = Scene::set(setup).await;
    let ada = scene.person(1);
    scene
        .model
        .reply_with(|request| match request.model.as_str() {
            "scripted" => Script {
                ending: Ending::CutMidChunk,
                ..super::author(request)
            },
            _ => Script::echo(request),
        });
    scene.telegram.say(ada, 1, "slow");
    let half = scene.begun(ada).await;
    assert!(long_answer().starts_with(&half.text));
    let answer = scene.answer(ada, 0).await;
    assert_eq!(
        (answer.id, answer.text.as_str()),
        (half.id, "echo: slow\n\nanswered by other")
    );
    assert_eq!(scene.telegram.replies(ada).len(), 1);
}

#[tokio::test]
async fn an_answer_cut_by_a_stop_is_completed_once() {
    let setup = Setup {
        drain: Some("100ms"),
        ..Setup::default()
    };
    let mut scene = Scene::set(setup).await;
    let (ada, group) = (scene.person(1), scene.telegram.supergroup("Friends"));
    scene.telegram.say(ada, 1, "slow");
    scene.telegram.say(group, 1, "@tertulia_bot slow");
    scene.drafted(ada).await;
    let early = scene.begun(group).await;
    assert_eq!(scene.house.terminate().await, Some(0));
    assert!(scene.telegram.replies(ada).is_empty());
    scene.house.restart().await;
    assert_eq!(scene.answer(ada, 0).await.text, long_answer());
    let answer = scene.answer(group, 0).await;
    assert_eq!((answer.id, answer.text), (early.id, long_answer()));
    // Anything that came twice would stand before this.
    for (chat, text) in [(ada, "next"), (group, "@tertulia_bot next")] {
        scene.ask(chat, 1, text).await;
        let replies = scene.telegram.replies(chat);
        assert!(
            replies.len() == 2 && replies.iter().all(complete),
            "{replies:?}"
        );
    }
}

#[tokio::test]
async fn a_later_prompt_begins_as_the_earlier_one() {
    let scene = Scene::new().await;
    let group = scene.telegram.supergroup("Friends");
    let ada = scene.person(1);
    for number in 0..4 {
        scene
            .ask(ada, 1, &format!("question {number}\nwith *stars* 😀"))
            .await;
        scene
            .ask(group, 1, &format!("@tertulia_bot question {number}"))
            .await;
    }
    let requests = scene.model.requests();
    for (earlier, later) in requests.iter().zip(&requests[2..]) {
        let (earlier, later) = (&earlier.messages, &later.messages);
        assert_eq!(earlier[..], later[..earlier.len()]);
        assert_eq!(later.len(), earlier.len() + 2);
    }
}

#[tokio::test]
async fn what_no_longer_fits_is_summarized_and_may_be_taken_back() {
    let setup = Setup {
        persona:
            "models = [\"gpt\"]\nmax_tokens = 100\nhistory = { tokens = 300, summarize = true }"
                .into(),
        ..Setup::default()
    };
    let scene = Scene::set(setup).await;
    let ada = scene.person(1);
    scene.model.reply_with(|request| {
        if request.last_user().contains("Summarize the conversation") {
            Script::say("SUMMARY of what was")
        } else {
            Script::say("a short answer")
        }
    });
    let wanted = |scene: &Scene| {
        let requests = scene.model.requests();
        requests
            .iter()
            .any(|request| request.last_user().contains("Summarize the conversation"))
    };
    let mut asked = 0;
    while !wanted(&scene) {
        assert!(asked < 20, "no summary was asked for");
        let words = "some words of a long story ".repeat(8);
        scene.ask(ada, 1, &format!("CHAPTER-{asked} {words}")).await;
        asked += 1;
    }
    let summary_seen = |scene: &Scene| {
        scene
            .last_request()
            .prompt()
            .contains("SUMMARY of what was")
    };
    while !summary_seen(&scene) {
        assert!(asked < 40, "the summary was never used");
        scene.ask(ada, 1, "go on").await;
        asked += 1;
    }
    let with = scene.last_request();
    assert!(
        with.messages[0]
            .content
            .contains("Summary of the conversation before this point")
    );
    assert!(!with.prompt().contains("CHAPTER-0"));
    let undone = scene.ask(ada, 1, "/undo summary").await;
    assert!(undone.text.starts_with("Done"), "{}", undone.text);
    scene.ask(ada, 1, "and now?").await;
    assert!(
        !scene
            .last_request()
            .prompt()
            .contains("SUMMARY of what was")
    );
}
