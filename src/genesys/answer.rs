//! What the upstream answered, with the headers and error fields that matter already read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::retry::retry_after;
use crate::conversation::{Conversation, NoConversation, Streamed};
use crate::ids::ConversationId;
use crate::lenient::cleaned;

/// How the body of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// All of it is there.
    Complete,
    /// It was larger than we read.
    TooLarge,
    /// The connection broke, or its framing was wrong.
    Broken,
}

/// The body of an answer, up to a cap.
#[derive(Debug, Clone)]
pub struct Body {
    /// What was read.
    pub bytes: Bytes,
    /// Whether that is all.
    pub end: BodyEnd,
}

impl Body {
    /// A body that is all there.
    #[must_use]
    pub fn complete(bytes: Bytes) -> Self {
        Self { bytes, end: BodyEnd::Complete }
    }
}

/// The rate-limit headers that every answer of the API carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests allowed in the window.
    pub allowed: u32,
    /// Requests counted in it so far.
    pub count: u32,
    /// Time until the window resets.
    pub reset: Duration,
}

/// One answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// `ININ-Correlation-Id`, which Genesys' support asks for.
    pub correlation_id: Option<Arc<str>>,
    /// The rate-limit headers, where all three are there.
    pub rate_limit: Option<RateLimit>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Whether the headers call the body HTML.
    html: bool,
    /// The body, up to a cap.
    pub body: Body,
    /// What was read of a long body while it came; nothing of it is in `body`.
    pub streamed: Option<Streamed>,
}

/// The part of the upstream's error body that callers and we act on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UpstreamError {
    /// Such as `conversation.error.not.conversation.participant`.
    pub code: Option<String>,
    /// For people.
    pub message: Option<String>,
}

/// The upstream's name of one request, which its support asks for.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("inin-correlation-id");
pub(crate) const ALLOWED: HeaderName = HeaderName::from_static("inin-ratelimit-allowed");
pub(crate) const COUNT: HeaderName = HeaderName::from_static("inin-ratelimit-count");
pub(crate) const RESET: HeaderName = HeaderName::from_static("inin-ratelimit-reset");

/// Some write it at the start of a body; it means nothing.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Error codes that say "try again", whatever the status. Source: the upstream's error catalogue.
const TRANSIENT_CODES: [&str; 3] = ["service.unavailable", "request.timeout", "authentication.request.timeout"];

/// Longest code and message that are kept, in characters.
const CODE_LIMIT: usize = 128;
const MESSAGE_LIMIT: usize = 512;

impl Answer {
    /// Reads the headers that matter.
    #[must_use]
    pub fn from_http(response: http::Response<Body>) -> Self {
        let (mut head, body) = response.into_parts();
        let rate_limit = rate_limit(&head.headers);
        let asked = head.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(retry_after::parse);
        Self {
            status: head.status,
            correlation_id: text(&head.headers, &CORRELATION_ID)
                .filter(|id| !id.trim_ascii().is_empty())
                .map(|id| Arc::from(&*clip(id, CODE_LIMIT))),
            rate_limit,
            retry_after: asked,
            html: head.headers.get(header::CONTENT_TYPE).is_some_and(names_html),
            body,
            streamed: head.extensions.remove(),
        }
    }

    /// For a 429: the pause it asks for, or else the time until its window resets.
    #[must_use]
    pub fn throttle_pause(&self) -> Option<Duration> {
        self.retry_after.or(self.rate_limit.map(|limit| limit.reset))
    }

    /// Whether a refusal by its status or its code says "try again".
    #[must_use]
    pub fn says_try_again(&self) -> bool {
        matches!(self.status.as_u16(), 408 | 429)
            || self.status.is_client_error()
                && self.error().code.is_some_and(|code| TRANSIENT_CODES.contains(&code.as_str()))
    }

    /// Whether it is a refusal that a retry would get again.
    #[must_use]
    pub fn is_final_refusal(&self) -> bool {
        self.status == StatusCode::NOT_IMPLEMENTED || self.status.is_client_error() && !self.says_try_again()
    }

    /// For a 429: whether the token's window has room left, so that another limit refused this call, such as one of its
    /// conversation. Without the headers it counts as the window's.
    #[must_use]
    pub fn throttles_itself_only(&self) -> bool {
        // One in ten is left to counts that lag behind.
        self.rate_limit.is_some_and(|limit| u64::from(limit.count) * 10 < u64::from(limit.allowed) * 9)
    }

    /// The conversation that the body is.
    ///
    /// # Errors
    /// It was cut off, or is anything but the conversation `cid`.
    pub fn conversation(&mut self, cid: ConversationId) -> Result<Conversation, NoConversation> {
        if self.body.end != BodyEnd::Complete {
            return Err(NoConversation);
        }
        match self.streamed.take() {
            Some(streamed) => Arc::unwrap_or_clone(streamed)?.named(cid),
            None => Conversation::parse(&self.body.bytes, cid),
        }
    }

    /// What the body is; `None` if it was cut off or is something else.
    #[must_use]
    pub fn complete_json<T: DeserializeOwned>(&self) -> Option<T> {
        let complete = self.body.end == BodyEnd::Complete;
        complete.then(|| serde_json::from_slice(&cleaned(&self.body.bytes)).ok()).flatten()
    }

    /// Whether this refusal is Genesys Cloud's own: it has the correlation id that Genesys Cloud puts on every answer, or an error
    /// body in its form, with a word as `code` and the status repeated. Gateways and proxies in between answer otherwise, and
    /// what they say proves nothing about a conversation, a permission or a credential.
    #[must_use]
    pub fn is_own_refusal(&self) -> bool {
        let in_form = || {
            let body = read(&self.body.bytes);
            UpstreamError::status(&body) == Some(self.status.as_u16().into())
                && UpstreamError::of(&body).code.as_deref().is_some_and(is_word)
        };
        self.correlation_id.is_some() || in_form()
    }

    /// Whether the body is a page for people. The API has none. A refusal is one by its content type, too, unless it is JSON; of a
    /// success some frameworks say so without a page.
    #[must_use]
    pub fn is_html(&self) -> bool {
        let body = self.body.bytes.strip_prefix(BOM).unwrap_or(&self.body.bytes).trim_ascii_start();
        let unread = body.is_empty() && self.body.end != BodyEnd::Complete;
        let refuses = !self.status.is_success() && !body.starts_with(b"{");
        body.starts_with(b"<") || self.html && (unread || refuses)
    }

    /// Whether the body of a success is an error, as some gateways answer: it names a status of its own, or says what the `error` is.
    #[must_use]
    pub fn hides_an_error(&self) -> bool {
        let body = &self.body.bytes;
        self.status.is_success() && !body.is_empty() && UpstreamError::is_in(body)
    }

    /// The upstream's error code and message; empty where the body is not such a document.
    #[must_use]
    pub fn error(&self) -> UpstreamError {
        UpstreamError::parse(&self.body.bytes)
    }
}

/// A body as JSON; `null` where it is something else.
fn read(body: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&cleaned(body)).unwrap_or_default()
}

impl UpstreamError {
    /// Reads an error body leniently: anything but a JSON object with strings gives nothing. Some errors have their words in
    /// the first of `errors` only.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        Self::of(&read(body))
    }

    fn of(body: &serde_json::Value) -> Self {
        let word = |name: &str, limit| {
            let places = [body.get(name), body.pointer(&format!("/errors/0/{name}"))];
            let text = places.into_iter().flatten().filter_map(|value| value.as_str()).find(|text| !text.is_empty())?;
            Some(clip(text, limit).into_owned())
        };
        Self { code: word("code", CODE_LIMIT), message: word("message", MESSAGE_LIMIT) }
    }

    /// Whether a body says that something failed: by the status of an error, or by an `error` that is not empty.
    fn is_in(body: &[u8]) -> bool {
        let body = read(body);
        let named = match body.get("error") {
            Some(serde_json::Value::String(text)) => !text.trim().is_empty(),
            Some(serde_json::Value::Object(members)) => !members.is_empty(),
            Some(serde_json::Value::Bool(error)) => *error,
            _ => false,
        };
        named || Self::status(&body).is_some_and(|status| status >= 400)
    }

    /// The status that an error body repeats.
    fn status(body: &serde_json::Value) -> Option<u64> {
        [body.get("status"), body.pointer("/errors/0/status")].into_iter().flatten().find_map(serde_json::Value::as_u64)
    }

    /// Whether the code is this one.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the upstream says that this needs a user's token instead of a client's.
    #[must_use]
    pub fn needs_user_context(&self) -> bool {
        self.is("not.a.user")
            || self.message.as_deref().is_some_and(|m| m.to_ascii_lowercase().contains("requires a user context"))
    }

    /// The permissions that the upstream names in its words, such as `conversation:call:add`.
    #[must_use]
    pub fn named_permissions(&self) -> Vec<&str> {
        let of_a_permission = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '*' | '_' | '-');
        let is_permission = |word: &&str| {
            let mut parts = word.split(':');
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && parts.by_ref().take(3).filter(|part| !part.is_empty()).count() == 3
                && parts.next().is_none()
        };
        let words = self.message.as_deref().unwrap_or_default().split(|c| !of_a_permission(c));
        words.filter(is_permission).collect()
    }

    /// Whether the upstream says that the client's role lacks a permission.
    #[must_use]
    pub fn misses_permission(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        let message = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        code == "not.authorized"
            || code.starts_with("missing.") && code.contains("permission")
            || message.contains("missing") && message.contains("permission")
    }
}

/// Such as `not.found`; numbers and sentences are others' codes.
fn is_word(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_alphabetic()) && code.bytes().all(|byte| byte.is_ascii_graphic())
}

fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let (mut allowed, mut count, mut reset) = (None, None, None);
    // In one pass: three look-ups cost several times as much.
    for (name, value) in headers {
        let wanted = match name.as_str().strip_prefix("inin-ratelimit-") {
            Some("allowed") => &mut allowed,
            Some("count") => &mut count,
            Some("reset") => &mut reset,
            _ => continue,
        };
        let number = value.to_str().ok().and_then(|text| text.trim_ascii().parse::<u32>().ok());
        *wanted = wanted.or(number);
    }
    Some(RateLimit { allowed: allowed?, count: count?, reset: Duration::from_secs(reset?.into()) })
}

fn names_html(kind: &HeaderValue) -> bool {
    kind.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"html"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Cuts at a character boundary and drops control characters, which have no place in our logs and answers.
fn clip(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.into();
    }
    text.chars().filter(|c| !c.is_control()).take(limit).collect()
}

#[cfg(test)]
mod tests;
