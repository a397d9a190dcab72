//! Chat completions as they go over the wire; only what is sent or read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tertulia_inference::{Finish, Request, Role, TokenCount};

/// Stop strings that OpenAI takes; the others are watched for here.
const MOST_STOPS: usize = 4;

/// A request.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// What a model at an endpoint does not take, as it said when it was sent.
///
/// Models differ: newer ones want another name for `max_tokens` and refuse to have their
/// temperature changed; older servers know no `stream_options`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused(BTreeSet<&'static str>);

/// A chunk of a stream, or a whole answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Completion {
    pub(super) choices: Vec<Choice>,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Choice {
    pub(super) index: u64,
    /// What is new, in a stream.
    delta: Option<Said>,
    /// The whole, elsewhere.
    message: Option<Said>,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    content: Option<String>,
    /// What a model says instead when it will not answer.
    refusal: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Option<u64>,
}

// === impl Body ===

impl<'a> Body<'a> {
    pub(super) fn new(model: &'a str, request: &'a Request, refused: &Refused) -> Self {
        let prompt = request.prompt();
        let sampling = request.sampling();
        let system = Some(prompt.system.as_str()).filter(|system| !system.is_empty());
        let system = system.map(|content| Message {
            role: "system",
            content,
        });
        let messages = prompt.messages.iter().map(|message| Message {
            role: match message.role {
                Role::User => "user",
                Role::Assistant => "assistant",
            },
            content: &message.text,
        });
        let limit = request.max_tokens();
        let stops = if refused.takes("stop") {
            sampling.stop.as_slice()
        } else {
            &[]
        };
        let if_taken = |parameter| refused.takes(parameter).then_some(());
        Self {
            model,
            messages: system.into_iter().chain(messages).collect(),
            stream: true,
            stream_options: if_taken("stream_options").map(|()| StreamOptions {
                include_usage: true,
            }),
            max_tokens: if_taken("max_tokens").map(|()| limit),
            // Older servers know only max_tokens, so the newer name waits until that is refused.
            max_completion_tokens: if_taken("max_completion_tokens")
                .filter(|()| !refused.takes("max_tokens"))
                .map(|()| limit),
            temperature: if_taken("temperature").map(|()| sampling.temperature),
            top_p: if_taken("top_p")
                .map(|()| sampling.top_p)
                .filter(|top_p| *top_p < 1.0),
            seed: if_taken("seed").and(sampling.seed),
            stop: &stops[..stops.len().min(MOST_STOPS)],
        }
    }
}

// === impl Refused ===

impl Refused {
    /// The parameters that can be left out.
    pub(super) const KNOWN: [&'static str; 7] = [
        "max_tokens",
        "max_completion_tokens",
        "stream_options",
        "temperature",
        "top_p",
        "seed",
        "stop",
    ];

    /// Notes that this parameter is refused; whether that is news.
    pub(super) fn note(&mut self, parameter: &'static str) -> bool {
        self.0.insert(parameter)
    }

    fn takes(&self, parameter: &str) -> bool {
        !self.0.contains(parameter)
    }
}

// === impl Choice ===

impl Choice {
    /// The text, new or whole.
    pub(super) fn text(&self) -> &str {
        let said = self.delta.as_ref().or(self.message.as_ref());
        let text = said.and_then(|said| said.content.as_deref().or(said.refusal.as_deref()));
        text.unwrap_or_default()
    }

    /// Why it ended, if it did.
    pub(super) fn finish(&self) -> Option<Finish> {
        match self.finish_reason.as_deref()? {
            "" => None,
            "length" | "max_tokens" => Some(Finish::Length),
            "content_filter" => Some(Finish::Filtered),
            _ => Some(Finish::Stop),
        }
    }
}

// === impl Usage ===

impl From<Usage> for TokenCount {
    fn from(usage: Usage) -> Self {
        let cached = usage
            .prompt_tokens_details
            .and_then(|details| details.cached_tokens);
        Self {
            prompt: usage.prompt_tokens,
            cached: cached.unwrap_or(0).min(usage.prompt_tokens),
            reply: usage.completion_tokens,
        }
    }
}
