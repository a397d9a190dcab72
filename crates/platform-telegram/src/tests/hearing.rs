//! What is heard, and when it is confirmed.

use serde_json::{Value, json};
use tertulia_domain::Language;
use tertulia_platform::{Event, Platform, PlatformError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::server::Reply;
use super::*;
use crate::CommandMenu;

fn message(update: i64, text: &str) -> Value {
    json!({"update_id": update, "message": {"message_id": update, "date": 1_700_000_000,
        "chat": {"id": 7, "type": "private", "first_name": "Anna"},
        "from": {"id": 7, "is_bot": false, "first_name": "Anna"}, "text": text}})
}

fn batch(updates: &[Value]) -> Reply {
    Reply::Good(json!(updates))
}

/// Runs an account until stopped.
fn run(
    telegram: &Arc<Telegram>,
    inbox: &Arc<Inbox>,
) -> (CancellationToken, JoinHandle<Result<(), PlatformError>>) {
    let stop = CancellationToken::new();
    let (telegram, inbox, token) = (telegram.clone(), inbox.clone(), stop.clone());
    let running = tokio::spawn(async move { telegram.run(inbox, token).await });
    (stop, running)
}

fn offsets(server: &Server) -> Vec<Option<i64>> {
    server
        .calls("getUpdates")
        .iter()
        .map(|call| call.get("offset").and_then(Value::as_i64))
        .collect()
}

#[tokio::test]
async fn the_offset_moves_only_past_what_was_taken() {
    let server = Server::start().await;
    let first = [message(10, "a"), message(11, "b")];
    server
        .next("getUpdates", batch(&first))
        .next("getUpdates", batch(&first))
        .next("getUpdates", batch(&[message(12, "c")]));
    let inbox = Inbox::refusing(1);
    let (stop, running) = run(&polling(&server), &inbox);

    until(|| offsets(&server).len() == 4).await;
    stop.cancel();
    running.await.unwrap().unwrap();

    assert_eq!(inbox.keys(), ["10", "11", "12"]);
    assert_eq!(offsets(&server)[..4], [None, None, Some(12), Some(13)]);
    let poll = &server.calls("getUpdates")[0];
    assert_eq!(
        (&poll["limit"], &poll["timeout"]),
        (&json!(100), &json!(30))
    );
    assert_eq!(
        poll["allowed_updates"],
        json!([
            "message",
            "edited_message",
            "callback_query",
            "message_reaction",
            "my_chat_member",
            "stopped_message_generation"
        ])
    );
}

/// Stops the account from within the acceptance of a batch.
struct LastOne {
    inbox: Arc<Inbox>,
    stop: CancellationToken,
}

#[async_trait]
impl Intake for LastOne {
    async fn accept(&self, updates: Vec<Update>) -> Result<(), IntakeError> {
        self.stop.cancel();
        self.inbox.accept(updates).await
    }
}

#[tokio::test]
async fn what_was_taken_last_is_confirmed_before_we_go() {
    let server = Server::start().await;
    server.next("getUpdates", batch(&[message(10, "a")]));
    let stop = CancellationToken::new();
    let intake = Arc::new(LastOne {
        inbox: Arc::default(),
        stop: stop.clone(),
    });
    polling(&server).run(intake, stop).await.unwrap();
    assert_eq!(offsets(&server), [None, Some(11)]);
    assert_eq!(server.calls("getUpdates")[1]["timeout"], 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_stored_and_passed() {
    let server = Server::start().await;
    let odd = [
        json!({"update_id": 20, "message": {"message_id": []}}),
        json!({"update_id": 21, "of_the_future": {"x": 1}}),
        message(22, "c"),
    ];
    server.next("getUpdates", batch(&odd));
    let inbox = Arc::<Inbox>::default();
    let (stop, running) = run(&polling(&server), &inbox);
    until(|| offsets(&server).len() == 2).await;
    stop.cancel();
    running.await.unwrap().unwrap();

    assert_eq!(offsets(&server)[..2], [None, Some(23)]);
    let taken = inbox.taken.lock().unwrap();
    let events: Vec<_> = taken.iter().map(|update| update.event.is_some()).collect();
    assert_eq!(events, [false, false, true]);
    let raw: Value = serde_json::from_str(&taken[1].raw).unwrap();
    assert_eq!(raw, odd[1], "the raw update is kept as it came");
}

#[tokio::test]
async fn conflicts_and_floods_are_waited_out() {
    let server = Server::start().await;
    let flood = Reply::Bad(
        429,
        "Too Many Requests: retry after 1",
        json!({"retry_after": 1}),
    );
    let conflict = Reply::Bad(
        409,
        "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
        Value::Null,
    );
    server
        .next("getUpdates", flood)
        .next("getUpdates", conflict)
        .next("getUpdates", batch(&[message(5, "a")]));
    let inbox = Arc::<Inbox>::default();
    let started = std::time::Instant::now();
    let (stop, running) = run(&polling(&server), &inbox);
    until(|| !inbox.keys().is_empty()).await;
    assert!(started.elapsed() >= Duration::from_secs(4), "1 s and 3 s");
    assert_eq!(server.calls("getWebhookInfo").len(), 2);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_webhook_gives_way_to_polling_and_keeps_its_updates() {
    let server = Server::start().await;
    let set = json!({"url": "https://elsewhere", "pending_update_count": 3});
    server.next("getWebhookInfo", Reply::Good(set));
    let (stop, running) = run(&polling(&server), &Arc::default());
    until(|| !server.calls("getUpdates").is_empty()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(
        server.calls("deleteWebhook"),
        [json!({"drop_pending_updates": false})]
    );
}

#[tokio::test]
async fn a_refused_token_ends_it_at_any_time() {
    for (code, method) in [(401, "getMe"), (404, "getMe"), (401, "getUpdates")] {
        let server = Server::start().await;
        server.next(method, Reply::Bad(code, "Unauthorized", Value::Null));
        let error = polling(&server)
            .run(Arc::new(Inbox::default()), CancellationToken::new())
            .await
            .unwrap_err();
        assert!(matches!(error, PlatformError::Unauthorized(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("not-to-be-seen"));
    }
}

#[tokio::test]
async fn the_start_waits_for_the_network() {
    let server = Server::start().await;
    server.next("getMe", Reply::Page(502));
    let (stop, running) = run(&polling(&server), &Arc::default());
    until(|| !server.calls("getUpdates").is_empty()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(server.calls("getMe").len(), 2);
}

#[tokio::test]
async fn menus_are_set_where_they_differ() {
    let server = Server::start().await;
    let shown = json!([{"command": "new", "description": "start afresh"}]);
    server.next("getMyCommands", Reply::Good(shown));
    let menu = |language, description: &str| CommandMenu {
        language,
        commands: vec![
            ("new".to_owned(), description.to_owned()),
            ("Not A Command".to_owned(), "x".to_owned()),
        ],
    };
    let settings = TelegramSettings {
        commands: vec![
            menu(None, "start afresh"),
            menu(Some(Language::Chinese), "重新开始"),
        ],
        ..settings(&server)
    };
    let telegram = Telegram::new(settings, Arc::new(SystemClock)).unwrap();
    let (stop, running) = run(&telegram, &Arc::default());
    until(|| !server.calls("getUpdates").is_empty()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(
        server.calls("setMyCommands"),
        [
            json!({"commands": [{"command": "new", "description": "重新开始"}],
            "language_code": "zh"})
        ]
    );
}

#[tokio::test]
async fn callback_queries_are_answered_once_taken() {
    let server = Server::start().await;
    let press = json!({"update_id": 1, "callback_query": {"id": "q1", "data": "retry:9",
        "from": {"id": 7, "is_bot": false, "first_name": "Anna"}, "chat_instance": "1",
        "message": {"message_id": 3, "date": 1, "chat": {"id": 7, "type": "private"}}}});
    server
        .next("getUpdates", batch(std::slice::from_ref(&press)))
        .next("getUpdates", batch(&[press]));
    let inbox = Inbox::refusing(1);
    let (stop, running) = run(&polling(&server), &inbox);
    until(|| !server.calls("answerCallbackQuery").is_empty()).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(
        server.calls("answerCallbackQuery"),
        [json!({"callback_query_id": "q1"})]
    );
    let taken = inbox.taken.lock().unwrap();
    assert!(matches!(taken[0].event, Some(Event::Pressed(_))));
}

/// What Telegram would see of our webhook.
async fn post(url: &str, secret: Option<&str>, body: String) -> (u16, Option<String>) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(url).body(body);
    if let Some(secret) = secret {
        request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
    }
    let response = request.send().await.unwrap();
    let again = response.headers().get("retry-after");
    let again = again.map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), again)
}

#[tokio::test]
async fn the_webhook_takes_before_it_says_yes() {
    let server = Server::start().await;
    let telegram = hooked(&server);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/telegram", listener.local_addr().unwrap());
    let ours = format!("{base}/telegram");
    let routes = telegram.webhook_routes();
    let serving = tokio::spawn(async move { axum::serve(listener, routes).await });
    let sesame = Some("sesame");
    let good = || message(30, "a").to_string();

    let early = post(&ours, sesame, good()).await;
    assert_eq!(early, (503, Some("1".to_owned())), "nobody hears yet");

    let inbox = Inbox::refusing(1);
    let (stop, running) = run(&telegram, &inbox);
    until(|| !server.calls("setWebhook").is_empty()).await;
    let set = &server.calls("setWebhook")[0];
    assert_eq!(set["url"], "https://bot.example.org/base/telegram/telegram");
    assert_eq!(set["secret_token"], "sesame");
    assert!(set["allowed_updates"].as_array().unwrap().len() == 6);

    assert_eq!(post(&ours, None, good()).await.0, 401);
    assert_eq!(post(&ours, Some("sesamf"), good()).await.0, 401);
    assert_eq!(post(&ours, Some("sesame1"), good()).await.0, 401);
    assert_eq!(post(&format!("{base}/other"), sesame, good()).await.0, 404);
    assert!(inbox.keys().is_empty());

    let full = post(&ours, sesame, good()).await;
    assert_eq!(full, (503, Some("2".to_owned())), "it could not be stored");
    assert_eq!(post(&ours, sesame, good()).await.0, 200);
    assert_eq!(inbox.keys(), ["30"]);

    let huge = "x".repeat((1 << 20) + 1);
    assert_eq!(post(&ours, sesame, huge).await.0, 413);
    for nonsense in ["", "{", "[]", "{}"] {
        assert_eq!(post(&ours, sesame, nonsense.to_owned()).await.0, 200);
    }
    let odd = json!({"update_id": 31, "message": 5}).to_string();
    assert_eq!(post(&ours, sesame, odd).await.0, 200);
    assert_eq!(inbox.keys(), ["30", "31"], "the unreadable is kept");

    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(post(&ours, sesame, good()).await.0, 503, "the door is shut");
    serving.abort();
}

#[tokio::test]
async fn while_polling_there_is_no_webhook() {
    let server = Server::start().await;
    assert!(!polling(&server).webhook_routes().has_routes());
    assert!(hooked(&server).webhook_routes().has_routes());
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong() {
    let server = Server::start().await;
    let report = |server: &Server| {
        let telegram = polling(server);
        async move { telegram.doctor().await }
    };
    let findings = report(&server).await;
    assert!(findings.iter().all(|finding| finding.ok), "{findings:?}");
    assert!(findings[1].remedy.is_some(), "privacy mode is on");

    server.next("getMe", Reply::Bad(401, "Unauthorized", Value::Null));
    let findings = report(&server).await;
    assert_eq!(findings.len(), 1);
    assert!(!findings[0].ok && findings[0].remedy.is_some());

    let set = json!({"url": "https://elsewhere"});
    server.next("getWebhookInfo", Reply::Good(set));
    assert!(!report(&server).await.last().unwrap().ok);
}
