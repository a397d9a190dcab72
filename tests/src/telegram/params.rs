//! One method call: its parameters out of JSON, a form, a query or a multipart body, and which
//! parameters each method knows.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Multipart, Request};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// A call of a method.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    /// In lower case: the server does not care about the case of methods.
    pub(crate) method: String,
    pub(crate) params: Map<String, Value>,
    pub(crate) files: BTreeMap<String, (String, Vec<u8>)>,
}

const BODY_MAX: usize = 50 << 20;

/// The parameters of each method this server knows; a method that is not here is unknown.
pub(crate) fn known(method: &str) -> Option<&'static [&'static str]> {
    Some(match method {
        "getme" | "getwebhookinfo" | "logout" | "close" => &[],
        "getupdates" => &["offset", "limit", "timeout", "allowed_updates"],
        "setwebhook" => &[
            "url",
            "certificate",
            "ip_address",
            "max_connections",
            "allowed_updates",
            "drop_pending_updates",
            "secret_token",
        ],
        "deletewebhook" => &["drop_pending_updates"],
        "sendmessage" => &[
            "business_connection_id",
            "chat_id",
            "message_thread_id",
            "direct_messages_topic_id",
            "text",
            "parse_mode",
            "entities",
            "link_preview_options",
            "disable_notification",
            "protect_content",
            "allow_paid_broadcast",
            "message_effect_id",
            "suggested_post_parameters",
            "reply_parameters",
            "reply_markup",
        ],
        "editmessagetext" => &[
            "business_connection_id",
            "chat_id",
            "message_id",
            "inline_message_id",
            "text",
            "parse_mode",
            "entities",
            "link_preview_options",
            "reply_markup",
        ],
        "editmessagereplymarkup" => &[
            "business_connection_id",
            "chat_id",
            "message_id",
            "inline_message_id",
            "reply_markup",
        ],
        "deletemessage" => &["chat_id", "message_id"],
        "sendchataction" => &[
            "business_connection_id",
            "chat_id",
            "message_thread_id",
            "action",
        ],
        "sendmessagedraft" => &[
            "chat_id",
            "message_thread_id",
            "draft_id",
            "text",
            "parse_mode",
            "entities",
            "can_stop",
            "keep_on_stop",
        ],
        "answercallbackquery" => &[
            "callback_query_id",
            "text",
            "show_alert",
            "url",
            "cache_time",
        ],
        "setmycommands" => &["commands", "scope", "language_code"],
        "getmycommands" | "deletemycommands" => &["scope", "language_code"],
        "getfile" => &["file_id"],
        "getchat" => &["chat_id"],
        "getchatmember" => &["chat_id", "user_id"],
        "senddocument" => &[
            "business_connection_id",
            "chat_id",
            "message_thread_id",
            "document",
            "thumbnail",
            "caption",
            "parse_mode",
            "caption_entities",
            "disable_content_type_detection",
            "disable_notification",
            "protect_content",
            "reply_parameters",
            "reply_markup",
        ],
        "setmessagereaction" => &["chat_id", "message_id", "reaction", "is_big"],
        _ => return None,
    })
}

impl Call {
    /// Reads a request as the server does: query, then body.
    pub(crate) async fn read(method: &str, request: Request) -> Result<Self, Refusal> {
        let mut call = Self {
            method: method.to_lowercase(),
            ..Self::default()
        };
        call.absorb_form(request.uri().query().unwrap_or_default());
        let kind = request.headers().get("content-type");
        let kind = kind
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if kind.starts_with("multipart/form-data") {
            call.absorb_multipart(request).await?;
            return Ok(call);
        }
        let body = to_bytes(Body::new(request.into_body()), BODY_MAX)
            .await
            .map_err(|_| Refusal::new(413, "Request Entity Too Large"))?;
        if kind.starts_with("application/json") {
            if !body.is_empty() {
                match serde_json::from_slice(&body) {
                    Ok(Value::Object(object)) => call.params.extend(object),
                    _ => return Err(Refusal::bad("can't parse JSON object")),
                }
            }
        } else {
            call.absorb_form(&String::from_utf8_lossy(&body));
        }
        // A null is an absent parameter.
        call.params.retain(|_, value| !value.is_null());
        Ok(call)
    }

    fn absorb_form(&mut self, form: &str) {
        let url = reqwest::Url::parse(&format!("http://form/?{form}"));
        for (key, value) in url.iter().flat_map(reqwest::Url::query_pairs) {
            self.params
                .insert(key.into_owned(), Value::String(value.into_owned()));
        }
    }

    async fn absorb_multipart(&mut self, request: Request) -> Result<(), Refusal> {
        let bad = |_| Refusal::bad("can't parse multipart body");
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| Refusal::bad("can't parse multipart body"))?;
        while let Some(part) = parts.next_field().await.map_err(bad)? {
            let name = part.name().unwrap_or_default().to_owned();
            let file = part.file_name().map(str::to_owned);
            let bytes = part.bytes().await.map_err(bad)?.to_vec();
            match file {
                Some(file) => {
                    self.files.insert(name, (file, bytes));
                }
                None => {
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    self.params.insert(name, Value::String(text));
                }
            }
        }
        Ok(())
    }

    /// A number, also when it came as text.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>, Refusal> {
        match self.params.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(value) => value
                .as_i64()
                .or_else(|| value.as_str().and_then(|text| text.parse().ok()))
                .map(Some)
                .ok_or_else(|| Refusal::bad(&format!("invalid {key} specified"))),
        }
    }

    /// A number that must be there.
    pub(crate) fn required(&self, key: &str) -> Result<i64, Refusal> {
        self.number(key)?
            .ok_or_else(|| Refusal::bad(&format!("{key} is not specified")))
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.params.get(key).and_then(Value::as_str)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        match self.params.get(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.to_lowercase().as_str(), "true" | "1"),
            _ => false,
        }
    }

    /// An object or array, also when it came as serialized JSON.
    pub(crate) fn value(&self, key: &str) -> Result<Option<Value>, Refusal> {
        match self.params.get(key) {
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => serde_json::from_str(text)
                .map(Some)
                .map_err(|_| Refusal::bad(&format!("can't parse {key} JSON object"))),
            other => Ok(other.cloned()),
        }
    }
}
