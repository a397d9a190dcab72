//! Who is at the browser: the person behind a cookie, and which chats are that person's.
//!
//! Invariant: the cookie's value is in no id, answer or log; ids are made from its hash.

use std::convert::Infallible;
use std::fmt::Write as _;

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};
use tertulia_domain::{ChatId, Language, PersonId};
use uuid::Uuid;

use super::problem::Problem;

const COOKIE: &str = "tertulia";
/// The longest that browsers keep a cookie.
const COOKIE_MAX_AGE_S: u32 = 400 * 24 * 60 * 60;

/// The person who asks.
pub(crate) struct Visitor {
    /// Who.
    pub(crate) person: PersonId,
    /// In which language.
    pub(crate) language: Language,
}

/// A chat of the person who asks.
pub(crate) struct Chat {
    /// Whose it is.
    pub(crate) visitor: Visitor,
    /// Its id in places.
    pub(crate) id: ChatId,
}

/// The secret that makes a person.
pub(crate) struct Secret(String);

/// The language that the browser prefers.
pub(crate) struct Preferred(pub(crate) Language);

// === impl Visitor ===

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let secret = Secret::of(&parts.headers).ok_or_else(Problem::nobody)?;
        Ok(Self {
            person: secret.person(),
            language: language(&parts.headers),
        })
    }
}

// === impl Preferred ===

impl<S: Send + Sync> FromRequestParts<S> for Preferred {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(language(&parts.headers)))
    }
}

fn language(headers: &HeaderMap) -> Language {
    let tag = headers.get(header::ACCEPT_LANGUAGE);
    Language::from_tag(tag.and_then(|tag| tag.to_str().ok()).unwrap_or_default())
}

// === impl Chat ===

impl<S: Send + Sync> FromRequestParts<S> for Chat {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let visitor = Visitor::from_request_parts(parts, state).await?;
        let Path(name) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        let name = Uuid::try_parse(&name).map_err(|_| Problem::not_found())?;
        let id = chat_id(&visitor.person, name);
        Ok(Self { visitor, id })
    }
}

/// The id of the person's chat of that name: it holds the person, so that whoever uses the same
/// name means another chat.
pub(crate) fn chat_id(person: &PersonId, name: Uuid) -> ChatId {
    ChatId::new(format!("{}.{name}", person.id()))
}

/// The name of a chat, if it is that person's.
pub(crate) fn chat_name<'a>(person: &PersonId, chat: &'a ChatId) -> Option<&'a str> {
    chat.as_str().strip_prefix(person.id())?.strip_prefix('.')
}

// === impl Secret ===

impl Secret {
    /// Draws a new one.
    pub(crate) fn draw() -> Self {
        // Two of them hold more than the 128 random bits that nobody guesses.
        Self(format!(
            "{}{}",
            Uuid::new_v4().simple(),
            Uuid::new_v4().simple()
        ))
    }

    /// Reads it from the request's cookies.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
            .find(|value| value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()))
            .map(|value| Self(value.to_owned()))
    }

    /// The person: half of a hash, so that the id does not open the door.
    pub(crate) fn person(&self) -> PersonId {
        let hash = Sha256::digest(self.0.as_bytes());
        let id = hash[..16].iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        });
        PersonId::new("web", id)
    }

    /// The cookie that keeps it: out of the reach of scripts and other sites.
    pub(crate) fn cookie(&self, headers: &HeaderMap) -> HeaderValue {
        let https = headers
            .get("x-forwarded-proto")
            .is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        let secure = if https { "; Secure" } else { "" };
        let cookie = format!(
            "{COOKIE}={}; Path=/; Max-Age={COOKIE_MAX_AGE_S}; HttpOnly; SameSite=Strict{secure}",
            self.0
        );
        HeaderValue::try_from(cookie).expect("hexadecimal digits are header text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_cookie(line: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(line).unwrap());
        headers
    }

    #[test]
    fn a_person_is_the_hash_of_a_secret() {
        let secret = Secret::draw();
        let again = Secret::of(&with_cookie(&format!("a=b; tertulia={}; c=d", secret.0))).unwrap();
        assert_eq!(secret.person(), again.person());
        assert_eq!(secret.person().id().len(), 32);
        assert!(!secret.0.contains(secret.person().id()));
        assert_ne!(secret.person(), Secret::draw().person());
    }

    #[test]
    fn what_is_no_secret_of_ours_is_nobody() {
        for line in [
            "",
            "tertulia=",
            "tertulia=short",
            "other=1",
            "xtertulia=00",
            &format!("tertulia={}", "g".repeat(64)),
        ] {
            assert!(Secret::of(&with_cookie(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn the_same_name_is_another_chat_for_another_person() {
        let (anna, ben) = (PersonId::new("web", "aa"), PersonId::new("web", "bb"));
        let name = Uuid::new_v4();
        let chat = chat_id(&anna, name);
        assert_ne!(chat, chat_id(&ben, name));
        assert_eq!(chat_name(&anna, &chat), Some(name.to_string().as_str()));
        assert_eq!(chat_name(&ben, &chat), None);
    }
}
