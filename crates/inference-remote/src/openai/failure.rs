//! What an endpoint's errors mean for who asked.
//!
//! Invariant: nothing that an endpoint wrote in prose goes into an error, for errors are logged
//! and endpoints repeat keys and prompts in their messages; only its codes do.

use std::fmt;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use tertulia_inference::GenerateError;
use thiserror::Error;

use super::wire::Refused;

/// Codes that mean that the money is used up; trying again never helps.
const QUOTA: [&str; 5] = [
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
    "insufficient_balance",
];

/// Codes and phrases that mean that the prompt is too long; servers differ.
const TOO_LONG: [&str; 5] = [
    "context_length_exceeded",
    "exceed_context_size",
    "maximum context length",
    "context length",
    "context window",
];

/// What an endpoint says in an error.
#[derive(Debug, Default)]
pub(super) struct ErrorReply {
    kind: String,
    code: String,
    parameter: String,
    /// Only looked at, never shown.
    message: String,
    /// Tokens of the prompt and the context, where they are told.
    tokens: (usize, usize),
}

/// An error as it may be shown: the status and the endpoint's codes.
#[derive(Debug, Error)]
pub(super) struct Said {
    status: u16,
    codes: Vec<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            0 => f.write_str("the endpoint said within its answer:")?,
            status => write!(f, "the endpoint said: {status}")?,
        }
        self.codes.iter().try_for_each(|code| write!(f, " {code}"))
    }
}

// === impl ErrorReply ===

impl ErrorReply {
    /// Reads the body of an error, whatever it is.
    pub(super) fn from_body(body: &[u8]) -> Self {
        let value: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        Self::from_value(value.get("error").unwrap_or(&value))
    }

    /// Reads an error object; some servers write only a text.
    pub(super) fn from_value(error: &Value) -> Self {
        let text = |key: &str| match error.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let number = |key: &str| {
            error
                .get(key)
                .and_then(Value::as_u64)
                .and_then(|n| usize::try_from(n).ok())
        };
        Self {
            kind: text("type"),
            code: text("code"),
            parameter: text("param"),
            message: error
                .as_str()
                .map_or_else(|| text("message"), str::to_owned),
            tokens: (
                number("n_prompt_tokens").unwrap_or(0),
                number("n_ctx").unwrap_or(0),
            ),
        }
    }

    /// The parameter that the model does not take, if that is what is wrong.
    pub(super) fn refused_parameter(&self) -> Option<&'static str> {
        let message = self.message.to_ascii_lowercase();
        let phrases = [
            "unsupported",
            "not support",
            "unrecognized",
            "unknown",
            "extra inputs",
        ];
        let unsupported = self.code.starts_with("unsupported")
            || self.code == "unknown_parameter"
            || phrases.iter().any(|phrase| message.contains(phrase));
        if !unsupported {
            return None;
        }
        let named = |known: &&str| self.parameter == *known;
        let told = |known: &&str| self.parameter.is_empty() && message.contains(known);
        let all = || Refused::KNOWN.into_iter();
        // A message may name the right parameter too ("use max_completion_tokens instead"), so
        // the one it names first is the wrong one.
        all()
            .find(named)
            .or_else(|| all().filter(told).min_by_key(|known| message.find(known)))
    }

    /// The error for who asked; status 0 within a stream.
    pub(super) fn into_error(self, status: u16, after: Option<Duration>) -> GenerateError {
        let is = |name: &&str| self.code == *name || self.kind == *name;
        let quota = status == 402 || QUOTA.iter().any(is);
        let message = self.message.to_ascii_lowercase();
        let says = |phrase: &&str| {
            message.contains(*phrase) || self.code.contains(*phrase) || self.kind.contains(*phrase)
        };
        let mine = matches!(status, 0 | 400 | 413 | 422 | 500);
        let too_long = status == 413 || (mine && TOO_LONG.iter().any(says));
        let tokens = self.tokens;
        let status_within = match (status, self.code.parse::<u16>()) {
            (0, Ok(code @ 400..600)) => code,
            _ => status,
        };
        let source = Box::new(self.shown(status));
        match status_within {
            _ if quota => GenerateError::Quota(source),
            _ if too_long => GenerateError::TooLong {
                tokens: tokens.0,
                limit: tokens.1,
            },
            0 if is_refusal(&source) => GenerateError::Refused(source),
            0 | 408 | 409 | 425 | 429 | 500.. => GenerateError::Transient { after, source },
            _ => GenerateError::Refused(source),
        }
    }

    fn shown(self, status: u16) -> Said {
        let is_code = |text: &String| {
            let letters = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            (1..=64).contains(&text.len()) && text.chars().all(letters)
        };
        let codes = [self.kind, self.code, self.parameter];
        Said {
            status,
            codes: codes.into_iter().filter(is_code).collect(),
        }
    }
}

/// Within a stream there is no status; these types say that the request itself is wrong.
fn is_refusal(said: &Said) -> bool {
    let refusals = [
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
    ];
    said.codes
        .iter()
        .any(|code| refusals.contains(&code.as_str()))
}

/// How long the endpoint wants to be left alone.
///
/// A date is compared with the answer's own date, so that no clock of ours matters.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    if let Some(millis) = text("retry-after-ms").and_then(|text| text.trim().parse::<f64>().ok()) {
        return seconds(millis / 1000.0);
    }
    let wanted = text(RETRY_AFTER.as_str())?.trim();
    if let Ok(wanted) = wanted.parse::<f64>() {
        return seconds(wanted);
    }
    let date = |text: &str| DateTime::parse_from_rfc2822(text.trim()).ok();
    let wait = date(wanted)? - text("date").and_then(date)?;
    Some(wait.to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16, body: &str) -> &'static str {
        ErrorReply::from_body(body.as_bytes())
            .into_error(status, None)
            .kind()
    }

    #[test]
    fn errors_are_told_apart() {
        let cases = [
            (
                429,
                r#"{"error":{"code":"rate_limit_exceeded"}}"#,
                "transient",
            ),
            (429, r#"{"error":{"type":"slow_down"}}"#, "transient"),
            (
                429,
                r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#,
                "quota",
            ),
            (
                429,
                r#"{"error":{"code":"credit_balance_exhausted"}}"#,
                "quota",
            ),
            (402, "", "quota"),
            (401, r#"{"error":{"code":"invalid_api_key"}}"#, "refused"),
            (403, "<html>", "refused"),
            (404, r#"{"error":{"code":"model_not_found"}}"#, "refused"),
            (301, "", "refused"),
            (400, r#"{"error":{"message":"bad image"}}"#, "refused"),
            (
                400,
                r#"{"error":{"code":"context_length_exceeded"}}"#,
                "too_long",
            ),
            (
                400,
                r#"{"error":{"type":"exceed_context_size_error","n_ctx":9}}"#,
                "too_long",
            ),
            (
                400,
                r#"{"message":"This model's maximum context length is 9 tokens"}"#,
                "too_long",
            ),
            (413, "", "too_long"),
            (408, "", "transient"),
            (500, "oops", "transient"),
            (
                503,
                r#"{"error":{"code":"server_is_overloaded"}}"#,
                "transient",
            ),
            (529, "", "transient"),
            (0, r#"{"type":"server_error"}"#, "transient"),
            (0, r#"{"code":429}"#, "transient"),
            (0, r#"{"code":401}"#, "refused"),
            (0, r#"{"type":"invalid_request_error"}"#, "refused"),
            (0, r#"{"code":"insufficient_quota"}"#, "quota"),
        ];
        for (status, body, expected) in cases {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn prose_is_not_repeated() {
        let body = r#"{"error":{"message":"wrong key sk-1","type":"a b sk-1","code":"bad_key"}}"#;
        let error = ErrorReply::from_body(body.as_bytes()).into_error(401, None);
        let shown = format!("{error:?} {}", std::error::Error::source(&error).unwrap());
        assert!(shown.contains("401 bad_key"), "{shown}");
        assert!(!shown.contains("sk-1"), "{shown}");
    }

    #[test]
    fn refused_parameters_are_found() {
        let cases = [
            (
                r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}}"#,
                Some("max_tokens"),
            ),
            (
                r#"{"error":{"message":"Unsupported parameter: max_tokens. Use max_completion_tokens instead."}}"#,
                Some("max_tokens"),
            ),
            (
                r#"{"error":{"message":"does not support 0.7","param":"temperature","code":"unsupported_value"}}"#,
                Some("temperature"),
            ),
            (
                r#"{"error":{"message":"Unrecognized request argument supplied: stream_options"}}"#,
                Some("stream_options"),
            ),
            (r#"{"error":{"message":"the model stopped"}}"#, None),
            (
                r#"{"error":{"message":"unknown model","param":"model"}}"#,
                None,
            ),
            ("", None),
        ];
        for (body, parameter) in cases {
            let reply = ErrorReply::from_body(body.as_bytes());
            assert_eq!(reply.refused_parameter(), parameter, "{body}");
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
        type Headers = &'static [(&'static str, &'static str)];
        const NOW: (&str, &str) = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        let headers = |pairs: Headers| -> HeaderMap {
            let pairs = pairs.iter().map(|(name, value)| {
                (
                    name.parse().unwrap(),
                    reqwest::header::HeaderValue::from_static(value),
                )
            });
            pairs.collect()
        };
        let cases: [(Headers, Option<f64>); 7] = [
            (&[], None),
            (&[("retry-after", "7")], Some(7.0)),
            (&[("retry-after", "1.5")], Some(1.5)),
            (
                &[("retry-after", "9"), ("retry-after-ms", "250")],
                Some(0.25),
            ),
            (
                &[("retry-after", "Wed, 21 Oct 2015 07:29:00 GMT"), NOW],
                Some(60.0),
            ),
            (
                &[("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"), NOW],
                Some(0.0),
            ),
            (&[("retry-after", "-3")], None),
        ];
        for (pairs, seconds) in cases {
            let wait = retry_after(&headers(pairs)).map(|wait| wait.as_secs_f64());
            assert_eq!(wait, seconds, "{pairs:?}");
        }
    }
}
