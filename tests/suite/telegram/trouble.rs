//! What Telegram refuses: floods, messages and topics that are gone, people who block, chats that
//! move.

use std::time::Duration;

use world::telegram::{Fault, FloodLimits, What};

use super::{Scene, Setup, complete, long_answer};

#[tokio::test]
async fn whoever_tells_us_to_wait_is_obeyed() {
    let mut setup = Setup::without_drafts();
    setup.options.flood = Some(FloodLimits::default());
    let scene = Scene::set(setup).await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    let group = scene.telegram.supergroup("Friends");
    scene.telegram.fail_next("sendMessage", Fault::Flood(2));
    scene.telegram.say(ada, 1, "hello");
    assert_eq!(scene.answer(ada, 0).await.text, "echo: hello");
    scene.telegram.say(bob, 2, "slow");
    scene.begun(bob).await;
    scene.telegram.fail_next("editMessageText", Fault::Flood(3));
    scene.telegram.say(group, 1, "@tertulia_bot slow");
    scene.begun(group).await;
    assert_eq!(scene.answer(bob, 0).await.text, long_answer());
    assert_eq!(scene.answer(group, 0).await.text, long_answer());
    for chat in [ada, bob, group] {
        assert_eq!(scene.telegram.replies(chat).len(), 1);
    }
    let floods = scene.telegram.ledger();
    let floods = floods
        .iter()
        .filter(|event| matches!(event.what, What::Call { code: 429, .. }));
    assert_eq!(floods.count(), 2, "we know the pace by ourselves");
}

#[tokio::test]
async fn an_edit_that_changes_nothing_or_finds_nothing_is_no_trouble() {
    let scene = Scene::set(Setup::without_drafts()).await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    scene.telegram.say(ada, 1, "slow");
    let placed = scene.begun(ada).await;
    scene.telegram.remove(ada, placed.id);
    let answer = scene.answer(ada, 0).await;
    assert_eq!(answer.text, long_answer());
    assert_ne!(answer.id, placed.id);
    assert_eq!(scene.telegram.replies(ada).len(), 1);
    // The platform says that the last edit was made already.
    scene.telegram.say(bob, 2, "slow");
    scene.begun(bob).await;
    scene.telegram.fail_next(
        "editMessageText",
        Fault::Status(
            400,
            "Bad Request: message is not modified: specified new message content and reply \
             markup are exactly the same as a current content and reply markup of the message"
                .into(),
        ),
    );
    scene.answer(bob, 0).await;
    assert_eq!(scene.ask(bob, 2, "two").await.text, "echo: two");
    assert_eq!(scene.telegram.replies(bob).len(), 2);
}

#[tokio::test]
async fn when_a_topic_is_gone_the_answer_comes_without_it() {
    let scene = Scene::new().await;
    scene.person(1);
    let forum = scene.telegram.forum("Forum");
    let tea = scene.telegram.topic(forum, 1, "Tea");
    scene
        .telegram
        .post(forum, 1, "@tertulia_bot slow")
        .thread(tea)
        .send();
    assert_eq!(scene.begun(forum).await.thread, Some(tea));
    scene.telegram.delete_topic(forum, tea);
    let answer = scene.answer(forum, 0).await;
    assert_eq!((answer.text, answer.thread), (long_answer(), None));
}

#[tokio::test]
async fn who_blocks_us_is_left_alone_until_they_come_back() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    scene.telegram.say(ada, 1, "slow");
    scene.drafted(ada).await;
    scene.telegram.say(ada, 1, "two");
    scene.telegram.say(ada, 1, "three");
    scene.telegram.block(ada);
    scene
        .model
        .wait_until(|model| model.finished() == 3, super::SOON)
        .await;
    scene.until(|view| view.unconfirmed() == 0).await;
    scene.telegram.unblock(ada);
    scene.telegram.say(ada, 1, "back again");
    // What was ready only now may come too, each once and before it.
    scene
        .until(|view| {
            let last = view.replies(ada).pop();
            last.is_some_and(|last| last.text == "echo: back again")
        })
        .await;
    let refused = scene.telegram.view(|view| {
        let calls = view.calls("sendMessage");
        calls.iter().filter(|(_, code)| *code == 403).count()
    });
    assert!(refused <= 1, "tried {refused} times in vain");
}

#[tokio::test]
async fn a_group_that_throws_us_out_may_ask_us_back() {
    let scene = Scene::new().await;
    scene.person(1);
    let group = scene.telegram.supergroup("Friends");
    scene.telegram.say(group, 1, "@tertulia_bot slow");
    scene.begun(group).await;
    scene.telegram.kick(group, 1);
    scene
        .model
        .wait_until(|model| model.finished() == 1, super::SOON)
        .await;
    scene.telegram.invite(group, 1);
    let asked = scene.telegram.say(group, 1, "@tertulia_bot back again");
    scene
        .until(|view| {
            let replies = view.replies(group);
            replies.iter().any(|shown| shown.reply_to == Some(asked))
        })
        .await;
    // A question that is gone is answered all the same.
    let gone = scene.telegram.say(group, 1, "@tertulia_bot slow again");
    scene.asked(3).await;
    scene.telegram.delete(group, gone);
    scene
        .until(|view| {
            let last = view.replies(group).pop();
            last.is_some_and(|last| {
                complete(&last) && last.text == long_answer() && last.reply_to != Some(asked)
            })
        })
        .await;
}

#[tokio::test]
async fn two_bots_of_one_house_keep_apart() {
    let token = "100200301:AAsecond_test_token_0123456789abcdef";
    let other = format!(
        "[accounts.second]\nplatform = \"telegram\"\napi_url = \"{{api}}\"\ntoken = \"{token}\""
    );
    let telegram =
        world::telegram::TelegramServer::start(world::telegram::TelegramOptions::default()).await;
    let second = telegram.bot(token, "second_bot");
    let scene = Scene::serve(telegram, Setup::rest(&other)).await;
    scene.person(1);
    let group = scene.telegram.supergroup("Friends");
    scene.ask(group, 1, "@tertulia_bot CANARY-ONE").await;
    let answer = scene.ask(group, 1, "@second_bot CANARY-TWO").await;
    assert_eq!(answer.author, second);
    let prompt = scene.last_request().prompt();
    assert!(!prompt.contains("CANARY-ONE"), "{prompt}");
    scene
        .telegram
        .post(group, 1, "more")
        .reply_to(answer.id)
        .send();
    let more = scene.answer(group, 2).await;
    assert_eq!(more.author, second);
    let prompt = scene.last_request().prompt();
    assert!(
        prompt.contains("CANARY-TWO") && !prompt.contains("CANARY-ONE"),
        "{prompt}"
    );
    assert_eq!(scene.telegram.replies(group).len(), 3);
}

#[tokio::test]
async fn a_group_that_moves_takes_its_memory_along() {
    let scene = Scene::new().await;
    scene.person(1);
    let quiet = scene.telegram.group("Family");
    let busy = scene.telegram.group("Club");
    scene
        .ask(quiet, 1, "@tertulia_bot remember the CANARY")
        .await;
    let moved = scene.telegram.migrate(quiet, 1);
    scene.ask(moved, 1, "@tertulia_bot what was it?").await;
    let prompt = scene.last_request().prompt();
    assert!(prompt.contains("CANARY"), "{prompt}");
    // One that moves under an answer learns it from the refusal, or from the notice.
    scene
        .telegram
        .fail_next("getUpdates", Fault::Delay(Duration::from_secs(2)));
    scene.telegram.say(busy, 1, "@tertulia_bot slow");
    scene.begun(busy).await;
    let moved = scene.telegram.migrate(busy, 1);
    scene
        .until(|view| {
            let replies = view.replies(moved);
            replies
                .iter()
                .any(|shown| complete(shown) && shown.text == long_answer())
        })
        .await;
    scene.ask(moved, 1, "@tertulia_bot and?").await;
    assert_eq!(
        scene.last_request().messages.len(),
        4,
        "the exchange before is remembered"
    );
}
