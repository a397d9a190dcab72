//! The crash campaign: the real binary is killed at random moments while people talk to it, and
//! the emulator's own ledger says what became of every message (promises G1, G2 and G3).
//!
//! `CRASH_KILLS` says how often it is killed; `CRASH_SEED` repeats a run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use world::openai::{OpenAiServer, Script};
use world::process::Tertulia;
use world::telegram::{Fault, Shown, TelegramOptions, TelegramServer};

/// People who talk at the same time, each in a private chat.
const PEOPLE: i64 = 6;
/// Kills of an ordinary run.
const KILLS: usize = 50;
/// Questions that one person leaves unanswered before asking more.
const WAITING_MAX: usize = 8;
/// Everything is answered this long after the last kill.
const CALM: Duration = Duration::from_secs(120);

/// How the campaign went, by the ledger.
#[derive(Debug, Default)]
struct Tally {
    messages: usize,
    lost: Vec<String>,
    /// Visibly given up: the process was killed in the middle of the same turn too often.
    given_up: usize,
    doubled: Vec<String>,
    out_of_order: Vec<String>,
}

fn config(telegram: &TelegramServer, model: &OpenAiServer) -> String {
    format!(
        r#"
[server]
listen = "{{listen}}"

[storage]
url = "sqlite:tertulia.db"

[accounts.telegram]
platform = "telegram"
token = "{token}"
api_url = "{api}"
buttons = {{ private = false, groups = false }}

[models.scripted]
kind = "openai"
base_url = "{base}"
model = "scripted"

[personas.default]
prompt = "Echo."
models = ["scripted"]
history = {{ tokens = 3000, summarize = false }}
"#,
        token = telegram.token(),
        api = telegram.api_url(),
        base = model.base_url(),
    )
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// What is asked carries a number that the answer repeats.
fn question(person: i64, number: usize) -> String {
    format!("question {person}-{number}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_however_often_it_is_killed() {
    let kills = usize::try_from(number("CRASH_KILLS", KILLS as u64)).expect("a small number");
    let seed = number("CRASH_SEED", rand::random());
    println!("CRASH_SEED={seed} CRASH_KILLS={kills}");
    // Half of the run streams by drafts, the other half by a message that is edited.
    let mut total = Tally::default();
    for (drafts, kills) in [(true, kills / 2), (false, kills - kills / 2)] {
        let tally = campaign(seed, kills, drafts).await;
        total.messages += tally.messages;
        total.lost.extend(tally.lost);
        total.given_up += tally.given_up;
        total.doubled.extend(tally.doubled);
        total.out_of_order.extend(tally.out_of_order);
    }
    println!(
        "crash campaign: {kills} kills, {} messages, {} lost, {} given up aloud, {} doubled, {} out of order",
        total.messages,
        total.lost.len(),
        total.given_up,
        total.doubled.len(),
        total.out_of_order.len()
    );
    let wrong = [&total.lost, &total.doubled, &total.out_of_order];
    assert!(
        wrong.iter().all(|list| list.is_empty()),
        "CRASH_SEED={seed} {total:#?}"
    );
}

async fn campaign(seed: u64, kills: usize, drafts: bool) -> Tally {
    let telegram = TelegramServer::start(TelegramOptions {
        drafts,
        flood: None,
        ..Default::default()
    })
    .await;
    let model = OpenAiServer::start().await;
    let pace = (Duration::from_millis(5), Duration::from_millis(4));
    model.reply_with(move |request| Script::echo(request).paced(pace.0, pace.1));
    for person in 1..=PEOPLE {
        telegram.person(person, &format!("Person {person}"), "en");
    }
    // Answers that come late or never, so that kills find deliveries in doubt.
    let late = Fault::DelayAnswer(Duration::from_millis(60));
    let mut faults = vec![late; 8];
    faults.extend([Fault::DropAfter, Fault::DropBefore]);
    telegram.chaos(seed, 0.2, &faults, &["sendMessage", "editMessageText"]);
    let mut random = StdRng::seed_from_u64(seed ^ u64::from(drafts));
    let mut house = Tertulia::start(&config(&telegram, &model), &[]).await;
    let mut asked: HashMap<i64, usize> = HashMap::new();
    for _ in 0..kills {
        let until = Instant::now() + Duration::from_millis(random.random_range(30..600));
        while Instant::now() < until {
            let person = random.random_range(1..=PEOPLE);
            let number = asked.entry(person).or_default();
            // Who is not answered waits; past a bound the house would refuse more, rightly.
            if telegram.replies(person).len() + WAITING_MAX > *number {
                telegram.say(person, person, &question(person, *number));
                *number += 1;
            }
            // The pace of people, not a wait for something.
            tokio::time::sleep(Duration::from_millis(random.random_range(5..60))).await;
        }
        house.kill9().await;
        house.launch();
        if random.random_bool(0.7) {
            // Otherwise it is killed while it starts, too.
            house.ready().await;
        }
    }
    house.ready().await;
    telegram.chaos(seed, 0.0, &[], &[]);
    let expected: usize = asked.values().sum();
    let answered = |telegram: &Arc<TelegramServer>| {
        (1..=PEOPLE)
            .map(|person| {
                let shown = telegram.replies(person);
                let asked = asked.get(&person).copied().unwrap_or(0);
                let answered = |n| shown.iter().any(|m| m.text == echo(person, n));
                (0..asked).filter(|&n| answered(n)).count() + given_up(&shown)
            })
            .sum::<usize>()
    };
    let begun = Instant::now();
    while answered(&telegram) < expected && begun.elapsed() < CALM {
        let before = telegram.ledger().len();
        let moved = telegram.wait_until(|view| view.ledger().len() > before, CALM);
        if tokio::time::timeout(Duration::from_secs(20), moved)
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(house.terminate().await, Some(0), "it stops cleanly");
    tally(&telegram, &asked)
}

/// What a person is told when a turn is given up.
const GIVEN_UP: &str = "Something went wrong on my side";

fn given_up(replies: &[Shown]) -> usize {
    replies
        .iter()
        .filter(|reply| reply.text.starts_with(GIVEN_UP))
        .count()
}

fn echo(person: i64, number: usize) -> String {
    format!("echo: {}", question(person, number))
}

/// What the people see in the end, and in which order it came.
fn tally(telegram: &TelegramServer, asked: &HashMap<i64, usize>) -> Tally {
    let mut tally = Tally {
        messages: asked.values().sum(),
        ..Tally::default()
    };
    for (&person, &count) in asked {
        let replies = telegram.replies(person);
        let mut lost = Vec::new();
        let mut last = None;
        for number in 0..count {
            let text = echo(person, number);
            let places: Vec<usize> = replies
                .iter()
                .enumerate()
                .filter(|(_, reply)| reply.text == text)
                .map(|(place, _)| place)
                .collect();
            match places[..] {
                [] => lost.push(text),
                [place] => {
                    if last.is_some_and(|last| last > place) {
                        tally.out_of_order.push(text);
                    }
                    last = Some(place);
                }
                _ => tally.doubled.push(text),
            }
        }
        // Whoever was told that it went wrong was not left without an answer.
        let told = given_up(&replies).min(lost.len());
        tally.given_up += told;
        tally.lost.extend(lost.into_iter().skip(told));
        // An early message that nobody completed would be half an answer for ever.
        let expected = |text: &str| {
            text.starts_with(GIVEN_UP) || (0..count).any(|number| text == echo(person, number))
        };
        let strange = replies.iter().filter(|reply| !expected(&reply.text));
        tally
            .doubled
            .extend(strange.map(|reply| format!("left over: {:?}", reply.text)));
    }
    tally
}

#[tokio::test]
async fn a_turn_that_takes_the_process_down_three_times_is_given_up_aloud() {
    let telegram = TelegramServer::start(TelegramOptions::default()).await;
    let model = OpenAiServer::start().await;
    let patience = Duration::from_secs(20);
    model.reply_with(|request| match request.last_user() {
        "the one" => Script::echo(request).paced(Duration::from_secs(60), Duration::ZERO),
        _ => Script::echo(request),
    });
    let ada = telegram.person(7, "Ada", "en");
    let mut house = Tertulia::start(&config(&telegram, &model), &[]).await;
    telegram.say(ada, ada, "the one");
    telegram.say(ada, ada, "the next");
    for attempt in 1..=3 {
        model
            .wait_until(|model| model.requests().len() == attempt, patience)
            .await;
        house.restart().await;
    }
    for text in [GIVEN_UP, "echo: the next"] {
        let there = |replies: &[Shown]| replies.iter().any(|m| m.text.starts_with(text));
        telegram
            .wait_until(|view| there(&view.replies(ada)), patience)
            .await;
    }
    assert_eq!(model.requests().len(), 4, "it is not tried a fourth time");
    assert_eq!(telegram.replies(ada).len(), 2);
}
