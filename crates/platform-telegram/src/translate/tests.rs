//! Updates as the Bot API writes them, and what they mean to us.

#![expect(
    clippy::needless_pass_by_value,
    reason = "samples are written where they are used"
)]

use serde_json::json;
use tertulia_domain::PlatformMessageId;

use super::*;

const NOW: Timestamp = Timestamp(1_900_000_000_000);

fn me() -> Me {
    Me {
        id: 42,
        username: "tertulia_bot".to_owned(),
    }
}

fn translate(update: &Value) -> Translated {
    Translator {
        account: &"telegram".into(),
        me: &me(),
        now: NOW,
    }
    .update(&update.to_string())
    .expect("it has an id")
}

fn event(kind: &str, body: Value) -> Option<Event> {
    let translated = translate(&json!({ "update_id": 9, kind: body }));
    assert!(!translated.unreadable);
    translated.event
}

fn anna() -> Value {
    json!({"id": 7, "is_bot": false, "first_name": "Anna", "last_name": "Lee", "username": "anna",
           "language_code": "zh-hans"})
}

fn private() -> Value {
    json!({"id": 7, "type": "private", "first_name": "Anna", "username": "anna"})
}

fn group() -> Value {
    json!({"id": -1_001_234, "type": "supergroup", "title": "Friends", "username": "friends",
           "is_forum": true})
}

/// A message of Anna's with these fields on top.
fn message(chat: Value, fields: Value) -> Value {
    let mut message = json!({"message_id": 5, "date": 1_700_000_000, "chat": chat, "from": anna()});
    for (key, value) in fields.as_object().expect("fields") {
        message[key] = value.clone();
    }
    message
}

fn said(chat: Value, fields: Value) -> Said {
    match event("message", message(chat, fields)) {
        Some(Event::Said(said)) => *said,
        other => panic!("not said: {other:?}"),
    }
}

fn place(chat: &str, thread: Option<&str>) -> Place {
    Place {
        account: "telegram".into(),
        chat: chat.into(),
        thread: thread.map(Into::into),
    }
}

#[test]
fn a_private_message_says_everything_we_need() {
    assert_eq!(
        said(private(), json!({"text": "hello"})),
        Said {
            place: place("7", None),
            private: true,
            person: PersonId::new("telegram", "7"),
            name: "Anna Lee".to_owned(),
            handle: Some("anna".to_owned()),
            chat_handle: Some("anna".to_owned()),
            automated: false,
            language: Language::Chinese,
            message: PlatformMessageId::from("5"),
            reply_to: None,
            text: "hello".to_owned(),
            mentioned: false,
            for_another: false,
            attachments: vec![],
            bundle: None,
            at: Timestamp::from_secs(1_700_000_000),
        }
    );
}

#[test]
fn mentions_are_cut_off_the_ends_and_counted_in_utf16() {
    let mention = |offset: usize| json!([{"type": "mention", "offset": offset, "length": 13}]);
    for (text, entities, kept, mentioned) in [
        ("@tertulia_bot, hello", mention(0), "hello", true),
        ("@Tertulia_Bot hello", mention(0), "hello", true),
        ("hello @tertulia_bot", mention(6), "hello", true),
        ("@tertulia_bot", mention(0), "", true),
        ("🎉🎉 @tertulia_bot", mention(5), "🎉🎉", true),
        (
            "ask @tertulia_bot now",
            mention(4),
            "ask @tertulia_bot now",
            true,
        ),
        (
            "@somebody_bot hello",
            mention(0),
            "@somebody_bot hello",
            false,
        ),
        (
            "@tertulia_bot hello @tertulia_bot",
            json!([{"type": "mention", "offset": 0, "length": 13},
                   {"type": "mention", "offset": 20, "length": 13}]),
            "hello",
            true,
        ),
        (
            "T hello",
            json!([{"type": "text_mention", "offset": 0, "length": 1,
                    "user": {"id": 42, "is_bot": true, "first_name": "T"}}]),
            "hello",
            true,
        ),
        // Offsets that lie within a character, or nowhere, mean nothing.
        (
            "🎉 x",
            json!([{"type": "mention", "offset": 1, "length": 2}]),
            "🎉 x",
            false,
        ),
        (
            "x",
            json!([{"type": "mention", "offset": 70, "length": usize::MAX}]),
            "x",
            false,
        ),
        (
            "x",
            json!([{"type": "bold"}, {"type": "of the future", "offset": 0, "length": 1}]),
            "x",
            false,
        ),
    ] {
        let said = said(group(), json!({"text": text, "entities": entities}));
        assert_eq!(
            (said.text.as_str(), said.mentioned),
            (kept, mentioned),
            "{text}"
        );
    }
}

#[test]
fn commands_know_whom_they_are_for() {
    for (text, length, for_another, mentioned) in [
        ("/new", 4, false, false),
        ("/new@tertulia_bot", 17, false, true),
        ("/new@TERTULIA_bot x", 17, false, true),
        ("/new@other_bot", 14, true, false),
    ] {
        let entities = json!([{"type": "bot_command", "offset": 0, "length": length}]);
        let said = said(group(), json!({"text": text, "entities": entities}));
        assert_eq!(said.text, text);
        assert_eq!(
            (said.for_another, said.mentioned),
            (for_another, mentioned),
            "{text}"
        );
    }
}

#[test]
fn only_topics_are_threads() {
    let topic = json!({"text": "x", "message_thread_id": 77, "is_topic_message": true});
    assert_eq!(said(group(), topic).place, place("-1001234", Some("77")));
    let chain = json!({"text": "x", "message_thread_id": 77});
    assert_eq!(said(group(), chain).place, place("-1001234", None));
}

#[test]
fn replies_carry_what_they_answer() {
    let ours = json!({"message_id": 4, "date": 1, "chat": group(), "text": "our words",
        "from": {"id": 42, "is_bot": true, "first_name": "Tertulia"}});
    let reply = |fields: Value| said(group(), fields).reply_to;
    assert_eq!(
        reply(json!({"text": "why?", "reply_to_message": ours})),
        Some(ReplyTo {
            message: PlatformMessageId::from("4"),
            ours: true,
            name: Some("Tertulia".to_owned()),
            text: "our words".to_owned(),
        })
    );
    let quoted = reply(json!({"text": "why?", "reply_to_message": ours,
        "quote": {"text": "words", "position": 4}}));
    assert_eq!(quoted.map(|r| r.text).as_deref(), Some("words"));

    let opening = json!({"message_id": 77, "date": 1, "chat": group(),
        "from": {"id": 42, "is_bot": true, "first_name": "Tertulia"},
        "forum_topic_created": {"name": "Topic", "icon_color": 1}});
    let plain = json!({"text": "x", "message_thread_id": 77, "is_topic_message": true,
        "reply_to_message": opening});
    assert_eq!(
        reply(plain),
        None,
        "whatever stands in a topic seems to answer its opening"
    );
}

#[test]
fn files_become_attachments() {
    let photo = json!({"caption": "look", "media_group_id": "album",
        "photo": [{"file_id": "small", "file_unique_id": "s", "width": 90, "height": 90},
                  {"file_id": "large", "file_unique_id": "l", "width": 1280, "height": 720,
                   "file_size": 12345}]});
    let heard = said(private(), photo);
    assert_eq!(
        (heard.text.as_str(), heard.bundle.as_deref()),
        ("look", Some("album"))
    );
    assert_eq!(
        heard.attachments,
        [Attachment {
            kind: AttachmentKind::Image,
            reference: "large".to_owned(),
            name: None,
            media_type: Some("image/jpeg".to_owned()),
            bytes: Some(12345),
        }]
    );

    let file = json!({"file_id": "f", "file_unique_id": "u", "mime_type": "a/b",
        "file_name": "n", "file_size": 3});
    for (field, kind) in [
        ("voice", AttachmentKind::Audio),
        ("audio", AttachmentKind::Audio),
        ("video", AttachmentKind::Video),
        ("video_note", AttachmentKind::Video),
        ("document", AttachmentKind::Document),
        ("sticker", AttachmentKind::Other),
    ] {
        let heard = said(private(), json!({ field: file }));
        assert_eq!(heard.attachments.len(), 1, "{field}");
        assert_eq!(heard.attachments[0].kind, kind, "{field}");
        assert_eq!(heard.attachments[0].bytes, Some(3));
    }
    let gif = said(private(), json!({"animation": file, "document": file}));
    assert_eq!(gif.attachments.len(), 1, "an animation is one file");
    let where_we_meet = json!({"location": {"latitude": 1.0, "longitude": 2.0}});
    assert_eq!(
        said(private(), where_we_meet).attachments[0]
            .name
            .as_deref(),
        Some("location")
    );
}

#[test]
fn those_who_speak_through_a_chat_are_that_chat() {
    let admin = json!({"text": "x", "sender_chat": group(),
        "from": {"id": 1_087_968_824, "is_bot": true, "first_name": "Group",
                 "username": "GroupAnonymousBot"}});
    let heard = said(group(), admin);
    assert_eq!(heard.person, PersonId::new("telegram", "-1001234"));
    assert_eq!((heard.name.as_str(), heard.automated), ("Friends", false));

    let forward = json!({"text": "x", "is_automatic_forward": true,
        "sender_chat": {"id": -1009, "type": "channel", "title": "News"},
        "from": {"id": 777_000, "is_bot": false, "first_name": "Telegram"}});
    assert!(said(group(), forward).automated);

    let bot = json!({"text": "x", "from": {"id": 8, "is_bot": true, "first_name": "B"}});
    assert!(said(group(), bot).automated);
}

#[test]
fn groups_that_move_say_the_same_twice() {
    let expected = Some(Event::Moved(Moved {
        account: "telegram".into(),
        from: "-5".into(),
        to: "-1005".into(),
    }));
    let old = json!({"id": -5, "type": "group", "title": "G"});
    let new = json!({"id": -1005, "type": "supergroup", "title": "G"});
    assert_eq!(
        event(
            "message",
            message(old, json!({"migrate_to_chat_id": -1005}))
        ),
        expected
    );
    assert_eq!(
        event("message", message(new, json!({"migrate_from_chat_id": -5}))),
        expected
    );
}

#[test]
fn our_standing_decides_whether_a_chat_is_reached() {
    let change = |chat: Value, member: Value| {
        let body = json!({"chat": chat, "from": anna(), "date": 1,
            "old_chat_member": {"status": "member", "user": anna()}, "new_chat_member": member});
        match event("my_chat_member", body) {
            Some(Event::Reach(reach)) => reach.unreachable,
            other => panic!("{other:?}"),
        }
    };
    for (chat, member, expected) in [
        (
            private(),
            json!({"status": "kicked"}),
            Some(Unreachable::Blocked),
        ),
        (private(), json!({"status": "member"}), None),
        (
            group(),
            json!({"status": "kicked"}),
            Some(Unreachable::Removed),
        ),
        (
            group(),
            json!({"status": "left"}),
            Some(Unreachable::Removed),
        ),
        (group(), json!({"status": "administrator"}), None),
        (
            group(),
            json!({"status": "restricted", "is_member": true, "can_send_messages": false}),
            Some(Unreachable::Removed),
        ),
        (
            group(),
            json!({"status": "restricted", "is_member": true, "can_send_messages": true}),
            None,
        ),
    ] {
        assert_eq!(change(chat, member.clone()), expected, "{member}");
    }
}

#[test]
fn presses_are_ours_or_nothing_and_always_answered() {
    let query = |data: &str| {
        json!({"update_id": 3, "callback_query": {"id": "q", "from": anna(), "data": data,
            "chat_instance": "1", "message": {"message_id": 6, "date": 0, "chat": group()}}})
    };
    let ours = translate(&query("like:12"));
    assert_eq!(ours.callback.as_deref(), Some("q"));
    assert_eq!(
        ours.event,
        Some(Event::Pressed(Pressed {
            place: place("-1001234", None),
            private: false,
            person: PersonId::new("telegram", "7"),
            name: "Anna Lee".to_owned(),
            handle: Some("anna".to_owned()),
            language: Language::Chinese,
            button: Button {
                action: ButtonAction::Like,
                turn: TurnId(12),
            },
            at: NOW,
        }))
    );
    let foreign = translate(&query("menu:open"));
    assert_eq!(
        (foreign.callback.as_deref(), foreign.event),
        (Some("q"), None)
    );
}

#[test]
fn the_native_stop_button_stops_the_turn_of_its_draft() {
    let body = json!({"chat": private(), "draft_id": 31, "message_thread_id": 8});
    let Some(Event::Pressed(pressed)) = event("stopped_message_generation", body) else {
        panic!("not pressed");
    };
    assert_eq!(pressed.place, place("7", Some("8")));
    assert_eq!(pressed.person, PersonId::new("telegram", "7"));
    assert_eq!(
        pressed.button,
        Button {
            action: ButtonAction::Stop,
            turn: TurnId(31)
        }
    );
}

#[test]
fn reactions_name_the_new_emoji() {
    let react = |user: Value, old: Value, new: Value| {
        let body = json!({"chat": group(), "message_id": 6, "user": user, "date": 1_700_000_000,
            "old_reaction": old, "new_reaction": new});
        match event("message_reaction", body) {
            Some(Event::Reacted(reacted)) => Some(reacted.emoji),
            None => None,
            other => panic!("{other:?}"),
        }
    };
    let emoji = |e: &str| json!({"type": "emoji", "emoji": e});
    let custom = json!({"type": "custom_emoji", "custom_emoji_id": "1"});
    for (old, new, expected) in [
        (json!([]), json!([emoji("👍")]), Some(Some("👍".to_owned()))),
        (
            json!([emoji("👎")]),
            json!([emoji("👎"), emoji("👍")]),
            Some(Some("👍".to_owned())),
        ),
        (json!([emoji("👍")]), json!([]), Some(None)),
        (json!([emoji("👍")]), json!([custom]), Some(None)),
        (json!([]), json!([custom]), None),
    ] {
        assert_eq!(react(anna(), old, new.clone()), expected, "{new}");
    }
    let bot = json!({"id": 8, "is_bot": true, "first_name": "B"});
    assert_eq!(react(bot, json!([]), json!([emoji("👍")])), None);
    assert_eq!(react(Value::Null, json!([]), json!([emoji("👍")])), None);
}

#[test]
fn edits_carry_the_new_text() {
    let edit = message(
        group(),
        json!({"text": "better", "edit_date": 1_700_000_001}),
    );
    assert_eq!(
        event("edited_message", edit),
        Some(Event::Edited(Edited {
            place: place("-1001234", None),
            message: PlatformMessageId::from("5"),
            text: "better".to_owned(),
        }))
    );
}

#[test]
fn what_means_nothing_to_us_has_no_event() {
    for (kind, body) in [
        (
            "message",
            message(group(), json!({"new_chat_members": [anna()]})),
        ),
        (
            "message",
            message(group(), json!({"forum_topic_closed": {}})),
        ),
        (
            "message",
            message(
                group(),
                json!({"from": {"id": 42, "is_bot": true}, "text": "x"}),
            ),
        ),
        (
            "message",
            message(
                json!({"id": -1009, "type": "channel"}),
                json!({"text": "x"}),
            ),
        ),
        ("edited_message", message(group(), json!({"location": {}}))),
        ("channel_post", json!({"message_id": 1})),
        ("of_the_future", json!({})),
    ] {
        assert_eq!(event(kind, body), None, "{kind}");
    }
}

#[test]
fn the_unreadable_is_kept_and_told_apart() {
    let broken = translate(&json!({"update_id": 4, "message": {"message_id": "x"}}));
    assert_eq!(
        (broken.id, broken.event, broken.unreadable),
        (4, None, true)
    );
    for nothing in ["", "[]", "{}", r#"{"update_id":"x"}"#, "\u{0}"] {
        let translator = Translator {
            account: &"telegram".into(),
            me: &me(),
            now: NOW,
        };
        assert_eq!(translator.update(nothing), None, "{nothing}");
    }
}

#[test]
fn one_strange_field_does_not_cost_a_message() {
    let strange = json!({"text": "hello", "entities": "none", "photo": 7, "quote": [],
        "sticker": {"x": 1}, "reply_to_message": {"message_id": 1}, "message_thread_id": "a"});
    assert_eq!(said(private(), strange).text, "hello");
}

#[test]
fn names_are_bounded() {
    let long = "n".repeat(5000);
    let from = json!({"id": 7, "is_bot": false, "first_name": long, "username": long});
    let heard = said(private(), json!({"text": "x", "from": from}));
    assert_eq!(heard.name.len(), NAME_MAX);
    assert_eq!(heard.handle.map(|h| h.len()), Some(NAME_MAX));
}

/// Our samples are genuine: the types of `teloxide-core` read them too.
#[test]
fn the_samples_are_what_the_library_reads() {
    use teloxide_core::types::{CallbackQuery, Message, MessageReactionUpdated};

    fn reads<T: DeserializeOwned>(sample: &Value) {
        serde_json::from_str::<T>(&sample.to_string()).expect("it is genuine");
    }

    reads::<Message>(&message(private(), json!({"text": "hello"})));
    reads::<Message>(&message(
        group(),
        json!({"text": "x", "edit_date": 1_700_000_001, "message_thread_id": 77,
            "is_topic_message": true}),
    ));
    reads::<MessageReactionUpdated>(&json!({"chat": group(), "message_id": 6, "user": anna(),
        "date": 1_700_000_000, "old_reaction": [],
        "new_reaction": [{"type": "emoji", "emoji": "👍"}]}));
    reads::<CallbackQuery>(&json!({"id": "q", "from": anna(), "data": "like:12",
        "chat_instance": "1", "message": {"message_id": 6, "date": 0, "chat": group()}}));
}
