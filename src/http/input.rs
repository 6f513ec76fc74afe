//! What callers send: ids in the path, queries, preferences, bodies. Lenient about form, strict about meaning.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;

use crate::ids::{ConversationId, ParticipantId};
use crate::problem::{Code, Problem};

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Longest `Prefer: wait`.
const LONGEST_WAIT: u64 = 60;
/// Longest reason or cause that is passed on, in bytes.
const LONGEST_REASON: usize = 1024;

/// Reads a conversation id from the path.
pub(super) fn conversation_id(text: &str) -> Result<ConversationId, Problem> {
    ConversationId::parse(text).ok_or_else(|| {
        let detail = "the conversation id in the path must be a hyphenated UUID, such as \
                      0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d: check that the variable is set, and that it is Genesys' \
                      conversation id and not another system's contact id";
        Problem::new(Code::InvalidConversationId, detail)
    })
}

/// Reads a participant id from the path.
pub(super) fn participant_id(text: &str) -> Result<ParticipantId, Problem> {
    ParticipantId::parse(text).ok_or_else(|| {
        let detail = "the participant id in the path must be a hyphenated UUID; take it from \
                      GET /conversations/{conversationId}/participants";
        Problem::new(Code::InvalidParticipantId, detail)
    })
}

/// The query's members; unknown names are refused, `known` ones are given to `take`.
pub(super) fn query(
    parts: &Parts,
    known: &[&str],
    mut take: impl FnMut(&str, &str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        if !known.contains(&&*name) {
            let names = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
            let detail = format!("unknown query parameter \"{name}\"; known here: {names}");
            return Err(Problem::new(Code::InvalidQuery, detail));
        }
        take(&name, &value)?;
    }
    Ok(())
}

/// `?dryRun=true`, the one query parameter of a mission.
pub(super) fn dry_run(parts: &Parts) -> Result<bool, Problem> {
    let mut dry_run = false;
    query(parts, &["dryRun"], |name, value| {
        dry_run = flag(name, value)?;
        Ok(())
    })?;
    Ok(dry_run)
}

/// A query parameter that is true or false.
fn flag(name: &str, value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(Code::InvalidQuery, format!("the query parameter {name} must be true or false"))),
    }
}

/// What `Prefer` asks for (RFC 7240). What is not understood is ignored, as it demands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    pub(super) wait: Option<Duration>,
    pub(super) minimal: bool,
}

impl Preferences {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        let words = headers.get_all(PREFER).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
        for word in words {
            let preference = word.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            match (name.trim().to_ascii_lowercase().as_str(), value) {
                // The first of several counts.
                ("wait", seconds) if found.wait.is_none() => {
                    found.wait = seconds.parse::<u64>().ok().map(|s| Duration::from_secs(s.min(LONGEST_WAIT)));
                }
                ("return", "minimal") => found.minimal = true,
                _ => {}
            }
        }
        found
    }

    /// Says which preferences were applied.
    pub(super) fn stamp(self, response: &mut Response, minimal: bool) {
        if let Some(applied) = self.applied(minimal) {
            response.headers_mut().insert("preference-applied", applied);
        }
    }

    /// The value of `Preference-Applied`, where something was applied.
    fn applied(self, minimal: bool) -> Option<HeaderValue> {
        let wait = self.wait.map(|wait| format!("wait={}", wait.as_secs()));
        let minimal = minimal.then(|| "return=minimal".to_owned());
        let applied: Vec<_> = wait.into_iter().chain(minimal).collect();
        if applied.is_empty() { None } else { HeaderValue::from_str(&applied.join(", ")).ok() }
    }
}

/// `Idempotency-Key`, taken as it is.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    let wrong = || Problem::new(Code::InvalidSelector, "Idempotency-Key must be 1 to 255 visible ASCII characters");
    text.map(Some).ok_or_else(wrong)
}

/// Reads a body up to `limit` bytes, within `within`.
pub(super) async fn body(headers: &HeaderMap, body: Body, limit: usize, within: Duration) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Code::BodyTooLarge, format!("the body may have at most {limit} bytes; the mission needs none"));
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    if http_body::Body::is_end_stream(&body) {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(within, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(_)) => Err(invalid_body("the body was broken off; send it whole, with a right Content-Length")),
        Err(_) => Err(invalid_body("the body did not arrive in time; send it at once, with a right Content-Length")),
    }
}

fn invalid_body(detail: &str) -> Problem {
    Problem::new(Code::InvalidBody, detail)
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"))
}

/// Reads a body as a JSON object. Empty and `null` are no members; a form content type may carry JSON, a form or nothing.
/// No content type is refused.
pub(super) fn members(headers: &HeaderMap, body: &[u8]) -> Result<serde_json::Map<String, Value>, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| invalid_body("the body is no UTF-8; send JSON, or nothing"))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(serde_json::Map::new());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(serde_json::Map::new()),
        Ok(_) => Err(invalid_body("the body must be a JSON object, such as {\"reason\":\"user_request\"}, or nothing")),
        Err(_) if is_form(headers) && !text.starts_with(['{', '[', '"']) => Ok(form_urlencoded::parse(text.as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect()),
        Err(error) => {
            let place = format!("line {}, column {}", error.line(), error.column());
            Err(invalid_body(&format!(
                "the body is no JSON ({place}); send an object such as {{\"reason\":\"user_request\"}}, or nothing"
            )))
        }
    }
}

/// Reason and cause of a mission. Unset variables of IVR scripts arrive as `""`: no reason given.
pub(super) fn reason_and_cause(
    members: &serde_json::Map<String, Value>,
) -> Result<(Option<String>, Option<String>), Problem> {
    let take = |name: &str| match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) if text.len() > LONGEST_REASON => {
            Err(invalid_body(&format!("{name} may have at most {LONGEST_REASON} bytes")))
        }
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(invalid_body(&format!("{name} must be a string, or absent"))),
    };
    Ok((take("reason")?, take("cause")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form() -> HeaderMap {
        let value = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        HeaderMap::from_iter([(header::CONTENT_TYPE, value)])
    }

    #[test]
    fn preferences_are_read_from_any_form_and_the_rest_is_ignored() {
        let of = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("prefer", value.parse().unwrap());
            }
            Preferences::of(&headers)
        };
        let wait = |s| Some(Duration::from_secs(s));
        assert_eq!(of(&["wait=5"]), Preferences { wait: wait(5), minimal: false });
        assert_eq!(of(&["return=minimal, Wait = \"7\" ; x"]), Preferences { wait: wait(7), minimal: true });
        assert_eq!(of(&["wait=5", "wait=9"]).wait, wait(5));
        assert_eq!(of(&["wait=3600"]).wait, wait(60));
        assert_eq!(of(&["wait=soon, handling=strict"]), Preferences::default());
        assert_eq!(of(&["wait=5"]).applied(true).unwrap(), "wait=5, return=minimal");
    }

    #[test]
    fn absent_empty_null_and_form_bodies_give_no_reason() {
        let none = HeaderMap::new();
        for body in ["", "  \n", "{}", "null", "\u{feff}{}", r#"{"reason":null,"cause":""}"#, r#"{"other":1}"#] {
            let members = members(&none, body.as_bytes()).unwrap();
            assert_eq!(reason_and_cause(&members).unwrap(), (None, None), "{body}");
        }
        let given =
            |headers: &HeaderMap, body: &str| reason_and_cause(&members(headers, body.as_bytes()).unwrap()).unwrap();
        assert_eq!(given(&form(), "reason=too+loud&cause=x"), (Some("too loud".into()), Some("x".into())));
        assert_eq!(given(&form(), r#"{"reason":"json in a form"}"#).0, Some("json in a form".into()));
        assert_eq!(given(&form(), ""), (None, None));
        assert_eq!(given(&form(), "reason=&other=1"), (None, None));
    }

    #[test]
    fn other_bodies_are_refused_with_what_to_send() {
        let none = HeaderMap::new();
        for body in ["[]", "7", "true", "\"x\"", "{", "reason=x", "{\"a\":1}}"] {
            assert_eq!(members(&none, body.as_bytes()).unwrap_err().code, Code::InvalidBody, "{body}");
        }
        assert!(members(&form(), b"{broken").is_err(), "a form that begins like JSON is JSON");
        assert!(members(&none, &[0xff, 0xfe]).is_err());
        let wrong = members(&none, br#"{"reason":7}"#).unwrap();
        assert!(reason_and_cause(&wrong).unwrap_err().detail.contains("reason must be a string"));
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..300), as_form in any::<bool>()) {
            let headers = if as_form { form() } else { HeaderMap::new() };
            if let Ok(members) = members(&headers, &body) {
                let _ = reason_and_cause(&members);
            }
        }

        #[test]
        fn any_preference_is_read_without_panic_and_within_bounds(text in "[ -~]{0,60}") {
            let headers = HeaderMap::from_iter([(header::HeaderName::from_static("prefer"), text.parse().unwrap())]);
            prop_assert!(Preferences::of(&headers).wait.unwrap_or_default() <= Duration::from_secs(LONGEST_WAIT));
        }
    }
}
