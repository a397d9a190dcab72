//! Commands in both languages, their menus, what they do to a conversation, and who may do what.

use super::{Scene, Setup};

/// What a command of somebody who never wrote before is answered with, in English and Chinese.
const TABLE: [(&str, &str, &str); 15] = [
    ("/start", "Hello!", "你好"),
    ("/help", "/forget_me", "/forget_me"),
    ("/new", "A fresh start", "重新开始"),
    ("/stop", "Nothing is running", "没有正在生成"),
    ("/retry", "nothing to answer again", "没有可以重新回答"),
    ("/undo", "nothing to take back", "没有可以撤回"),
    ("/model", "Models (choose with /model NAME):", "gpt ✓"),
    ("/persona", "default ✓", "default ✓"),
    (
        "/persona nobody",
        "There is no persona nobody",
        "没有角色 nobody",
    ),
    ("/usage", "0 messages, 0 tokens", "0 条消息"),
    ("/export", "Everything stored about you", "全部存储内容"),
    ("/forget_me", "/forget_me yes", "/forget_me yes"),
    ("/status", "Only admins", "只有管理员"),
    ("/reload", "Only admins", "只有管理员"),
    ("/nonsense", "I do not know /nonsense", "我不认识 /nonsense"),
];

#[tokio::test]
async fn commands_are_answered_in_the_language_of_who_asks() {
    let scene = Scene::new().await;
    let mut expected = Vec::new();
    for (row, (command, english, chinese)) in (0_i64..).zip(TABLE) {
        for (id, language, text) in [
            (1000 + row, "en", english),
            (2000 + row, "zh-hans", chinese),
        ] {
            let chat = scene.telegram.person(id, "Somebody", language);
            scene.telegram.say(chat, id, command);
            expected.push((chat, command, text));
        }
    }
    for (chat, command, text) in expected {
        let answer = scene.answer(chat, 0).await;
        assert!(
            answer.text.contains(text),
            "{command}: {:?} in {:?}",
            text,
            answer.text
        );
        assert!(answer.buttons.is_empty(), "{command}");
    }
    assert!(scene.model.requests().is_empty());
    // The menu is there in both languages, without what is for admins.
    let menus = scene.telegram.view(|view| {
        let menus = view.commands();
        assert!(menus.len() >= 2, "{menus:?}");
        menus
    });
    for (key, menu) in menus {
        let text = menu.to_string();
        assert_eq!(
            key.contains("zh"),
            text.contains("重新开始"),
            "{key}: {text}"
        );
        assert!(
            text.contains("forget_me") && !text.contains("reload"),
            "{key}: {text}"
        );
    }
}

#[tokio::test]
async fn admins_may_look_and_reload() {
    let scene = Scene::set(Setup::rest("[roles]\nadmin = [\"telegram:1\"]")).await;
    let ada = scene.person(1);
    assert!(scene.ask(ada, 1, "/help").await.text.contains("/reload"));
    let status = scene.ask(ada, 1, "/status").await.text;
    assert!(
        status.contains("models: gpt") && status.contains("telegram"),
        "{status}"
    );
    assert!(scene.ask(ada, 1, "/reload").await.text.contains("in force"));
}

#[tokio::test]
async fn what_is_taken_back_is_no_longer_context() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    scene.ask(ada, 1, "first").await;
    scene.ask(ada, 1, "second").await;
    assert!(scene.ask(ada, 1, "/undo").await.text.starts_with("Done"));
    scene.ask(bob, 2, "old").await;
    assert!(
        scene
            .ask(bob, 2, "/new")
            .await
            .text
            .starts_with("A fresh start")
    );
    scene.ask(bob, 2, "new").await;
    let prompt = scene.last_request().prompt();
    assert!(!prompt.contains("old"), "{prompt}");
    scene.ask(ada, 1, "third").await;
    let prompt = scene.last_request().prompt();
    assert!(
        prompt.contains("first") && !prompt.contains("second"),
        "{prompt}"
    );
    assert!(
        !prompt.contains("/undo") && !prompt.contains("Done"),
        "{prompt}"
    );
}

#[tokio::test]
async fn model_and_persona_are_chosen_for_one_conversation() {
    let setup = Setup {
        persona: "models = [\"gpt\", \"other\"]".into(),
        rest: "[models.other]\nkind = \"openai\"\nbase_url = \"{base}\"\nmodel = \"spare\"\n\
               [personas.pirate]\nprompt = \"Arr.\"\nmodels = [\"gpt\"]"
            .into(),
        ..Setup::default()
    };
    let scene = Scene::set(setup).await;
    let (ada, bob, cy) = (scene.person(1), scene.person(2), scene.person(3));
    scene.ask(ada, 1, "/model other").await;
    let answer = scene.ask(ada, 1, "hello").await;
    assert_eq!(answer.text, "echo: hello", "the chosen one is no stand-in");
    assert_eq!(scene.last_request().model, "spare");
    scene.ask(bob, 2, "/persona pirate").await;
    scene.ask(bob, 2, "hello").await;
    assert_eq!(scene.last_request().messages[0].content, "Arr.");
    scene.ask(cy, 3, "hello").await;
    let request = scene.last_request();
    assert_eq!(
        (request.model.as_str(), request.messages[0].content.as_str()),
        ("scripted", "You are the house.")
    );
}

#[tokio::test]
async fn what_is_stored_is_shown_and_erased() {
    let scene = Scene::new().await;
    let (ada, group) = (scene.person(1), scene.telegram.supergroup("Friends"));
    scene.ask(ada, 1, "my CANARY sings").await;
    let refused = scene.ask(group, 1, "/export@tertulia_bot").await;
    assert!(refused.text.contains("private"), "{}", refused.text);
    // An export may be long, so it is looked for rather than counted.
    let says = |word: &'static str| {
        scene.until(move |view| {
            let replies = view.replies(ada);
            replies[1..].iter().any(|shown| shown.text.contains(word))
        })
    };
    scene.telegram.say(ada, 1, "/export");
    says("CANARY").await;
    scene.telegram.say(ada, 1, "/forget_me yes");
    says("erased").await;
    scene.telegram.say(ada, 1, "who am I?");
    says("echo: who am I?").await;
    let prompt = scene.last_request().prompt();
    assert!(!prompt.contains("CANARY"), "{prompt}");
    let stored = scene.export(1).await.to_string();
    assert!(
        !stored.contains("CANARY") && stored.contains("who am I?"),
        "{stored}"
    );
}

#[tokio::test]
async fn lists_say_who_is_served() {
    let account = "allow = { people = [\"1\", \"2\"] }\ndeny = { people = [\"2\"] }";
    let scene = Scene::set(Setup::account(account)).await;
    let (ada, bob, cy) = (scene.person(1), scene.person(2), scene.person(3));
    let group = scene.telegram.supergroup("Friends");
    for (chat, id) in [(bob, 2), (cy, 3)] {
        let refused = scene.ask(chat, id, "let me in").await;
        assert!(refused.text.contains("not open to you"), "{}", refused.text);
    }
    scene.telegram.say(group, 3, "@tertulia_bot let me in");
    assert_eq!(scene.ask(ada, 1, "hello").await.text, "echo: hello");
    scene.telegram.say(group, 1, "@tertulia_bot hello");
    assert_eq!(scene.answer(group, 0).await.text, "echo: Ada: hello");
    assert_eq!(
        scene.telegram.replies(group).len(),
        1,
        "a refusal there would be noise"
    );
}

#[tokio::test]
async fn too_many_messages_are_refused_aloud() {
    let scene = Scene::set(Setup::rest(
        "[limits]\nper_person = { messages = \"2/day\" }",
    ))
    .await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    scene.ask(ada, 1, "one").await;
    scene.ask(ada, 1, "two").await;
    let refused = scene.ask(ada, 1, "three").await;
    assert!(
        refused.text.contains("more than 2 messages"),
        "{}",
        refused.text
    );
    assert_eq!(scene.ask(bob, 2, "one").await.text, "echo: one");
    assert_eq!(scene.model.requests().len(), 3);
}
