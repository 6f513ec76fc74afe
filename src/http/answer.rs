//! Our answers: one line of JSON, and problems in the form the caller admits.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::accept::Accept;
use crate::genesys::whole_seconds;
use crate::problem::{Code, Effect, Problem};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Without `Accept` plain clients expect `application/json`.
const PROBLEM_TYPE: &str = "application/problem+json";
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static(PROBLEM_TYPE);

/// One line of JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Our own types serialize: they have string keys and no failing members.
    json_text(status, serde_json::to_string(value).unwrap_or_default())
}

/// One line of JSON that has been written already.
pub(super) fn json_text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// Room for a list in an answer that must stay under 32 KB: platforms refuse larger ones.
const ROOM: usize = 31 * 1024;

/// As many items as there is room for.
pub(super) fn fitting<T: Serialize>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut room = ROOM;
    items
        .take_while(|item| {
            let size = serde_json::to_string(item).map_or(usize::MAX, |text| text.len().saturating_add(1));
            room.checked_sub(size).map(|left| room = left).is_some()
        })
        .collect()
}

/// A problem on its way out: the outermost layer knows the request id and what the caller accepts, and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(UnrenderedProblem(self));
        response
    }
}

/// A problem that has not been rendered yet.
#[derive(Debug, Clone)]
pub(super) struct UnrenderedProblem(pub(super) Problem);

/// Puts a problem's body and headers into its response.
pub(super) fn render(problem: &Problem, accept: &Accept, request_id: &str, response: &mut Response) {
    let code = problem.code;
    let body = serde_json::to_vec(&members(problem, request_id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, if accept.admits(PROBLEM_TYPE) { PROBLEM_JSON } else { JSON });
    if let Some(seconds) = retry_after(problem) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(code, Code::BodyTooLarge) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    *response.body_mut() = Body::from(body);
}

/// The members of a problem (RFC 9457, and ours), in the order in which people read them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemMembers<'a> {
    ok: bool,
    code: &'a str,
    title: &'a str,
    detail: &'a str,
    status: u16,
    r#type: String,
    request_id: &'a str,
    retryable: bool,
    retry_after_seconds: Option<u64>,
    effect: &'a str,
    gone: Option<bool>,
    upstream: Option<UpstreamMembers<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<Vec<&'a serde_json::Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpstreamMembers<'a> {
    status: u16,
    code: Option<&'a str>,
    message: Option<&'a str>,
    correlation_id: Option<&'a str>,
}

fn members<'a>(problem: &'a Problem, request_id: &'a str) -> ProblemMembers<'a> {
    let code = problem.code;
    ProblemMembers {
        ok: false,
        code: code.name(),
        title: code.title(),
        detail: &problem.detail,
        status: code.status(),
        r#type: format!("urn:hangup:problem:{}", code.name()),
        request_id,
        retryable: code.retryable(),
        retry_after_seconds: retry_after(problem),
        effect: match problem.effect {
            Effect::None => "none",
            Effect::Unknown => "unknown",
        },
        gone: problem.gone,
        upstream: problem.upstream.as_deref().map(|upstream| UpstreamMembers {
            status: upstream.status,
            code: upstream.code.as_deref(),
            message: upstream.message.as_deref(),
            correlation_id: upstream.correlation_id.as_deref(),
        }),
        candidates: problem
            .candidates
            .as_deref()
            .and_then(|list| list.as_array())
            .map(|list| fitting(list.iter().take(20))),
    }
}

/// `Retry-After` in whole seconds; always there on 429 and 503.
pub(super) fn retry_after(problem: &Problem) -> Option<u64> {
    match (problem.retry_after, problem.code.status()) {
        (Some(pause), _) => Some(whole_seconds(pause)),
        (None, 429 | 503) => Some(1),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_429_and_503_says_when_to_come_back() {
        for code in Code::ALL {
            let seconds = retry_after(&Problem::new(*code, ""));
            assert_eq!(seconds.is_some(), matches!(code.status(), 429 | 503), "{code:?}");
        }
        let pause = std::time::Duration::from_millis(1001);
        assert_eq!(retry_after(&Problem::new(Code::Overloaded, "").retry_after(pause)), Some(2));
    }
}
