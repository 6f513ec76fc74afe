//! Applies fault rules to a request.

use std::borrow::Cow;

use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use serde_json::Value;

use super::{Action, Cut, FaultAnswer, wire};
use crate::sandbox::answer::{Problem, empty, with_json};
use crate::sandbox::api;
use crate::sandbox::connection::{End, Link};
use crate::sandbox::incoming::{Incoming, Served};
use crate::sandbox::journal::{JournalRecord, Kind};
use crate::sandbox::state::Sandbox;

/// Extension of an in-process answer in place of which a connection would have been reset or closed.
///
/// In-process there is no connection to break, so the answer is an empty 502 with this extension; a test's transport
/// turns it into the error that its client would have seen. [`Cut::HalfOpen`] never answers, in-process too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken(pub Cut);

impl Broken {
    /// The extension of an answer, if it has one.
    #[must_use]
    pub fn of<B>(response: &http::Response<B>) -> Option<Self> {
        response.extensions().get().copied()
    }
}

/// Marks an answer that must not get rate-limit headers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoRateHeaders;

/// Serves a request, with the faults that match it.
pub(crate) async fn serve(
    sandbox: &Sandbox,
    incoming: &Incoming<'_>,
    link: Option<&Link>,
    record: &mut JournalRecord,
) -> Result<Response, Problem> {
    let picked = sandbox.fault_rules().pick(incoming.call, link.is_some_and(Link::reused));
    record.note(|entry| entry.fault = picked.rule);
    if !picked.latency.is_zero() {
        tokio::time::sleep(picked.latency).await;
    }
    let mut serve = |effect: bool| {
        let Served { response, effect } = api::serve(sandbox, incoming, effect);
        record.note(|entry| entry.effect = effect);
        response
    };
    match picked.action {
        None | Some(Action::Refuse) => serve(true),
        Some(Action::Answer(answer)) if answer.status.is_some_and(|s| s < 300) && answer.body.is_none() => serve(true),
        Some(Action::Answer(answer)) => Err(answered(&answer, incoming.call.operation.kind())),
        Some(Action::Reset) => cut(link, Cut::Reset).await,
        Some(Action::Close) => cut(link, Cut::Close).await,
        Some(Action::HalfOpen) => cut(link, Cut::HalfOpen).await,
        Some(Action::LostAnswer(how)) => {
            let _lost = serve(true);
            cut(link, how).await
        }
        Some(Action::IgnoreEffect) => serve(false),
        Some(Action::Body(fault)) => {
            let real = match fault.status {
                Some(400..) => empty(StatusCode::OK),
                _ => serve(true)?,
            };
            wire::replace(real, &fault, link).await
        }
        Some(Action::Redirect(redirect)) => {
            let problem = Problem::new(status(redirect.status.unwrap_or(302)), "moved", "The resource is elsewhere.");
            Err(problem.header("location", &redirect.location))
        }
        Some(Action::Foreign(foreign)) => Ok(foreign.response()),
        Some(Action::NoRateHeaders) => serve(true).map(|mut response| {
            response.extensions_mut().insert(NoRateHeaders);
            response
        }),
        Some(Action::Unauthorized) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "bad.credentials", "Invalid login credentials."))
        }
        Some(Action::Forbidden(forbidden)) => {
            let permissions: Vec<_> = forbidden.permission.split(',').map(str::trim).collect();
            Err(Problem::missing_permission(&permissions))
        }
        Some(Action::UserContext) => Err(Problem::new(StatusCode::FORBIDDEN, "not.authorized", USER_CONTEXT)),
        Some(Action::NotAUser) => Err(Problem::new(StatusCode::BAD_REQUEST, "not.a.user", USER_CONTEXT)),
        Some(Action::ThrottledLogin) => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "rate limit exceeded; wait a minute before logging in again",
        )),
        Some(Action::Token(fault)) => match serve(true) {
            Ok(granted) if incoming.call.operation.kind() == Kind::Login => altered(granted, fault).await,
            other => other,
        },
    }
}

const USER_CONTEXT: &str =
    "This request requires a user context. Client credentials cannot be used for requests to this resource.";

fn status(value: u16) -> StatusCode {
    StatusCode::from_u16(value).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn answered(answer: &FaultAnswer, kind: Kind) -> Problem {
    let code = status(answer.status.unwrap_or(500));
    let (usual, message) = usual(code, kind);
    let mut problem = Problem::new(
        code,
        answer.code.clone().map_or(Cow::Borrowed(usual), Cow::Owned),
        answer.message.clone().map_or(Cow::Borrowed(message), Cow::Owned),
    );
    problem.body.clone_from(&answer.body);
    let retry_after = answer.retry_after.iter().map(|value| ("retry-after", value.as_str()));
    let others = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    retry_after.chain(others).fold(problem, |problem, (name, value)| problem.header(name, value))
}

/// The upstream's usual words for a status.
fn usual(status: StatusCode, kind: Kind) -> (&'static str, &'static str) {
    match (status.as_u16(), kind) {
        (400 | 401, Kind::Login) => ("invalid_client", "client not found: invalid client id or secret"),
        (_, Kind::Login) if status.is_client_error() => ("invalid_request", "rate limit exceeded; try again later"),
        (_, Kind::Login) => ("server_error", "the login service is not available"),
        (400, _) => ("bad.request", "The request could not be understood by the server."),
        (401, _) => ("bad.credentials", "Invalid login credentials."),
        (403, _) => ("not.authorized", "You are not authorized to perform the requested action."),
        (404, _) => ("not.found", "HTTP 404 Not Found"),
        (405, _) => ("method.not.allowed", "HTTP 405 Method Not Allowed"),
        (409, _) => ("conflict", "The request conflicts with the state of the participant."),
        (413, _) => ("request.entity.too.large", "The payload is over 512,000 bytes."),
        (429, _) => ("too.many.requests", "Rate limit exceeded the maximum."),
        (503, _) => ("service.unavailable", "The service is temporarily unavailable."),
        (504, _) => ("request.timeout", "The request timed out."),
        (500.., _) => ("internal.server.error", "The server encountered an unexpected condition."),
        _ => ("unknown", "The sandbox was set to answer so."),
    }
}

/// Breaks the connection; without one, marks the answer.
pub(super) async fn cut(link: Option<&Link>, how: Cut) -> Result<Response, Problem> {
    if how == Cut::HalfOpen {
        return std::future::pending().await;
    }
    if let Some(link) = link {
        link.cut(if how == Cut::Reset { End::Reset } else { End::Close });
        // The connection's task drops this future.
        return std::future::pending().await;
    }
    let mut response = empty(StatusCode::BAD_GATEWAY);
    response.extensions_mut().insert(Broken(how));
    Ok(response)
}

async fn altered(granted: Response, fault: super::TokenFault) -> Result<Response, Problem> {
    let bytes = axum::body::to_bytes(granted.into_body(), 64 * 1024).await.unwrap_or_default();
    let mut body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if let Value::Object(members) = &mut body {
        for (name, value) in
            [("expires_in", fault.expires_in), ("access_token", fault.access_token), ("token_type", fault.token_type)]
        {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        }
        members.retain(|name, _| !fault.omit.contains(name));
    }
    let mut response = with_json(StatusCode::OK, &body);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
