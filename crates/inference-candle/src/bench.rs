//! How fast a loaded model is.
//!
//! Prompts and answers go the way of every request, so the figures hold what the engine costs.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use tertulia_inference::{
    Chunk, GenerateError, Prompt, PromptMessage, Request, Role, Sampling, TextStream,
};

use crate::Candle;

/// Tokens per second.
#[derive(Clone, Debug, PartialEq)]
pub struct BenchReport {
    /// For prompts of so many tokens.
    pub prompts: Vec<(usize, f64)>,
    /// For the answers of so many conversations at once, together.
    pub replies: Vec<(usize, f64)>,
}

/// Tokens of each answer.
const REPLY: usize = 64;
/// Each figure is the median of so many.
const ROUNDS: usize = 3;

/// Measures prompts of 64 and 512 tokens and answers to 1 and 8 at once.
///
/// # Errors
/// When the model fails or its context is too short.
pub async fn bench(model: &Candle) -> Result<BenchReport, GenerateError> {
    let mut fresh = Fresh {
        vocabulary: model.vocabulary().max(1),
        next: 1,
    };
    // What is done only once (packing weights, starting threads) is not what is asked for.
    finish(model.submit(fresh.prompt(16), &request(4))?).await?;
    let mut report = BenchReport {
        prompts: Vec::new(),
        replies: Vec::new(),
    };
    for tokens in [64, 512] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            finish(model.submit(fresh.prompt(tokens), &request(1))?).await?;
            rates.push(tokens as f64 / started.elapsed().as_secs_f64());
        }
        report.prompts.push((tokens, median(rates)));
    }
    for conversations in [1, 8] {
        let mut rates = Vec::new();
        for _ in 0..ROUNDS {
            let answers = (0..conversations)
                .map(|_| model.submit(fresh.prompt(8), &request(REPLY)))
                .collect::<Result<Vec<_>, _>>()?;
            let ends = join_all(answers.into_iter().map(finish)).await;
            let ends = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
            rates.push(rate(&ends));
        }
        report.replies.push((conversations, median(rates)));
    }
    Ok(report)
}

/// When an answer began and ended, and its length.
struct End {
    first: Instant,
    last: Instant,
    tokens: u64,
}

async fn finish(mut stream: TextStream) -> Result<End, GenerateError> {
    let mut first = None;
    while let Some(item) = stream.next().await {
        let first = *first.get_or_insert_with(Instant::now);
        if let Chunk::Done { tokens, .. } = item? {
            return Ok(End {
                first,
                last: Instant::now(),
                tokens: tokens.reply,
            });
        }
    }
    Err(GenerateError::Broken("the answer has no end".into()))
}

fn rate(ends: &[End]) -> f64 {
    let first = ends.iter().map(|end| end.first).min();
    let last = ends.iter().map(|end| end.last).max();
    let took = first
        .zip(last)
        .map_or(Duration::ZERO, |(first, last)| last - first);
    // The first token of each came with its prompt.
    let tokens: u64 = ends.iter().map(|end| end.tokens.saturating_sub(1)).sum();
    tokens as f64 / took.as_secs_f64().max(1e-9)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Answers that do not end early: any token is nearly as likely as any other.
fn request(max_tokens: usize) -> Request {
    let message = PromptMessage {
        role: Role::User,
        text: "-".to_owned(),
    };
    let prompt = Prompt {
        system: String::new(),
        messages: vec![message],
    };
    let sampling = Sampling {
        temperature: 5.0,
        top_p: 1.0,
        seed: Some(1),
        ..Sampling::default()
    };
    Request::new(prompt, sampling, max_tokens).expect("a valid request")
}

/// Prompts that share nothing with those before.
struct Fresh {
    vocabulary: usize,
    next: usize,
}

// === impl Fresh ===

impl Fresh {
    fn prompt(&mut self, tokens: usize) -> Vec<u32> {
        (0..tokens)
            .map(|_| {
                self.next = self
                    .next
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                ((self.next >> 33) % self.vocabulary) as u32
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use tertulia_domain::ModelName;

    use super::bench;
    use crate::testing::{self, TinyFamily};
    use crate::{Candle, ModelFiles, Options};

    #[tokio::test]
    async fn measures_a_model() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tiny.gguf");
        testing::write_gguf(&path, TinyFamily::Llama);
        let name = ModelName::new("tiny");
        let options = Options {
            device: "cpu".to_owned(),
            ..Options::default()
        };
        let model = Candle::load(name, &ModelFiles { path }, &options).expect("it loads");
        let report = bench(&model).await.expect("it answers");
        let counts: Vec<usize> = report.prompts.iter().map(|one| one.0).collect();
        assert_eq!(counts, [64, 512]);
        assert!(
            report
                .prompts
                .iter()
                .chain(&report.replies)
                .all(|one| one.1 > 0.0)
        );
    }
}
