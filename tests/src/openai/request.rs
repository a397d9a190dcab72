//! What a client asks for, and the rules of asking.

use serde_json::Value;

/// One message of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The text; the text parts joined when it came in parts.
    pub content: String,
}

/// One request that was well formed.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// Its number, from zero.
    pub number: usize,
    /// The model asked.
    pub model: String,
    /// The messages in order.
    pub messages: Vec<ChatMessage>,
    /// Whether a stream is wanted.
    pub stream: bool,
    /// Whether the stream shall end with the usage.
    pub include_usage: bool,
    /// The whole body.
    pub body: Value,
}

const FIELDS: [&str; 31] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "n",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "service_tier",
    "store",
    "metadata",
    "prompt_cache_key",
    "safety_identifier",
    "verbosity",
    "modalities",
    "prediction",
    "audio",
];

impl ChatRequest {
    /// Reads a body; an error is a message for the client.
    pub(crate) fn read(body: Value) -> Result<Self, String> {
        let object = body.as_object().ok_or("the body is not an object")?;
        if let Some(odd) = object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            return Err(format!("Unrecognized request argument supplied: {odd}"));
        }
        let model = body["model"]
            .as_str()
            .ok_or("you must provide a model parameter")?
            .to_owned();
        let list = body["messages"].as_array().filter(|list| !list.is_empty());
        let list = list.ok_or("Invalid 'messages': empty array")?;
        let messages = list.iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let stream = flag(&body, "stream")?;
        if !stream && !body["stream_options"].is_null() {
            return Err(
                "The 'stream_options' parameter is only allowed when 'stream' is enabled".into(),
            );
        }
        let include_usage = flag(&body["stream_options"], "include_usage")?;
        within(&body, "temperature", 0.0, 2.0)?;
        within(&body, "top_p", 0.0, 1.0)?;
        within(&body, "presence_penalty", -2.0, 2.0)?;
        within(&body, "frequency_penalty", -2.0, 2.0)?;
        within(&body, "max_tokens", 1.0, 1e6)?;
        within(&body, "max_completion_tokens", 1.0, 1e6)?;
        if body["stop"].as_array().is_some_and(|stop| stop.len() > 4) {
            return Err("Invalid 'stop': array too long".into());
        }
        Ok(Self {
            number: 0,
            model,
            messages,
            stream,
            include_usage,
            body,
        })
    }

    /// The text of the last message of the user.
    pub fn last_user(&self) -> &str {
        let last = self
            .messages
            .iter()
            .rev()
            .find(|message| message.role == "user");
        last.map_or("", |message| message.content.as_str())
    }

    /// All texts of the prompt, for canaries.
    pub fn prompt(&self) -> String {
        let lines = self
            .messages
            .iter()
            .map(|m| format!("{}: {}\n", m.role, m.content));
        lines.collect()
    }
}

fn message(json: &Value) -> Result<ChatMessage, String> {
    let role = json["role"].as_str().unwrap_or_default();
    if !["system", "developer", "user", "assistant", "tool"].contains(&role) {
        return Err(format!("Invalid value: '{role}' for the role of a message"));
    }
    let content = match &json["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect::<Vec<_>>().join("")
        }
        Value::Null if role == "assistant" && json["tool_calls"].is_array() => String::new(),
        other => return Err(format!("Invalid content of a message: {other}")),
    };
    Ok(ChatMessage {
        role: role.to_owned(),
        content,
    })
}

fn flag(body: &Value, key: &str) -> Result<bool, String> {
    match &body[key] {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        other => Err(format!("Invalid type for '{key}': {other}")),
    }
}

fn within(body: &Value, key: &str, min: f64, max: f64) -> Result<(), String> {
    match &body[key] {
        Value::Null => Ok(()),
        value if value.as_f64().is_some_and(|n| (min..=max).contains(&n)) => Ok(()),
        other => Err(format!("Invalid '{key}': {other}")),
    }
}
