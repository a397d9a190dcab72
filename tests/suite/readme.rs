//! What the README says to type works when it is typed.
//!
//! Every command of its `sh` blocks is run in a new folder, with the built binary in the place of
//! `cargo run --release --`. A command of a form that is not known here fails the test, so that
//! none goes untested; likewise every `toml` block must be a config.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use world::process::{House, binary};
use world::telegram::{TelegramOptions, TelegramServer};

use crate::visitor::{SOON, client};

const README: &str = include_str!("../../README.md");

/// A line of a block: variables before the command, and its words.
#[derive(Debug, PartialEq)]
struct Line {
    env: Vec<(String, String)>,
    words: Vec<String>,
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in README.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(name)) => open = Some((name == language, String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, block)) = open.take() {
                    blocks.push(block);
                }
            }
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of the README is not closed");
    blocks
}

/// Cuts a line into words as a shell does, as far as a README needs it.
fn line(text: &str) -> Option<Line> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '#' if !quoted && word.is_none() => break,
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => {
                assert!(
                    quoted || !"|&;<>$`'\\()*".contains(c),
                    "too much of a shell: {text}"
                );
                word.get_or_insert_default().push(c);
            }
        }
    }
    words.extend(word);
    let is_variable = |word: &&String| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
    };
    let variables = words.iter().take_while(is_variable).count();
    let words = words.split_off(variables).into_iter().collect::<Vec<_>>();
    let env = text.split_whitespace().take(variables).filter_map(|word| {
        let (name, value) = word.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    let env: Vec<_> = env.collect();
    (!words.is_empty()).then_some(Line { env, words })
}

/// The binary in a folder, without what the developer's shell holds.
fn command(folder: &Path, listen: &str) -> Command {
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name.starts_with("TERTULIA_") || name.ends_with("_TOKEN") {
            command.env_remove(&key);
        }
    }
    command.env("TERTULIA__SERVER__LISTEN", listen);
    command
}

fn free_address() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    socket
        .local_addr()
        .expect("a bound socket has an address")
        .to_string()
}

/// Waits until the page is served.
async fn ready(child: &mut Child, listen: &str) {
    let page = async {
        loop {
            let answer = client().get(format!("http://{listen}/")).send().await;
            if let Ok(answer) = answer {
                assert_eq!(answer.status(), 200);
                let text = answer.text().await.expect("text");
                assert!(text.contains("<title>Tertulia</title>"), "{text}");
                let ready = client()
                    .get(format!("http://{listen}/health/ready"))
                    .send()
                    .await;
                assert_eq!(ready.expect("an answer").status(), 200);
                return;
            }
            let ended = child.try_wait().expect("a child can be asked");
            assert!(ended.is_none(), "it ended with {ended:?}");
            // Readiness of another process can only be asked for.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), page).await;
    waited.expect("it is ready within a minute");
}

/// Stops a service and waits for it.
async fn stop(mut child: Child) {
    let pid = child.id().expect("it runs").to_string();
    let kill = Command::new("kill").args(["-TERM", &pid]).status().await;
    assert!(kill.is_ok_and(|status| status.success()));
    let status = tokio::time::timeout(SOON, child.wait())
        .await
        .expect("it stops in time");
    assert_eq!(status.expect("a child can be waited for").code(), Some(0));
}

/// `cargo run --release` alone: with nothing at all it serves.
async fn serve(folder: &Path) {
    let listen = free_address();
    let mut command = command(folder, &listen);
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    ready(&mut child, &listen).await;
    stop(child).await;
    assert!(folder.join("data/tertulia.db").is_file());
}

/// The same with a token, at a Telegram that does not know it: the page is served all the same,
/// and the log says what is wrong with the account.
async fn serve_telegram(folder: &Path, env: &[(String, String)]) {
    let telegram = TelegramServer::start(TelegramOptions::default()).await;
    let listen = free_address();
    let mut command = command(folder, &listen);
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command.env("TERTULIA__ACCOUNTS__TELEGRAM__API_URL", telegram.api_url());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
    ready(&mut child, &listen).await;
    let told = async {
        while let Some(line) = lines.next_line().await.expect("stderr is text") {
            for (_, secret) in env {
                assert!(!line.contains(secret.as_str()), "the token is in the log");
            }
            if line.contains("telegram") && (line.contains("cannot go on") || line.contains("WARN"))
            {
                return;
            }
        }
        panic!("it ended without a word about the account");
    };
    tokio::time::timeout(SOON, told)
        .await
        .expect("it says what is wrong with the account");
    let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    stop(child).await;
    rest.await.expect("stderr ends with the process");
}

async fn run(folder: &Path, args: &[String]) {
    let mut command = command(folder, &free_address());
    let output = command.args(args).output().await.expect("it starts");
    assert!(
        output.status.success(),
        "{args:?}: {}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn every_command_of_the_readme_works() {
    let mut seen = 0;
    for block in blocks("sh") {
        let folder = TempDir::new().expect("a temporary folder");
        let folder = folder.path();
        for Line { env, words } in block.lines().filter_map(line) {
            let words_: Vec<&str> = words.iter().map(String::as_str).collect();
            match words_.as_slice() {
                ["cargo", "run", "--release"] if env.is_empty() => serve(folder).await,
                ["cargo", "run", "--release"] if env[0].0 == "TELEGRAM_TOKEN" => {
                    serve_telegram(folder, &env).await;
                }
                ["cargo", "run", "--release", "--", "bench", ..] => {
                    panic!("a bench takes too long for a test: say how to cover it here")
                }
                ["cargo", "run", "--release", "--", ..] if env.is_empty() => {
                    run(folder, &words[4..]).await;
                }
                // Whoever runs this test runs that.
                ["bash", "tests/run"] => {}
                _ => panic!("the README has a command that is not tested: {env:?} {words:?}"),
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} commands were found");
}

#[tokio::test]
async fn every_config_of_the_readme_is_valid() {
    let blocks = blocks("toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let house = House::new(&block, &[("OPENAI_API_KEY", "sk-test")]);
        let output = house.run(&["check", "--config", "tertulia.toml"]).await;
        let problems = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{problems}\n{block}");
    }
}

#[test]
fn words_are_cut_as_a_shell_cuts_them() {
    let words = |text: &str| line(text).map(|line| line.words.join("|"));
    assert_eq!(words("a \"b c\" d  # e"), Some("a|b c|d".into()));
    assert_eq!(words("# only a comment"), None);
    let telegram = line("TELEGRAM_TOKEN=1:A cargo run").expect("a command");
    assert_eq!(
        telegram.env,
        [("TELEGRAM_TOKEN".to_owned(), "1:A".to_owned())]
    );
    assert_eq!(telegram.words, ["cargo", "run"]);
}
