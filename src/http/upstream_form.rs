//! Errors as the upstream writes them, for its own paths.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::answer::{JSON, retry_after};
use crate::disconnect::conversation_not_found;
use crate::outcome::{Outcome, Settled};
use crate::problem::{Code, Problem, UpstreamDetail};

/// Status and code that a client of the upstream knows for this problem.
fn known(problem: &Problem) -> (u16, &'static str) {
    match problem.code {
        Code::InvalidConversationId | Code::InvalidParticipantId | Code::InvalidBody | Code::InvalidQuery => {
            (400, "bad.request")
        }
        Code::InvalidSelector | Code::SelectorAmbiguous => (400, "bad.request"),
        Code::Unauthenticated => (401, "bad.credentials"),
        Code::ForbiddenCaller | Code::ForbiddenOrigin | Code::ForbiddenParticipant => (403, "not.authorized"),
        Code::ObserveMode => (403, "observe_mode"),
        Code::UpstreamForbidden => (403, "missing.permissions"),
        Code::UpstreamUserContext => (403, "not.a.user"),
        Code::NoSuchRoute | Code::ConversationNotFound | Code::JobNotFound => (404, "not.found"),
        Code::ParticipantNotFound => (404, "conversation.error.not.conversation.participant"),
        Code::MethodNotAllowed => (405, "method.not.allowed"),
        Code::UpstreamConflict | Code::JobState => (409, "conflict"),
        Code::WrapupRequired => (400, "conversation.error.wrapup.code.required"),
        Code::Changed => (412, "precondition.failed"),
        Code::BodyTooLarge => (413, "request.entity.too.large"),
        Code::UpstreamRejected | Code::IdempotencyKeyReused | Code::JobsNeedStore => (400, "bad.request"),
        Code::UpstreamRateLimited | Code::CallerRateLimited => (429, "too.many.requests"),
        Code::Internal => (500, "internal.server.error"),
        Code::UpstreamInvalidResponse => (502, "bad.gateway"),
        Code::UpstreamUnavailable
        | Code::Overloaded
        | Code::ShuttingDown
        | Code::StoreUnavailable
        | Code::AuditUnavailable
        | Code::UpstreamRejectedCredentials => (503, "service.unavailable"),
        Code::UpstreamTimeout => (504, "request.timeout"),
    }
}

/// Outcomes on our own paths that are errors on the upstream's.
pub(super) fn as_the_upstream(settled: &Settled) -> Result<(), Problem> {
    match settled.outcome {
        Outcome::WouldDisconnect => {
            let detail = "hangup is in observe mode; nobody was disconnected; this is not a permission problem";
            Err(Problem::new(Code::ObserveMode, detail).still_there())
        }
        // The only evidence is a 404, and on these paths the upstream's statuses apply.
        Outcome::ConversationEnded if !settled.verified => Err(conversation_not_found(None)),
        _ => Ok(()),
    }
}

/// Puts the problem into its response.
pub(super) fn render(problem: &Problem, request_id: &str, response: &mut Response) {
    let (mut status, code) = known(problem);
    let upstream = problem.upstream.as_deref();
    let refusal = upstream.filter(|upstream| upstream.own);
    // A refusal by the upstream keeps its own status, unless that would speak of the caller's credentials. A gateway's status says
    // nothing about the conversation.
    if let (Code::UpstreamRejected | Code::WrapupRequired, Some(upstream)) = (problem.code, refusal)
        && !matches!(upstream.status, 401 | 407)
    {
        status = upstream.status;
    }
    // The upstream's words go with its own status only: beside another one, "not found" could be said of someone still there.

    let goes_with_it =
        |u: &&UpstreamDetail| status < 500 && (u.status == status || problem.code == Code::UpstreamUserContext);
    let words = refusal.filter(goes_with_it);
    let code = words.and_then(|u| u.code.as_deref()).unwrap_or(code);
    let message = words.and_then(|u| u.message.as_deref()).unwrap_or(&problem.detail);
    let context = upstream.and_then(|u| u.correlation_id.as_deref()).unwrap_or(request_id);
    let body = json!({
        "message": message, "code": code, "status": status, "messageParams": {}, "contextId": context,
        "details": [], "errors": [],
    });
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    // On 429 alone: the official Python SDK repeats whatever carries it, ten times, and each repeat is retried here as well.
    if let Some(seconds) = retry_after(problem).filter(|_| status == 429) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    *response.body_mut() = Body::from(body.to_string());
}
