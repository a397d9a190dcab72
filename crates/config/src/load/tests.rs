use std::io;
use std::path::Path as FilePath;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use crate::{
    Account, Answer, Config, EXAMPLE, Env, Mode, Model, Problems, Scope, Shards, load, parse,
};

fn no_files(_: &FilePath) -> io::Result<String> {
    Err(io::ErrorKind::NotFound.into())
}

fn env(variables: &[(&str, &str)]) -> Env {
    variables.iter().copied().collect()
}

fn read(text: &str) -> Result<Config, Problems> {
    parse(text, "t.toml", &Env::default(), &no_files)
}

/// The problems, one a line, without the file's name.
fn problems(text: &str) -> String {
    problems_with(text, &[])
}

fn problems_with(text: &str, variables: &[(&str, &str)]) -> String {
    match parse(text, "t.toml", &env(variables), &no_files) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string().replace("t.toml:", ""),
    }
}

/// The example with every commented line in use.
fn whole_example() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(code) if !code.starts_with(' ') => code,
        _ => line,
    });
    lines.fold(String::new(), |text, line| text + line + "\n")
}

const EXAMPLE_ENV: [(&str, &str); 5] = [
    ("TELEGRAM_TOKEN", "1:telegram-token"),
    ("DISCORD_TOKEN", "discord-token"),
    ("WEBHOOK_SECRET", "hook_secret-1"),
    ("OPENAI_API_KEY", "sk-key"),
    ("EDITOR_API_KEY", "editor-key"),
];

#[test]
fn nothing_configured_is_a_page_a_model_and_a_persona() {
    let config = Config::default_for(&Env::default()).unwrap();
    assert_eq!(config.accounts.keys().collect::<Vec<_>>(), ["web"]);
    assert_eq!(config.models.keys().collect::<Vec<_>>(), ["local"]);
    assert_eq!(config.personas["default"].models, ["local"]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.used_models().len(), 1);
    assert!(config.diff(&read("").unwrap()).changed.is_empty());
}

#[test]
fn tokens_in_the_environment_are_accounts() {
    let tokens = env(&[("TELEGRAM_TOKEN", "1:a"), ("DISCORD_TOKEN", "b"), ("X", "")]);
    let config = Config::default_for(&tokens).unwrap();
    assert_eq!(
        config.accounts.keys().collect::<Vec<_>>(),
        ["discord", "telegram", "web"]
    );
    let Account::Telegram(account) = &config.accounts["telegram"] else {
        panic!()
    };
    assert_eq!(account.token.expose_secret(), "1:a");

    let text = "[accounts.mine]\nplatform = 'telegram'\ntoken = '2:b'\n";
    let config = parse(text, "t.toml", &tokens, &no_files).unwrap();
    assert_eq!(
        config.accounts.keys().collect::<Vec<_>>(),
        ["discord", "mine", "web"]
    );
}

#[test]
fn the_example_is_what_is_built_in() {
    let example = parse(EXAMPLE, "example.toml", &Env::default(), &no_files).unwrap();
    let built_in = Config::default_for(&Env::default()).unwrap();
    assert_eq!(built_in.diff(&example).changed, Vec::<String>::new());
}

#[test]
fn the_example_is_valid_with_every_line_in_use() {
    let config = parse(&whole_example(), "e", &env(&EXAMPLE_ENV), &no_files).unwrap();
    let Account::Telegram(telegram) = &config.accounts["telegram"] else {
        panic!()
    };
    assert_eq!(telegram.mode, Mode::Polling);
    assert_eq!(
        telegram.groups.answer,
        [Answer::Mention, Answer::Reply, Answer::Command]
    );
    assert_eq!(telegram.groups.scope, Scope::Thread);
    assert!(telegram.buttons.private && !telegram.buttons.groups);
    let Account::Discord(discord) = &config.accounts["discord"] else {
        panic!()
    };
    assert_eq!(discord.shards, Shards::Auto);
    let Model::OpenAi(gpt) = &config.models["gpt"] else {
        panic!()
    };
    assert_eq!(gpt.timeout.total, Duration::from_secs(300));
    assert_eq!(config.personas["default"].models, ["gpt", "local"]);
    let tokens = config.limits.per_person.tokens.unwrap();
    assert!((tokens.amount - 200_000.0).abs() < f64::EPSILON);
}

#[test]
fn the_example_names_every_key_of_the_schema() {
    fn keys(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                map.values().for_each(|value| keys(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    keys(&crate::schema(), &mut found);
    assert!(found.len() > 50, "{found:?}");
    for key in found {
        let named = [format!("{key} ="), format!("[{key}"), format!(".{key}]")];
        assert!(
            named.iter().any(|name| EXAMPLE.contains(name)),
            "{key} is not in the example"
        );
    }
}

#[test]
fn the_published_schema_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/schema.json");
    let schema = serde_json::to_string_pretty(&crate::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &schema).unwrap();
    }
    let published = std::fs::read_to_string(path).unwrap();
    assert!(
        published == schema,
        "config/schema.json is stale: run with UPDATE_EXPECT=1"
    );
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = r#"
[server]
listen = "here"
drane = "10s"
watch = "yes"
lanes = 0

[storage]
url = "mysql://host/db"

[accounts.telegram]
platform = "telegram"
persona = "defualt"
groups = { answer = ["mention", "shout"], scope = 5 }

[accounts.other]
platform = "irc"

[accounts.late]
platform = "slack"

[accounts."a b"]
platform = "web"

[models.gpt]
kind = "openai"
base_url = "example.org"
timeout = { total = "5 minutes" }
price = { input = -1 }

[models.later]
kind = "anthropic"

[models.kindless]
source = "x"

[personas.default]
models = ["local", "gtp", "local"]
temperature = 7
max_tokens = -3
stop = [""]

[limits]
per_person = { messages = "often" }

[roles]
admin = ["ann"]

[extra]
"#;
    let expected = r#"
3:10: server.listen: "here" is not an address such as "127.0.0.1:8080" or "[::]:8080"
4:1: server.drane: there is no such key; did you mean "drain"?
5:9: server.watch: expected true or false, found "yes"
6:9: server.lanes: it must be from 1 to 10000
9:7: storage.url: it is neither sqlite:PATH nor postgres://HOST/NAME
11:1: accounts.telegram.token: it is missing
13:11: accounts.telegram.persona: there is no persona "defualt"; did you mean "default"?
14:33: accounts.telegram.groups.answer[1]: "shout" is not one of "mention", "reply", "command", "all"
14:51: accounts.telegram.groups.scope: expected one of "person", "thread", "chat", found 5
17:12: accounts.other.platform: "irc" is not one of "telegram", "discord", "web"
20:12: accounts.late.platform: "slack" is not supported yet
22:11: accounts.a b: a name has 1 to 64 of the letters A-Z a-z 0-9 _ -
25:1: models.gpt.model: it is missing
27:12: models.gpt.base_url: "example.org" is not an address https://HOST or http://HOST
28:21: models.gpt.timeout.total: "5 minutes" is not a duration such as "10s", "5m", "1h30m" or "365d"
29:19: models.gpt.price.input: it must be from 0 to 1000000
32:8: models.later.kind: "anthropic" is not supported yet
34:1: models.kindless.kind: it is missing
38:20: personas.default.models[1]: there is no model "gtp"; did you mean "gpt"?
38:27: personas.default.models[2]: it is named twice
39:15: personas.default.temperature: it must be from 0 to 5
40:14: personas.default.max_tokens: expected a whole number of at least 0, found -3
41:9: personas.default.stop[0]: it is empty
44:27: limits.per_person.messages: "often" is not a rate such as "20/min" or "200k/day"
47:10: roles.admin[0]: "ann" is not a person such as "telegram:123456"
49:2: extra: there is no such key; there are "server", "storage", "accounts", "models", "personas", "limits", "roles", "api_keys"
"#;
    let got = problems(text);
    assert_eq!(got, expected.trim(), "\n{got}");
}

#[test]
fn webhooks_need_an_address_and_a_secret() {
    let account = "[accounts.t]\nplatform = 'telegram'\ntoken = '1:a'\nmode = 'webhook'\n";
    assert_eq!(
        problems(account),
        "1:1: accounts.t.webhook_secret: webhook mode needs it, and its variable, if any, must be \
         set\n1:1: accounts.t.webhook_url: webhook mode needs it"
    );
    let wrong = format!("{account}webhook_url = 'http://b.example'\nwebhook_secret = 'a b'\n");
    assert_eq!(
        problems(&wrong),
        "5:15: accounts.t.webhook_url: \"http://b.example\" is not an address https://HOST\n\
         6:18: accounts.t.webhook_secret: it must have 1 to 256 of the letters A-Z a-z 0-9 _ -"
    );
    for url in ["https://b.example/x", "http://127.0.0.1:8080"] {
        let right = format!("{account}webhook_url = '{url}'\nwebhook_secret = 'a-B_9'\n");
        assert_eq!(problems(&right), "");
    }
}

#[test]
fn wrong_shapes_are_told_in_words() {
    let cases = [
        ("accounts = 5", "1:12: accounts: expected a table, found 5"),
        (
            "accounts.web = 'web'",
            "1:16: accounts.web: expected a table, found \"web\"",
        ),
        (
            "models.m = []",
            "1:12: models.m: expected a table, found a list",
        ),
        (
            "models.m.kind = 5",
            "1:17: models.m.kind: expected a string, found 5",
        ),
        (
            "server.watch = 1979-05-27",
            "1:16: server.watch: expected true or false, found a date",
        ),
        (
            "personas.default.stop = 'x'",
            "1:25: personas.default.stop: expected a list, found \"x\"",
        ),
        (
            "server.listen = {}",
            "1:17: server.listen: expected a string, found a table",
        ),
        (
            "accounts.w = { platform = 'web', x = 1 }",
            "1:34: accounts.w.x: there is no such key; there are \"persona\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn errors_of_syntax_have_a_place() {
    let got = problems("[server]\nlisten = \n\n[server]\nx = [1,\n");
    assert!(got.starts_with("2:"), "{got}");
    assert!(got.lines().all(|line| line.contains("not TOML: ")), "{got}");
    assert_eq!(problems("a = 1\na = 2\n"), "2:1: not TOML: duplicate key");
}

#[test]
fn an_unset_variable_is_a_problem_but_for_optional_secrets() {
    let text = "[server]\nadmin_token = '${ADMIN}'\n\n\
                [accounts.t]\nplatform = 'telegram'\ntoken = '${MY_TOKEN}'\n\n\
                [models.m]\nkind = 'openai'\nbase_url = 'http://h'\nmodel = 'x'\n\
                api_key = '${KEY}'\n";
    let problem = "6:9: accounts.t.token: the environment variable MY_TOKEN is not set";
    assert_eq!(problems(text), problem);
    let set = env(&[("MY_TOKEN", "1:a"), ("ADMIN", "s3cret")]);
    let config = parse(text, "t", &set, &no_files).unwrap();
    assert_eq!(config.server.admin_token.unwrap().expose_secret(), "s3cret");
    let Model::OpenAi(model) = &config.models["m"] else {
        panic!()
    };
    assert!(model.api_key.is_none());
}

#[test]
fn variables_override_keys() {
    let variables = [
        ("TERTULIA__SERVER__LISTEN", "0.0.0.0:9"),
        ("TERTULIA__SERVER__LANES", "3"),
        ("TERTULIA__SERVER__ADMIN_TOKEN", "12345"),
        ("TERTULIA__MODELS__BIG_ONE__API_KEY", "sk-$${x}"),
        ("TERTULIA__PERSONAS__DEFAULT__STOP", "['a', 'b']"),
        ("TERTULIA__STORAGE__RETENTION", "0"),
    ];
    let text = "[models.Big-One]\nkind = 'openai'\nbase_url = 'http://h'\nmodel = 'x'\n";
    let config = parse(text, "t", &env(&variables), &no_files).unwrap();
    assert_eq!(config.server.listen.port(), 9);
    assert_eq!(config.server.lanes, 3);
    assert_eq!(config.server.admin_token.unwrap().expose_secret(), "12345");
    assert_eq!(config.personas["default"].stop, ["a", "b"]);
    assert_eq!(config.storage.retention, Duration::ZERO);
    let Model::OpenAi(model) = &config.models["Big-One"] else {
        panic!()
    };
    assert_eq!(model.api_key.as_ref().unwrap().expose_secret(), "sk-$${x}");

    let wrong = [
        ("TERTULIA__SERVER__LANES", "many"),
        ("TERTULIA__SERVER__LISTEN__PORT", "1"),
        ("TERTULIA__SERVER__DRAIN", "hidden"),
        ("TERTULIA__SERVRE__LANES", "3"),
    ];
    assert_eq!(
        problems_with("server.listen = '127.0.0.1:1'", &wrong),
        "TERTULIA__SERVER__DRAIN:1:1: server.drain: *** is not a duration such as \"10s\", \
         \"5m\", \"1h30m\" or \"365d\"\n\
         TERTULIA__SERVER__LANES:1:1: server.lanes: expected a whole number of at least 0, found \
         ***\n\
         TERTULIA__SERVER__LISTEN__PORT:1:1: server.listen: it has no keys of its own to \
         override\n\
         TERTULIA__SERVRE__LANES:1:1: servre: there is no such key; did you mean \"server\"?"
    );
}

#[test]
fn secrets_are_never_shown() {
    let variables = [
        ("S", "s3cret"),
        ("TERTULIA__LIMITS__PER_CHAT__TOKENS", "s3cret"),
    ];
    let wrong = "server.drain = '${S}'\npersonas.default.models = ['${S}']\n\
                 accounts.t.platform = '${S}'\nroles.admin = ['${S}']\n\
                 accounts.u = { platform = 'telegram', token = 's3cret ' }\n";
    let told = problems_with(wrong, &variables);
    assert_eq!(told.lines().count(), 6, "{told}");
    assert!(!told.contains("s3cret"), "{told}");
    assert!(told.contains(r#""${S}" is not a duration"#), "{told}");

    let config = parse(&whole_example(), "e", &env(&EXAMPLE_ENV), &no_files).unwrap();
    for shown in [
        config.shown(),
        config.shown_json().to_string(),
        format!("{config:?}"),
    ] {
        for (_, secret) in EXAMPLE_ENV {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    assert!(config.shown().contains("token = \"***\""));
    assert!(config.shown().contains("temperature = 0.7\n"));
    assert_eq!(config.shown_json()["personas"]["default"]["top_p"], 0.95);
}

#[test]
fn what_is_shown_can_be_read_again() {
    let config = parse(&whole_example(), "e", &env(&EXAMPLE_ENV), &no_files).unwrap();
    let again = read(&config.shown()).unwrap_err().to_string();
    // The two tokens are the same three stars now, and no webhook secret has stars.
    assert_eq!(again.lines().count(), 2, "{again}");

    let config = Config::default_for(&Env::default()).unwrap();
    assert!(
        config
            .diff(&read(&config.shown()).unwrap())
            .changed
            .is_empty()
    );
}

#[test]
fn a_change_says_what_waits_for_the_next_start() {
    let old = parse(&whole_example(), "e", &env(&EXAMPLE_ENV), &no_files).unwrap();
    let mut variables = EXAMPLE_ENV;
    variables[0].1 = "2:other";
    variables[3].1 = "sk-other";
    let new = whole_example()
        .replace("127.0.0.1:8080", "127.0.0.1:8081")
        .replace("temperature = 0.7", "temperature = 0.1")
        .replace("people = [\"*\"]", "people = [7, \"@ann\"]")
        .replace("[accounts.web]", "[accounts.page]")
        .replace("[models.local]", "[models.here]")
        .replace("\"gpt\", \"local\"", "\"gpt\", \"here\"");
    let new = parse(&new, "e", &env(&variables), &no_files).unwrap();
    let changes = old.diff(&new);
    assert_eq!(
        changes.changed,
        [
            "accounts.discord.allow.people",
            "accounts.page",
            "accounts.telegram.allow.people",
            "accounts.telegram.token",
            "accounts.web",
            "models.gpt.api_key",
            "models.here",
            "personas.default.models",
            "personas.default.temperature",
            "server.listen",
        ]
    );
    assert_eq!(
        changes.restart_required,
        [
            "accounts.page",
            "accounts.telegram.token",
            "accounts.web",
            "server.listen"
        ]
    );
}

#[test]
fn a_file_is_read_with_the_files_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tertulia.toml");
    std::fs::write(folder.path().join("token"), "1:a\n").unwrap();
    let text = "[accounts.t]\nplatform = 'telegram'\ntoken = '${file:token}'\n";
    std::fs::write(&path, text).unwrap();
    let config = load(&path, &Env::default()).unwrap();
    let Account::Telegram(account) = &config.accounts["t"] else {
        panic!()
    };
    assert_eq!(account.token.expose_secret(), "1:a");

    let missing = load(&folder.path().join("none.toml"), &Env::default()).unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("none.toml:1:1: cannot be read"),
        "{missing}"
    );
}

#[test]
fn a_flood_of_problems_is_cut_off() {
    let keys: Vec<String> = (0..5000).map(|number| format!("key{number} = 1")).collect();
    let text = keys.join(
        "
",
    );
    let count = problems(&text).lines().count();
    assert!((1..=200).contains(&count), "{count}");
}

/// A change of one place in a text.
#[derive(Clone, Debug)]
enum Mutation {
    Cut(prop::sample::Index, usize),
    Put(prop::sample::Index, String),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let piece = prop_oneof![
        "[\\PC\n]{1,8}",
        prop::sample::select(vec![
            "\"",
            "'",
            "[",
            "]",
            "{",
            "}",
            "=",
            "\n",
            "${",
            "${X}",
            "$",
            "-1",
            "1e999",
            "[[a]]\n",
            "\"\"",
            "true",
            "1979-05-27",
            "99999999999999999999",
            "é",
            "platform = \"web\"\n",
        ])
        .prop_map(str::to_owned),
    ];
    prop_oneof![
        (any::<prop::sample::Index>(), 1_usize..40).prop_map(|(at, n)| Mutation::Cut(at, n)),
        (any::<prop::sample::Index>(), piece).prop_map(|(at, text)| Mutation::Put(at, text)),
        (any::<prop::sample::Index>(), any::<prop::sample::Index>())
            .prop_map(|(a, b)| Mutation::Swap(a, b)),
    ]
}

fn apply(text: &str, mutation: &Mutation) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    match mutation {
        Mutation::Cut(at, count) => {
            let at = at.index(characters.len());
            let end = (at + count).min(characters.len());
            characters.drain(at..end);
        }
        Mutation::Put(at, piece) => {
            let at = at.index(characters.len() + 1);
            characters.splice(at..at, piece.chars());
        }
        Mutation::Swap(a, b) => {
            let mut lines: Vec<&str> = text.lines().collect();
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            lines.swap(a, b);
            return lines.join("\n");
        }
    }
    characters.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_problems_lie_within_the_file(
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let text = mutations.iter().fold(whole_example(), |text, mutation| {
            if text.is_empty() { text } else { apply(&text, mutation) }
        });
        if let Err(Problems(problems)) = parse(&text, "t", &env(&EXAMPLE_ENV), &no_files) {
            prop_assert!(!problems.is_empty());
            let lines: Vec<&str> = text.split('\n').collect();
            for problem in problems {
                if problem.file != "t" {
                    continue;
                }
                let line = lines.get(problem.line - 1);
                prop_assert!(line.is_some(), "{problem}");
                let columns = line.map_or(0, |line| line.chars().count()) + 1;
                prop_assert!((1..=columns).contains(&problem.column), "{problem}");
                prop_assert!(!problem.message.is_empty());
            }
        }
    }
}

#[test]
fn what_is_built_in_can_be_overridden_key_by_key() {
    let env = env(&[
        ("TELEGRAM_TOKEN", "123456:ABC"),
        (
            "TERTULIA__ACCOUNTS__TELEGRAM__API_URL",
            "http://127.0.0.1:9",
        ),
        ("TERTULIA__ACCOUNTS__WEB__PERSONA", "default"),
        ("TERTULIA__MODELS__LOCAL__CONTEXT", "2048"),
    ]);
    let config = Config::default_for(&env).unwrap();
    let Account::Telegram(telegram) = &config.accounts["telegram"] else {
        panic!()
    };
    assert_eq!(telegram.api_url, "http://127.0.0.1:9");
    assert_eq!(telegram.token.expose_secret(), "123456:ABC");
    let Model::Candle(local) = &config.models["local"] else {
        panic!()
    };
    assert_eq!(
        (local.context, local.source.as_str()),
        (2048, "smollm2-135m-instruct")
    );
    assert_eq!(config.accounts["web"].platform(), "web");

    // What the file leaves half done is no more built in than before.
    let half = "[accounts.telegram]\napi_url = \"http://127.0.0.1:9\"\n";
    assert!(parse(half, "f", &env, &no_files).is_err());
}
