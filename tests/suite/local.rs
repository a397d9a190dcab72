//! The model that everybody starts with, through the real binary.

use std::time::{Duration, Instant};

use futures::future::join_all;
use world::process::{House, Tertulia};

use crate::visitor::{Visitor, client};

/// Answers are kept short, as two cores shall finish them soon.
const CONFIG: &str = r#"
[server]
listen = "{listen}"
[personas.default]
max_tokens = 24
temperature = 0.0
"#;

/// A number of `/metrics`, over all labels but this one.
async fn metric(house: &Tertulia, name: &str, label: &str) -> f64 {
    let text = client()
        .get(format!("{}/metrics", house.base_url()))
        .send()
        .await;
    let text = text.expect("metrics").text().await.expect("text");
    let lines = text
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

#[tokio::test]
async fn it_answers_in_the_terminal() {
    let house = House::new(CONFIG, &[]);
    let output = house
        .run(&["chat", "--config", "tertulia.toml", "What is a tertulia?"])
        .await;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(
        out.trim().len() > 10 && out.ends_with('\n'),
        "{out:?} {err}"
    );
}

#[tokio::test]
async fn it_remembers_what_it_read_answers_many_at_once_and_stops() {
    let mut house = Tertulia::start(CONFIG, &[]).await;
    let cached = || metric(&house, "tertulia_model_tokens_total", "kind=\"cached\"");
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    let first = talk
        .ask("What is a tertulia? Say it in one sentence.")
        .await;
    assert!(first.text.len() > 5 && first.buttons, "{}", first.text);
    let before = cached().await;
    talk.ask("And where are they held?").await;
    let more = cached().await - before;
    assert!(
        more > 20.0,
        "the second turn read everything anew: {more} cached tokens"
    );

    let base = house.base_url();
    let answers = join_all((0..8).map(|number| {
        let base = base.clone();
        async move {
            let mut talk = Visitor::new(&base).await.talk().await;
            let answer = talk
                .ask(&format!("Write one sentence about the number {number}."))
                .await;
            assert_eq!(talk.answers().await.len(), 1);
            answer
        }
    }));
    for answer in answers.await {
        assert!(
            !answer.text.trim().is_empty() && answer.buttons,
            "{answer:?}"
        );
    }

    let long = CONFIG.replace("max_tokens = 24", "max_tokens = 3000");
    house.house().write_config(&long);
    house
        .wait_for_line("the new config is in force", Duration::from_secs(20))
        .await;
    talk.say("Write a very long story about a teapot. Never stop.")
        .await;
    let (turn, _) = talk.preview().await;
    let begun = Instant::now();
    talk.press(&turn, "stop").await;
    talk.message().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(2), "it took {took:?} to stop");
    assert_eq!(talk.answers().await.len(), 3);
    assert_eq!(house.terminate().await, Some(0));
}
