//! Chat completions as they go over the wire; only what is sent or read.

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    max_tokens: bool,
    max_completion_tokens: bool,
    stream_options: bool,
    temperature: bool,
    top_p: bool,
    seed: bool,
    stop: bool,
}

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
    pub(super) fn new(model: &'a str, request: &'a Request, refused: Refused) -> Self {
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
        let limit = Some(request.max_tokens());
        let unless = |refused: bool| (!refused).then_some(());
        let stops = if refused.stop {
            &[]
        } else {
            sampling.stop.as_slice()
        };
        Self {
            model,
            messages: system.into_iter().chain(messages).collect(),
            stream: true,
            stream_options: unless(refused.stream_options).map(|()| StreamOptions {
                include_usage: true,
            }),
            max_tokens: limit.filter(|_| !refused.max_tokens),
            max_completion_tokens: limit
                .filter(|_| refused.max_tokens && !refused.max_completion_tokens),
            temperature: unless(refused.temperature).map(|()| sampling.temperature),
            top_p: Some(sampling.top_p).filter(|top_p| *top_p < 1.0 && !refused.top_p),
            seed: sampling.seed.filter(|_| !refused.seed),
            stop: &stops[..stops.len().min(MOST_STOPS)],
        }
    }
}

// === impl Refused ===

impl Refused {
    /// Notes that this parameter is refused; whether that is news.
    pub(super) fn note(&mut self, parameter: &str) -> bool {
        let flag = match parameter {
            "max_tokens" => &mut self.max_tokens,
            "max_completion_tokens" => &mut self.max_completion_tokens,
            "stream_options" | "stream_options.include_usage" => &mut self.stream_options,
            "temperature" => &mut self.temperature,
            "top_p" => &mut self.top_p,
            "seed" => &mut self.seed,
            "stop" => &mut self.stop,
            _ => return false,
        };
        !std::mem::replace(flag, true)
    }

    /// The parameters that can be left out.
    pub(super) const KNOWN: [&'static str; 7] = [
        // The longer names come first: each contains a shorter one.
        "max_completion_tokens",
        "max_tokens",
        "stream_options",
        "temperature",
        "top_p",
        "seed",
        "stop",
    ];
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
