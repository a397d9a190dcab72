//! Too much at once (G7): what is shed is told to the person, nothing is lost, and no more is
//! asked of an endpoint than the config allows; and whatever is logged, no words and no keys are.

use std::collections::HashSet;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use world::openai::{OpenAiServer, Script};
use world::process::Tertulia;

use crate::visitor::{Talk, Visitor};

fn config(server: &OpenAiServer, keys: &str) -> String {
    format!(
        r#"
[server]
listen = "{{listen}}"
{keys}
[models.gpt]
kind = "openai"
base_url = "{}"
api_key = "CANARY-KEY"
model = "scripted"
[personas.default]
prompt = "CANARY-PROMPT"
models = ["gpt"]
"#,
        server.base_url()
    )
}

/// Who said what, of all pages of the history.
async fn whole_history(talk: &Talk) -> Vec<(String, String)> {
    let (mut all, mut before) = (Vec::new(), String::new());
    loop {
        let path = format!("conversations/{}/messages?limit=200{before}", talk.chat);
        let page = talk.visitor.get(&path).await;
        let messages = page["messages"].as_array().expect("messages");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let said = messages
            .iter()
            .map(|one| (text(&one["role"]), text(&one["text"])));
        all.splice(0..0, said);
        if page["more"] != true {
            return all;
        }
        before = format!("&before={}", text(&messages[0]["id"]));
    }
}

#[tokio::test]
async fn a_flood_in_one_conversation_is_answered_or_refused_one_by_one() {
    const MESSAGES: usize = 120;
    let server = OpenAiServer::start().await;
    server.reply_with(|request| {
        Script::echo(request).paced(Duration::from_millis(10), Duration::ZERO)
    });
    let mut house = Tertulia::start(&config(&server, ""), &[]).await;
    let talk = Visitor::new(&house.base_url()).await.talk().await;
    join_all((0..MESSAGES).map(|number| {
        let talk = &talk;
        async move { talk.say(&format!("flood {number}")).await }
    }))
    .await;
    // Another person is served meanwhile.
    let mut other = Visitor::new(&house.base_url()).await.talk().await;
    assert_eq!(other.ask("me too").await.text, "echo: me too");
    // Whoever listens late, or too slowly, reads the history; this ear is new.
    let mut talk = talk.visitor.talk_in(&talk.chat).await;
    talk.say("the last").await;
    while whole_history(&talk).await.len() < 2 * (MESSAGES + 1) {
        talk.message().await;
    }
    let history = whole_history(&talk).await;
    let of = |who: &str| -> Vec<&str> {
        let own = history.iter().filter(|(role, _)| role == who);
        own.map(|(_, text)| text.as_str()).collect()
    };
    let (said, ours) = (of("user"), of("assistant"));
    assert_eq!(said.len(), MESSAGES + 1);
    assert_eq!(
        ours.len(),
        said.len(),
        "one answer or refusal each: {ours:#?}"
    );
    let echoes: Vec<&str> = ours
        .iter()
        .filter_map(|text| text.strip_prefix("echo: "))
        .collect();
    let once: HashSet<_> = echoes.iter().collect();
    assert_eq!(once.len(), echoes.len(), "something was answered twice");
    let order: Vec<&str> = said
        .iter()
        .copied()
        .filter(|text| once.contains(text))
        .collect();
    assert_eq!(echoes, order, "answered out of order");
    let refused = ours
        .iter()
        .filter(|text| text.contains("Too many messages are waiting"));
    assert_eq!(refused.count() + echoes.len(), ours.len(), "{ours:#?}");
    assert_eq!(house.terminate().await, Some(0));
}

#[tokio::test]
async fn no_more_is_asked_at_once_than_there_are_lanes() {
    let server = OpenAiServer::start().await;
    server.reply_with(|request| {
        Script::echo(request).paced(Duration::from_millis(50), Duration::ZERO)
    });
    let house = Tertulia::start(&config(&server, "lanes = 3"), &[]).await;
    let answers = join_all((0..24).map(|number| {
        let base = house.base_url();
        async move {
            let mut talk = Visitor::new(&base).await.talk().await;
            talk.ask(&format!("hello {number}")).await.text
        }
    }));
    for (number, answer) in answers.await.into_iter().enumerate() {
        assert_eq!(answer, format!("echo: hello {number}"));
    }
    assert_eq!(server.active_max(), 3);
}

#[tokio::test]
async fn a_text_that_is_too_long_is_refused_and_a_long_one_is_not() {
    let server = OpenAiServer::start().await;
    let house = Tertulia::start(&config(&server, ""), &[]).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    let fits = "word ".repeat(2000);
    assert_eq!(talk.ask(&fits).await.text, format!("echo: {}", fits.trim()));
    // It is taken, but the model's context does not hold it.
    let refused = talk.ask(&"word ".repeat(12_000)).await;
    assert!(refused.text.contains("too long"), "{}", refused.text);
    let path = format!("conversations/{}/messages", talk.chat);
    let body = serde_json::json!({"id": crate::visitor::uuid(), "text": "word ".repeat(20_000)});
    assert_eq!(talk.visitor.post(&path, &body).await, 413);
    assert_eq!(talk.ask("short").await.text, "echo: short");
    let requests = server.requests();
    let messages = requests.iter().flat_map(|request| &request.messages);
    assert!(
        messages.map(|message| message.content.len()).max() < Some(20_000),
        "it was sent all the same"
    );
}

#[tokio::test]
async fn even_the_fullest_log_holds_no_words_and_no_keys() {
    let server = OpenAiServer::start().await;
    server.require_key("CANARY-KEY");
    server.reply_with(|_| Script::say("CANARY-ANSWER"));
    let env = [
        ("RUST_LOG", "trace"),
        ("TERTULIA_ADMIN_TOKEN", "CANARY-TOKEN"),
    ];
    let keys = "admin_token = \"${TERTULIA_ADMIN_TOKEN}\"";
    let mut house = Tertulia::start(&config(&server, keys), &env).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    assert_eq!(talk.ask("CANARY-QUESTION").await.text, "CANARY-ANSWER");
    server.reply_next(Script::refuse(500, "server_error", None));
    talk.ask("CANARY-QUESTION again").await;
    assert_eq!(house.terminate().await, Some(0));
    let log = house.stderr();
    assert!(
        log.iter().any(|line| line.contains("TRACE")),
        "RUST_LOG does not choose"
    );
    let told: Vec<_> = log.iter().filter(|line| line.contains("CANARY")).collect();
    assert!(told.is_empty(), "{told:#?}");
}
