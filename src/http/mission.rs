//! `POST /conversations/{conversationId}/participants/{participantId}/disconnect`: the mission.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Serialize;

use super::App;
use super::answer::json;
use super::callers::{Refused, authenticate, exchange};
use super::exchange::Exchange;
use super::input::{self, Preferences};
use super::path::ParticipantPath;
use crate::callers::Permission;
use crate::disconnect::Request as Mission;
use crate::disconnect::outcome::Settled;
use crate::ids::{ConversationId, ParticipantId};

/// The answer to a mission. Every member is always there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    ok: bool,
    outcome: &'a str,
    verified: bool,
    conversation_id: ConversationId,
    participant_id: ParticipantId,
    operation: Option<&'a str>,
    attempts: u32,
    request_id: &'a str,
    correlation_id: Option<&'a str>,
}

/// Handles the mission.
pub(super) async fn disconnect(
    State(app): State<App>,
    ParticipantPath(conversation, participant): ParticipantPath,
    request: Request,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let exchange = exchange(&parts);
    let who = authenticate(&app, &parts, Permission::Disconnect).await?;
    let conversation = input::conversation_id(&conversation)?;
    let participant = input::participant_id(&participant)?;
    exchange.note(|note| {
        note.conversation = Some(conversation);
        note.participant = Some(participant);
    });
    let dry_run = input::dry_run(&parts)?;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let (reason, cause) = input::reason_and_cause(&input::members(&parts.headers, &body)?)?;
    let preferences = Preferences::of(&parts.headers);
    let mission =
        Mission { origin: who.origin, conversation, participant, reason, cause, wait: preferences.wait, dry_run };
    let settled = app.carry_out(mission).await?;
    Ok(answer(&exchange, &settled, preferences, conversation, participant))
}

fn answer(
    exchange: &Exchange,
    settled: &Settled,
    preferences: Preferences,
    conversation_id: ConversationId,
    participant_id: ParticipantId,
) -> Response {
    exchange.settled(settled);
    let minimal = preferences.minimal && !settled.still_there;
    let mut response = if minimal {
        StatusCode::NO_CONTENT.into_response()
    } else {
        let status = if settled.still_there { StatusCode::ACCEPTED } else { StatusCode::OK };
        let answer = Answer {
            ok: true,
            outcome: settled.outcome.name(),
            verified: settled.verified,
            conversation_id,
            participant_id,
            operation: settled.operation.map(crate::genesys::request::Operation::name),
            attempts: settled.attempts,
            request_id: &exchange.request_id,
            correlation_id: settled.correlation_id.as_deref(),
        };
        json(status, &answer)
    };
    preferences.stamp(&mut response, minimal);
    response
}
