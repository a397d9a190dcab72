//! One table: who says what where, and what it asks for.

use std::collections::{HashMap, HashSet};

use tertulia_domain::{Attachment, AttachmentKind, Language, Place};
use tertulia_platform::{ReplyTo, Streaming};

use super::*;
use crate::settings::{Admission, AnswerTo, Buttons, Limits};

fn account() -> Account {
    Account {
        persona: "default".into(),
        answer: AnswerTo {
            mention: true,
            reply: true,
            command: true,
            all: false,
        },
        scope: Scope::Thread,
        admission: Admission::open(),
        buttons: Buttons {
            private: true,
            groups: false,
        },
    }
}

fn settings(account: Account) -> Settings {
    Settings {
        version: 1,
        personas: HashMap::new(),
        models: HashMap::new(),
        accounts: HashMap::from([("bot".into(), account)]),
        limits: Limits::default(),
        admins: HashSet::new(),
    }
}

fn said(text: &str) -> Said {
    Said {
        place: Place {
            account: "bot".into(),
            chat: "-1".into(),
            thread: Some("7".into()),
        },
        private: false,
        person: PersonId::new("telegram", "1"),
        name: "Anna".into(),
        handle: Some("anna".into()),
        chat_handle: None,
        automated: false,
        language: Language::English,
        message: "10".into(),
        reply_to: None,
        text: text.into(),
        mentioned: false,
        for_another: false,
        attachments: Vec::new(),
        bundle: None,
        at: Timestamp(0),
    }
}

fn reply(ours: bool, text: &str) -> ReplyTo {
    ReplyTo {
        message: "9".into(),
        ours,
        name: Some("Ben".into()),
        text: text.into(),
    }
}

/// A short form of what follows from a message at second 1.
fn follows(said: Said, account: Account) -> String {
    let capabilities = Capabilities {
        streaming: Streaming::None,
        buttons: true,
        typing_every: None,
        split_at: Some(20),
    };
    let now = Timestamp::from_secs(1);
    let update = Update {
        account: "bot".into(),
        key: "1".into(),
        raw: "{}".into(),
        event: Some(Event::Said(Box::new(said))),
        at: now,
    };
    let arrival = arrival(update, &settings(account), &capabilities);
    let mut lines = Vec::new();
    for effect in arrival.effects {
        lines.push(match effect {
            Effect::Stop { .. } => "stop".to_owned(),
            Effect::Aside { message, .. } => format!("aside {:?}", message.text),
            Effect::Prompt(prompt) => {
                let ask = match &prompt.ask {
                    Ask::Chat => "chat".to_owned(),
                    Ask::Command(c) => format!("command {} {:?}", c.name, c.rest),
                    other => format!("{other:?}"),
                };
                let message = prompt.message.expect("said");
                let wait = prompt.ready_at.since(now).as_millis();
                format!("{ask} {:?} {} +{wait}", message.text, message.kind.as_str())
            }
            other => format!("{other:?}"),
        });
    }
    lines.join("; ")
}

#[test]
fn in_a_group_only_what_is_meant_for_us_is_answered() {
    let check = |said: Said, expected: &str| assert_eq!(follows(said, account()), expected);

    check(said("hello all"), "aside \"hello all\"");
    check(
        Said {
            mentioned: true,
            ..said("hello")
        },
        "chat \"hello\" prompt +0",
    );
    check(
        Said {
            reply_to: Some(reply(true, "Hi")),
            ..said("and?")
        },
        "chat \"and?\" prompt +0",
    );
    check(
        Said {
            reply_to: Some(reply(false, "Hi")),
            ..said("and?")
        },
        "aside \"and?\"",
    );
    check(
        Said {
            reply_to: Some(reply(false, "Is\nit so")),
            mentioned: true,
            ..said("and?")
        },
        "chat \"> Ben: Is\\n> it so\\n\\nand?\" prompt +0",
    );
    check(said("/new"), "command new \"\" \"/new\" command +0");
    check(said("/weather Rome"), "aside \"/weather Rome\"");
    check(
        said("/weather@bot Rome"),
        "command weather \"Rome\" \"/weather@bot Rome\" command +0",
    );
    check(
        Said {
            for_another: true,
            ..said("/new@other")
        },
        "",
    );
    check(
        Said {
            automated: true,
            mentioned: true,
            ..said("hello")
        },
        "",
    );
    check(
        said("/stop"),
        "stop; command stop \"\" \"/stop\" command +0",
    );
    check(said("/retry"), "Retry(None) \"/retry\" command +0");
}

#[test]
fn in_private_everything_is_answered_and_pieces_are_waited_for() {
    let private = |text: &str| Said {
        private: true,
        ..said(text)
    };
    let check = |said: Said, expected: &str| assert_eq!(follows(said, account()), expected);

    check(private("hello"), "chat \"hello\" prompt +0");
    check(
        private("/nonsense"),
        "command nonsense \"\" \"/nonsense\" command +0",
    );
    check(
        private("a text of twenty ch."),
        "chat \"a text of twenty ch.\" prompt +1200",
    );
    let photo = Attachment {
        kind: AttachmentKind::Image,
        reference: "f".into(),
        name: None,
        media_type: None,
        bytes: None,
    };
    check(
        Said {
            bundle: Some("b".into()),
            attachments: vec![photo],
            ..private("")
        },
        "chat \"\" prompt +1000",
    );
}

#[test]
fn who_is_not_admitted_is_told_in_private_and_passed_over_in_groups() {
    let closed = || Account {
        admission: Admission {
            deny_people: vec!["@anna".into()],
            ..Admission::open()
        },
        ..account()
    };
    let private = Said {
        private: true,
        ..said("hello")
    };
    assert_eq!(
        follows(private, closed()),
        "Refusal(NotAllowed) \"hello\" prompt +0"
    );
    assert_eq!(
        follows(
            Said {
                mentioned: true,
                ..said("hello")
            },
            closed()
        ),
        ""
    );
    assert_eq!(follows(said("hello"), closed()), "");
}

#[test]
fn a_person_scope_separates_people_in_one_thread() {
    let key = |person: &str| {
        let said = Said {
            person: PersonId::new("telegram", person),
            mentioned: true,
            ..said("hello")
        };
        let account = Account {
            scope: Scope::Person,
            ..account()
        };
        let capabilities = Capabilities {
            streaming: Streaming::None,
            buttons: false,
            typing_every: None,
            split_at: None,
        };
        let settings = settings(account.clone());
        match hear(&said, &account, &settings, &capabilities, Timestamp(0)).remove(0) {
            Effect::Prompt(prompt) => prompt.key,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(key("1"), key("2"));
    assert_eq!(key("1"), key("1"));
}
