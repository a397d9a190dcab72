//! When an endpoint fails, the next model answers (G5); what may be spent is not exceeded; and
//! nobody's words reach another's prompt (G10).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use world::openai::{Ending, OpenAiServer, Script};
use world::process::Tertulia;

use crate::visitor::{Talk, Visitor};

/// How an endpoint fails, how often it is asked, and who answers in the end.
struct Failing {
    name: &'static str,
    script: Option<Script>,
    asked: usize,
    answers: &'static str,
}

fn table() -> Vec<Failing> {
    let row = |name, script, asked| Failing {
        name,
        script,
        asked,
        answers: "spare",
    };
    let half = || Script::say("half of an answer");
    vec![
        row("nobody-there", None, 0),
        row(
            "wrong-key",
            Some(Script::refuse(401, "invalid_api_key", None)),
            1,
        ),
        row(
            "no-money",
            Some(Script::refuse(429, "insufficient_quota", Some(1))),
            1,
        ),
        row(
            "busy-for-long",
            Some(Script::refuse(429, "rate_limit_exceeded", Some(600))),
            1,
        ),
        row("broken", Some(Script::refuse(500, "server_error", None)), 3),
        row(
            "overloaded",
            Some(Script::refuse(503, "server_error", None)),
            3,
        ),
        row("torn", Some(half().ending(Ending::CutMidChunk)), 1),
        row("no-finish", Some(half().ending(Ending::NoFinish)), 1),
        row("no-done", Some(half().ending(Ending::NoDone)), 1),
        row("silent", Some(half().ending(Ending::Stall)), 1),
        row(
            "error-within",
            Some(half().ending(Ending::ErrorEvent("server_error".into()))),
            1,
        ),
        row("nothing-said", Some(Script::say("")), 1),
        Failing {
            answers: "busy",
            ..row(
                "busy",
                Some(Script::refuse(429, "rate_limit_exceeded", Some(1))),
                2,
            )
        },
    ]
}

/// A config in which each row has a persona that asks its model first and `spare` then.
fn config(server: &OpenAiServer, rows: &[Failing]) -> String {
    let mut config = String::from("[server]\nlisten = \"{listen}\"\n");
    let mut model = |name: &str, base: &str| {
        config.push_str(&format!(
            "[models.{name}]\nkind = \"openai\"\nbase_url = \"{base}\"\nmodel = \"{name}\"\n\
             timeout = {{ between_tokens = \"300ms\" }}\n"
        ));
    };
    model("spare", server.base_url());
    for row in rows {
        let base = if row.script.is_some() {
            server.base_url()
        } else {
            "http://127.0.0.1:9/v1"
        };
        model(row.name, base);
    }
    config.push_str("[personas.default]\nmodels = [\"spare\"]\n");
    for row in rows {
        config.push_str(&format!(
            "[personas.{0}]\nmodels = [\"{0}\", \"spare\"]\n",
            row.name
        ));
    }
    config
}

#[tokio::test]
async fn whatever_an_endpoint_does_there_is_one_complete_answer() {
    let server = OpenAiServer::start().await;
    let rows = table();
    server.model("spare");
    for row in &rows {
        server.model(row.name);
    }
    let asked_before = AtomicBool::new(false);
    let scripts: Vec<_> = rows
        .iter()
        .map(|row| (row.name, row.script.clone()))
        .collect();
    server.reply_with(move |request| {
        let script = scripts.iter().find(|(name, _)| *name == request.model);
        match script {
            // The one that is only busy answers when it is asked again.
            Some(("busy", _)) if asked_before.swap(true, Ordering::SeqCst) => Script::echo(request),
            Some((_, Some(script))) => script.clone(),
            _ => Script::echo(request),
        }
    });
    let mut house = Tertulia::start(&config(&server, &rows), &[]).await;
    let base = house.base_url();
    let talks = rows.iter().map(|row| {
        let base = base.clone();
        async move {
            let mut talk = Visitor::new(&base).await.talk().await;
            talk.ask(&format!("/persona {}", row.name)).await;
            let begun = Instant::now();
            let answer = talk.ask(&format!("hello {}", row.name)).await;
            (talk, answer, begun.elapsed())
        }
    });
    for (row, (talk, answer, took)) in rows.iter().zip(join_all(talks).await) {
        let name = row.name;
        let said = format!("echo: hello {name}");
        let shown = match row.answers {
            "spare" => format!("{said}\n\n_answered by spare_"),
            _ => said.clone(),
        };
        assert_eq!(answer.text, shown, "{name}");
        assert_eq!(
            talk.answers().await[1],
            said,
            "{name}: the note is no part of the answer"
        );
        let asked = server
            .requests()
            .iter()
            .filter(|request| request.model == name)
            .count();
        assert_eq!(asked, row.asked, "{name} was asked so often");
        if name == "busy" {
            assert!(
                took >= Duration::from_secs(1),
                "it was to be left alone for a second"
            );
        }
    }
    assert_eq!(house.terminate().await, Some(0));
}

fn two_models(server: &OpenAiServer, rest: &str) -> String {
    format!(
        r#"
[server]
listen = "{{listen}}"
[models.dear]
kind = "openai"
base_url = "{base}"
model = "dear"
price = {{ input = 1.0, output = 1.0 }}
[models.free]
kind = "openai"
base_url = "{base}"
model = "free"
{rest}
"#,
        base = server.base_url()
    )
}

async fn dear_and_free() -> Arc<OpenAiServer> {
    let server = OpenAiServer::start().await;
    server.model("dear");
    server.model("free");
    server.reply_with(|request| Script {
        usage: Some((1000, 1000)),
        ..Script::say(&format!("{} to {}", request.model, request.last_user()))
    });
    server
}

#[tokio::test]
async fn when_the_money_is_spent_a_model_without_price_answers() {
    let server = dear_and_free().await;
    let config = two_models(
        &server,
        "[personas.default]\nmodels = [\"dear\", \"free\"]\n\
         [personas.rich]\nmodels = [\"dear\"]\n\
         [limits]\nper_person = { money = \"0.001/day\" }",
    );
    let house = Tertulia::start(&config, &[]).await;
    let ada = Visitor::new(&house.base_url()).await;
    let mut talk = ada.talk().await;
    assert_eq!(talk.ask("one").await.text, "dear to one");
    assert_eq!(talk.ask("two").await.text, "free to two");
    // Somebody else has money of their own; another conversation of the same person has not.
    let mut other = Visitor::new(&house.base_url()).await.talk().await;
    assert_eq!(other.ask("three").await.text, "dear to three");
    let mut again = ada.talk().await;
    assert_eq!(again.ask("four").await.text, "free to four");
    again.ask("/persona rich").await;
    let refused = again.ask("five").await;
    assert!(
        refused.text.contains("used up") && !refused.buttons,
        "{}",
        refused.text
    );
    let dear = server
        .requests()
        .iter()
        .filter(|request| request.model == "dear")
        .count();
    assert_eq!(dear, 2, "only what could be paid was asked for");
}

#[tokio::test]
async fn spent_tokens_and_messages_are_refused_aloud() {
    let server = dear_and_free().await;
    let persona = "[personas.default]\nmodels = [\"free\"]\n[limits]\n";
    for (limit, word) in [
        ("per_person = { tokens = \"1500/day\" }", "used up"),
        (
            "per_person = { messages = \"1/day\" }",
            "more than 1 message",
        ),
        ("per_chat = { messages = \"1/day\" }", "more than 1 message"),
    ] {
        let asked = server.requests().len();
        let house = Tertulia::start(&two_models(&server, &format!("{persona}{limit}")), &[]).await;
        let mut talk = Visitor::new(&house.base_url()).await.talk().await;
        assert_eq!(talk.ask("one").await.text, "free to one", "{limit}");
        let refused = talk.ask("two").await;
        assert!(refused.text.contains(word), "{limit}: {}", refused.text);
        assert_eq!(
            server.requests().len(),
            asked + 1,
            "{limit}: it was asked all the same"
        );
        assert_eq!(talk.answers().await.len(), 2);
    }
}

#[tokio::test]
async fn nobody_reads_what_another_said() {
    let server = OpenAiServer::start().await;
    server.model("free");
    let config = two_models(&server, "[personas.default]\nmodels = [\"free\"]");
    let house = Tertulia::start(&config, &[]).await;
    let people = ["CANARY-ONE", "CANARY-TWO", "CANARY-THREE", "CANARY-FOUR"];
    let talks = people.map(|canary| {
        let base = house.base_url();
        async move {
            // The same name of a chat, so that only the cookie tells them apart.
            let visitor = Visitor::new(&base).await;
            let mut talk = visitor
                .talk_in("6f1c1d9e-3f0a-4c43-9d7e-0f4b8a1f6b11")
                .await;
            for number in 0..5 {
                let text = format!("{canary} says {number}");
                assert_eq!(talk.ask(&text).await.text, format!("echo: {text}"));
            }
            // A second conversation of the same person knows nothing of the first.
            let mut second: Talk = visitor.talk().await;
            second.ask("what did I say?").await;
            (canary, talk)
        }
    });
    for (canary, talk) in join_all(talks).await {
        let listed = talk.visitor.get("conversations").await;
        assert_eq!(listed["conversations"].as_array().map(Vec::len), Some(2));
        let seen = format!("{:?} {listed}", talk.history().await);
        for other in people.iter().filter(|other| **other != canary) {
            assert!(!seen.contains(other), "{canary} sees {other}");
        }
    }
    for request in server.requests() {
        let prompt = request.body.to_string();
        let within = people
            .iter()
            .filter(|canary| prompt.contains(**canary))
            .count();
        let allowed = usize::from(request.last_user() != "what did I say?");
        assert_eq!(within, allowed, "{prompt}");
    }
    let log = house.stderr().join("\n");
    assert!(!log.contains("CANARY"), "texts are in the log");
}
