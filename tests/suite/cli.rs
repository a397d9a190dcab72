//! The command line: results on stdout, words for people on stderr, and the exit codes
//! 0 done, 1 failed, 2 wrong usage or config.

use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use world::openai::{OpenAiServer, Script};
use world::process::{House, Tertulia, binary};

use crate::visitor::{SOON, Visitor};

const CONFIG: [&str; 2] = ["--config", "tertulia.toml"];

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("stdout is text")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("stderr is text")
}

/// Runs a command and checks its exit code; what it wrote.
async fn run(house: &House, args: &[&str], code: i32) -> (String, String) {
    let output = house.run(args).await;
    let (out, err) = (out(&output), err(&output));
    assert_eq!(output.status.code(), Some(code), "{args:?}:\n{out}\n{err}");
    assert!(
        !err.contains("backtrace") && !err.contains("panicked"),
        "{args:?}: {err}"
    );
    (out, err)
}

fn remote(server: &OpenAiServer) -> String {
    format!(
        r#"
[server]
listen = "{{listen}}"
[models.gpt]
kind = "openai"
base_url = "{}"
api_key = "${{CANARY_KEY}}"
model = "scripted"
retries = 0
[personas.default]
models = ["gpt"]
"#,
        server.base_url()
    )
}

const KEY: [(&str, &str); 1] = [("CANARY_KEY", "CANARY-sk-1")];

#[tokio::test]
async fn wrong_usage_is_2_and_help_is_a_result() {
    let house = House::new("", &[]);
    let wrong: [&[&str]; 6] = [
        &["serv"],
        &["serve", "--no-such"],
        &["config"],
        &["model", "pull"],
        &["person", "export"],
        &["backup"],
    ];
    for args in wrong {
        let (out, err) = run(&house, args, 2).await;
        assert!(
            out.is_empty() && err.contains("Usage"),
            "{args:?}: {out}{err}"
        );
    }
    for args in [["--help"], ["--version"]] {
        let (out, err) = run(&house, &args, 0).await;
        assert!(out.contains("ertulia") && err.is_empty(), "{out}{err}");
    }
    let (_, err) = run(&house, &["check", "--config", "nowhere.toml"], 2).await;
    let (out, _) = run(&house, &["check", "--config", "nowhere.toml"], 2).await;
    assert!(
        out.contains("nowhere.toml") || err.contains("nowhere.toml"),
        "{out}{err}"
    );
    let (_, err) = run(&house, &["chat", "--persona", "nobody", "hello"], 2).await;
    assert!(err.contains("nobody") && err.contains("default"), "{err}");
}

#[tokio::test]
async fn check_names_every_problem_with_its_place() {
    let wrong = "[server]\nlisten = \"nope\"\nwach = true\n\n[personas.default]\nmodels = [\"gone\"]\n\
                 temperature = 9\n[models.gpt]\nkind = \"openai\"\nmodel = 7\n\
                 api_key = \"${NO_SUCH_VARIABLE}\"\nbase_url = \"http://127.0.0.1:9/v1\"\n";
    let house = House::new(wrong, &[]);
    let (out, _) = run(&house, &["check", "--config", "tertulia.toml"], 2).await;
    let places: Vec<&str> = out.lines().collect();
    for start in [
        "tertulia.toml:2:10: server.listen: ",
        "tertulia.toml:3:1: server.wach: ",
        "tertulia.toml:6:11: personas.default.models[0]: ",
        "tertulia.toml:7:15: personas.default.temperature: ",
        "tertulia.toml:10:9: models.gpt.model: ",
    ] {
        assert!(
            places.iter().any(|line| line.starts_with(start)),
            "no {start} in:\n{out}"
        );
    }
    // Every command that reads the config says the same.
    for command in ["serve", "doctor", "chat"] {
        let (_, err) = run(&house, &[command, "--config", "tertulia.toml"], 2).await;
        assert!(
            err.contains("tertulia.toml:3:1: server.wach: "),
            "{command}: {err}"
        );
    }
    house.write_config("[server\n");
    let (out, _) = run(&house, &["check", "--config", "tertulia.toml"], 2).await;
    assert!(out.starts_with("tertulia.toml:1:8: not TOML"), "{out}");
}

#[tokio::test]
async fn any_key_can_be_overridden_also_of_what_is_built_in() {
    let env = [
        (
            "TELEGRAM_TOKEN",
            "123456:CANARY-abcdefghijklmnopqrstuvwxyz01234",
        ),
        (
            "TERTULIA__ACCOUNTS__TELEGRAM__API_URL",
            "http://127.0.0.1:9",
        ),
        ("TERTULIA__MODELS__LOCAL__CONTEXT", "2048"),
        ("TERTULIA__PERSONAS__DEFAULT__MAX_TOKENS", "77"),
        ("TERTULIA__SERVER__LISTEN", "127.0.0.1:8099"),
    ];
    let house = House::new("", &env);
    let (out, _) = run(&house, &["config", "show"], 0).await;
    for line in [
        "platform = \"telegram\"",
        "api_url = \"http://127.0.0.1:9\"",
        "context = 2048",
        "source = \"smollm2-135m-instruct\"",
        "max_tokens = 77",
        "listen = \"127.0.0.1:8099\"",
    ] {
        assert!(out.contains(line), "no {line} in:\n{out}");
    }
    assert!(!out.contains("CANARY"), "{out}");
}

#[tokio::test]
async fn the_config_is_written_once_shown_without_secrets_and_described() {
    let house = House::new("", &[]);
    let (out, err) = run(&house, &["config", "init"], 0).await;
    assert!(
        out.is_empty() && err.contains("config/tertulia.toml"),
        "{out}{err}"
    );
    run(&house, &["check"], 0).await;
    let file = house.dir().join("config/tertulia.toml");
    std::fs::write(&file, "# mine\n").expect("it can be written");
    let (_, err) = run(&house, &["config", "init"], 1).await;
    assert!(err.contains("is there already"), "{err}");
    assert_eq!(
        std::fs::read_to_string(&file).expect("it is there"),
        "# mine\n"
    );

    let (out, _) = run(&house, &["config", "schema"], 0).await;
    let golden = include_str!("../../config/schema.json");
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(
        json(&out),
        json(golden),
        "config/schema.json is out of date"
    );

    let secrets = r#"
[server]
admin_token = "CANARY-1"
[storage]
url = "postgres://me:CANARY-2@db/t"
[accounts.bot]
platform = "telegram"
token = "123456:CANARY-3-abcdefghijklmnopqrstuvwxyz"
[models.gpt]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
api_key = "${CANARY_KEY}"
model = "m"
[api_keys]
editor = "CANARY-4"
"#;
    let house = House::new(secrets, &KEY);
    let (out, err) = run(&house, &["config", "show", "--config", "tertulia.toml"], 0).await;
    assert!(
        out.contains("[accounts.bot]") && out.contains("***"),
        "{out}"
    );
    assert!(
        !out.contains("CANARY-") && !err.contains("CANARY-"),
        "{out}{err}"
    );
    let (out, err) = run(&house, &["serve", "--config", "tertulia.toml"], 1).await;
    assert!(
        err.contains("storage.url") && err.contains("sqlite:"),
        "{err}"
    );
    assert!(
        !out.contains("CANARY-") && !err.contains("CANARY-"),
        "{out}{err}"
    );
}

#[tokio::test]
async fn models_are_listed_and_checked() {
    let house = House::new("", &[]);
    let (out, _) = run(&house, &["model", "list"], 0).await;
    let default = out
        .lines()
        .find(|line| line.starts_with("smollm2-135m-instruct"));
    assert!(
        default.is_some_and(|line| line.contains("98 MB") && line.contains("here")),
        "{out}"
    );
    let (json, _) = run(&house, &["model", "list", "--json"], 0).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let names: Vec<_> = json
        .as_array()
        .expect("a list")
        .iter()
        .map(|m| &m["name"])
        .collect();
    assert_eq!(names.len(), out.lines().count());
    let (out, _) = run(&house, &["model", "verify"], 0).await;
    let default = out
        .lines()
        .find(|line| line.starts_with("smollm2-135m-instruct"));
    assert!(default.is_some_and(|line| line.contains(" ok ")), "{out}");
    let (_, err) = run(&house, &["model", "pull", "no-such-model"], 1).await;
    assert!(err.contains("no-such-model"), "{err}");
}

#[tokio::test]
async fn one_answer_goes_to_stdout_and_nothing_else() {
    let server = OpenAiServer::start().await;
    server.require_key("CANARY-sk-1");
    let house = House::new(&remote(&server), &KEY);
    let ask = ["chat", CONFIG[0], CONFIG[1], "What", "is it?"];
    let (out, err) = run(&house, &ask, 0).await;
    assert_eq!((out.as_str(), err.as_str()), ("echo: What is it?\n", ""));
    let long = "word ".repeat(3000);
    server.reply_next(Script::say(&long));
    let (out, _) = run(&house, &ask, 0).await;
    assert_eq!(out.trim_end(), long.trim_end());

    // Without an answer there is nothing on stdout, and the exit code says so.
    server.reply_next(Script::refuse(500, "server_error", None));
    let (out, err) = run(&house, &ask, 1).await;
    assert_eq!(out, "");
    assert!(err.contains("could not get an answer"), "{err}");
    assert!(!err.contains("CANARY-sk-1"), "{err}");
    assert!(
        !house.dir().join("data").exists(),
        "a talk in the terminal leaves nothing behind"
    );
}

#[tokio::test]
async fn a_person_is_exported_and_forgotten() {
    let server = OpenAiServer::start().await;
    let mut house = Tertulia::start(&remote(&server), &KEY).await;
    let (ada, ben) = (
        Visitor::new(&house.base_url()).await,
        Visitor::new(&house.base_url()).await,
    );
    ada.talk().await.ask("remember the samovar").await;
    ben.talk().await.ask("remember the kettle").await;
    assert_eq!(house.terminate().await, Some(0));
    let person = |what, id| ["person", what, CONFIG[0], CONFIG[1], id];
    let (out, _) = run(house.house(), &person("export", &ada.person), 0).await;
    serde_json::from_str::<Value>(&out).expect("JSON");
    assert!(out.contains("samovar") && !out.contains("kettle"), "{out}");
    let (out, err) = run(house.house(), &person("forget", &ada.person), 0).await;
    assert!(out.is_empty() && err.contains("Erased"), "{out}{err}");
    let (out, _) = run(house.house(), &person("export", &ada.person), 0).await;
    assert!(!out.contains("samovar"), "{out}");
    let (out, _) = run(house.house(), &person("export", &ben.person), 0).await;
    assert!(out.contains("kettle"), "{out}");
    let (_, err) = run(house.house(), &person("export", "ada"), 1).await;
    assert!(err.contains("platform:id"), "{err}");
    // No file of the store holds it any more.
    for entry in std::fs::read_dir(house.house().dir().join("data")).expect("the store is there") {
        let path = entry.expect("it can be read").path();
        let bytes = std::fs::read(&path).expect("it can be read");
        let found = bytes.windows(7).any(|seven| seven == b"samovar");
        assert!(!found, "{} still knows", path.display());
    }
}

#[tokio::test]
async fn doctor_says_what_is_well_and_what_is_not() {
    let server = OpenAiServer::start().await;
    let house = House::new(&remote(&server), &KEY);
    let doctor = ["doctor", CONFIG[0], CONFIG[1], "--json"];
    let (out, _) = run(&house, &doctor, 0).await;
    let findings: Vec<Value> = serde_json::from_str(&out).expect("a list");
    let ok = |subject: &str, findings: &[Value]| {
        let found = findings.iter().find(|one| one["subject"] == subject);
        found.unwrap_or_else(|| panic!("nothing about {subject}: {findings:?}"))["ok"] == true
    };
    for subject in ["config", "clock", "storage", "model gpt", "account web"] {
        assert!(ok(subject, &findings), "{out}");
    }
    server.require_key("another");
    let (out, err) = run(&house, &doctor, 1).await;
    let findings: Vec<Value> = serde_json::from_str(&out).expect("a list");
    assert!(!ok("model gpt", &findings) && out.contains("key"), "{out}");
    assert!(
        !out.contains("CANARY") && !err.contains("CANARY"),
        "{out}{err}"
    );
    let (out, _) = run(&house, &doctor[..3], 1).await;
    assert!(
        out.lines().any(|line| line.starts_with("FAIL model gpt: ")),
        "{out}"
    );
}

#[tokio::test]
async fn a_second_house_on_the_same_store_or_door_is_told_so() {
    let server = OpenAiServer::start().await;
    let house = Tertulia::start(&remote(&server), &KEY).await;
    let serve = ["serve", CONFIG[0], CONFIG[1]];
    let (_, err) = run(house.house(), &serve, 1).await;
    assert!(
        err.contains("server.listen") && err.contains("in use"),
        "{err}"
    );
    let other = remote(&server).replace("{listen}", "127.0.0.1:0");
    let path = house.house().dir().join("other.toml");
    std::fs::write(&path, other).expect("it can be written");
    let (_, err) = run(house.house(), &["serve", "--config", "other.toml"], 1).await;
    assert!(
        err.contains("storage.url") && err.contains("in use"),
        "{err}"
    );
    assert_eq!(
        Visitor::new(&house.base_url())
            .await
            .talk()
            .await
            .ask("hi")
            .await
            .text,
        "echo: hi"
    );
}

#[tokio::test]
async fn a_broken_model_file_is_named_and_another_model_serves() {
    let server = OpenAiServer::start().await;
    let real = House::new("", &[])
        .run(&["model", "pull", "smollm2-135m-instruct"])
        .await;
    let real = out(&real).trim().to_owned();
    let whole = std::fs::read(&real).unwrap_or_else(|error| panic!("{real}: {error}"));
    let broken: [(&str, &[u8]); 5] = [
        ("truncated", &whole[..whole.len() / 3]),
        ("header-only", &whole[..2000]),
        (
            "garbage",
            b"\x13\x37 this is not a model, whatever its name says\n",
        ),
        (
            "page",
            b"<!doctype html><html><body>Not found</body></html>",
        ),
        ("empty", b""),
    ];
    let alone = |name: &str| {
        format!(
            "[server]\nlisten = \"{{listen}}\"\n[models.local]\nkind = \"candle\"\nsource = \"{name}.gguf\"\n"
        )
    };
    for (name, bytes) in broken {
        let house = House::new(&alone(name), &[]);
        std::fs::write(house.dir().join(format!("{name}.gguf")), bytes).expect("it can be written");
        let (_, err) = run(&house, &["serve", CONFIG[0], CONFIG[1]], 1).await;
        let last = err.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("tertulia: ") && last.contains(&format!("{name}.gguf")),
            "{err}"
        );
        let (_, err) = run(&house, &["chat", CONFIG[0], CONFIG[1], "hello"], 1).await;
        assert!(err.contains(&format!("{name}.gguf")), "{err}");
    }
    let house = House::new(&alone("missing"), &[]);
    let (_, err) = run(&house, &["serve", CONFIG[0], CONFIG[1]], 1).await;
    assert!(err.contains("missing.gguf"), "{err}");

    let both = format!(
        "{}[models.gpt]\nkind = \"openai\"\nbase_url = \"{}\"\nmodel = \"scripted\"\n\
         [personas.default]\nmodels = [\"local\", \"gpt\"]\n",
        alone("truncated"),
        server.base_url()
    );
    let house = House::new(&both, &[]);
    let file = house.dir().join("truncated.gguf");
    std::fs::write(file, broken[0].1).expect("it can be written");
    let mut house = house.spawn();
    house.ready().await;
    house.wait_for_line("truncated.gguf", SOON).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    let answer = talk.ask("hello").await.text;
    assert!(answer.starts_with("echo: hello"), "{answer}");
}

#[tokio::test]
async fn a_copy_is_made_while_serving_and_put_back() {
    let server = OpenAiServer::start().await;
    let mut house = Tertulia::start(&remote(&server), &KEY).await;
    let mut talk = Visitor::new(&house.base_url()).await.talk().await;
    talk.ask("before the copy").await;
    let on = |command, file| [command, CONFIG[0], CONFIG[1], file];
    let (out, err) = run(house.house(), &on("backup", "copy.db"), 0).await;
    assert!(out.is_empty() && err.contains("copy.db"), "{out}{err}");
    talk.ask("after the copy").await;
    // The other commands work beside the service too.
    run(house.house(), &["doctor", CONFIG[0], CONFIG[1]], 0).await;
    let id = talk.visitor.person.clone();
    let export = ["person", "export", CONFIG[0], CONFIG[1], &id];
    let (out, _) = run(house.house(), &export, 0).await;
    assert!(out.contains("after the copy"), "{out}");
    let (_, err) = run(house.house(), &on("restore", "copy.db"), 1).await;
    assert!(err.contains("in use"), "{err}");

    assert_eq!(house.terminate().await, Some(0));
    std::fs::write(house.house().dir().join("page.db"), "<html>").expect("it can be written");
    for wrong in ["page.db", "nowhere.db"] {
        let (_, err) = run(house.house(), &on("restore", wrong), 1).await;
        assert!(err.contains(wrong), "{err}");
    }
    run(house.house(), &on("restore", "copy.db"), 0).await;
    let (out, _) = run(house.house(), &export, 0).await;
    assert!(
        out.contains("before the copy") && !out.contains("after the copy"),
        "{out}"
    );
    house.restart().await;
    let mut talk = talk.visitor.talk_in(&talk.chat).await;
    assert_eq!(talk.ask("on we go").await.text, "echo: on we go");
    assert_eq!(
        talk.answers().await,
        ["echo: before the copy", "echo: on we go"]
    );
}

#[tokio::test]
async fn an_answer_in_the_terminal_can_be_stopped() {
    let server = OpenAiServer::start().await;
    server.reply_next(
        Script::say(&"on and ".repeat(500)).paced(Duration::ZERO, Duration::from_millis(20)),
    );
    let house = House::new(&remote(&server), &KEY);
    let mut child = Command::new(binary())
        .args(["chat", CONFIG[0], CONFIG[1], "hello"])
        .current_dir(house.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut first = [0; 16];
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    stdout
        .read_exact(&mut first)
        .await
        .expect("the answer begins at once");
    let pid = child.id().expect("it runs").to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status().await;
    assert!(kill.is_ok_and(|status| status.success()));
    let output = child.wait_with_output().await.expect("it ends");
    let text = [&first[..], &output.stdout].concat();
    let text = String::from_utf8(text).expect("stdout is text");
    assert!("on and ".repeat(500).starts_with(text.trim_end()), "{text}");
    assert_eq!(
        (output.status.code(), err(&output).as_str()),
        (Some(1), "tertulia: Stopped.\n")
    );
    server
        .wait_until(|server| server.disconnects() == 1, SOON)
        .await;
}
