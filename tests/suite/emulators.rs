//! The judges judged: what the emulators refuse, repeat and remember, over plain HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use world::openai::{Ending, OpenAiServer, Script};
use world::process::Tertulia;
use world::telegram::{Fault, FloodLimits, TelegramOptions, TelegramServer, View};

const SOON: Duration = Duration::from_secs(5);

struct Bot {
    server: Arc<TelegramServer>,
    client: reqwest::Client,
}

impl Bot {
    async fn start(options: TelegramOptions) -> Self {
        let server = TelegramServer::start(options).await;
        server.person(7, "Ada", "en");
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a plain client");
        Self { server, client }
    }

    async fn try_call(&self, method: &str, params: Value) -> reqwest::Result<Value> {
        let url = format!(
            "{}/bot{}/{method}",
            self.server.api_url(),
            self.server.token()
        );
        self.client
            .post(url)
            .json(&params)
            .send()
            .await?
            .json()
            .await
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params).await.expect("an answer")
    }

    async fn ids(&self, params: Value) -> Vec<i64> {
        let answer = self.call("getUpdates", params).await;
        let updates = answer["result"].as_array().expect("updates");
        updates
            .iter()
            .map(|update| update["update_id"].as_i64().expect("a number"))
            .collect()
    }
}

#[tokio::test]
async fn an_offset_confirms_and_a_wrong_one_replays() {
    let bot = Bot::start(TelegramOptions::default()).await;
    for text in ["one", "two", "three"] {
        bot.server.say(7, 7, text);
    }
    let ids = bot.ids(json!({})).await;
    assert_eq!(ids.len(), 3);
    assert_eq!(
        bot.ids(json!({"offset": ids[1], "limit": 1})).await,
        [ids[1]]
    );
    assert!(bot.server.confirmed(ids[0]) && !bot.server.confirmed(ids[1]));
    assert_eq!(bot.ids(json!({"offset": ids[2] + 9})).await, ids[1..]);
    assert_eq!(bot.ids(json!({"offset": 3})).await, ids[1..]);
    assert_eq!(bot.ids(json!({"offset": -1})).await, ids[2..]);
    assert_eq!(bot.server.unconfirmed(), 1);
    assert!(bot.ids(json!({"offset": ids[2] + 1})).await.is_empty());
    assert_eq!(bot.server.unconfirmed(), 0);
}

#[tokio::test]
async fn the_older_poll_is_in_conflict() {
    let bot = Arc::new(Bot::start(TelegramOptions::default()).await);
    let (older, newer) = (Arc::clone(&bot), Arc::clone(&bot));
    let older = tokio::spawn(async move { older.call("getUpdates", json!({"timeout": 50})).await });
    tokio::task::yield_now().await;
    while !older.is_finished() {
        // Whichever poll came first, the next one ends it.
        let _ = newer.call("getUpdates", json!({"timeout": 0})).await;
    }
    let answer = older.await.unwrap();
    assert!(
        answer["description"]
            .as_str()
            .unwrap()
            .starts_with("Conflict: terminated by other")
    );
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_remembered() {
    let bot = Bot::start(TelegramOptions::default()).await;
    bot.server.say(7, 7, "/start");
    let bold = |offset: usize, length: usize| json!([{"type": "bold", "offset": offset, "length": length}]);
    let rows = [
        ("too long", json!({"chat_id": 7, "text": "x".repeat(4097)})),
        ("empty", json!({"chat_id": 7, "text": " \n "})),
        (
            "half a symbol",
            json!({"chat_id": 7, "text": "a😀", "entities": bold(2, 1)}),
        ),
        (
            "beyond",
            json!({"chat_id": 7, "text": "abc", "entities": bold(1, 3)}),
        ),
        (
            "inside code",
            json!({"chat_id": 7, "text": "abc", "entities": [
            {"type": "code", "offset": 0, "length": 3}, {"type": "bold", "offset": 1, "length": 1}]}),
        ),
        (
            "overlap",
            json!({"chat_id": 7, "text": "abcd", "entities": [
            {"type": "italic", "offset": 0, "length": 3}, {"type": "bold", "offset": 2, "length": 2}]}),
        ),
        (
            "general topic",
            json!({"chat_id": 7, "text": "a", "message_thread_id": 1}),
        ),
        (
            "button data",
            json!({"chat_id": 7, "text": "a", "reply_markup": {
            "inline_keyboard": [[{"text": "b", "callback_data": "d".repeat(65)}]]}}),
        ),
    ];
    for (number, (name, params)) in rows.into_iter().enumerate() {
        let answer = bot.call("sendMessage", params).await;
        assert_eq!(answer["error_code"], 400, "{name}: {answer}");
        assert_eq!(bot.server.violations().len(), number + 1, "{name}");
    }
    assert!(bot.server.replies(7).is_empty());
    let odd = json!({"chat_id": 7, "text": "a", "disable_web_page_preview": true});
    assert_eq!(bot.call("sendMessage", odd).await["ok"], true);
    let link = json!({"chat_id": 7, "text": "see https://example.org"});
    assert_eq!(bot.call("sendMessage", link).await["ok"], true);
    assert_eq!(
        bot.call("sendRichMessage", json!({})).await["error_code"],
        404
    );
    assert_eq!(bot.server.violations().len(), 11);
}

#[tokio::test]
async fn edits_know_their_errors() {
    let bot = Bot::start(TelegramOptions::default()).await;
    let said = bot.server.say(7, 7, "hello");
    let sent = bot
        .call("sendMessage", json!({"chat_id": 7, "text": "one "}))
        .await;
    let id = sent["result"]["message_id"].as_i64().unwrap();
    let edit = |id: i64, text: &str| json!({"chat_id": 7, "message_id": id, "text": text});
    let rows = [
        (edit(id, "one"), "Bad Request: message is not modified: "),
        (edit(said, "mine"), "Bad Request: message can't be edited"),
        (
            edit(id + 5, "gone"),
            "Bad Request: message to edit not found",
        ),
    ];
    for (params, description) in rows {
        let answer = bot.call("editMessageText", params).await;
        assert!(
            answer["description"]
                .as_str()
                .unwrap()
                .starts_with(description),
            "{answer}"
        );
    }
    bot.call("editMessageText", edit(id, "two")).await;
    let shown = bot.server.replies(7);
    assert_eq!((shown[0].text.as_str(), shown[0].edits), ("two", 1));
    assert_eq!(shown[0].history, ["one"]);
}

#[tokio::test]
async fn flood_control_notices_who_does_not_wait() {
    let limits = FloodLimits {
        chat_burst: 2,
        ..FloodLimits::default()
    };
    let bot = Bot::start(TelegramOptions {
        flood: Some(limits),
        ..Default::default()
    })
    .await;
    bot.server.say(7, 7, "hello");
    let send = || bot.call("sendMessage", json!({"chat_id": 7, "text": "hi"}));
    let mut last = Value::Null;
    for _ in 0..3 {
        last = send().await;
    }
    assert_eq!(last["error_code"], 429);
    assert_eq!(last["parameters"]["retry_after"], 1);
    assert!(bot.server.violations().is_empty());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(send().await["error_code"], 429);
    assert!(bot.server.violations()[0].starts_with("flood ignored"));
}

#[tokio::test]
async fn faults_act_or_do_not_act() {
    let bot = Bot::start(TelegramOptions::default()).await;
    bot.server.say(7, 7, "hello");
    let send = |text: &str| bot.try_call("sendMessage", json!({"chat_id": 7, "text": text}));
    bot.server.fail_next("sendMessage", Fault::DropBefore);
    bot.server.fail_next("sendMessage", Fault::DropAfter);
    bot.server.fail_next(
        "sendMessage",
        Fault::Status(500, "Internal Server Error".into()),
    );
    assert!(send("before").await.is_err());
    assert!(send("after").await.is_err());
    assert_eq!(send("status").await.unwrap()["error_code"], 500);
    let texts: Vec<_> = bot
        .server
        .replies(7)
        .into_iter()
        .map(|shown| shown.text)
        .collect();
    assert_eq!(texts, ["after"]);
}

#[tokio::test]
async fn privacy_mode_hides_what_is_not_for_the_bot() {
    let bot = Bot::start(TelegramOptions::default()).await;
    let group = bot.server.supergroup("Circle");
    bot.server.say(group, 7, "among ourselves");
    bot.server.say(group, 7, "/help@other_bot");
    bot.server.say(group, 7, "🎉 hello @Tertulia_bot!");
    let updates = bot.call("getUpdates", json!({})).await;
    let heard = updates["result"].as_array().unwrap();
    assert_eq!(heard.len(), 1);
    let entity = &heard[0]["message"]["entities"][0];
    assert_eq!(
        (&entity["offset"], &entity["length"]),
        (&json!(9), &json!(13))
    );
}

#[tokio::test]
async fn a_webhook_is_asked_again_until_it_accepts() {
    let bot = Bot::start(TelegramOptions::default()).await;
    let secrets = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&secrets);
    let hook = axum::routing::post(move |headers: axum::http::HeaderMap| {
        let seen = Arc::clone(&seen);
        async move {
            let mut seen = seen.lock().unwrap();
            seen.push(headers["x-telegram-bot-api-secret-token"].clone());
            if seen.len() < 3 {
                StatusCode::BAD_GATEWAY
            } else {
                StatusCode::OK
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/hook", hook);
    tokio::spawn(async move { axum::serve(listener, router).await });
    bot.call("setWebhook", json!({"url": url, "secret_token": "s3cret"}))
        .await;
    assert_eq!(bot.call("getUpdates", json!({})).await["error_code"], 409);
    bot.server.say(7, 7, "hello");
    bot.server
        .wait_until(|view| view.unconfirmed() == 0, SOON)
        .await;
    assert_eq!(*secrets.lock().unwrap(), ["s3cret", "s3cret", "s3cret"]);
}

#[tokio::test]
async fn the_endpoint_plays_its_endings() {
    let server = OpenAiServer::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = |body: Value| {
        let url = format!("{}/chat/completions", server.base_url());
        client.post(url).json(&body).send()
    };
    let body = json!({
        "model": "scripted",
        "stream": true,
        "stream_options": {"include_usage": true},
        "messages": [{"role": "user", "content": "hello"}],
    });
    let good = ask(body.clone()).await.unwrap().text().await.unwrap();
    assert!(
        good.ends_with("data: [DONE]\n\n") && good.contains("\"usage\":{"),
        "{good}"
    );
    for (ending, holds) in [(Ending::NoFinish, "[DONE]"), (Ending::NoDone, "\"stop\"")] {
        server.reply_next(Script::say("hi").ending(ending));
        assert!(
            ask(body.clone())
                .await
                .unwrap()
                .text()
                .await
                .unwrap()
                .contains(holds)
        );
    }
    server.reply_next(Script::say("hi").ending(Ending::CutMidChunk));
    assert!(ask(body.clone()).await.unwrap().text().await.is_err());
    server.reply_next(Script::say("hi").ending(Ending::Stall));
    drop(ask(body.clone()).await.unwrap());
    server
        .wait_until(|server| server.disconnects() == 1, SOON)
        .await;
    server.reply_next(Script::refuse(429, "insufficient_quota", Some(7)));
    let refused = ask(body.clone()).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    let mut odd = body.clone();
    odd["max_output"] = json!(1);
    assert_eq!(ask(odd).await.unwrap().status(), 400);
    assert_eq!(server.violations().len(), 1);
    assert_eq!(server.requests()[0].last_user(), "hello");
    server.require_key("k");
    assert_eq!(ask(body).await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_browser_clicks_types_and_waits() {
    let page_html = "data:text/html,<input id=a><button id=b onclick=\"console.error('no');\
        setTimeout(()=>document.title=document.querySelector('%23a').value,50)\">go</button>";
    let browser = world::browser::Browser::start_in("zh-CN").await;
    let page = browser.page().await;
    page.goto(page_html).await;
    page.type_text("#a", "tertulia 茶").await;
    page.click("#b").await;
    page.wait_for("document.title === 'tertulia 茶'", SOON)
        .await;
    assert_eq!(page.eval::<String>("navigator.language").await, "zh-CN");
    page.prefer_scheme("dark").await;
    assert!(
        page.eval::<bool>("matchMedia('(prefers-color-scheme: dark)').matches")
            .await
    );
    assert_eq!(page.console_errors().len(), 1);
    let picture = tempfile::NamedTempFile::new().unwrap();
    page.screenshot(picture.path()).await;
    assert!(
        std::fs::read(picture.path())
            .unwrap()
            .starts_with(b"\x89PNG")
    );
}

#[tokio::test]
async fn a_whole_house_answers_and_leaves() {
    let telegram = TelegramServer::start(TelegramOptions::default()).await;
    let model = OpenAiServer::start().await;
    let ada = telegram.person(7, "Ada", "en");
    let config = format!(
        r#"
[server]
listen = "{{listen}}"
[accounts.telegram]
platform = "telegram"
token = "{}"
api_url = "{}"
[models.scripted]
kind = "openai"
base_url = "{}"
api_key = "k"
model = "scripted"
[personas.default]
prompt = "You are a parrot."
models = ["scripted"]
"#,
        telegram.token(),
        telegram.api_url(),
        model.base_url()
    );
    let mut house = Tertulia::start(&config, &[]).await;
    telegram.say(ada, ada, "hello");
    let answered = |count: usize| {
        move |view: &View<'_>| {
            let echoes = view.replies(7);
            echoes
                .iter()
                .filter(|shown| shown.text == "echo: hello")
                .count()
                == count
        }
    };
    telegram.wait_until(answered(1), SOON * 4).await;
    house.restart().await;
    telegram.say(ada, ada, "hello");
    telegram.wait_until(answered(2), SOON * 4).await;
    assert_eq!(house.terminate().await, Some(0));
}
