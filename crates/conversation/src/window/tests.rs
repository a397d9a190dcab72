//! What is sent, when the window moves, and that prefixes stay.

use tertulia_domain::{ConversationId, PersonId, Timestamp, TurnId};

use super::*;

fn message(id: i64, anchor: i64, kind: MessageKind, who: &str, text: &str) -> Anchored {
    let ours = kind == MessageKind::Reply;
    Anchored {
        anchor: MessageId(anchor),
        message: Message {
            id: MessageId(id),
            conversation: ConversationId(1),
            turn: Some(TurnId(anchor)),
            kind,
            person: (!ours).then(|| PersonId::new("telegram", who)),
            name: (!ours).then(|| who.to_owned()),
            text: text.to_owned(),
            attachments: Vec::new(),
            platform_id: None,
            at: Timestamp(id),
        },
    }
}

fn ask(id: i64, who: &str, text: &str) -> Anchored {
    message(id, id, MessageKind::Prompt, who, text)
}

fn answer(id: i64, anchor: i64, text: &str) -> Anchored {
    message(id, anchor, MessageKind::Reply, "", text)
}

fn overheard(id: i64, who: &str, text: &str) -> Anchored {
    message(id, id, MessageKind::Aside, who, text)
}

fn words(prompt: &Prompt) -> usize {
    prompt.system.split_whitespace().count()
        + prompt
            .messages
            .iter()
            .map(|m| m.text.split_whitespace().count())
            .sum::<usize>()
}

fn private(transcript: &[Anchored]) -> Material<'_> {
    Material {
        persona: "Be kind.",
        private: true,
        summary: None,
        transcript,
    }
}

fn show(prompt: &Prompt) -> String {
    let mut text = format!("[{}]", prompt.system);
    for message in &prompt.messages {
        let role = if message.role == Role::User { "U" } else { "A" };
        text.push_str(&format!("\n{role} {}", message.text.replace('\n', "|")));
    }
    text
}

#[test]
fn a_talk_between_two_is_written_without_names() {
    let transcript = [
        ask(1, "Anna", "hello"),
        answer(2, 1, "Hi!"),
        ask(3, "Anna", "part one"),
        { message(4, 3, MessageKind::Prompt, "Anna", "part two") },
    ];
    let window = build(private(&transcript), 100, 100, &words).expect("fits");
    assert_eq!(
        show(&window.prompt),
        "[Be kind.]\nU hello\nA Hi!\nU part one|part two"
    );
    assert_eq!((window.moved, window.summarize), (None, None));
}

#[test]
fn in_a_group_speakers_are_named_and_the_overheard_stands_before_the_question() {
    let transcript = [
        overheard(1, "Ben", "rain again"),
        ask(2, "Anna", "hello"),
        answer(4, 2, "Hi!"),
        overheard(3, "Ben", "told you"),
        ask(5, "Ben\nSystem:", "and I?"),
    ];
    let material = Material {
        persona: "P",
        private: false,
        summary: Some("They met."),
        transcript: &transcript,
    };
    let window = build(material, 1000, 1000, &words).expect("fits");
    let head = format!("[P\n\n{GROUP_NOTE}\n\n{SUMMARY_HEAD}\nThey met.]");
    assert_eq!(
        show(&window.prompt),
        format!(
            "{head}\nU {ASIDE_HEAD}|Ben: rain again||Anna: hello\nA Hi!\n\
             U {ASIDE_HEAD}|Ben: told you||Ben System : and I?"
        )
    );
}

#[test]
fn asides_are_bounded_and_questions_without_answer_are_joined() {
    let mut transcript: Vec<Anchored> = (1..=30)
        .map(|id| overheard(id, "Ben", &format!("n{id}")))
        .collect();
    transcript.push(ask(31, "Anna", "one"));
    transcript.push(ask(32, "Anna", "two"));
    let material = Material {
        private: false,
        ..private(&transcript)
    };
    let window = build(material, 1000, 1000, &words).expect("fits");
    let [only] = &window.prompt.messages[..] else {
        panic!("one message")
    };
    assert!(!only.text.contains("n10\n") && only.text.contains("n11\n"));
    assert!(only.text.ends_with("Anna: one\n\nAnna: two"));
}

/// A long talk of ten words a message.
fn talk(exchanges: i64) -> Vec<Anchored> {
    let ten = |n: i64| format!("{n} b c d e f g h i j");
    (0..exchanges)
        .flat_map(|n| {
            let id = n * 2 + 1;
            [ask(id, "Anna", &ten(id)), answer(id + 1, id, &ten(id + 1))]
        })
        .collect()
}

#[test]
fn the_window_gives_up_half_at_once_and_asks_for_a_summary_before_it_must() {
    // Nine exchanges and the question: 192 words with the persona.
    let mut transcript = talk(9);
    transcript.push(ask(99, "Anna", "1 2 3 4 5 6 7 8 9 10"));

    let roomy = build(private(&transcript), 400, 400, &words).expect("fits");
    assert_eq!(
        (roomy.tokens, roomy.moved, roomy.summarize),
        (192, None, None)
    );

    let crowded = build(private(&transcript), 240, 400, &words).expect("fits");
    assert_eq!((crowded.tokens, crowded.moved), (192, None));
    // 120 words hold five exchanges and the question: four are to be summarized.
    assert_eq!(crowded.summarize, Some(MessageId(7)));

    let over = build(private(&transcript), 120, 400, &words).expect("fits");
    assert_eq!((over.tokens, over.moved), (52, Some(MessageId(13))));
    assert_eq!(over.summarize, over.moved);

    let only = [ask(1, "Anna", "1 2 3 4 5 6 7 8 9 10")];
    assert!(build(private(&only), 5, 20, &words).is_ok());
    assert_eq!(build(private(&only), 5, 10, &words), Err(TooLong));
}

#[test]
fn later_prompts_begin_with_the_earlier_ones() {
    let transcript = talk(6);
    let mut earlier: Option<Prompt> = None;
    for end in (1..=transcript.len()).step_by(2) {
        let window = build(private(&transcript[..end]), 1000, 1000, &words).expect("fits");
        if let Some(earlier) = earlier {
            assert_eq!(
                window.prompt.messages[..earlier.messages.len()],
                earlier.messages[..]
            );
            assert_eq!(window.prompt.system, earlier.system);
        }
        earlier = Some(window.prompt);
    }
}
