//! Behaviours that every generator keeps; adapters call these from their tests.
//!
//! Each function panics with the broken promise. They need no particular words from the model, so
//! that they hold for a real one as for a scripted one.

use futures::StreamExt as _;

use crate::error::GenerateError;
use crate::generator::{Chunk, Finish, Generator, TextStream, TokenCount};
use crate::request::{Prompt, PromptMessage, Request, Role, Sampling};

/// What a stream brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The whole text, after the last restart.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub tokens: TokenCount,
}

/// Keeps every promise of this module.
pub async fn all(generator: &dyn Generator) {
    knows_itself(generator);
    counts_more_for_more(generator);
    ends_with_one_done(generator).await;
    keeps_to_max_tokens(generator).await;
    hides_stop_strings(generator).await;
    repeats_greedy_answers(generator).await;
    survives_dropped_streams(generator).await;
    answers_many_at_once(generator).await;
}

/// Has a name and room for a prompt and an answer.
pub fn knows_itself(generator: &dyn Generator) {
    let info = generator.info();
    assert!(!info.name.as_str().is_empty(), "the model has no name");
    assert!(
        info.context > 1,
        "no room in a context of {} tokens",
        info.context
    );
    assert_eq!(
        info,
        generator.info(),
        "the model says two things about itself"
    );
}

/// Counts more tokens when there is more to read.
pub fn counts_more_for_more(generator: &dyn Generator) {
    let short = prompt("one two three");
    let long = prompt("one two three four five six seven eight nine ten");
    let told = Prompt {
        // Longer than what a template may tell the model where a prompt tells it nothing.
        system: "You are a helpful member of this chat. ".repeat(20),
        ..short.clone()
    };
    let base = generator.count_tokens(&short);
    assert!(base > 0, "a message counts for nothing");
    assert!(
        generator.count_tokens(&long) > base,
        "a longer message counts for no more"
    );
    assert!(
        generator.count_tokens(&told) > base,
        "the system's part counts for nothing"
    );
}

/// Yields text, then exactly one [`Chunk::Done`], then nothing.
pub async fn ends_with_one_done(generator: &dyn Generator) {
    let request = request("Say something about the sea.", Sampling::greedy(), 16);
    let mut stream = generator
        .generate(request)
        .await
        .expect("the model answers");
    let mut done = 0;
    while let Some(item) = stream.next().await {
        assert_eq!(done, 0, "something came after the end: {item:?}");
        match item.expect("the stream goes well") {
            Chunk::Text(text) => assert!(!text.is_empty(), "a piece without text"),
            Chunk::Done { tokens, .. } => {
                done += 1;
                assert!(tokens.prompt > 0, "the prompt took nothing");
                assert!(
                    tokens.cached <= tokens.prompt,
                    "more was spared than there was"
                );
            }
        }
    }
    assert_eq!(done, 1, "the stream ended without saying so");
}

/// Ends at the most tokens allowed and says that this was why.
pub async fn keeps_to_max_tokens(generator: &dyn Generator) {
    let long = "Repeat: one two three four five six seven eight nine ten eleven twelve.";
    let answer = answer(generator, request(long, Sampling::greedy(), 3)).await;
    let answer = answer.expect("the model answers");
    assert!(
        answer.tokens.reply <= 3,
        "{} tokens, 3 allowed",
        answer.tokens.reply
    );
    if answer.tokens.reply == 3 && answer.finish != Finish::Length {
        assert_eq!(
            answer.finish,
            Finish::Stop,
            "a short answer is complete or cut"
        );
    }
}

/// Never shows a stop string, wherever it falls between tokens.
pub async fn hides_stop_strings(generator: &dyn Generator) {
    let asked = "Say: one two three four five six seven eight.";
    let free = answer(generator, request(asked, Sampling::greedy(), 24)).await;
    let free = free.expect("the model answers").text;
    // Two characters from the middle of what it says by itself: likely across two tokens.
    let characters: Vec<char> = free.chars().collect();
    let middle = characters.len() / 2;
    let stop: String = characters.iter().skip(middle).take(2).collect();
    if stop.is_empty() {
        return;
    }
    let sampling = Sampling {
        stop: vec![stop.clone()],
        ..Sampling::greedy()
    };
    let cut = answer(generator, request(asked, sampling, 24))
        .await
        .expect("the model answers");
    let expected = &free[..free.find(&stop).expect("it was taken from there")];
    assert_eq!(
        cut.text, expected,
        "the answer does not end right before {stop:?}"
    );
    assert_eq!(cut.finish, Finish::Stop);
}

/// Answers the same prompt in the same words when it always takes the most likely token.
pub async fn repeats_greedy_answers(generator: &dyn Generator) {
    let ask = || answer(generator, request("Name a colour.", Sampling::greedy(), 8));
    let first = ask().await.expect("the model answers");
    let second = ask().await.expect("the model answers again");
    assert_eq!(first.text, second.text);
}

/// Goes on working when nobody wants the rest of an answer.
pub async fn survives_dropped_streams(generator: &dyn Generator) {
    for _ in 0..4 {
        let request = request("Tell a long story of the sea.", Sampling::greedy(), 64);
        let mut stream = generator
            .generate(request)
            .await
            .expect("the model answers");
        drop(stream.next().await);
    }
    ends_with_one_done(generator).await;
}

/// Answers several prompts at once, each by itself.
pub async fn answers_many_at_once(generator: &dyn Generator) {
    let asked = ["Name a colour.", "Name a fruit.", "Name a river."];
    let ask = |text: &'static str| answer(generator, request(text, Sampling::greedy(), 8));
    let together = futures::future::join_all(asked.map(ask)).await;
    for (text, answer) in asked.into_iter().zip(together) {
        let alone = ask(text).await.expect("the model answers");
        let answer = answer.expect("the model answers among others");
        assert_eq!(
            answer.text, alone.text,
            "{text:?} is answered otherwise among others"
        );
    }
}

/// Asks and waits for the whole answer.
pub async fn answer(generator: &dyn Generator, request: Request) -> Result<Answer, GenerateError> {
    collect(generator.generate(request).await?).await
}

/// Waits for the whole answer of a stream.
///
/// # Errors
/// The stream's own, or [`GenerateError::Broken`] if it ends without saying so.
pub async fn collect(mut stream: TextStream) -> Result<Answer, GenerateError> {
    let mut text = String::new();
    while let Some(chunk) = stream.next().await {
        match chunk? {
            Chunk::Text(piece) => text.push_str(&piece),
            Chunk::Done { finish, tokens, .. } => {
                return Ok(Answer {
                    text,
                    finish,
                    tokens,
                });
            }
        }
    }
    Err(GenerateError::Broken("no end".into()))
}

/// A request with one message.
pub fn request(text: &str, sampling: Sampling, max_tokens: usize) -> Request {
    Request::new(prompt(text), sampling, max_tokens).expect("a valid request")
}

fn prompt(text: &str) -> Prompt {
    Prompt {
        system: String::new(),
        messages: vec![PromptMessage {
            role: Role::User,
            text: text.to_owned(),
        }],
    }
}
