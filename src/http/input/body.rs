//! Bodies: lenient about their form, strict about their meaning.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::super::AppState;
use super::super::refused::Refused;
use crate::problem::{Code, Problem};
use crate::strict_json;

pub(super) fn invalid_body(detail: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidBody, detail)
}

/// Reads a body up to `limit` bytes, within `within`; `remedy` tells the caller of a larger one what to do.
pub(in crate::http) async fn body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    within: Duration,
    remedy: &str,
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body may have at most {limit} bytes; {remedy}");
        Problem::new(Code::BodyTooLarge, detail)
    };
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
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Ok(Err(_)) => Err(invalid_body("the body was cut off; send all of it, with the right Content-Length")),
        Err(_) => Err(invalid_body("the body did not arrive in time; send it at once, with the right Content-Length")),
    }
}

/// The members of a body that is a JSON object, or was taken as one.
#[derive(Debug)]
pub(in crate::http) struct Members(pub(in crate::http) Map<String, Value>);

/// The members of a body that is a selector: a name that is given twice makes that one unusable.
#[derive(Debug)]
pub(in crate::http) struct SelectorMembers(pub(in crate::http) Map<String, Value>);

impl FromRequest<AppState> for Members {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Refused> {
        Ok(Self(members_of(request, app, Code::InvalidBody).await?))
    }
}

impl FromRequest<AppState> for SelectorMembers {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Refused> {
        Ok(Self(members_of(request, app, Code::InvalidSelector).await?))
    }
}

/// The members of the body of a request. `twice` is the code where a name is given twice.
pub(super) async fn members_of(request: Request, app: &AppState, twice: Code) -> Result<Map<String, Value>, Problem> {
    let (parts, content) = request.into_parts();
    let bytes = body(&parts.headers, content, app.max_body, app.body_timeout, "a disconnect needs none").await?;
    members(&parts.headers, &bytes, twice)
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded"))
}

/// Reads a body as a JSON object. Empty and `null` are no members; a form content type may carry JSON, a form or nothing.
/// No content type is refused. `twice` is the code where a name is given twice.
fn members(headers: &HeaderMap, body: &[u8], twice: Code) -> Result<Map<String, Value>, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| invalid_body("the body is not UTF-8; send JSON, or nothing"))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(Map::new());
    }
    let given_twice = |what: &str| Problem::new(twice, format!("{what}; give each name once"));
    match strict_json::parse(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(invalid_body("the body must be a JSON object, such as {\"reason\":\"user_request\"}, or nothing")),
        Err(error) if strict_json::repeats(&error) => Err(given_twice(&error.to_string())),
        Err(_) if is_form(headers) && !text.starts_with(['{', '[', '"']) => {
            let members = form_members(text);
            // In a selector, a list would mean that any of them is meant.
            match members.iter().find(|(_, value)| value.is_array()) {
                Some((name, _)) if twice == Code::InvalidSelector => Err(given_twice(&strict_json::given_twice(name))),
                _ => Ok(members),
            }
        }
        Err(error) => Err(invalid_body(format!(
            "the body is not valid JSON (line {}, column {}); send an object such as {{\"reason\":\"user_request\"}}, or nothing",
            error.line(),
            error.column()
        ))),
    }
}

/// The fields of a form. The values of one that is given twice are a list, as a form means it: a name that is ignored may be given
/// as often as its form has boxes, and one that is read refuses a list.
fn form_members(text: &str) -> Map<String, Value> {
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let value = Value::from(value.into_owned());
        match members.get_mut(&*name) {
            None => drop(members.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::super::DisconnectBody;
    use super::*;

    fn form() -> HeaderMap {
        let value = HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8");
        HeaderMap::from_iter([(header::CONTENT_TYPE, value)])
    }

    #[test]
    fn absent_empty_null_and_form_bodies_are_taken() {
        let none = HeaderMap::new();
        for body in ["", "  \n", "{}", "null", "\u{feff}{}"] {
            assert!(members(&none, body.as_bytes(), Code::InvalidBody).unwrap().is_empty(), "{body}");
        }
        let reason = |body: &str| members(&form(), body.as_bytes(), Code::InvalidBody).unwrap().remove("reason");
        assert_eq!(reason("reason=too+loud&cause=x"), Some("too loud".into()));
        assert_eq!(reason(r#"{"reason":"json in a form"}"#), Some("json in a form".into()));
        assert_eq!(reason(""), None);
    }

    #[test]
    fn a_form_may_repeat_a_name_that_is_ignored_and_none_that_is_read() {
        let of = |text: &str, twice| members(&form(), text.as_bytes(), twice);
        let ignored = of("box=1&box=2&=true&=4&reason=x", Code::InvalidBody).unwrap();
        assert_eq!(
            DisconnectBody::read(&ignored).unwrap(),
            DisconnectBody::read(&Map::from_iter([("reason".into(), "x".into())])).unwrap()
        );
        for name in ["reason", "cause", "media", "wrapup", "wrapupSkipped", "dryRun", "wait"] {
            let given = of(&format!("{name}=a&{name}=b&{name}=c"), Code::InvalidBody).unwrap();
            assert_eq!(DisconnectBody::read(&given).unwrap_err().code, Code::InvalidBody, "{name}");
        }
        let state = of("state=disconnected&state=disconnected", Code::InvalidBody).unwrap();
        assert!(DisconnectBody::of_patch(&state, None).is_err());
        assert_eq!(
            of("purpose=agent&purpose=customer", Code::InvalidSelector).unwrap_err().code,
            Code::InvalidSelector
        );
    }

    #[test]
    fn other_bodies_are_refused_with_what_to_send() {
        let none = HeaderMap::new();
        for body in ["[]", "7", "true", "\"x\"", "{", "reason=x", "{\"a\":1}}"] {
            assert_eq!(
                members(&none, body.as_bytes(), Code::InvalidBody).unwrap_err().code,
                Code::InvalidBody,
                "{body}"
            );
        }
        assert!(members(&form(), b"{broken", Code::InvalidBody).is_err(), "a form that begins like JSON is JSON");
        assert!(members(&none, &[0xff, 0xfe], Code::InvalidBody).is_err());
    }

    proptest! {
        #[test]
        fn any_body_is_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..300), as_form in any::<bool>()) {
            let headers = if as_form { form() } else { HeaderMap::new() };
            if let Ok(members) = members(&headers, &body, Code::InvalidBody) {
                let _ = DisconnectBody::read(&members);
            }
        }
    }
}
