//! One call of the Bot API: JSON in, JSON out, and what went wrong by what it means.
//!
//! `teloxide-core` gives the requests; they travel on a client of our own, because its typed
//! errors hide what flow control needs (the exact description, `retry_after` next to any error)
//! and its client ends a poll after 17 s.
//!
//! Invariant: the address of a call contains the token, so no address ever leaves this file, not
//! in an error and not in a log line.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use teloxide_core::requests::Payload;
use tertulia_platform::PlatformError;
use thiserror::Error;

/// How long a call may take when nothing else is said.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// More than the 4 MiB at which the server cuts a batch of updates.
const ANSWER_MAX: usize = 16 << 20;

/// Calls methods of the Bot API.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: SecretString,
}

/// A call that did not succeed.
#[derive(Debug, Error)]
pub(crate) enum ApiError {
    /// The server was not reached; nothing was sent.
    #[error("telegram cannot be reached")]
    Unreached(#[source] reqwest::Error),
    /// The connection broke; the server may have acted on the request or not.
    #[error("lost the connection to telegram")]
    Lost(#[source] reqwest::Error),
    /// No answer within the time given; the server may have acted on the request or not.
    #[error("telegram did not answer in time")]
    Silent,
    /// Something answered that does not speak the Bot API, such as a gateway's error page.
    #[error("no answer of the bot api, status {0}")]
    Garbled(u16),
    /// The server said no.
    #[error("telegram says {code}: {description}")]
    Refused {
        code: u16,
        description: String,
        retry_after: Option<Duration>,
        migrate_to: Option<i64>,
    },
}

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    result: Option<Box<RawValue>>,
    error_code: Option<u16>,
    description: Option<String>,
    parameters: Option<Parameters>,
}

#[derive(Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
    migrate_to_chat_id: Option<i64>,
}

// === impl Api ===

impl Api {
    pub(crate) fn new(api_url: &str, token: SecretString) -> Result<Self, PlatformError> {
        let base = reqwest::Url::parse(api_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
            .ok_or_else(|| misconfigured("api_url is not an http or https address"))?;
        // The token becomes part of a path, where anything else would change what is called.
        let shaped = token
            .expose_secret()
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-'));
        if token.expose_secret().is_empty() || !shaped {
            return Err(misconfigured(
                "the token does not look like one of BotFather",
            ));
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(45))
            // A redirect would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            // A connection for each call in flight, so that a stalled poll stalls nothing else.
            .http1_only();
        if base.host_str().is_some_and(is_loopback) {
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|_| misconfigured("the http client cannot be built"))?;
        Ok(Self {
            http,
            base: api_url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// Sends a request of `teloxide-core` and reads the answer as far as we need it.
    pub(crate) async fn send<P, T>(&self, request: &P) -> Result<T, ApiError>
    where
        P: Payload + Serialize + Sync,
        T: DeserializeOwned,
    {
        self.call(P::NAME, request, CALL_LIMIT).await
    }

    /// Calls a method with a body of our own.
    pub(crate) async fn call<B, T>(
        &self,
        method: &str,
        body: &B,
        limit: Duration,
    ) -> Result<T, ApiError>
    where
        B: Serialize + Sync + ?Sized,
        T: DeserializeOwned,
    {
        match tokio::time::timeout(limit, self.exchange(method, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(ApiError::Silent),
        }
    }

    async fn exchange<B, T>(&self, method: &str, body: &B) -> Result<T, ApiError>
    where
        B: Serialize + Sync + ?Sized,
        T: DeserializeOwned,
    {
        let method = camel_case(method);
        let url = format!("{}/bot{}/{method}", self.base, self.token.expose_secret());
        let mut response = self.http.post(url).json(body).send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if bytes.len() + chunk.len() > ANSWER_MAX {
                return Err(ApiError::Garbled(status));
            }
            bytes.extend_from_slice(&chunk);
        }
        read_answer(status, &bytes)
    }
}

// === impl ApiError ===

impl ApiError {
    /// Whether the token is refused: wrong, or malformed so that no such bot is found.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { code: 401, .. })
    }

    /// How long the server asks us to wait, if that is what it says.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused {
                code: 429,
                retry_after,
                ..
            } => Some(retry_after.unwrap_or(Duration::from_secs(1))),
            _ => None,
        }
    }

    /// What the server said, where it said something.
    pub(crate) fn description(&self) -> &str {
        match self {
            Self::Refused { description, .. } => description,
            _ => "",
        }
    }
}

fn read_answer<T: DeserializeOwned>(status: u16, bytes: &[u8]) -> Result<T, ApiError> {
    let answer: Answer = serde_json::from_slice(bytes).map_err(|_| ApiError::Garbled(status))?;
    if answer.ok {
        let result = answer.result.ok_or(ApiError::Garbled(status))?;
        return serde_json::from_str(result.get()).map_err(|_| ApiError::Garbled(status));
    }
    let description = answer.description.unwrap_or_default();
    let said = answer.parameters.as_ref().and_then(|p| p.retry_after);
    Err(ApiError::Refused {
        code: answer.error_code.unwrap_or(status),
        retry_after: said
            .or_else(|| seconds_in(&description))
            .map(Duration::from_secs),
        migrate_to: answer.parameters.and_then(|p| p.migrate_to_chat_id),
        description,
    })
}

/// The seconds of `Too Many Requests: retry after N`.
fn seconds_in(description: &str) -> Option<u64> {
    let (_, rest) = description.split_once("retry after ")?;
    rest.split_whitespace().next()?.parse().ok()
}

fn lost(error: reqwest::Error) -> ApiError {
    let error = error.without_url();
    if error.is_connect() || error.is_builder() {
        ApiError::Unreached(error)
    } else {
        ApiError::Lost(error)
    }
}

/// `SendMessage` as `sendMessage`, as the documentation writes it.
fn camel_case(method: &str) -> String {
    let mut method = method.to_owned();
    if let Some(first) = method.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    method
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

fn misconfigured(problem: &str) -> PlatformError {
    PlatformError::Misconfigured(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_what_they_mean() {
        let read = |status, body: &str| read_answer::<u32>(status, body.as_bytes());

        assert_eq!(read(200, r#"{"ok":true,"result":7}"#).unwrap(), 7);
        for (body, seconds) in [
            (
                r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 5","parameters":{"retry_after":5}}"#,
                5,
            ),
            (
                r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 9"}"#,
                9,
            ),
            (
                r#"{"ok":false,"error_code":429,"description":"Too Many Requests"}"#,
                1,
            ),
        ] {
            let after = read(429, body).unwrap_err().retry_after();
            assert_eq!(after, Some(Duration::from_secs(seconds)), "{body}");
        }
        let moved = r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001}}"#;
        let ApiError::Refused { migrate_to, .. } = read(400, moved).unwrap_err() else {
            panic!("refused");
        };
        assert_eq!(migrate_to, Some(-1001));
        assert!(matches!(
            read(502, "<html>bad gateway</html>").unwrap_err(),
            ApiError::Garbled(502)
        ));
    }

    #[tokio::test]
    async fn the_token_is_in_no_error() {
        let token = "123:secret-of-the-house";
        // A port that was just free: nobody listens there.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let api = Api::new(&format!("http://127.0.0.1:{port}"), token.into()).unwrap();
        let error = api
            .call::<_, u32>("getMe", &(), CALL_LIMIT)
            .await
            .unwrap_err();
        assert!(matches!(error, ApiError::Unreached(_)), "{error:?}");
        let mut told = format!("{error:?} {error}");
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            told.push_str(&format!(" {error} {error:?}"));
            cause = error.source();
        }
        assert!(!told.contains("secret-of-the-house"), "{told}");
    }

    #[test]
    fn what_cannot_work_is_refused_without_being_repeated() {
        for (url, token) in [
            ("ftp://x", "1:a"),
            ("nonsense", "1:a"),
            ("http://x", ""),
            ("http://x", "1:a/../secret"),
        ] {
            let Err(error) = Api::new(url, token.into()) else {
                panic!("{url} {token} is taken");
            };
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }
}
