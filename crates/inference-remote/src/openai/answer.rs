//! The answer of an endpoint as it arrives.
//!
//! Invariant: an answer is whole only with a finish reason and `[DONE]`; every other end is a
//! failure, however good the text looks.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tertulia_domain::ModelName;
use tertulia_inference::{Chunk, Finish, GenerateError, TextStream, TokenCount};

use super::failure::ErrorReply;
use super::wire::{Completion, Usage};
use crate::estimate;
use crate::sse::{Event, Parser};
use crate::stops::{Passed, Stops};

/// The bytes of a body.
pub(super) type Body = BoxStream<'static, Result<Bytes, reqwest::Error>>;

/// An answer that arrives.
pub(super) struct Answer {
    model: ModelName,
    stops: Stops,
    /// The guess for a prompt whose tokens nobody counted.
    prompt_tokens: u64,
    /// The guess for the reply.
    reply_tokens: u64,
    usage: Option<Usage>,
    finish: Option<Finish>,
    ready: VecDeque<Chunk>,
    done: bool,
}

/// An answer and where it comes from.
struct Reading {
    answer: Answer,
    /// None when there is nothing more to read.
    body: Option<Body>,
    parser: Parser,
    events: VecDeque<Event>,
}

// === impl Answer ===

impl Answer {
    pub(super) fn new(model: ModelName, stop: &[String], prompt_tokens: usize) -> Self {
        Self {
            model,
            stops: Stops::new(stop),
            prompt_tokens: prompt_tokens as u64,
            reply_tokens: 0,
            usage: None,
            finish: None,
            ready: VecDeque::new(),
            done: false,
        }
    }

    /// Reads a stream of events.
    pub(super) fn stream(self, body: Body) -> TextStream {
        let reading = Reading {
            answer: self,
            body: Some(body),
            parser: Parser::default(),
            events: VecDeque::new(),
        };
        let stream = futures::stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(done @ Chunk::Done { .. }) => Some((Ok(done), None)),
                Ok(chunk) => Some((Ok(chunk), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        });
        stream.boxed()
    }

    /// Reads the whole answer of a server that does not stream.
    pub(super) fn whole(mut self, body: &[u8]) -> Result<TextStream, GenerateError> {
        let completion = serde_json::from_slice(body).map_err(|_| broken("it is not JSON"))?;
        self.take(&completion)?;
        if self.finish.is_none() && !self.done {
            return Err(broken("there is no finish reason"));
        }
        self.end();
        Ok(futures::stream::iter(self.ready.into_iter().map(Ok)).boxed())
    }

    fn event(&mut self, event: &Event) -> Result<(), GenerateError> {
        let data = event.data.trim();
        if data == "[DONE]" {
            return match self.finish {
                Some(_) => {
                    self.end();
                    Ok(())
                }
                None => Err(broken("it ended without a finish reason")),
            };
        }
        if data.is_empty() {
            return Ok(());
        }
        let completion: Completion = match serde_json::from_str(data) {
            Ok(completion) => completion,
            Err(_) if event.name == "error" => {
                return Err(ErrorReply::default().into_error(0, None));
            }
            Err(_) => return Err(broken("an event is not JSON")),
        };
        if completion.error.is_none() && event.name == "error" {
            return Err(ErrorReply::from_body(data.as_bytes()).into_error(0, None));
        }
        self.take(&completion)
    }

    fn take(&mut self, completion: &Completion) -> Result<(), GenerateError> {
        if let Some(error) = &completion.error {
            return Err(ErrorReply::from_value(error).into_error(0, None));
        }
        if let Some(usage) = &completion.usage {
            self.usage = Some(usage.clone());
        }
        for choice in completion.choices.iter().filter(|choice| choice.index == 0) {
            let text = choice.text();
            self.reply_tokens += estimate::text(text) as u64;
            match self.stops.push(text) {
                Passed::On(text) => self.say(text),
                Passed::End(text) => {
                    self.say(text);
                    self.finish = Some(Finish::Stop);
                    self.end();
                    return Ok(());
                }
            }
            if let Some(finish) = choice.finish() {
                self.finish = Some(finish);
                let rest = self.stops.finish();
                self.say(rest);
            }
        }
        Ok(())
    }

    fn say(&mut self, text: String) {
        if !text.is_empty() {
            self.ready.push_back(Chunk::Text(text));
        }
    }

    fn end(&mut self) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let guess = TokenCount {
            prompt: self.prompt_tokens,
            cached: 0,
            reply: self.reply_tokens,
        };
        self.ready.push_back(Chunk::Done {
            finish: self.finish.unwrap_or(Finish::Stop),
            tokens: self.usage.take().map_or(guess, TokenCount::from),
            model: self.model.clone(),
        });
    }
}

// === impl Reading ===

impl Reading {
    async fn next(&mut self) -> Result<Chunk, GenerateError> {
        loop {
            if let Some(chunk) = self.answer.ready.pop_front() {
                return Ok(chunk);
            }
            if let Some(event) = self.events.pop_front() {
                self.answer.event(&event)?;
                continue;
            }
            let Some(body) = &mut self.body else {
                return Err(broken("it ended without [DONE]"));
            };
            match body.next().await {
                Some(Ok(bytes)) => self.parser.push(&bytes, &mut self.events),
                Some(Err(error)) => {
                    return Err(GenerateError::Broken(Box::new(error.without_url())));
                }
                None => {
                    self.body = None;
                    self.parser.finish(&mut self.events)
                }
            }
            .map_err(|error| GenerateError::Broken(Box::new(error)))?;
        }
    }
}

fn broken(why: &'static str) -> GenerateError {
    GenerateError::Broken(why.into())
}
