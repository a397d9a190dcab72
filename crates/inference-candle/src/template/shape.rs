//! What conversations a template takes, and how others are made to fit.

use std::borrow::Cow;

use tertulia_inference::{Prompt, Role};

use crate::template::TemplateError;

/// Something no template writes by itself.
const PROBE: &str = "Qx7vZk";

/// A message as templates know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) text: Cow<'a, str>,
}

/// How prompts are brought into the form that a template takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The system prompt becomes the beginning of the first message of a person.
    fold_system: bool,
    /// Messages in a row of one role become one, with a blank line between.
    join: bool,
    /// The conversation begins with a person, if need be with an empty message.
    person_first: bool,
}

// === impl Shape ===

impl Shape {
    /// Finds out what a template takes, by asking it.
    pub(super) fn probe(
        render: impl Fn(&[Message<'_>]) -> Result<String, TemplateError>,
    ) -> Result<Self, TemplateError> {
        use Role::{Assistant, User};
        // A question on its own must work, or nothing does.
        if !render(&[Message::of(User, PROBE)])?.contains(PROBE) {
            return Err(TemplateError::Refused(
                "it leaves out what people say".into(),
            ));
        }
        let takes = |messages: &[Message<'_>]| match render(messages) {
            // A template that drops a message has not taken it.
            Ok(text) => Ok(text.matches(PROBE).count() >= messages.len()),
            Err(TemplateError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        };
        let system = Message {
            role: "system",
            text: PROBE.into(),
        };
        Ok(Self {
            fold_system: !takes(&[system, Message::of(User, PROBE)])?,
            join: !takes(&[Message::of(User, PROBE), Message::of(User, PROBE)])?,
            person_first: !takes(&[Message::of(Assistant, PROBE), Message::of(User, PROBE)])?,
        })
    }

    /// Makes a prompt fit.
    pub(super) fn fit<'a>(self, prompt: &'a Prompt) -> Vec<Message<'a>> {
        let mut out: Vec<Message<'a>> = Vec::with_capacity(prompt.messages.len() + 2);
        let mut preface = None;
        if !prompt.system.is_empty() {
            if self.fold_system {
                preface = Some(prompt.system.as_str());
            } else {
                out.push(Message {
                    role: "system",
                    text: prompt.system.as_str().into(),
                });
            }
        }
        let assistant_first = prompt
            .messages
            .first()
            .is_some_and(|first| first.role == Role::Assistant);
        if assistant_first && (self.person_first || preface.is_some()) {
            out.push(Message::of(Role::User, preface.take().unwrap_or_default()));
        }
        for message in &prompt.messages {
            let mut next = Message::of(message.role, &message.text);
            if message.role == Role::User
                && let Some(system) = preface.take()
            {
                next.text = Cow::Owned(format!("{system}\n\n{}", next.text));
            }
            match out.last_mut() {
                Some(last) if self.join && last.role == next.role => {
                    let text = last.text.to_mut();
                    text.push_str("\n\n");
                    text.push_str(&next.text);
                }
                _ => out.push(next),
            }
        }
        out
    }
}
