//! Chat completions, as OpenAI and most other servers of models speak them.
//!
//! What endpoints do not have in common is left out: `top_k`, `min_p` and `repetition_penalty` are
//! not sent, since OpenAI refuses requests with them.

mod answer;
mod failure;
mod wire;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Response, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use tertulia_domain::ModelName;
use tertulia_inference::{GenerateError, Generator, ModelInfo, Prompt, Request, TextStream};
use thiserror::Error;

use self::answer::Answer;
use self::failure::{ErrorReply, retry_after};
use self::wire::{Body, Refused};
use crate::estimate;

/// The largest error that is read.
const LARGEST_ERROR: usize = 64 << 10;

/// The largest answer that is read at once.
const LARGEST_ANSWER: usize = 4 << 20;

/// Where a model is and what it is called there.
#[derive(Clone, Debug)]
pub struct OpenAiSettings {
    /// Its name in the config.
    pub name: ModelName,
    /// The address up to and with `/v1`.
    pub base_url: String,
    /// The key; servers of one's own often need none.
    pub api_key: Option<SecretString>,
    /// Its name at the endpoint.
    pub model: String,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// How long a connection may take; zero for as long as it likes.
    pub connect: Duration,
}

/// Why settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The address is none.
    #[error("the base_url of the model {0} is not an http address")]
    Address(ModelName),
    /// The key has characters that no header can carry.
    #[error("the api_key of the model {0} has characters that cannot be sent")]
    Key(ModelName),
    /// The system has no means to connect.
    #[error("no HTTP client for the model {0}")]
    Client(ModelName, #[source] reqwest::Error),
}

/// A model behind an endpoint that speaks chat completions.
pub struct OpenAi {
    info: ModelInfo,
    model: String,
    url: Url,
    client: Client,
    connect: Duration,
    /// Learned from the endpoint's refusals, so that each costs one request in all.
    refused: Mutex<Refused>,
}

// === impl OpenAi ===

impl OpenAi {
    /// Prepares the connection; nothing is sent yet.
    pub fn new(settings: OpenAiSettings) -> Result<Self, SettingsError> {
        let OpenAiSettings {
            name,
            base_url,
            api_key,
            model,
            context,
            connect,
        } = settings;
        let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
        let url = Url::parse(&url)
            .ok()
            .filter(|url| url.scheme().starts_with("http"));
        let url = url.ok_or_else(|| SettingsError::Address(name.clone()))?;
        let mut headers = HeaderMap::new();
        if let Some(key) = api_key {
            let value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
            let mut value = value.map_err(|_| SettingsError::Key(name.clone()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut client = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("tertulia/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry a conversation to who knows where.
            .redirect(redirect::Policy::none())
            .tcp_keepalive(Duration::from_secs(30));
        if !connect.is_zero() {
            client = client.connect_timeout(connect);
        }
        let client = client
            .build()
            .map_err(|error| SettingsError::Client(name.clone(), error))?;
        Ok(Self {
            info: ModelInfo {
                name,
                context,
                local: false,
            },
            model,
            url,
            client,
            connect,
            refused: Mutex::default(),
        })
    }

    async fn send(&self, request: &Request, refused: &Refused) -> Result<Response, GenerateError> {
        let body = Body::new(&self.model, request, refused);
        let response = self.client.post(self.url.clone()).json(&body).send().await;
        response.map_err(|error| {
            let error = error.without_url();
            if error.is_timeout() && error.is_connect() {
                GenerateError::Timeout {
                    phase: "connect",
                    limit: self.connect,
                }
            } else {
                GenerateError::Transient {
                    after: None,
                    source: Box::new(error),
                }
            }
        })
    }

    fn refused(&self) -> MutexGuard<'_, Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Generator for OpenAi {
    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    /// A guess by the characters of the texts, meant to be a little high.
    fn count_tokens(&self, prompt: &Prompt) -> usize {
        estimate::prompt(prompt)
    }

    async fn generate(&self, request: Request) -> Result<TextStream, GenerateError> {
        // Each refusal of a parameter is noted once, so this comes to an end.
        loop {
            let refused = self.refused().clone();
            let response = self.send(&request, &refused).await?;
            let status = response.status();
            if status.is_success() {
                let prompt_tokens = self.count_tokens(request.prompt());
                let stop = &request.sampling().stop;
                let answer = Answer::new(self.info.name.clone(), stop, prompt_tokens);
                if streams(&response) {
                    return Ok(answer.stream(response.bytes_stream().boxed()));
                }
                let body = read_up_to(LARGEST_ANSWER, response).await?;
                return answer.whole(&body);
            }
            let after = retry_after(response.headers());
            let body = read_up_to(LARGEST_ERROR, response)
                .await
                .unwrap_or_default();
            let error = ErrorReply::from_body(&body);
            let parameter = error
                .refused_parameter()
                .filter(|_| matches!(status.as_u16(), 400 | 422));
            match parameter {
                // Another request may have learned it in the meantime.
                Some(parameter) if self.refused().note(parameter) || *self.refused() != refused => {
                    tracing::info!(model = %self.info.name, parameter, "left out from now on");
                }
                _ => return Err(error.into_error(status.as_u16(), after)),
            }
        }
    }
}

/// Whether the answer is a stream; a server that does not know streams sends JSON.
fn streams(response: &Response) -> bool {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    !kind.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("application/json")
    })
}

/// Reads a body; what is longer is cut off.
async fn read_up_to(limit: usize, response: Response) -> Result<Vec<u8>, GenerateError> {
    let mut body = response.bytes_stream();
    let mut read = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|error| GenerateError::Broken(Box::new(error.without_url())))?;
        let room = limit.saturating_sub(read.len());
        read.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() >= room {
            break;
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
