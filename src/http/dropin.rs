//! Drop-in: the upstream's own paths, statuses and error bodies, so that SDKs change host and credentials and no code.
//!
//! Whatever the org really has, POST answers 204 and PATCH 202 with effect. A caller's token is never forwarded.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use super::App;
use super::callers::{Authenticated, Refused, authenticate, exchange};
use super::input;
use super::path::{ConversationPath, ParticipantPath};
use crate::callers::Permission;
use crate::disconnect::outcome::Outcome;
use crate::disconnect::{Request as Mission, conversation_not_found};
use crate::genesys::answer::BodyEnd;
use crate::genesys::request::{Call, Medium, Rank};
use crate::problem::{Code, Problem, Upstream};

/// `POST /api/v2/conversations/{cid}/participants/{pid}/disconnect`.
pub(super) async fn post(State(app): State<App>, path: ParticipantPath, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let who = authenticate(&app, &parts, Permission::Disconnect).await?;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let (reason, cause) = input::reason_and_cause(&input::members(&parts.headers, &body)?)?;
    carry_out(&app, &parts, who, &path, reason, cause).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `PATCH /api/v2/conversations/{cid}/participants/{pid}`, and the same of each medium.
pub(super) async fn patch(
    State(app): State<App>,
    path: ParticipantPath,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let who = authenticate(&app, &parts, Permission::Disconnect).await?;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    only_disconnects(&input::members(&parts.headers, &body)?)?;
    carry_out(&app, &parts, who, &path, None, None).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

/// This door opens for `{"state":"disconnected"}` and nothing else. SDKs send their unset members as null.
fn only_disconnects(members: &serde_json::Map<String, Value>) -> Result<(), Problem> {
    let mut given = members.iter().filter(|(_, value)| !value.is_null());
    let disconnects = |(name, value): (&String, &Value)| {
        name == "state" && value.as_str().is_some_and(|state| state.eq_ignore_ascii_case("disconnected"))
    };
    if given.next().is_some_and(disconnects) && given.next().is_none() {
        return Ok(());
    }
    let detail = "only {\"state\":\"disconnected\"} passes here; everything else must go to Genesys Cloud itself";
    Err(Problem::new(Code::InvalidBody, detail))
}

async fn carry_out(
    app: &App,
    parts: &Parts,
    who: Authenticated,
    ParticipantPath(conversation, participant): &ParticipantPath,
    reason: Option<String>,
    cause: Option<String>,
) -> Result<(), Problem> {
    let conversation = input::conversation_id(conversation)?;
    let participant = input::participant_id(participant)?;
    let exchange = exchange(parts);
    exchange.note(|note| {
        note.conversation = Some(conversation);
        note.participant = Some(participant);
    });
    let mission = Mission { reason, cause, ..Mission::new(who.origin, conversation, participant) };
    let settled = app.carry_out(mission).await?;
    exchange.settled(&settled);
    // All that was seen is a 404, and here the upstream's statuses hold.
    if settled.outcome == Outcome::ConversationEnded && !settled.verified {
        return Err(conversation_not_found(None));
    }
    Ok(())
}

/// `GET /api/v2/conversations/{cid}`.
pub(super) async fn read(
    State(app): State<App>,
    ConversationPath(conversation): ConversationPath,
    request: Request,
) -> Result<Response, Refused> {
    pass_on(&app, None, &conversation, request).await
}

/// `GET /api/v2/conversations/calls/{cid}`.
pub(super) async fn read_call(
    State(app): State<App>,
    ConversationPath(conversation): ConversationPath,
    request: Request,
) -> Result<Response, Refused> {
    pass_on(&app, Some(Medium::Calls), &conversation, request).await
}

/// Reads, and hands the upstream's body on as it is.
async fn pass_on(app: &App, medium: Option<Medium>, conversation: &str, request: Request) -> Result<Response, Refused> {
    let (parts, _) = request.into_parts();
    let who = authenticate(app, &parts, Permission::Read).await?;
    let cid = input::conversation_id(conversation)?;
    let exchange = exchange(&parts);
    exchange.note(|note| note.conversation = Some(cid));
    let admission = app.disconnector.admit(&who.origin)?;
    let call = Call::read(&admission.context, Rank::Lookup, medium, cid).with_whole_body();
    let answer = app.disconnector.client().call(call).await.map_err(Problem::from)?;
    exchange.note(|note| {
        note.upstream_status = Some(answer.status.as_u16());
        note.correlation_id.clone_from(&answer.correlation_id);
    });
    if answer.status == StatusCode::OK {
        if answer.body.end != BodyEnd::Complete
            || serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body.bytes).is_err()
        {
            return Err(Problem::invalid_response(&answer, "the read of the conversation gave something else").into());
        }
        let mut response = Response::new(Body::from(answer.body.bytes));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        return Ok(response);
    }
    let problem = match answer.status {
        StatusCode::NOT_FOUND => conversation_not_found(Some(Box::new(Upstream::of(&answer)))),
        StatusCode::FORBIDDEN => Problem::forbidden(&answer, crate::disconnect::look::VIEW),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => Problem::transient(&answer),
        status if status.is_client_error() => {
            Problem::new(Code::UpstreamRejected, "Genesys Cloud rejects the read").upstream(Upstream::of(&answer))
        }
        _ => Problem::invalid_response(&answer, "the read was answered with a redirect, which is not followed"),
    };
    Err(problem.into())
}
