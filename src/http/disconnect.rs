//! `POST /conversations/{conversationId}/participants/{participantId}/disconnect`: disconnects one participant.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::App;
use super::answer::json_text;
use super::callers::{Refused, authenticate, exchange};
use super::exchange::Exchange;
use super::input::{self, Preferences, Wishes};
use super::jobs::asynchronously;
use super::path::ParticipantPath;
use crate::callers::Permission;
use crate::disconnect::Request as Disconnect;
use crate::disconnect::outcome::Settled;
use crate::genesys::request::Operation;
use crate::ids::{self, ConversationId, ParticipantId};
use crate::jobs::{ItemInput, Plan, TargetInput};
use crate::json::Object;

/// Room for an answer, in bytes.
const USUAL: usize = 512;

/// Disconnects one participant.
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
    let preferences = Preferences::of(&parts)?;
    let body = input::body(&parts.headers, body, app.max_body, app.body_timeout).await?;
    let wishes = Wishes::read(&input::members(&parts.headers, &body)?)?;
    if preferences.respond_async {
        let item = ItemInput { conversation, target: TargetInput::Participant(participant) };
        let plan = Plan { dry_run: preferences.dry_run, ..wishes.plan() };
        let key = input::idempotency_key(&parts.headers)?;
        return Ok(asynchronously(&app, &exchange, &who.caller, item, plan, key).await?);
    }
    let Preferences { wait, dry_run, .. } = preferences;
    let as_seen = input::as_seen(&parts.headers);
    let disconnect = Disconnect { wait, dry_run, as_seen, ..wishes.request(who.origin, conversation, participant) };
    let settled = app.disconnector.disconnect(disconnect).await?;
    Ok(answer(&exchange, &settled, preferences, conversation, participant))
}

/// Every member is always there.
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
        let (mut conversation, mut participant) = (ids::TEXT, ids::TEXT);
        let mut body = String::with_capacity(USUAL);
        let mut answer = Object::begin(&mut body);
        answer
            .truth("ok", true)
            .text("outcome", settled.outcome.name())
            .truth("verified", settled.verified)
            .truth_or_null("gone", settled.gone)
            .text("conversationId", conversation_id.text(&mut conversation))
            .text("participantId", participant_id.text(&mut participant))
            .text_or_null("operation", settled.operation.map(Operation::name))
            .integer("attempts", settled.attempts)
            .text("requestId", &exchange.request_id)
            .text_or_null("correlationId", settled.correlation_id.as_deref());
        answer.end();
        json_text(status, body)
    };
    preferences.stamp(&mut response, minimal);
    response
}
