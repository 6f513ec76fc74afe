//! How the sandbox handles a request: find its operation, check its token, apply faults, serve it, add headers, write
//! the journal.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, StatusCode};
use uuid::Uuid;

use super::answer::{LIMIT, Problem};
use super::call::{Call, Operation};
use super::connection::Link;
use super::faults::act;
use super::foreign::{Gateway, NotGenesys};
use super::incoming::Incoming;
use super::journal::JournalRecord;
use super::state::Sandbox;
use super::tokens::{TokenRefusal, WindowUsage};

/// The upstream's limit on a body.
const LARGEST: usize = 512_000;

/// Serves everything that is not under `/sandbox`.
pub(crate) async fn pass(State(sandbox): State<Sandbox>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let call = Call::classify(&parts.method, parts.uri.path());
    let link = parts.extensions.get::<Arc<Link>>().cloned();
    let correlation_id = Uuid::new_v4().to_string();
    let journal = sandbox.journal_store();
    let mut record =
        journal.open(parts.method.as_str(), parts.uri.path(), call.operation.kind(), correlation_id.clone());
    record.note(|entry| {
        entry.connection = link.as_ref().map(|l| l.number);
        entry.reused = link.as_ref().is_some_and(|l| l.reused());
    });

    // Read in any case, so that the connection can be used again after a refusal.
    let body = axum::body::to_bytes(body, LARGEST).await;
    let (admitted, rate) = admit(&sandbox, &parts, call.operation, &mut record);
    let result = match (admitted, body) {
        (Err(problem), _) => Err(problem),
        (Ok(()), Err(_)) => Err(too_large()),
        (Ok(()), Ok(body)) => {
            let incoming = Incoming { call: &call, parts: &parts, body: &body };
            act::serve(&sandbox, &incoming, link.as_deref(), &mut record).await
        }
    };
    let minimal = sandbox.settings().minimal;
    let mut response = result.unwrap_or_else(|problem| match call.operation {
        Operation::Login => problem.login(),
        _ if minimal => problem.foreign(Gateway::Fastapi),
        _ => problem.api(&correlation_id),
    });
    if !minimal && response.extensions().get::<NotGenesys>().is_none() {
        add_headers(&mut response, &correlation_id, rate);
    }
    let answered = act::Broken::of(&response).is_none();
    record.note(|entry| entry.status = if answered { response.status().as_u16() } else { 0 });
    response
}

/// Checks a request's token, and counts the request against the token's window.
fn admit(
    sandbox: &Sandbox,
    parts: &Parts,
    operation: Operation,
    record: &mut JournalRecord,
) -> (Result<(), Problem>, Option<WindowUsage>) {
    // Only the API needs tokens; of the minimal upstream, only the POST.
    let settings = sandbox.settings();
    if !parts.uri.path().starts_with("/api/") || settings.minimal && operation != Operation::Post {
        return (Ok(()), None);
    }
    let terms = sandbox.token_terms();
    let (token, verdict) = sandbox.tokens_store().authenticate(parts.headers.get(AUTHORIZATION), terms.idle_timeout);
    record.note(|entry| {
        entry.token = token.as_ref().map(|t| t.id.clone());
        entry.refused = verdict.err().map(TokenRefusal::word);
    });
    if let Err(reason) = verdict {
        return (Err(unauthenticated(reason)), None);
    }
    if settings.minimal {
        return (Ok(()), None);
    }
    match token.map(|token| sandbox.tokens_store().count(&token, &settings)) {
        Some(rate) if rate.exceeded() => (Err(too_many(rate)), Some(rate)),
        rate => (Ok(()), rate),
    }
}

fn unauthenticated(reason: TokenRefusal) -> Problem {
    let (code, message) = match reason {
        TokenRefusal::Missing => {
            ("authentication.required", "No authentication bearer token specified in authorization header.")
        }
        TokenRefusal::Expired => ("credentials.expired", "The bearer token has expired."),
        TokenRefusal::Unknown | TokenRefusal::Idle | TokenRefusal::Revoked => {
            ("bad.credentials", "Invalid login credentials.")
        }
    };
    Problem::new(StatusCode::UNAUTHORIZED, code, message)
}

fn too_many(rate: WindowUsage) -> Problem {
    let message = format!("Rate limit exceeded the maximum [{LIMIT}]. Retry the request in [{}] seconds", rate.reset);
    let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too.many.requests", message);
    Problem { limit: Some(rate.allowed), ..problem }.header("retry-after", &rate.reset.to_string())
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "request.entity.too.large", "The payload is over 512,000 bytes.")
}

fn add_headers(response: &mut Response, correlation_id: &str, rate: Option<WindowUsage>) {
    let bare = response.extensions().get::<act::NoRateHeaders>().is_some();
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(correlation_id) {
        headers.insert(HeaderName::from_static("inin-correlation-id"), value);
    }
    if let Some(rate) = rate.filter(|_| !bare) {
        headers.insert(HeaderName::from_static("inin-ratelimit-allowed"), HeaderValue::from(rate.allowed));
        headers.insert(HeaderName::from_static("inin-ratelimit-count"), HeaderValue::from(rate.count));
        headers.insert(HeaderName::from_static("inin-ratelimit-reset"), HeaderValue::from(rate.reset));
    }
}
