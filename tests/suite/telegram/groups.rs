//! Groups: who is answered, what is overheard, and that no words cross from one place to another.

use super::{BOT, Scene, Setup};

#[tokio::test]
async fn in_a_group_we_answer_who_speaks_to_us_and_hear_the_rest() {
    let scene = Scene::new().await;
    let group = scene.telegram.supergroup("Friends");
    scene.person(1);
    scene.person(2);
    scene.telegram.set_privacy(BOT, false);
    let say = |person, text: &str| scene.telegram.say(group, person, text);
    for number in 0..30 {
        say(2, &format!("aside {number:02}"));
    }
    say(2, "tea is at five");
    say(1, "/weather");
    say(1, "/help@other_bot");
    let asked = say(1, "@tertulia_bot when is tea?");
    let first = scene.answer(group, 0).await;
    assert_eq!(first.reply_to, Some(asked));
    assert!(
        first.buttons.is_empty(),
        "groups have no buttons unless they are wanted"
    );
    let prompt = scene.last_request().prompt();
    assert!(prompt.contains("Bob: tea is at five"), "{prompt}");
    assert!(prompt.contains("Ada: when is tea?"), "{prompt}");
    assert!(
        prompt.contains("aside 29") && !prompt.contains("aside 05"),
        "{prompt}"
    );
    // A reply to us needs no name, and a reply to somebody else is quoted.
    let chained = scene
        .telegram
        .post(group, 2, "and cake?")
        .reply_to(first.id)
        .send();
    let second = scene.answer(group, 1).await;
    assert_eq!(second.reply_to, Some(chained));
    let tea = say(2, "the kettle is red");
    scene
        .telegram
        .post(group, 1, "@tertulia_bot is it?")
        .reply_to(tea)
        .send();
    scene.answer(group, 2).await;
    let question = scene.last_request().last_user().to_owned();
    assert!(question.contains("> Bob: the kettle is red"), "{question}");
    // A command is answered, with our name or without.
    say(1, "/usage@tertulia_bot");
    assert!(scene.answer(group, 3).await.text.contains("messages"));
    assert_eq!(scene.model.requests().len(), 3);
    assert_eq!(scene.telegram.replies(group).len(), 4);
}

#[tokio::test]
async fn no_words_cross_from_one_place_to_another() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    let friends = scene.telegram.supergroup("Friends");
    let family = scene.telegram.group("Family");
    let forum = scene.telegram.forum("Forum");
    let tea = scene.telegram.topic(forum, 1, "Tea");
    let music = scene.telegram.topic(forum, 1, "Music");
    let places = [
        (ada, None, 1, "CANARY-A"),
        (bob, None, 2, "CANARY-B"),
        (friends, None, 1, "CANARY-C"),
        (family, None, 1, "CANARY-D"),
        (forum, None, 1, "CANARY-E"),
        (forum, Some(tea), 1, "CANARY-F"),
        (forum, Some(music), 1, "CANARY-G"),
    ];
    for round in ["remember", "recall"] {
        for (chat, thread, person, canary) in places {
            let text = format!("@tertulia_bot {round} {canary}");
            let mut post = scene.telegram.post(chat, person, &text);
            if let Some(thread) = thread {
                post = post.thread(thread);
            }
            post.send();
        }
        let expected = if round == "remember" { 1 } else { 2 };
        for (chat, thread, _, canary) in places {
            scene
                .until(|view| {
                    let replies = view.replies(chat);
                    let here = replies.iter().filter(|shown| shown.thread == thread);
                    here.filter(|shown| shown.text.contains(canary)).count() == expected
                })
                .await;
        }
    }
    for request in scene.model.requests() {
        let prompt = request.prompt();
        let within = places.iter().filter(|(.., canary)| prompt.contains(canary));
        assert_eq!(within.count(), 1, "{prompt}");
    }
    assert_eq!(scene.model.requests().len(), 2 * places.len());
    let log = scene.house.stderr().join("\n");
    assert!(!log.contains("CANARY"), "texts are in the log");
}

#[tokio::test]
async fn people_of_one_group_may_each_have_a_conversation() {
    let setup = Setup::account("groups = { answer = [\"all\"], scope = \"person\" }");
    let scene = Scene::set(setup).await;
    scene.person(1);
    scene.person(2);
    scene.telegram.set_privacy(BOT, false);
    let group = scene.telegram.supergroup("Friends");
    scene.ask(group, 1, "CANARY-A").await;
    scene.ask(group, 2, "CANARY-B").await;
    scene.ask(group, 1, "more").await;
    let prompt = scene.last_request().prompt();
    assert!(
        prompt.contains("CANARY-A") && !prompt.contains("CANARY-B"),
        "{prompt}"
    );
}
