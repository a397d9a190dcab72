//! A config that changes while people talk (G4): applied without a restart, or refused with its
//! place while the old one keeps serving; and who may ask for it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use world::openai::{OpenAiServer, Script};
use world::process::Tertulia;

use crate::visitor::{SOON, Visitor, client};

const IN_FORCE: &str = "the new config is in force";
const REFUSED: &str = "the config is refused";

/// A config whose persona says its name to the model of that name.
fn config(server: &OpenAiServer, name: &str, server_keys: &str) -> String {
    format!(
        r#"
[server]
listen = "{{listen}}"
{server_keys}
[models.{name}]
kind = "openai"
base_url = "{}"
model = "{name}"
api_key = "CANARY-KEY"
[personas.default]
prompt = "You are {name}."
models = ["{name}"]
"#,
        server.base_url()
    )
}

/// An endpoint with the models `old` and `new`, which say who they are.
async fn endpoint() -> Arc<OpenAiServer> {
    let server = OpenAiServer::start().await;
    for name in ["old", "new"] {
        server.model(name);
    }
    server.reply_with(|request| {
        Script::say(&format!("{} to {}", request.model, request.last_user()))
    });
    server
}

async fn admin(
    house: &Tertulia,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let url = format!("{}/api/v1/{path}", house.base_url());
    let mut request = client().request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("the house answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

async fn reload(house: &Tertulia) -> (u16, Value) {
    admin(house, Method::POST, "config/reload", &[]).await
}

#[tokio::test]
async fn a_saved_file_counts_from_the_next_message_on() {
    let server = endpoint().await;
    let mut house = Tertulia::start(&config(&server, "old", ""), &[]).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    assert_eq!(talk.ask("one").await.text, "old to one");

    // An answer in the making goes on as it began.
    let each = Duration::from_millis(60);
    server.reply_next(Script::say(&"slowly ".repeat(30)).paced(Duration::ZERO, each));
    talk.say("two").await;
    talk.preview().await;
    house.house().write_config(&config(&server, "new", ""));
    house.wait_for_line(IN_FORCE, SOON).await;
    let mut other = Visitor::new(&house.base_url()).await.talk().await;
    assert_eq!(other.ask("three").await.text, "new to three");
    assert_eq!(server.active(), 1, "the old one still answers");
    assert_eq!(talk.message().await.text, "slowly ".repeat(30).trim());
    assert_eq!(talk.ask("four").await.text, "new to four");
    assert_eq!(talk.answers().await.len(), 3);
    let asked: Vec<_> = server
        .requests()
        .into_iter()
        .map(|request| request.model)
        .collect();
    assert_eq!(asked, ["old", "old", "new", "new"]);
    assert_eq!(house.terminate().await, Some(0));
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_its_place_and_the_old_one_serves() {
    let server = endpoint().await;
    let house = Tertulia::start(&config(&server, "old", ""), &[]).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    let wrong = config(&server, "new", "").replace("prompt =", "promt =");
    house.house().write_config(&wrong);
    let line = house.wait_for_line(REFUSED, SOON).await;
    let place = "tertulia.toml:11:1: personas.default.promt: ";
    assert!(line.contains(place), "{line}");
    assert_eq!(talk.ask("one").await.text, "old to one");

    let (status, body) = reload(&house).await;
    assert_eq!(status, 422);
    let problem = &body["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(11), &json!(1)),
        "{body}"
    );
    assert_eq!(problem["key"], "personas.default.promt");
    assert!(
        problem["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("tertulia.toml")),
        "{body}"
    );
    assert!(
        problem["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );

    // Half a file, as from an editor that writes in two steps, is refused as well.
    house.house().write_config(&wrong[..wrong.len() / 2]);
    assert_eq!(reload(&house).await.0, 422);
    house.house().write_config("");
    let (status, body) = reload(&house).await;
    assert!(status == 200 || status == 422, "{body}");
    house.house().write_config(&config(&server, "new", ""));
    assert_eq!(reload(&house).await.0, 200);
    assert_eq!(talk.ask("two").await.text, "new to two");
}

#[tokio::test]
async fn a_signal_and_the_api_ask_for_it_too() {
    let server = endpoint().await;
    let mut house = Tertulia::start(&config(&server, "old", "watch = false"), &[]).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    house
        .house()
        .write_config(&config(&server, "new", "watch = false"));
    assert_eq!(talk.ask("one").await.text, "old to one");
    house.signal("HUP");
    house.wait_for_line(IN_FORCE, SOON).await;
    assert_eq!(talk.ask("two").await.text, "new to two");

    let listen = "watch = false\ndrain = \"3s\"\nlanes = 7";
    house.house().write_config(&config(&server, "old", listen));
    let (status, body) = reload(&house).await;
    assert_eq!((status, &body["version"]), (200, &json!(3)), "{body}");
    let names = |key: &str| -> Vec<&str> {
        body[key]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(Value::as_str)
            .collect()
    };
    for key in [
        "models.old",
        "models.new",
        "personas.default.prompt",
        "server.lanes",
    ] {
        assert!(names("changed").contains(&key), "{key} changed: {body}");
    }
    assert!(
        names("restart_required").contains(&"server.lanes"),
        "{body}"
    );
    assert!(
        !names("restart_required").contains(&"personas.default.prompt"),
        "{body}"
    );
    assert_eq!(talk.ask("three").await.text, "old to three");
    let (status, body) = reload(&house).await;
    let unchanged = json!({"version": 3, "changed": [], "restart_required": []});
    assert_eq!((status, body), (200, unchanged));

    let (_, versions) = admin(&house, Method::GET, "config/versions", &[]).await;
    let by: Vec<_> = versions["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .map(|v| &v["by"])
        .collect();
    assert_eq!(by, ["api", "signal", "start"]);
    assert_eq!(house.terminate().await, Some(0));
}

type Headers<'a> = &'a [(&'a str, &'a str)];

#[tokio::test]
async fn only_operators_operate_and_secrets_stay_hidden() {
    let server = endpoint().await;
    let open = Tertulia::start(&config(&server, "old", ""), &[]).await;
    let token = "admin_token = \"${TERTULIA_ADMIN_TOKEN}\"";
    let env = [("TERTULIA_ADMIN_TOKEN", "CANARY-TOKEN")];
    let shut = Tertulia::start(&config(&server, "old", token), &env).await;
    let bearer = ("authorization", "Bearer CANARY-TOKEN");
    let rows: [(&Tertulia, Headers<'_>, u16); 9] = [
        (&open, &[], 200),
        (&open, &[("x-forwarded-for", "127.0.0.1")], 403),
        (&open, &[("forwarded", "for=127.0.0.1")], 403),
        (&open, &[("host", "evil.example")], 403),
        (&open, &[("sec-fetch-site", "cross-site")], 403),
        (&shut, &[], 401),
        (&shut, &[("authorization", "Bearer CANARY")], 401),
        (&shut, &[bearer], 200),
        (&shut, &[bearer, ("x-forwarded-for", "192.0.2.1")], 200),
    ];
    for (house, headers, expected) in rows {
        for (method, path) in [
            (Method::GET, "config"),
            (Method::GET, "config/versions"),
            (Method::POST, "config/reload"),
        ] {
            let (status, body) = admin(house, method, path, headers).await;
            assert_eq!(status, expected, "{path} {headers:?}");
            assert!(!body.to_string().contains("CANARY"), "a secret in {body}");
        }
    }
    for house in [&open, &shut] {
        let (_, config) = admin(house, Method::GET, "config", &[bearer]).await;
        assert_eq!(config["models"]["old"]["api_key"], "***");
        let metrics = client()
            .get(format!("{}/metrics", house.base_url()))
            .send()
            .await;
        let metrics = metrics.expect("metrics").text().await.expect("text");
        let log = house.stderr().join("\n");
        assert!(!metrics.contains("CANARY") && !log.contains("CANARY"));
    }
}

#[tokio::test]
async fn a_storm_of_reloads_loses_doubles_and_mixes_nothing() {
    const PEOPLE: usize = 20;
    const MESSAGES: usize = 10;
    let server = endpoint().await;
    let mut house = Tertulia::start(&config(&server, "old", ""), &[]).await;
    let base = house.base_url();
    let talking = join_all((0..PEOPLE).map(|person| {
        let base = base.clone();
        async move {
            let mut talk = Visitor::new(&base).await.talk().await;
            for number in 0..MESSAGES {
                let said = format!("message {person}.{number}");
                let answer = talk.ask(&said).await.text;
                let (model, of) = answer.split_once(" to ").expect("who to whom");
                assert!(model == "old" || model == "new", "{answer}");
                assert_eq!(of, said);
            }
            let answers = talk.answers().await;
            let right = |(number, answer): (usize, &String)| {
                answer.ends_with(&format!(" {person}.{number}"))
            };
            assert!(
                answers.len() == MESSAGES && answers.iter().enumerate().all(right),
                "{answers:?}"
            );
        }
    }));
    let mut reloads = 0;
    let storm = async {
        for name in ["new", "old"].into_iter().cycle() {
            house.house().write_config(&config(&server, name, ""));
            assert_eq!(reload(&house).await.0, 200);
            reloads += 1;
            if reloads % 3 == 0 {
                house.signal("HUP");
            }
        }
    };
    tokio::select! {
        _ = talking => {}
        () = storm => {}
    }
    assert!(reloads > 5, "only {reloads} reloads");
    let requests = server.requests();
    assert_eq!(
        requests.len(),
        PEOPLE * MESSAGES,
        "each message is asked once"
    );
    for request in &requests {
        let system = &request.messages[0].content;
        let own = format!("You are {}.", request.model);
        assert!(system.contains(&own), "{} was told {system}", request.model);
    }
    assert_eq!(house.terminate().await, Some(0));
}
