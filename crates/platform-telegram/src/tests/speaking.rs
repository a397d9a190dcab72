//! What is said, and what is known of it afterwards.

use serde_json::{Value, json};
use tertulia_domain::{Span, Style};
use tertulia_platform::{DeliverError, Platform, Preview, Settled, Streaming, Traces, Unreachable};

use super::server::{Reply, hanging_up};
use super::*;

fn bad(code: u16, description: &'static str) -> Reply {
    Reply::Bad(code, description, Value::Null)
}

fn flood(seconds: u64) -> Reply {
    let parameters = json!({"retry_after": seconds});
    Reply::Bad(429, "Too Many Requests: retry after N", parameters)
}

#[tokio::test]
async fn a_message_is_placed_with_its_buttons() {
    let server = Server::start().await;
    let placed = polling(&server).deliver(&outgoing("7")).await.unwrap();
    assert_eq!(placed, id(100));
    assert_eq!(
        server.calls("sendMessage"),
        [
            json!({"chat_id": 7, "text": "hello", "link_preview_options": {"is_disabled": true},
            "reply_markup": {"inline_keyboard": [[{"text": "🔄", "callback_data": "retry:5"}]]}})
        ]
    );
}

#[tokio::test]
async fn an_edit_that_changes_nothing_stands() {
    let server = Server::start().await;
    server.next(
        "editMessageText",
        bad(400, "Bad Request: message is not modified: the same"),
    );
    let edit = Outgoing {
        message: Some(id(55)),
        ..outgoing("7")
    };
    assert_eq!(polling(&server).deliver(&edit).await.unwrap(), id(55));
}

#[tokio::test]
async fn a_final_waits_for_flood_control_and_a_live_one_is_skipped() {
    let server = Server::start().await;
    let telegram = polling(&server);
    server.next("sendMessage", flood(1));
    let started = std::time::Instant::now();
    assert_eq!(telegram.deliver(&outgoing("7")).await.unwrap(), id(100));
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.calls("sendMessage").len(), 2);

    let live = Outgoing {
        message: Some(id(55)),
        urgency: Urgency::Live,
        ..outgoing("8")
    };
    server.next("editMessageText", flood(100));
    for _ in 0..3 {
        let skipped = telegram.deliver(&live).await;
        assert!(matches!(skipped, Err(DeliverError::Skipped)), "{skipped:?}");
    }
    assert_eq!(
        server.calls("editMessageText").len(),
        1,
        "the chat is paused"
    );
    let typing = Preview {
        place: live.place,
        turn: TurnId(5),
        text: None,
    };
    assert!(matches!(
        telegram.preview(&typing).await,
        Err(DeliverError::Skipped)
    ));
    assert!(server.calls("sendChatAction").is_empty());
}

#[tokio::test]
async fn errors_say_what_can_be_done() {
    let server = Server::start().await;
    let telegram = polling(&server);
    let moved = Reply::Bad(
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        json!({"migrate_to_chat_id": -1005}),
    );
    server.next("sendMessage", moved);
    let error = telegram.deliver(&outgoing("-5")).await.unwrap_err();
    assert!(matches!(error, DeliverError::Moved(to) if to.as_str() == "-1005"));

    server.next(
        "sendMessage",
        bad(403, "Forbidden: bot was blocked by the user"),
    );
    let error = telegram.deliver(&outgoing("7")).await.unwrap_err();
    assert!(matches!(
        error,
        DeliverError::Unreachable(Unreachable::Blocked)
    ));

    server.next("sendMessage", bad(500, "Internal Server Error: restart"));
    let error = telegram.deliver(&outgoing("8")).await.unwrap_err();
    assert!(matches!(error, DeliverError::InDoubt(_)), "{error:?}");

    server.next("sendMessage", Reply::Page(504));
    let error = telegram.deliver(&outgoing("9")).await.unwrap_err();
    assert!(matches!(error, DeliverError::InDoubt(_)), "{error:?}");

    let error = telegram.deliver(&outgoing("lobby")).await.unwrap_err();
    assert!(matches!(error, DeliverError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_cut_line_leaves_a_send_in_doubt_and_tells_no_token() {
    let at = |api_url: String| {
        let settings = TelegramSettings {
            api_url,
            ..TelegramSettings::new("telegram".into(), TOKEN.into())
        };
        Telegram::new(settings, Arc::new(SystemClock)).unwrap()
    };
    let edit = Outgoing {
        message: Some(id(55)),
        ..outgoing("7")
    };

    let cut = at(hanging_up().await);
    let in_doubt = cut.deliver(&outgoing("7")).await.unwrap_err();
    assert!(matches!(in_doubt, DeliverError::InDoubt(_)), "{in_doubt:?}");
    let again = cut.deliver(&edit).await.unwrap_err();
    assert!(matches!(again, DeliverError::Again { .. }), "{again:?}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap();
    let nobody = at(format!("http://{closed}"));
    let never = nobody.deliver(&outgoing("7")).await.unwrap_err();
    assert!(matches!(never, DeliverError::Again { .. }), "{never:?}");

    for error in [in_doubt, again, never] {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            let told = format!("{error} {error:?}");
            assert!(!told.contains("not-to-be-seen"), "{told}");
            cause = error.source();
        }
    }
}

#[tokio::test]
async fn refused_styles_cost_the_styles_and_not_the_text() {
    let server = Server::start().await;
    server.next(
        "sendMessage",
        bad(400, "Bad Request: can't parse entities: nonsense"),
    );
    let styled = Outgoing {
        content: Styled {
            text: "hello".to_owned(),
            spans: vec![Span {
                range: 0..5,
                style: Style::Bold,
            }],
        },
        ..outgoing("7")
    };
    assert_eq!(polling(&server).deliver(&styled).await.unwrap(), id(100));
    let calls = server.calls("sendMessage");
    assert_eq!(calls[0]["entities"][0]["type"], "bold");
    assert_eq!(calls[1].get("entities"), None);
    assert_eq!(calls[1]["text"], "hello");
}

#[tokio::test]
async fn a_lost_message_is_found_by_writing_itself_over_it() {
    let server = Server::start().await;
    let telegram = polling(&server);
    server
        .next(
            "editMessageText",
            bad(400, "Bad Request: message to edit not found"),
        )
        .next(
            "editMessageText",
            bad(400, "Bad Request: message can't be edited"),
        )
        .next("editMessageText", flood(1))
        .next(
            "editMessageText",
            bad(400, "Bad Request: message is not modified: the same"),
        );
    let settled = telegram.settle(&outgoing("7"), &behind(50)).await;
    assert_eq!(settled.unwrap(), Settled::Placed(id(53)));
    let tried: Vec<_> = server
        .calls("editMessageText")
        .iter()
        .map(|call| (call["message_id"].as_i64().unwrap(), call["text"].clone()))
        .collect();
    let hello = || json!("hello");
    assert_eq!(
        tried,
        [(51, hello()), (52, hello()), (53, hello()), (53, hello())]
    );
}

#[tokio::test]
async fn a_message_that_is_nowhere_is_absent() {
    let nothing = || bad(400, "Bad Request: message to edit not found");
    let others = || bad(400, "Bad Request: message can't be edited");
    let ids = |server: &Server| -> Vec<i64> {
        let calls = server.calls("editMessageText");
        calls
            .iter()
            .filter_map(|call| call["message_id"].as_i64())
            .collect()
    };

    // A supergroup numbers its own messages: where nothing follows, the search ends.
    let server = Server::start().await;
    for _ in 0..20 {
        server.next("editMessageText", others());
    }
    for _ in 0..8 {
        server.next("editMessageText", nothing());
    }
    let in_group = outgoing("-1001234567890");
    let settled = polling(&server).settle(&in_group, &behind(50)).await;
    assert_eq!(settled.unwrap(), Settled::Absent);
    assert_eq!(ids(&server), (51..=78).collect::<Vec<_>>());

    // Elsewhere other chats use ids too; an answer stands below its question.
    let server = Server::start().await;
    for _ in 0..24 {
        server.next("editMessageText", nothing());
    }
    let answer = Outgoing {
        reply_to: Some(id(900)),
        ..outgoing("7")
    };
    let settled = polling(&server).settle(&answer, &behind(50)).await;
    assert_eq!(settled.unwrap(), Settled::Absent);
    assert_eq!(ids(&server), (901..=924).collect::<Vec<_>>());

    let settled = polling(&server)
        .settle(&outgoing("7"), &Traces::default())
        .await;
    assert_eq!(settled.unwrap(), Settled::Unknown);
}

#[tokio::test]
async fn an_unreachable_server_leaves_the_doubt() {
    let server = Server::start().await;
    for _ in 0..5 {
        server.next("editMessageText", Reply::Page(502));
    }
    let settled = polling(&server).settle(&outgoing("7"), &behind(50)).await;
    assert!(
        matches!(settled, Err(DeliverError::Again { .. })),
        "{settled:?}"
    );
}

#[tokio::test]
async fn private_chats_stream_by_drafts_while_the_server_knows_them() {
    let server = Server::start().await;
    let telegram = polling(&server);
    let preview = |chat: &str, text: Option<&str>| Preview {
        place: outgoing(chat).place,
        turn: TurnId(5),
        text: text.map(str::to_owned),
    };
    let streaming = |chat: &str| telegram.capabilities(&outgoing(chat).place).streaming;

    telegram.preview(&preview("7", None)).await.unwrap();
    assert_eq!(
        server.calls("sendChatAction"),
        [json!({"chat_id": 7, "action": "typing"})]
    );
    telegram
        .preview(&preview("7", Some("so **far**")))
        .await
        .unwrap();
    assert_eq!(
        server.calls("sendMessageDraft"),
        [
            json!({"chat_id": 7, "draft_id": 5, "text": "so far", "can_stop": true,
            "entities": [{"type": "bold", "offset": 3, "length": 3}]})
        ]
    );
    let soon = telegram.preview(&preview("7", Some("so far on"))).await;
    assert!(matches!(soon, Err(DeliverError::Skipped)), "{soon:?}");
    let group = telegram.preview(&preview("-5", Some("x"))).await;
    assert!(matches!(group, Err(DeliverError::Unsupported)));
    assert!(matches!(streaming("7"), Streaming::Preview { .. }));
    assert!(matches!(streaming("-5"), Streaming::Edits { .. }));

    server.next("sendMessageDraft", bad(404, "Not Found: method not found"));
    for _ in 0..2 {
        let unknown = telegram.preview(&preview("8", Some("x"))).await;
        assert!(matches!(unknown, Err(DeliverError::Unsupported)));
    }
    assert_eq!(server.calls("sendMessageDraft").len(), 2);
    assert!(matches!(streaming("7"), Streaming::Edits { .. }));
}

#[tokio::test]
async fn a_long_draft_shows_what_is_being_written() {
    let server = Server::start().await;
    let long = format!("{}\n\nthe end", "word ".repeat(1200));
    let preview = Preview {
        place: outgoing("7").place,
        turn: TurnId(5),
        text: Some(long),
    };
    polling(&server).preview(&preview).await.unwrap();
    let text = server.calls("sendMessageDraft")[0]["text"].clone();
    let text = text.as_str().unwrap();
    assert!(text.ends_with("the end") && text.encode_utf16().count() <= 4096);
}

fn behind(message: i32) -> Traces {
    Traces {
        after: Some(id(i64::from(message))),
        others: Vec::new(),
    }
}
