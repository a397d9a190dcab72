//! How updates come in: polls in conflict, refused tokens, webhooks, and what comes twice.

use std::time::Duration;

use serde_json::{Value, json};
use world::telegram::{Fault, What};

use super::{SOON, Scene, Setup};

/// The first update that a scene saw.
fn first_update(scene: &Scene) -> Value {
    let queued = scene
        .telegram
        .ledger()
        .into_iter()
        .find_map(|event| match event.what {
            What::Queued { update, .. } => Some(update),
            _ => None,
        });
    queued.expect("somebody wrote")
}

#[tokio::test]
async fn what_comes_twice_is_answered_once() {
    let mut scene = Scene::new().await;
    let ada = scene.person(1);
    scene.ask(ada, 1, "one").await;
    let update = first_update(&scene);
    scene.telegram.redeliver(&update);
    scene.ask(ada, 1, "two").await;
    // Even after a restart, which forgets where the polls were.
    assert_eq!(scene.house.terminate().await, Some(0));
    scene.telegram.redeliver(&update);
    scene.house.restart().await;
    scene.ask(ada, 1, "three").await;
    assert_eq!(scene.model.requests().len(), 3);
    assert_eq!(scene.telegram.replies(ada).len(), 3);
    // After a quiet week the numbers begin anywhere, even below the last one.
    let mut jumped = update;
    jumped["update_id"] = json!(12_345);
    jumped["message"]["message_id"] = json!(900_001);
    jumped["message"]["text"] = json!("four");
    scene.until(|view| view.unconfirmed() == 0).await;
    scene.telegram.redeliver(&jumped);
    assert_eq!(scene.answer(ada, 3).await.text, "echo: four");
}

#[tokio::test]
async fn two_that_hear_for_one_account_do_not_fight() {
    let scene = Scene::new().await;
    let ada = scene.person(1);
    let conflict = "Conflict: terminated by other getUpdates request; \
                    make sure that only one bot instance is running";
    scene
        .telegram
        .fail_next("getUpdates", Fault::Status(409, conflict.into()));
    // The poll in flight ends with this one.
    scene.ask(ada, 1, "one").await;
    scene.house.wait_for_line("only one may", SOON).await;
    assert_eq!(scene.ask(ada, 1, "two").await.text, "echo: two");
    let polls: Vec<(Duration, u16)> = scene
        .telegram
        .ledger()
        .into_iter()
        .filter_map(|event| match event.what {
            What::Call { method, code, .. } if method == "getupdates" => Some((event.at, code)),
            _ => None,
        })
        .collect();
    let refused = polls
        .iter()
        .position(|(_, code)| *code == 409)
        .expect("a conflict");
    let pause = polls[refused + 1].0.saturating_sub(polls[refused].0);
    assert!(
        pause >= Duration::from_secs(2),
        "asked again after {pause:?}"
    );
}

#[tokio::test]
async fn a_refused_token_stops_its_account_and_nothing_else() {
    let other = "[accounts.second]\nplatform = \"telegram\"\napi_url = \"{api}\"\n\
                 token = \"100200301:AAsecond_test_token_0123456789abcdef\"\n[accounts.web]\nplatform = \"web\"";
    let scene = Scene::set(Setup::rest(other)).await;
    let ada = scene.person(1);
    // The second account is nobody from the beginning; the page stays.
    scene.house.wait_for_line("second", SOON).await;
    assert_eq!(scene.ask(ada, 1, "one").await.text, "echo: one");
    scene
        .telegram
        .fail_next("getUpdates", Fault::Status(401, "Unauthorized".into()));
    scene.telegram.say(ada, 1, "two");
    scene.house.wait_for_line("refuses the token", SOON).await;
    let page = reqwest::Client::builder().no_proxy().build().unwrap();
    let page = page
        .get(scene.house.base_url())
        .send()
        .await
        .expect("a page");
    assert_eq!(page.status(), 200);
    assert_ne!(scene.house.pid(), None);
}

#[tokio::test]
async fn a_webhook_is_checked_and_its_repetitions_are_answered_once() {
    let telegram =
        world::telegram::TelegramServer::start(world::telegram::TelegramOptions::default()).await;
    let model = world::openai::OpenAiServer::start().await;
    // The address must be known before the house is there.
    let listen = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket.local_addr().expect("an address").to_string()
    };
    let setup = Setup::account(&format!(
        "mode = \"webhook\"\nwebhook_url = \"http://{listen}\"\nwebhook_secret = \"the-secret\""
    ));
    let config = setup.config(&telegram, &model).replace("{listen}", &listen);
    let house = world::process::Tertulia::start(&config, &[]).await;
    let scene = Scene {
        house,
        telegram,
        model,
    };
    let ada = scene.person(1);
    assert_eq!(scene.ask(ada, 1, "one").await.text, "echo: one");
    let update = first_update(&scene);
    scene.telegram.redeliver(&update);
    assert_eq!(scene.ask(ada, 1, "two").await.text, "echo: two");
    scene.until(|view| view.unconfirmed() == 0).await;
    assert_eq!(scene.model.requests().len(), 2);
    // Whoever does not know the secret is not heard.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut forged = update;
    forged["update_id"] = json!(99);
    forged["message"]["message_id"] = json!(900_002);
    for secret in [None, Some("a-guess")] {
        let url = format!("{}/telegram/telegram", scene.house.base_url());
        let mut request = client.post(url).json(&forged);
        if let Some(secret) = secret {
            request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
        }
        let status = request.send().await.expect("an answer").status();
        assert!(status.is_client_error(), "{status}");
    }
    scene.ask(ada, 1, "three").await;
    assert_eq!(scene.model.requests().len(), 3);
}
