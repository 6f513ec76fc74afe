//! Our answers: one line of JSON, and problems in the form the caller admits.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::json;

use crate::genesys::whole_seconds;
use crate::problem::{Code, Effect, Problem};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// One line of JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Our own types serialize: they have string keys and no failing members.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A problem on its way out: the outermost layer knows the request id and what the caller accepts, and renders it.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Outgoing(self));
        response
    }
}

/// A problem that has not been rendered yet.
#[derive(Debug, Clone)]
pub(super) struct Outgoing(pub(super) Problem);

/// Puts a problem's body and headers into its response.
pub(super) fn render(problem: &Problem, accept: &HeaderMap, request_id: &str, response: &mut Response) {
    let code = problem.code;
    let body = problem_body(problem, request_id);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, if admits_problem(accept) { PROBLEM_JSON } else { JSON });
    if let Some(seconds) = retry_after(problem) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(code, Code::BodyTooLarge) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    *response.body_mut() = Body::from(body.to_string());
}

/// The members of a problem (RFC 9457, and ours).
pub(super) fn problem_body(problem: &Problem, request_id: &str) -> serde_json::Value {
    let code = problem.code;
    let effect = match problem.effect {
        Effect::None => "none",
        Effect::Unknown => "unknown",
    };
    let upstream = problem.upstream.as_ref().map(|upstream| {
        json!({
            "status": upstream.status, "code": upstream.code, "message": upstream.message,
            "correlationId": upstream.correlation_id,
        })
    });
    let mut body = json!({
        "ok": false, "type": format!("urn:hangup:problem:{}", code.name()), "title": code.title(), "status": code.status(),
        "detail": problem.detail, "code": code.name(), "requestId": request_id, "retryable": code.retryable(),
        "effect": effect, "upstream": upstream,
    });
    if let (Some(candidates), Some(members)) = (&problem.candidates, body.as_object_mut()) {
        members.insert("candidates".to_owned(), (**candidates).clone());
    }
    body
}

/// `Retry-After` in whole seconds; always there on 429 and 503.
pub(super) fn retry_after(problem: &Problem) -> Option<u64> {
    match (problem.retry_after, problem.code.status()) {
        (Some(pause), _) => Some(whole_seconds(pause)),
        (None, 429 | 503) => Some(1),
        (None, _) => None,
    }
}

/// Whether `Accept` admits `application/problem+json`. Absent, it does not: plain clients expect `application/json`.
fn admits_problem(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let refused = parts.any(|p| p.strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok()) == Some(0.0));
        matches!(kind.as_str(), "*/*" | "application/*" | "application/problem+json") && !refused
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_problem_type_is_used_where_accept_admits_it() {
        let admits = |accept: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            admits_problem(&headers)
        };
        for yes in
            ["*/*", "application/json, text/plain, */*", "application/problem+json", "text/html, Application/*;q=0.5"]
        {
            assert!(admits(&[yes]), "{yes}");
        }
        for no in [&[][..], &["application/json"], &["text/html"], &["application/json, */*;q=0"]] {
            assert!(!admits(no), "{no:?}");
        }
    }

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
