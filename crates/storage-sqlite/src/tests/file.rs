//! What is particular to a file: one process at a time, copies, restarts, callers that go away.

use std::collections::BTreeMap;
use std::path::Path;

use futures::FutureExt;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tertulia_domain::{ConversationId, TurnEnd, TurnId, TurnState};
use tertulia_storage::contract::Scene;
use tertulia_storage::{Effect, Inbox, Next, People, Turns};

use super::memory;
use crate::store::MIGRATIONS;
use crate::{BackupError, OpenError, SqliteStorage};

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", file(folder).display())
}

fn file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("data").join("tertulia.db")
}

async fn open(folder: &TempDir) -> SqliteStorage {
    SqliteStorage::open(&url(folder)).await.unwrap()
}

#[tokio::test]
async fn the_contract_holds_across_writer_and_readers() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    tertulia_storage::contract::a_reply_stands_behind_what_it_answers(&store).await;
    store.close().await;
}

#[tokio::test]
async fn two_processes_never_share_a_file() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let second = SqliteStorage::open(&url(&folder)).await;
    let Err(error @ OpenError::InUse { .. }) = second else {
        panic!("opened twice");
    };
    let said = error.to_string();
    assert!(said.contains("tertulia.db"), "{said}");
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    store.close().await;
    open(&folder).await.close().await;
    let error = store.unfinished().await.unwrap_err();
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_newer_store_is_refused_with_a_remedy() {
    let folder = TempDir::new().unwrap();
    open(&folder).await.close().await;
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file(&folder))
        .connect()
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', 1, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let refused = SqliteStorage::open(&url(&folder)).await;
    assert!(matches!(refused, Err(OpenError::Newer(9999))));
}

#[tokio::test]
async fn addresses_that_are_none_and_files_that_are_none_are_told_apart() {
    for wrong in ["postgres://localhost/x", "sqlite:x.db?mode=wrong"] {
        let opened = SqliteStorage::open(wrong).await;
        assert!(matches!(opened, Err(OpenError::Address { .. })), "{wrong}");
    }
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    std::fs::write(file(&folder), "this is no database, however long it may be").unwrap();
    let opened = SqliteStorage::open(&url(&folder)).await;
    assert!(matches!(opened, Err(OpenError::Database(_))));
}

#[tokio::test]
async fn a_backup_is_whole_and_never_overwrites() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let mut scene = Scene::new(&store);
    let turn = scene.talk("@anna", "anna", "hello", "hi").await;
    let copy = folder.path().join("copies").join("one.db");
    store.backup(&copy).await.unwrap();
    let again = store.backup(&copy).await;
    assert!(matches!(again, Err(BackupError::Exists(_))));
    store.close().await;

    let copied = SqliteStorage::open(&format!("sqlite:{}", copy.display()))
        .await
        .unwrap();
    let found = copied.turn(turn.id).await.unwrap().unwrap();
    assert_eq!(found.state, TurnState::Ended(TurnEnd::Answered));
    copied.close().await;
}

/// Whether any of the store's files holds this text.
fn holds(folder: &TempDir, text: &str) -> bool {
    std::fs::read_dir(folder.path().join("data"))
        .unwrap()
        .any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
}

#[tokio::test]
async fn what_is_forgotten_is_overwritten_at_once() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let mut scene = Scene::new(&store);
    scene
        .talk("@anna", "anna", "a canary sings", "so it does")
        .await;
    assert!(holds(&folder, "a canary sings"));
    store.forget(&Scene::person("anna"), None).await.unwrap();
    assert!(!holds(&folder, "a canary sings"));
    store.close().await;
}

/// G8: a full disk is worth trying again, and the store works on once there is room.
#[tokio::test]
async fn a_full_disk_is_an_outage_and_nothing_more() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let mut scene = Scene::new(&store);
    scene.talk("@anna", "anna", "one", "1").await;
    let pages = async |statement: &'static str| {
        let set = store.write(move |connection| {
            Box::pin(async move {
                sqlx::query(statement).execute(connection).await?;
                Ok(())
            })
        });
        set.await.unwrap();
    };
    pages("PRAGMA max_page_count = 1").await;
    let long = "x".repeat(1 << 20);
    let prompt = scene.prompt("@anna", "anna", &long);
    let big = [scene.arrival("anna", vec![Effect::Prompt(Box::new(prompt))])];
    let prompt = scene.prompt("@ben", "ben", &long);
    let other = [scene.arrival("ben", vec![Effect::Prompt(Box::new(prompt))])];
    let (first, second) = tokio::join!(store.accept(&big), store.accept(&other));
    assert!(first.unwrap_err().is_transient());
    assert!(second.unwrap_err().is_transient());
    assert_eq!(store.counts().await.unwrap().queued, 0);
    pages("PRAGMA max_page_count = 1073741823").await;
    assert_eq!(store.accept(&big).await.unwrap().known, 0);
    assert_eq!(store.accept(&other).await.unwrap().known, 0);
    assert_eq!(store.counts().await.unwrap().queued, 2);
    store.close().await;
}

/// A caller that goes away leaves no transaction behind and no half of its work.
#[tokio::test]
async fn a_dropped_call_happens_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let mut scene = Scene::new(&store);
    let mut arrivals = Vec::new();
    for n in 0..200 {
        let prompt = scene.prompt("@anna", "anna", &n.to_string());
        arrivals.push(scene.arrival("anna", vec![Effect::Prompt(Box::new(prompt))]));
    }
    for (n, arrival) in arrivals.iter().enumerate() {
        let batch = std::slice::from_ref(arrival);
        // Polled a few times, then dropped wherever it stands.
        let mut call = Box::pin(store.accept(batch));
        for _ in 0..n % 4 {
            if call.as_mut().now_or_never().is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(call);
    }
    let accepted = store.accept(&arrivals).await.unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.queued, 200);
    assert!(accepted.known <= 200);
    store.close().await;
}

/// One caller's failure is its own, though it shared the commit with others.
#[tokio::test]
async fn work_that_fails_is_undone_alone() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let mut scene = Scene::new(&store);
    let turn = scene.ask("@anna", "anna", "one").await;
    let mut wrong = scene.reply(&turn, "wrong");
    wrong.subject = TurnId(777);
    let right = scene.reply(&turn, "right");
    let prompt = scene.prompt("@ben", "ben", "two");
    let arrival = scene.arrival("ben", vec![Effect::Prompt(Box::new(prompt))]);
    let batch = [arrival];
    let (first, second, third) = tokio::join!(
        store.finish(turn.id, &wrong),
        store.finish(turn.id, &right),
        store.accept(&batch),
    );
    assert!(first.is_err());
    assert_eq!(second.unwrap().unwrap()[0].content.text, "right");
    assert_eq!(third.unwrap().woken.len(), 1);
    store.close().await;
}

/// Each step has sample rows; all are applied in order with the rows of earlier steps in place.
#[tokio::test]
async fn steps_are_applied_in_order_with_data_in_place() {
    const SAMPLES: [(i64, &str); MIGRATIONS.len()] = [(
        1,
        "INSERT INTO conversations (id, account, chat, thread, person, private, owner, turns, \
           created_at, updated_at) VALUES (1, 'tg', '7', '', '', 1, 'telegram:7', 1, 1, 1); \
         INSERT INTO turns (id, conversation, number, account, chat, thread, private, person, \
           language, asks, ask, anchor, ready_at, created_at) \
           VALUES (1, 1, 1, 'tg', '7', '', 1, 'telegram:7', 'en', 'chat', '\"chat\"', 1, 1, 1); \
         INSERT INTO messages (id, conversation, turn, anchor, kind, person, name, text, at) \
           VALUES (1, 1, 1, 1, 'prompt', 'telegram:7', 'Anna', 'hello', 1);",
    )];
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("data")).unwrap();
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file(&folder))
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    for (step, sample) in SAMPLES {
        crate::store::steps()
            .run_to(step, &mut connection)
            .await
            .unwrap();
        sqlx::raw_sql(sample)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
    let store = open(&folder).await;
    let Next::Turn(turn) = store
        .take(ConversationId(1), tertulia_domain::Timestamp(2))
        .await
        .unwrap()
    else {
        panic!("the sample turn waits");
    };
    assert_eq!(store.asked(turn.id).await.unwrap()[0].text, "hello");
    store.close().await;
}

#[test]
fn every_step_in_the_folder_is_known() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/sqlite");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let known = MIGRATIONS.map(|(number, name, _)| format!("{number:04}_{name}.sql"));
    assert_eq!(files, known);
}

/// A small generator of numbers, the same every time (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

/// Promises G1, G2 and G10 under random interleavings of arrivals, repeats, answers and crashes.
#[tokio::test]
async fn every_prompt_ends_once_in_order_in_its_conversation() {
    const CHATS: [&str; 4] = ["@anna", "@ben", "group", "forum"];
    for seed in [1, 0x5eed, 0xdead_beef_u64] {
        let folder = TempDir::new().unwrap();
        let mut store = open(&folder).await;
        let mut dice = Dice(seed);
        // Scenes borrow a store; what they need of time and numbers is made in memory beside it.
        let maker = memory().await;
        let mut scene = Scene::new(&maker);
        let mut said: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut heard = Vec::new();
        let mut ids: BTreeMap<&str, ConversationId> = BTreeMap::new();
        let mut answered: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut steps = 0;
        loop {
            steps += 1;
            let chat = CHATS[dice.roll(CHATS.len())];
            match dice.roll(10) {
                0..=3 if steps < 150 => {
                    let text = format!("{chat} {steps}");
                    let prompt = scene.prompt(chat, chat.trim_start_matches('@'), &text);
                    let arrival = scene.arrival("any", vec![Effect::Prompt(Box::new(prompt))]);
                    let accepted = store.accept(std::slice::from_ref(&arrival)).await.unwrap();
                    ids.insert(chat, accepted.woken[0]);
                    said.entry(chat).or_default().push(text);
                    heard.push(arrival);
                }
                4 if !heard.is_empty() => {
                    let again = heard[dice.roll(heard.len())].clone();
                    assert_eq!(store.accept(&[again]).await.unwrap().known, 1);
                }
                5 if dice.roll(4) == 0 => {
                    // The process dies; whatever ran was left as it stood.
                    store.close().await;
                    store = open(&folder).await;
                }
                _ => {
                    let Some(&id) = ids.get(chat) else { continue };
                    let Next::Turn(turn) = store.take(id, scene.wait(1)).await.unwrap() else {
                        continue;
                    };
                    if dice.roll(3) == 0 {
                        continue; // It died with its process, or was given back.
                    }
                    let text = store.asked(turn.id).await.unwrap()[0].text.clone();
                    let outcome = scene.reply(&turn, &format!("re {text}"));
                    assert!(store.finish(turn.id, &outcome).await.unwrap().is_some());
                    assert!(store.finish(turn.id, &outcome).await.unwrap().is_none());
                    answered.entry(chat).or_default().push(text);
                }
            }
            let counts = store.counts().await.unwrap();
            if steps >= 150 && counts.queued + counts.running == 0 {
                break;
            }
        }
        assert_eq!(answered, said);
        store.close().await;
        let store = open(&folder).await;
        for (chat, texts) in &said {
            let mut scene = Scene::new(&store);
            scene.now = scene.wait(1_000_000);
            let mut prompt = scene.prompt(chat, "late", "last");
            prompt.private = false;
            let mut arrival = scene.arrival("late", vec![Effect::Prompt(Box::new(prompt))]);
            arrival.key = format!("late {chat}");
            let id = store.accept(&[arrival]).await.unwrap().woken[0];
            let turn = scene.take(id).await;
            let context = scene
                .context_after(id, turn.id, tertulia_domain::MessageId(0), 1000)
                .await;
            let name = chat.trim_start_matches('@');
            let expected: Vec<String> = texts
                .iter()
                .flat_map(|text| [format!("{name}: {text}"), format!("us: re {text}")])
                .chain(["late: last".to_owned()])
                .collect();
            assert_eq!(context, expected);
        }
        store.close().await;
    }
}

/// How fast arrivals are committed; prints it, and asserts only that sharing commits helps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_callers_share_a_commit() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder).await;
    let maker = memory().await;
    let mut scene = Scene::new(&maker);
    let mut arrivals = |count: usize| -> Vec<_> {
        (0..count)
            .map(|n| {
                let chat = format!("@{}", n % 32);
                let mut prompt = scene.prompt(&chat, &chat, "hello");
                // Callers overtake each other here; none shall be a piece of another's prompt.
                prompt.ready_at = tertulia_domain::Timestamp(0);
                scene.arrival(&chat, vec![Effect::Prompt(Box::new(prompt))])
            })
            .collect()
    };
    let alone = arrivals(100);
    let started = std::time::Instant::now();
    for arrival in &alone {
        store.accept(std::slice::from_ref(arrival)).await.unwrap();
    }
    let alone_rate = 100.0 / started.elapsed().as_secs_f64();

    let together = arrivals(32 * 32);
    let started = std::time::Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for chunk in together.chunks(32) {
        let (store, chunk) = (store.clone(), chunk.to_vec());
        callers.spawn(async move {
            for arrival in chunk {
                store.accept(&[arrival]).await.unwrap();
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    let shared_rate = 1024.0 / started.elapsed().as_secs_f64();
    println!("accepts per second: {alone_rate:.0} by one caller, {shared_rate:.0} by 32");
    assert_eq!(store.counts().await.unwrap().queued, 1124);
    store.close().await;
}
