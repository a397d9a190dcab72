//! What is said in several messages, changed afterwards or in pictures; and answers that are long
//! or styled.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, Setup};
use world::openai::Script;

#[tokio::test]
async fn what_was_sent_together_is_answered_together() {
    let scene = Scene::new().await;
    let (ada, bob) = (scene.person(1), scene.person(2));
    for caption in ["what do you see?", "", ""] {
        let picture = scene.telegram.post(ada, 1, caption).photo(b"picture");
        picture.album("holiday").send();
    }
    let answer = scene.answer(ada, 0).await;
    let note = "I cannot read attachments yet; this answers the text.\n\necho: ";
    assert!(answer.text.starts_with(note), "{}", answer.text);
    assert!(
        scene
            .last_request()
            .last_user()
            .contains("what do you see?")
    );
    assert_eq!(scene.model.requests().len(), 1);

    // A client sends what is over-long in two.
    let (head, tail) = (format!("head {}", "word ".repeat(818)), "and the tail");
    scene.telegram.say(bob, 2, head.trim());
    scene.telegram.say(bob, 2, tail);
    let answer = scene.answer(bob, 0).await;
    assert!(
        answer.text.starts_with("echo: head word"),
        "{}",
        answer.text
    );
    let asked = scene.last_request().last_user().to_owned();
    assert!(
        asked.starts_with("head") && asked.ends_with(tail),
        "{asked}"
    );
    assert_eq!(scene.model.requests().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_to_be_unread() {
    let scene = Scene::new().await;
    let chats: Vec<i64> = (1..=4).map(|id| scene.person(id)).collect();
    let post = |chat| scene.telegram.post(chat, chat, "");
    post(chats[0]).photo(b"picture").send();
    post(chats[1]).voice(b"hm").send();
    post(chats[2]).document("plan.pdf", b"%PDF").send();
    let sticker = json!({"file_id": "s", "file_unique_id": "u", "emoji": "🙂",
        "type": "regular", "width": 1, "height": 1, "is_animated": false, "is_video": false});
    post(chats[3]).field("sticker", sticker).send();
    for chat in chats {
        let answer = scene.answer(chat, 0).await;
        assert!(
            answer.text.starts_with("I cannot read this"),
            "{}",
            answer.text
        );
    }
    assert!(scene.model.requests().is_empty());
}

#[tokio::test]
async fn an_edit_counts_from_when_it_is_made() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    let first = scene.telegram.say(ada, 1, "slow one");
    scene.drafted(ada).await;
    let second = scene.telegram.say(ada, 1, "tow");
    scene.telegram.edit(ada, second, "two");
    // It is answered as it stands when its turn comes.
    assert_eq!(scene.answer(ada, 1).await.text, "echo: two");
    // Later the transcript is put right, without a new answer.
    scene.telegram.edit(ada, first, "a quick one");
    scene.ask(ada, 1, "three").await;
    let request = scene.last_request();
    let said: Vec<&str> = request
        .messages
        .iter()
        .filter(|message| message.role == "user")
        .map(|message| message.content.as_str())
        .collect();
    assert_eq!(said, ["a quick one", "two", "three"]);
    assert_eq!(scene.model.requests().len(), 3);
    assert_eq!(scene.telegram.replies(ada).len(), 3);
}

const EVERYTHING: &str = r#"# Heading with *stress*

**bold _both_ bold** ~~gone~~ `code` ||hidden|| 😀 [a link](https://example.org/?a=1&b=2)

> a quotation with **bold**
> and a second line

- one
  - nested `code`
- [ ] to do

3. third
4. fourth

```rust
fn main() { println!("*not bold*"); }
```

| a | b |
|---|---|
| 1 | 你好 |

![picture](https://example.org/x.png) <b>html</b> &amp; 1 < 2 *unclosed **mixed* up**

---
$E = mc^2$ @somebody #tag /command https://example.org
"#;

#[tokio::test]
async fn markdown_of_every_kind_arrives_styled() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    scene.model.reply_next(Script::say(EVERYTHING));
    let shown = scene.ask(ada, 1, "show me").await;
    for kind in [
        "bold",
        "italic",
        "strikethrough",
        "code",
        "text_link",
        "blockquote",
        "pre",
    ] {
        let there = shown.entities.iter().any(|entity| entity["type"] == kind);
        assert!(there, "no {kind} in {:?}", shown.entities);
    }
    assert!(
        !shown.text.contains("```") && !shown.text.contains("**bold"),
        "{}",
        shown.text
    );
}

#[tokio::test]
async fn unfinished_markdown_is_shown_well_formed() {
    for drafts in [true, false] {
        let mut setup = Setup::default();
        setup.options.drafts = drafts;
        let scene = Scene::set(setup).await;
        let ada = scene.person(1);
        let pace = Duration::from_millis(25);
        let answer = Script::say(EVERYTHING).paced(Duration::ZERO, pace);
        scene.model.reply_next(answer);
        // Every draft and edit on the way is judged by the emulator.
        let shown = scene.ask(ada, 1, "show me slowly").await;
        assert!(shown.text.contains("nested code") && shown.text.contains("fourth"));
    }
}

/// What small models say when they say next to nothing.
const NEXT_TO_NOTHING: [&str; 15] = [
    "---",
    "***",
    "#",
    "> ",
    "-",
    "1.",
    "``",
    "```\n```",
    "```rust",
    "~~~~",
    "<br>",
    "<!-- nothing -->",
    "![](https://example.org/x.png)",
    "[]()",
    "\u{200b}",
];

#[tokio::test]
async fn even_next_to_nothing_is_an_answer() {
    let scene = Scene::new().await;
    scene.model.reply_with(|request| {
        let number = request.last_user().parse::<usize>();
        Script::say(NEXT_TO_NOTHING[number.expect("a number")])
    });
    for (id, number) in (10..).zip(0..NEXT_TO_NOTHING.len()) {
        let chat = scene.person(id);
        scene.telegram.say(chat, id, &number.to_string());
    }
    for (id, said) in (10..).zip(NEXT_TO_NOTHING) {
        let answer = scene.answer(id, 0).await;
        assert!(!answer.text.trim().is_empty(), "{said:?}");
    }
}

#[tokio::test]
async fn a_long_answer_comes_in_parts_and_its_code_stays_code() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    let lines: Vec<String> = (0..300)
        .map(|n| format!("let line_{n:03} = {n} * {n};"))
        .collect();
    let code = lines.join("\n");
    let answer = format!("Here it is:\n\n```rust\n{code}\n```\n\nThat was **all**.");
    scene.model.reply_next(Script::say(&answer));
    scene.telegram.say(ada, 1, "show me code");
    scene
        .until(|view| {
            view.replies(ada)
                .last()
                .is_some_and(|last| last.text.contains("That was all."))
        })
        .await;
    let parts = scene.telegram.replies(ada);
    assert!(parts.len() > 1);
    let mut seen = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let units: Vec<u16> = part.text.encode_utf16().collect();
        assert!(units.len() <= 4096);
        assert_eq!(
            part.buttons.is_empty(),
            index + 1 < parts.len(),
            "buttons stand at the end"
        );
        let code = part
            .entities
            .iter()
            .find(|entity| entity["type"] == "pre")
            .expect("code");
        assert_eq!(code["language"], "rust");
        let number = |key: &str| usize::try_from(code[key].as_u64().unwrap()).unwrap();
        let covered = &units[number("offset")..number("offset") + number("length")];
        let covered = String::from_utf16(covered).unwrap();
        seen.extend(covered.lines().map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(seen, lines);
    // The transcript holds it as one.
    scene.ask(ada, 1, "thanks").await;
    let request = scene.last_request();
    let replies: Vec<&Value> = request.body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "assistant")
        .collect();
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0]["content"], answer);
}
