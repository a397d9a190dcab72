//! Stopping (G6): what runs is finished in the grace time, what is not is taken up by the next
//! start, and a second signal ends at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use world::openai::{OpenAiServer, Script};
use world::process::Tertulia;

use crate::visitor::{SOON, Visitor};

async fn house(drain: &str) -> (Arc<OpenAiServer>, Tertulia) {
    let server = OpenAiServer::start().await;
    let config = format!(
        r#"
[server]
listen = "{{listen}}"
drain = "{drain}"
[models.gpt]
kind = "openai"
base_url = "{}"
model = "scripted"
[personas.default]
models = ["gpt"]
"#,
        server.base_url()
    );
    let house = Tertulia::start(&config, &[]).await;
    (server, house)
}

/// An answer that takes about two seconds.
fn slow() -> Script {
    Script::say(&"slow ".repeat(30)).paced(Duration::ZERO, Duration::from_millis(60))
}

#[tokio::test]
async fn what_runs_is_finished() {
    let (server, mut house) = house("20s").await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    server.reply_next(slow());
    talk.say("one").await;
    talk.preview().await;
    assert_eq!(house.terminate().await, Some(0));
    assert_eq!((server.finished(), server.disconnects()), (1, 0));
    house.restart().await;
    assert_eq!(talk.answers().await, ["slow ".repeat(30).trim()]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn what_is_not_finished_in_time_is_taken_up_again() {
    let (server, mut house) = house("100ms").await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    server.reply_next(slow());
    talk.say("one").await;
    talk.say("two").await;
    talk.preview().await;
    let begun = Instant::now();
    assert_eq!(house.terminate().await, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "it took {:?}",
        begun.elapsed()
    );
    house.restart().await;
    let mut talk = talk.visitor.talk_in(&talk.chat).await;
    talk.say("three").await;
    while talk.message().await.text != "echo: three" {}
    assert_eq!(
        talk.replies().await,
        ["echo: one", "echo: two", "echo: three"]
    );
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (server, mut house) = house("60s").await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    server.reply_next(slow());
    talk.say("one").await;
    talk.preview().await;
    house.signal("TERM");
    house.wait_for_line("stopping", SOON).await;
    house.signal("INT");
    house.wait_for_line("ended at once", SOON).await;
    house.wait().await;
    server
        .wait_until(|server| server.disconnects() == 1, SOON)
        .await;
    house.restart().await;
    let mut talk = talk.visitor.talk_in(&talk.chat).await;
    talk.say("two").await;
    while talk.message().await.text != "echo: two" {}
    assert_eq!(talk.replies().await, ["echo: one", "echo: two"]);
}
