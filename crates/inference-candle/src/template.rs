//! Prompts in the words that a model was trained on.
//!
//! A model file brings a Jinja template along. It is somebody else's program, so it runs with
//! bounded fuel, depth and output, sees nothing but the messages, and an error in it is an error
//! of that model only.
//! Not every template takes every conversation: some refuse a system prompt, some insist that
//! roles alternate. What a template takes is tried once, when it is loaded ([`Shape`]), and then
//! every prompt is brought into that shape.
//!
//! Invariant: the shape never depends on the conversation, so the text of a longer conversation
//! begins with the text of its earlier part, and what was computed for that part stays valid.

mod engine;
mod shape;

use candle_core::quantized::gguf_file::{Content, Value};
use chrono::NaiveDate;
use tertulia_inference::{Prompt, Role};
use thiserror::Error;

use crate::ModelFileError;
use engine::Engine;
use shape::{Message, Shape};

const KEY: &str = "tokenizer.chat_template";

/// Renders prompts for one model.
#[derive(Debug)]
pub struct ChatTemplate {
    kind: Kind,
    stops: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    Jinja(Box<Engine>, Shape),
    Transcript,
}

/// Why a prompt cannot be rendered.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// The template is not well-formed.
    #[error("the chat template is broken: {0}")]
    Broken(String),
    /// The template refuses even a single question.
    #[error("the chat template refuses the conversation: {0}")]
    Refused(String),
    /// The template works or writes without end.
    #[error("the chat template takes too long or writes too much")]
    Excessive,
}

// === impl ChatTemplate ===

impl ChatTemplate {
    /// Reads a Jinja template and finds out which conversations it takes.
    ///
    /// # Errors
    /// When it is not well-formed or takes none.
    pub fn new(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        let engine = Engine::new(source, bos, eos)?;
        let shape = Shape::probe(|messages| engine.render(messages, None))?;
        Ok(Self {
            kind: Kind::Jinja(Box::new(engine), shape),
            stops: Vec::new(),
        })
    }

    /// The template of a GGUF file, if it has one.
    ///
    /// # Errors
    /// When there is one that cannot be used.
    pub fn from_gguf(
        content: &Content,
        bos: &str,
        eos: &str,
    ) -> Result<Option<Self>, ModelFileError> {
        match content.metadata.get(KEY) {
            None => Ok(None),
            Some(Value::String(source)) if source.trim().is_empty() => Ok(None),
            Some(Value::String(source)) => Self::new(source, bos, eos)
                .map(Some)
                .map_err(|error| ModelFileError::broken(format!("{error} ({KEY})"))),
            Some(_) => Err(ModelFileError::broken(format!(
                "the metadata {KEY} is not a text"
            ))),
        }
    }

    /// A plain transcript, for models that were never taught a form.
    pub fn transcript() -> Self {
        Self {
            kind: Kind::Transcript,
            stops: vec!["\nUser:".into(), "\nAssistant:".into()],
        }
    }

    /// Strings that end an answer besides the model's own tokens.
    pub fn stops(&self) -> &[String] {
        &self.stops
    }

    /// Renders a prompt up to where the answer begins; a template that asks for the date gets
    /// none and uses the one written in it.
    pub fn render(&self, prompt: &Prompt) -> Result<String, TemplateError> {
        self.render_on(prompt, None)
    }

    /// As [`render`](Self::render), with a date for templates that ask for it.
    ///
    /// The date comes from the caller because the text, and with it what was computed before,
    /// changes with it.
    pub fn render_on(
        &self,
        prompt: &Prompt,
        date: Option<NaiveDate>,
    ) -> Result<String, TemplateError> {
        match &self.kind {
            Kind::Jinja(engine, shape) => engine.render(&shape.fit(prompt), date),
            Kind::Transcript => Ok(transcript(prompt)),
        }
    }
}

fn transcript(prompt: &Prompt) -> String {
    let mut out = String::new();
    if !prompt.system.is_empty() {
        out.push_str(&prompt.system);
        out.push_str("\n\n");
    }
    for message in &prompt.messages {
        out.push_str(match message.role {
            Role::User => "User: ",
            Role::Assistant => "Assistant: ",
        });
        out.push_str(&message.text);
        out.push('\n');
    }
    // Without the space: it belongs to the first token of the answer.
    out.push_str("Assistant:");
    out
}

impl<'a> Message<'a> {
    fn of(role: Role, text: &'a str) -> Self {
        let role = match role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        Self {
            role,
            text: text.into(),
        }
    }
}

#[cfg(test)]
mod tests;
